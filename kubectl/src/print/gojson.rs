//! JSON as Go's encoding/json writes it: keys in order, and `<`, `>`, `&` and two line separators as escapes, so that a page of
//! HTML can hold it.

use serde_json::Value;

/// Indented by four spaces, as `-o json`.
#[must_use]
pub fn indented(value: &Value) -> String {
    indented_by(value, b"    ")
}

/// Indented by what is given.
#[must_use]
pub fn indented_by(value: &Value, indent: &[u8]) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(value, &mut serializer).expect("a vector takes everything, and keys are text");
    escaped(&String::from_utf8(bytes).expect("serde_json writes UTF-8"))
}

/// On one line, as JSONPath's maps and lists.
#[must_use]
pub fn compact(value: &Value) -> String {
    escaped(&value.to_string())
}

/// A value as Go's `fmt.Print` writes it: maps are `map[a:1 b:2]`, lists `[a b]`.
#[must_use]
pub fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{name}:{}", printed(value)))
                .collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// These characters stand in JSON's strings alone.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_gos() {
        let value = json!({"b": "<a & b>", "a": []});
        assert_eq!(compact(&value), r#"{"a":[],"b":"\u003ca \u0026 b\u003e"}"#);
        assert_eq!(
            indented(&value),
            "{\n    \"a\": [],\n    \"b\": \"\\u003ca \\u0026 b\\u003e\"\n}"
        );
        assert_eq!(
            printed(&json!({"a": [1, "x", null], "b": true})),
            "map[a:[1 x <nil>] b:true]"
        );
    }
}
