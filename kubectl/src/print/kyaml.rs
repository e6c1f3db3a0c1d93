//! KYAML, the YAML that is almost JSON (KEP-5295): braces, quotes and commas, so that indentation means nothing.

use serde_json::Value;

use super::yaml::looks_like_another_type;

/// A document of a value: `---`, then the value, then a newline.
#[must_use]
pub fn document(value: &Value) -> String {
    let mut text = String::from("---\n");
    node(&mut text, value, 0);
    text.push('\n');
    text
}

fn node(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if map.is_empty() => text.push_str("{}"),
        Value::Object(map) => {
            text.push_str("{\n");
            for (name, value) in map {
                indent(text, depth + 1);
                key(text, name);
                text.push_str(": ");
                node(text, value, depth + 1);
                text.push_str(",\n");
            }
            indent(text, depth);
            text.push('}');
        }
        Value::Array(list) if list.is_empty() => text.push_str("[]"),
        // Objects and lists begin on the line of their list's bracket.
        Value::Array(list) if list.iter().all(|item| item.is_object() || item.is_array()) => {
            text.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                node(text, item, depth);
            }
            text.push(']');
        }
        Value::Array(list) => {
            text.push_str("[\n");
            for item in list {
                indent(text, depth + 1);
                node(text, item, depth + 1);
                text.push_str(",\n");
            }
            indent(text, depth);
            text.push(']');
        }
        Value::String(string) => quoted(text, string, depth + 1),
        other => text.push_str(&other.to_string()),
    }
}

/// A name stands bare where nobody could take it for anything else.
fn key(text: &mut String, name: &str) {
    let last = name.chars().count().saturating_sub(1);
    let is_bare = name
        .chars()
        .enumerate()
        .all(|(at, c)| c.is_alphanumeric() || c == '_' || (at > 0 && at < last && "-./".contains(c)));
    if is_bare && !looks_like_another_type(name) {
        text.push_str(name);
    } else {
        text.push('"');
        name.chars().for_each(|c| character(text, c, "\\n"));
        text.push('"');
    }
}

/// Text of several lines is folded, a line of it on each line.
fn quoted(text: &mut String, string: &str, depth: usize) {
    text.push('"');
    let folded = string.contains('\n');
    if folded {
        text.push_str("\\\n");
    }
    for c in string.chars() {
        if text.ends_with('\n') {
            indent(text, depth);
            // A blank at the beginning of a line would be dropped.
            text.push(if c.is_whitespace() && c != '\n' { '\\' } else { ' ' });
        }
        character(text, c, "\\n\\\n");
    }
    if folded {
        if !text.ends_with('\n') {
            text.push_str("\\\n");
        }
        indent(text, depth);
    }
    text.push('"');
}

fn character(text: &mut String, c: char, newline: &str) {
    match c {
        '"' | '\\' => text.extend(['\\', c]),
        '\n' => text.push_str(newline),
        '\u{7}' => text.push_str("\\a"),
        '\u{8}' => text.push_str("\\b"),
        '\u{c}' => text.push_str("\\f"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '\u{b}' => text.push_str("\\v"),
        '\0' => text.push_str("\\0"),
        '\u{1b}' => text.push_str("\\e"),
        '\u{85}' => text.push_str("\\N"),
        '\u{a0}' => text.push_str("\\_"),
        '\u{2028}' => text.push_str("\\L"),
        '\u{2029}' => text.push_str("\\P"),
        c if c.is_ascii_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if c.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => text.push(c),
    }
}

fn indent(text: &mut String, depth: usize) {
    text.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn layout_is_kubectls() {
        let value =
            json!({"a": {"true": 1, "x/y": null, "-": "q\"\\"}, "l": [{"b": "c"}, {}], "m": [1, "2"], "e": [], "n": 1});
        assert_eq!(
            document(&value),
            "---\n{\n  a: {\n    \"-\": \"q\\\"\\\\\",\n    \"true\": 1,\n    x/y: null,\n  },\n  e: [],\n  \
             l: [{\n    b: \"c\",\n  }, {}],\n  m: [\n    1,\n    \"2\",\n  ],\n  \"n\": 1,\n}\n"
        );
    }

    #[test]
    fn lines_are_folded() {
        assert_eq!(
            document(&json!({"s": "one\n  two\n"})),
            "---\n{\n  s: \"\\\n     one\\n\\\n    \\  two\\n\\\n    \",\n}\n"
        );
    }
}
