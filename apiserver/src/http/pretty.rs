//! JSON with line breaks, for those who read it with their own eyes: two spaces a level, as upstream.

/// Lays out JSON that is known to be well-formed; strings and numbers stay as they are.
pub(super) fn pretty(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            out.push(byte);
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                let close = if byte == b'{' { b'}' } else { b']' };
                if bytes.peek() == Some(&close) {
                    out.push(close);
                    bytes.next();
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out.push(b'\n');
    out
}

fn line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn it_looks_as_upstreams() {
        let value = json!({"a": [], "b": {}, "c": ["x, \"y\": {", 1, true, null], "d": {"e": "\\"}});
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    \"x, \\\"y\\\": {\",\n    1,\n    true,\n    null\n  ],\n  \
            \"d\": {\n    \"e\": \"\\\\\"\n  }\n}\n";
        assert_eq!(String::from_utf8_lossy(&pretty(value.to_string().as_bytes())), expected);
    }

    proptest! {
        #[test]
        fn nothing_but_the_layout_changes(keys in proptest::collection::vec(".{0,6}", 0..5), text in ".{0,12}") {
            let fields: serde_json::Map<String, Value> = keys.into_iter().map(|key| (key, json!([text, {}]))).collect();
            let value = Value::Object(fields);
            let laid_out = pretty(value.to_string().as_bytes());
            prop_assert_eq!(serde_json::from_slice::<Value>(&laid_out).expect("still JSON"), value);
        }
    }
}
