//! YAML as kubectl prints it: keys in order, lists not indented, quotes only where YAML needs them.

use std::fmt::Write as _;

use serde_json::Value;

/// A document of a value, ending with a newline.
#[must_use]
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => node(&mut text, value, 0, false),
        Value::Array(list) if !list.is_empty() => node(&mut text, value, 0, false),
        _ => {
            let _ = writeln!(text, "{}", scalar(value, 0));
        }
    }
    text
}

/// A map or list at an indentation; the first line's indentation may have been written already.
fn node(text: &mut String, value: &Value, indent: usize, mut first_is_placed: bool) {
    let mut pad = |text: &mut String| {
        if !std::mem::take(&mut first_is_placed) {
            text.push_str(&" ".repeat(indent));
        }
    };
    match value {
        Value::Object(map) => {
            let mut names: Vec<&String> = map.keys().collect();
            names.sort();
            for name in names {
                pad(text);
                text.push_str(&plain_or_quoted(name));
                text.push(':');
                child(text, &map[name], indent, indent + 2);
            }
        }
        Value::Array(list) => {
            for item in list {
                pad(text);
                text.push('-');
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        text.push(' ');
                        node(text, item, indent + 2, true);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        text.push(' ');
                        node(text, item, indent + 2, true);
                    }
                    _ => {
                        let _ = writeln!(text, " {}", scalar(item, indent + 2));
                    }
                }
            }
        }
        _ => {}
    }
}

fn child(text: &mut String, value: &Value, list_indent: usize, map_indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            node(text, value, map_indent, false);
        }
        Value::Array(list) if !list.is_empty() => {
            text.push('\n');
            node(text, value, list_indent, false);
        }
        _ => {
            let _ = writeln!(text, " {}", scalar(value, map_indent));
        }
    }
}

fn scalar(value: &Value, indent: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.contains('\n') && can_be_literal(text) => literal(text, indent),
        Value::String(text) => plain_or_quoted(text),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

/// A block of lines; `|-` when there is no newline at the end, `|+` when there are several.
fn literal(text: &str, indent: usize) -> String {
    let body = text.trim_end_matches('\n');
    let mut block = match text.len() - body.len() {
        0 => "|-".to_owned(),
        1 => "|".to_owned(),
        _ => "|+".to_owned(),
    };
    if body.starts_with([' ', '\n']) {
        // The first line's own indentation would be taken for the block's.
        block.insert(1, '2');
    }
    let lines = if text.ends_with("\n\n") {
        &text[..text.len() - 1]
    } else {
        body
    };
    for line in lines.split('\n') {
        block.push('\n');
        if !line.is_empty() {
            block.push_str(&" ".repeat(indent));
            block.push_str(line);
        }
    }
    block
}

fn can_be_literal(text: &str) -> bool {
    !text.trim_matches('\n').is_empty()
        && text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control())
        && !text.lines().any(|line| line.ends_with([' ', '\t']))
}

