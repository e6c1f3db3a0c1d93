//! Who manages which field (`metadata.managedFields`), as far as a client has to know: bringing what client-side apply holds over
//! to server-side apply. Pure.

use serde_json::{Map, Value, json};

/// Whether some manager holds an annotation by an operation, `Apply` or `Update`.
#[must_use]
pub fn hold(object: &Value, operation: &str, annotation: &str) -> bool {
    entries(object).iter().any(|entry| holds(entry, operation, annotation))
}

/// A JSON patch that gives the fields of those who hold an annotation by updates to `manager`, who applies; none when nobody
/// does. It fails when the object has changed meanwhile.
#[must_use]
pub fn migration(object: &Value, annotation: &str, manager: &str) -> Option<Value> {
    let old: Vec<&str> = entries(object)
        .iter()
        .filter(|entry| holds(entry, "Update", annotation))
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    if old.is_empty() {
        return None;
    }
    let is_old = |entry: &Value| {
        entry["operation"] == "Update"
            && entry["subresource"].as_str().is_none_or(str::is_empty)
            && entry["manager"].as_str().is_some_and(|name| old.contains(&name))
    };
    let is_new = |entry: &Value| {
        entry["operation"] == "Apply"
            && entry["manager"] == manager
            && entry["subresource"].as_str().is_none_or(str::is_empty)
    };
    let (taken, mut kept): (Vec<Value>, Vec<Value>) = entries(object).iter().cloned().partition(is_old);
    let at = kept.iter().position(is_new);
    let mut entry = match at {
        Some(at) => kept.remove(at),
        None => {
            let mut entry = taken.first()?.clone();
            entry["manager"] = json!(manager);
            entry["operation"] = json!("Apply");
            entry
        }
    };
    for old in &taken {
        unite(&mut entry["fieldsV1"], &old["fieldsV1"]);
    }
    kept.insert(at.unwrap_or(0), entry);
    Some(json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": kept},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": object["metadata"]["resourceVersion"]},
    ]))
}

fn entries(object: &Value) -> &[Value] {
    object["metadata"]["managedFields"]
        .as_array()
        .map_or(&[], Vec::as_slice)
}

fn holds(entry: &Value, operation: &str, annotation: &str) -> bool {
    let field = &entry["fieldsV1"]["f:metadata"]["f:annotations"][format!("f:{annotation}")];
    entry["operation"] == operation && !field.is_null()
}

/// A set of fields is a tree of maps: the union has the branches of both.
fn unite(into: &mut Value, from: &Value) {
    let Value::Object(from) = from else { return };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Value::Object(into) = into else { return };
    for (name, below) in from {
        unite(into.entry(name.clone()).or_insert_with(|| json!({})), below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_over_to_who_applies() {
        let annotation = json!({"f:metadata": {"f:annotations": {"f:last": {}}}, "f:data": {"f:a": {}}});
        let entry = |manager: &str, operation: &str, fields: Value| json!({"manager": manager, "operation": operation, "fieldsV1": fields});
        let object = json!({"metadata": {"resourceVersion": "7", "managedFields": [
            entry("kubectl", "Apply", json!({"f:data": {"f:b": {}}})),
            entry("client", "Update", annotation),
            entry("other", "Update", json!({"f:data": {"f:c": {}}})),
        ]}});
        assert!(hold(&object, "Update", "last") && !hold(&object, "Apply", "last"));
        let patch = migration(&object, "last", "kubectl").expect("a client held it");
        assert_eq!(
            patch[0]["value"],
            json!([
                entry(
                    "kubectl",
                    "Apply",
                    json!({
                        "f:data": {"f:a": {}, "f:b": {}}, "f:metadata": {"f:annotations": {"f:last": {}}}
                    })
                ),
                entry("other", "Update", json!({"f:data": {"f:c": {}}})),
            ])
        );
        assert_eq!(patch[1]["value"], "7");
        let moved = json!({"metadata": {"managedFields": patch[0]["value"]}});
        assert_eq!(migration(&moved, "last", "kubectl"), None);
    }

    #[test]
    fn a_first_apply_takes_the_entry_over() {
        let object = json!({"metadata": {"managedFields": [{"manager": "client", "operation": "Update", "apiVersion": "v1",
            "fieldsV1": {"f:metadata": {"f:annotations": {"f:last": {}}}}}]}});
        let patch = migration(&object, "last", "me").expect("a client held it");
        assert_eq!(patch[0]["value"][0]["manager"], "me");
        assert_eq!(patch[0]["value"][0]["operation"], "Apply");
    }
}
