//! Classes of volumes: who makes one and how (`StorageClass`), and what can be changed later (`VolumeAttributesClass`).

use std::collections::BTreeSet;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::{AGE, Column, NAME, Rules, age, checks, fill, read};

const PARAMETERS_MAX: usize = 512;
const PARAMETERS_MAX_BYTES: usize = 256 * 1024;
/// The annotations that make a class the default, old and new.
const DEFAULT: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

pub(in crate::kinds) struct StorageClasses;

impl Rules for StorageClasses {
    fn defaults(&self, object: &mut Object) {
        fill::absent(&mut object.body, "reclaimPolicy", "Delete");
        fill::absent(&mut object.body, "volumeBindingMode", "Immediate");
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        check_driver(object, "provisioner", &mut errors);
        check_parameters(object, &mut errors);
        let (reclaim, mode) = (text(object, "reclaimPolicy"), text(object, "volumeBindingMode"));
        if !reclaim.is_empty() && !["Delete", "Retain"].contains(&reclaim) {
            let path = Path::new("reclaimPolicy");
            errors.push(Error::not_supported(&path, reclaim, &["Delete", "Retain"]));
        }
        if !["Immediate", "WaitForFirstConsumer"].contains(&mode) {
            let path = Path::new("volumeBindingMode");
            let known = ["Immediate", "WaitForFirstConsumer"];
            errors.push(Error::not_supported(&path, mode, &known));
        }
        check_topologies(read::list(object.body.get("allowedTopologies")), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = fixed(new, old, &["parameters", "provisioner", "reclaimPolicy"]);
        let mode = "volumeBindingMode";
        checks::immutable(new.body.get(mode), old.body.get(mode), &Path::new(mode), &mut errors);
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Provisioner", "Who makes the volumes."),
            Column::text("ReclaimPolicy", "What becomes of a volume that nobody claims any more."),
            Column::text("VolumeBindingMode", "When volumes are made and bound."),
            Column::text("AllowVolumeExpansion", "Whether volumes may grow."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let or = |field: &str, default: &str| match text(object, field) {
            "" => default.into(),
            text => Value::from(text),
        };
        vec![
            name(object, &DEFAULT).into(),
            text(object, "provisioner").into(),
            or("reclaimPolicy", "Delete"),
            or("volumeBindingMode", "Immediate"),
            (object.body.get("allowVolumeExpansion") == Some(&Value::Bool(true))).into(),
            age(object, now).into(),
        ]
    }
}

pub(in crate::kinds) struct VolumeAttributesClasses;

impl Rules for VolumeAttributesClasses {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        check_driver(object, "driverName", &mut errors);
        check_parameters(object, &mut errors);
        if read::is_empty(object.body.get("parameters")) {
            let detail = "must contain at least one key/value pair";
            errors.push(Error::required(&Path::new("parameters"), detail));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = fixed(new, old, &["driverName", "parameters"]);
        errors.extend(self.validate(new));
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("DriverName", "Whose volumes it is for."), AGE];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        const DEFAULT: [&str; 1] = ["volumeattributesclass.alpha.kubernetes.io/is-default-class"];
        vec![
            name(object, &DEFAULT).into(),
            text(object, "driverName").into(),
            age(object, now).into(),
        ]
    }
}

fn text<'a>(object: &'a Object, field: &str) -> &'a str {
    read::text(object.body.get(field))
}

/// The name, and whether it is the class of those who name none.
fn name(object: &Object, annotations: &[&str]) -> String {
    let set = object.metadata.annotations.iter().flatten();
    let is_default = set
        .into_iter()
        .any(|(key, value)| annotations.contains(&key.as_str()) && value == "true");
    format!("{}{}", object.name(), if is_default { " (default)" } else { "" })
}

fn check_driver(object: &Object, field: &str, errors: &mut Vec<Error>) {
    let (driver, path) = (text(object, field), Path::new(field));
    checks::required(driver, &path, errors);
    if !driver.is_empty() {
        checks::name(names::qualified, &driver.to_lowercase(), &path, errors);
    }
}