fn plain_or_quoted(text: &str) -> String {
    if text.chars().any(|c| c.is_control() || c == '\u{feff}') || looks_like_another_type(text) {
        return double_quoted(text);
    }
    if is_plain(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\x{:02X}", u32::from(c));
            }
            '\u{feff}' => quoted.push_str("\\uFEFF"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a reader of YAML 1.1 or 1.2 would take the plain text for something else.
pub fn looks_like_another_type(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "", ".nan",
    ];
    let lower = text.to_ascii_lowercase();
    if WORDS.contains(&lower.as_str()) || matches!(lower.trim_start_matches(['+', '-']), ".inf") {
        return true;
    }
    let unsigned = lower.trim_start_matches(['+', '-']).replace('_', "");
    let number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && (unsigned.parse::<f64>().is_ok()
            || unsigned
                .strip_prefix("0x")
                .is_some_and(|hex| u64::from_str_radix(hex, 16).is_ok())
            || unsigned
                .strip_prefix("0o")
                .is_some_and(|octal| u64::from_str_radix(octal, 8).is_ok())
            || unsigned
                .strip_prefix("0b")
                .is_some_and(|binary| u64::from_str_radix(binary, 2).is_ok()));
    number || is_sexagesimal(&unsigned) || is_date(text)
}

/// `1:30`, a number to the base of 60 in YAML 1.1.
fn is_sexagesimal(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() > 1
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        && parts[1..]
            .iter()
            .all(|part| part.parse::<f64>().is_ok_and(|n| n < 60.0))
}

/// `2026-01-01`, alone or before a time.
fn is_date(text: &str) -> bool {
    let (date, rest) = text.split_at_checked(10).unwrap_or((text, ""));
    let shape = date.bytes().enumerate().all(|(at, b)| {
        if at == 4 || at == 7 {
            b == b'-'
        } else {
            b.is_ascii_digit()
        }
    });
    date.len() == 10
        && shape
        && (rest.is_empty()
            || (rest.starts_with(['T', 't', ' ']) && rest[1..].starts_with(|c: char| c.is_ascii_digit())))
}

fn is_plain(text: &str) -> bool {
    let indicators = ['-', '?', ':'];
    let starts_badly = text.starts_with([
        ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', ' ', '=', '<',
    ]) && text != "<none>"
        || (text.starts_with(indicators) && text[1..].starts_with([' ', '\t']))
        || matches!(text, "-" | "?" | ":" | "---" | "...")
        || text.starts_with("--- ");
    let starts_badly =
        starts_badly && !(text.starts_with('<') && text != "<<") && !(text.starts_with('=') && text != "=");
    !(starts_badly || text.ends_with([' ', ':']) || text.contains(": ") || text.contains(" #"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn layout_is_kubectls() {
        let value = json!({"b": [{"name": "x", "list": [1, "2"]}, []], "a": {"empty": {}, "none": null}, "items": []});
        assert_eq!(
            document(&value),
            "a:\n  empty: {}\n  none: null\nb:\n- list:\n  - 1\n  - \"2\"\n  name: x\n- []\nitems: []\n"
        );
    }

    #[test]
    fn only_what_needs_quotes_has_them() {
        for (text, expected) in [
            ("nginx:stable", "nginx:stable"),
            ("true", "\"true\""),
            ("y", "\"y\""),
            ("80", "\"80\""),
            ("1e3", "\"1e3\""),
            ("0x1F", "\"0x1F\""),
            ("2026-01-01T00:00:00Z", "\"2026-01-01T00:00:00Z\""),
            ("", "\"\""),
            ("a: b", "'a: b'"),
            ("it's: x", "'it''s: x'"),
            ("*", "'*'"),
            ("- x", "'- x'"),
            ("-x", "-x"),
            ("a\tb", "\"a\\tb\""),
            ("10.0.0.1", "10.0.0.1"),
            ("1Gi", "1Gi"),
            ("12:30", "\"12:30\""),
            ("127.0.0.1:80", "127.0.0.1:80"),
        ] {
            assert_eq!(document(&json!({"k": text})), format!("k: {expected}\n"), "{text}");
        }
    }

    #[test]
    fn lines_are_blocks() {
        assert_eq!(document(&json!({"k": "a\nb\n"})), "k: |\n  a\n  b\n");
        assert_eq!(document(&json!({"k": "a\n\nb"})), "k: |-\n  a\n\n  b\n");
        assert_eq!(document(&json!([{"k": "a\nb\n\n"}])), "- k: |+\n    a\n    b\n\n");
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let texts = [
            "a\nb",
            " lead\nx\n",
            "trail \nx",
            "#c",
            "a #b",
            "null",
            "\n",
            "x\n\n\n",
            "é: ü",
            "a\u{7}b",
            "'",
            "\"",
            "- - -",
            "? x",
            "key:",
            "=",
            "<<",
            "<none>",
            "-",
            "a: b\nc: d\n",
        ];
        for text in texts {
            // serde_yaml takes a quoted `<<` for a merge too.
            let key = if text == "<<" { "k2" } else { text };
            let value = json!({"k": [text, {"x": text}], key: 1});
            let printed = format!(
                "apiVersion: v1\nkind: X\nv:\n{}",
                document(&value)
                    .lines()
                    .map(|l| if l.is_empty() {
                        "\n".to_owned()
                    } else {
                        format!("  {l}\n")
                    })
                    .collect::<String>()
            );
            let read = crate::manifest::parse("f", &printed)
                .remove(0)
                .unwrap_or_else(|e| panic!("{text:?}: {e}\n{printed}"));
            assert_eq!(read.object["v"], value, "{printed}");
        }
    }
}
