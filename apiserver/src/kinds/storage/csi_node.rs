//! CSI nodes: which drivers run on a node, and what they call it.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::{AGE, Column, NAME, Rules, age, checks, read};

const NODE_ID_MAX: usize = 256;

pub(in crate::kinds) struct CsiNodes;

impl Rules for CsiNodes {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec").child("drivers");
        let (mut errors, mut known) = (Vec::new(), Vec::new());
        for (index, driver) in drivers(object).iter().enumerate() {
            let name = read::text(driver.get("name"));
            check_driver(driver, name, &path.index(index), &mut errors);
            if known.contains(&name) {
                errors.push(Error::duplicate(&path.index(index).child("name"), name));
            }
            known.push(name);
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        let path = Path::new("spec").child("drivers");
        // How many volumes fit may change; the rest of a driver's entry doesn't.
        let fixed = |driver: &Value| -> Value {
            let mut driver = driver.clone();
            if let Some(fields) = driver.as_object_mut() {
                fields.remove("allocatable");
            }
            driver
        };
        for before in drivers(old) {
            for after in drivers(new).iter().filter(|after| after["name"] == before["name"]) {
                checks::immutable(Some(&fixed(after)), Some(&fixed(before)), &path, &mut errors);
            }
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Drivers", "How many drivers run there.").number(),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![
            object.name().into(),
            drivers(object).len().into(),
            age(object, now).into(),
        ]
    }
}

fn drivers(object: &Object) -> &[Value] {
    read::list(object.at("spec.drivers"))
}

fn check_driver(driver: &Value, name: &str, path: &Path, errors: &mut Vec<Error>) {
    checks::csi_driver(name, &path.child("name"), errors);
    let (node, node_path) = (read::text(driver.get("nodeID")), path.child("nodeID"));
    checks::required(node, &node_path, errors);
    if node.len() > NODE_ID_MAX {
        let detail = format!("must be {NODE_ID_MAX} characters or less");
        errors.push(Error::invalid(&node_path, node, detail));
    }
    if let Some(count) = read::at(Some(driver), "allocatable.count").and_then(Value::as_i64) {
        checks::not_negative(count, &path.child("allocatable").child("count"), errors);
    }
    let mut known = Vec::new();
    for key in read::texts(driver.get("topologyKeys")) {
        checks::required(key, path, errors);
        if known.contains(&key) {
            errors.push(Error::duplicate(path, key));
        }
        known.push(key);
        checks::name(names::qualified, key, path, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated, with};
    use serde_json::json;

    fn node() -> Value {
        json!({"metadata": {"name": "n"}, "spec": {"drivers": [
            {"name": "disk.example.com", "nodeID": "7", "topologyKeys": ["zone"], "allocatable": {"count": 3}}]}})
    }

    #[test]
    fn drivers_stand_once_and_stay() {
        assert_eq!(created("CSINode", node()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/spec/drivers/0/nodeID",
                json!(""),
                "spec.drivers[0].nodeID: Required value",
            ),
            (
                "/spec/drivers/0/allocatable/count",
                json!(-1),
                "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "/spec/drivers/-",
                json!({"name": "disk.example.com", "nodeID": "8", "topologyKeys": null}),
                "spec.drivers[1].name: Duplicate value: \"disk.example.com\"",
            ),
        ] {
            assert_eq!(
                created("CSINode", with(node(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        let more = with(node(), "/spec/drivers/0/allocatable/count", json!(4));
        assert_eq!(updated("CSINode", node(), more), Vec::<String>::new());
        let moved = updated("CSINode", node(), with(node(), "/spec/drivers/0/nodeID", json!("8")));
        assert!(moved[0].ends_with("field is immutable"), "{moved:?}");
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(CsiNodes.cells(&decoded("CSINode", node()), now)[1], 1);
    }
}