fn check_parameters(object: &Object, errors: &mut Vec<Error>) {
    let path = Path::new("parameters");
    let parameters: Vec<(&str, &str)> = read::pairs(object.body.get("parameters")).collect();
    if parameters.len() > PARAMETERS_MAX {
        errors.push(Error::too_long(&path, PARAMETERS_MAX));
        return;
    }
    if parameters.iter().any(|(key, _)| key.is_empty()) {
        errors.push(Error::invalid(&path, "", "field can not be empty."));
    }
    let size: usize = parameters.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > PARAMETERS_MAX_BYTES {
        errors.push(Error::too_long(&path, PARAMETERS_MAX_BYTES));
    }
}

/// Where volumes may be: terms of labels with values, each once.
fn check_topologies(terms: &[Value], errors: &mut Vec<Error>) {
    let mut seen: Vec<Vec<(&str, BTreeSet<&str>)>> = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        let path = Path::new("allowedTopologies")
            .index(index)
            .child("matchLabelExpressions");
        let mut wanted: Vec<(&str, BTreeSet<&str>)> = Vec::new();
        for (index, expression) in read::list(term.get("matchLabelExpressions")).iter().enumerate() {
            let path = path.index(index);
            let (key, values) = (read::text(expression.get("key")), read::texts(expression.get("values")));
            if values.is_empty() {
                errors.push(Error::required(&path.child("values"), ""));
            }
            checks::name(names::qualified, key, &path.child("key"), errors);
            if wanted.iter().any(|(other, _)| *other == key) {
                errors.push(Error::duplicate(&path.child("key"), key));
            }
            let mut set = BTreeSet::new();
            for (index, value) in values.into_iter().enumerate() {
                if !set.insert(value) {
                    errors.push(Error::duplicate(&path.child("values").index(index), value));
                }
            }
            wanted.push((key, set));
        }
        wanted.sort();
        if seen.contains(&wanted) {
            errors.push(Error::duplicate(&path, ""));
        }
        seen.push(wanted);
    }
}

fn fixed(new: &Object, old: &Object, fields: &[&str]) -> Vec<Error> {
    let changed = fields
        .iter()
        .filter(|field| new.body.get(**field) != old.body.get(**field));
    changed
        .map(|field| Error::forbidden(&Path::new(field), format!("updates to {field} are forbidden.")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated, with};
    use serde_json::json;

    fn class() -> Value {
        json!({"metadata": {"name": "fast"}, "provisioner": "example.com/disk", "parameters": {"type": "ssd"}})
    }

    #[test]
    fn classes_name_who_makes_volumes() {
        assert_eq!(created("StorageClass", class()), Vec::<String>::new());
        let term = json!({"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]});
        for (pointer, value, expected) in [
            ("/provisioner", json!(""), "provisioner: Required value"),
            (
                "/reclaimPolicy",
                json!("Recycle"),
                "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
            ),
            (
                "/volumeBindingMode",
                json!("Late"),
                "volumeBindingMode: Unsupported value: \"Late\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            ),
            (
                "/allowedTopologies",
                json!([term, term]),
                "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"",
            ),
        ] {
            assert_eq!(
                created("StorageClass", with(class(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        assert_eq!(
            updated("StorageClass", class(), with(class(), "/parameters/type", json!("hdd"))),
            ["parameters: Forbidden: updates to parameters are forbidden."]
        );
        let attributes = json!({"metadata": {"name": "a"}, "driverName": "example.com"});
        assert_eq!(
            created("VolumeAttributesClass", attributes),
            ["parameters: Required value: must contain at least one key/value pair"]
        );
    }

    #[test]
    fn tables_show_the_default() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let default = json!({"storageclass.kubernetes.io/is-default-class": "true"});
        let object = decoded("StorageClass", with(class(), "/metadata/annotations", default));
        let cells = StorageClasses.cells(&object, now);
        let expected = [
            json!("fast (default)"),
            json!("example.com/disk"),
            json!("Delete"),
            json!("Immediate"),
            json!(false),
        ];
        assert_eq!(cells[..5], expected);
    }
}
