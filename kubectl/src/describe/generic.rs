//! Any kind: its fields, nested as they are, under names made for people (`nodeName` becomes `Node Name`).

use serde_json::Value;

use super::sheet::{Sheet, plain};

pub fn describe(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, true);
    sheet.labels_and_annotations(object);
    for (name, value) in object.as_object().into_iter().flatten() {
        let mut value = value.clone();
        if name == "metadata"
            && let Some(metadata) = value.as_object_mut()
        {
            for elsewhere in ["name", "namespace", "labels", "annotations", "managedFields"] {
                metadata.remove(elsewhere);
            }
        }
        field(sheet, 0, name, &value);
    }
}

fn field(sheet: &mut Sheet, depth: usize, name: &str, value: &Value) {
    let label = label(name);
    match value {
        Value::Object(map) => {
            sheet.line(depth, &format!("{label}:"));
            for (name, value) in map {
                field(sheet, depth + 1, name, value);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            sheet.line(depth, &format!("{label}:"));
            for item in list {
                for (name, value) in item.as_object().into_iter().flatten() {
                    field(sheet, depth + 1, name, value);
                }
            }
        }
        Value::Array(list) => {
            sheet.line(depth, &format!("{label}:"));
            for item in list {
                sheet.line(depth + 1, &plain(item));
            }
        }
        other => sheet.field(depth, &label, &plain(other)),
    }
}

/// `podCIDR` becomes `Pod CIDR`.
fn label(name: &str) -> String {
    match name {
        "uid" => return "UID".to_owned(),
        "apiVersion" => return "API Version".to_owned(),
        _ => {}
    }
    let mut label = String::new();
    let mut before = ' ';
    let characters: Vec<char> = name.chars().collect();
    for (at, &c) in characters.iter().enumerate() {
        let next_is_small = characters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if at == 0 {
            label.extend(c.to_uppercase());
        } else {
            if c.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && next_is_small)) {
                label.push(' ');
            }
            label.push(c);
        }
        before = c;
    }
    label
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn names_are_made_for_people() {
        for (name, expected) in [
            ("nodeName", "Node Name"),
            ("podCIDR", "Pod CIDR"),
            ("clusterIP", "Cluster IP"),
            ("uid", "UID"),
        ] {
            assert_eq!(label(name), expected);
        }
    }
}
