//! Runtime classes: under which handler of the container runtime pods run (`node.k8s.io`).

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use super::metadata::validate_labels;
use super::pod::validation::tolerations;
use super::{AGE, Column, NAME, Rules, age, checks, read};

pub(super) struct RuntimeClasses;

impl Rules for RuntimeClasses {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let handler = read::text(object.body.get("handler"));
        checks::name(names::label, handler, &Path::new("handler"), &mut errors);
        let overhead: checks::ResourceList = read::typed(object.at("overhead.podFixed")).unwrap_or_default();
        let path = Path::new("overhead").child("podFixed");
        for (resource, amount) in &overhead {
            checks::amount(resource, checks::quantity(amount), &path.key(resource), &mut errors);
        }
        let path = Path::new("scheduling");
        if let Some(selector) = read::typed(object.at("scheduling.nodeSelector")) {
            errors.extend(validate_labels(&selector, &path.child("nodeSelector")));
        }
        let list = read::list(object.at("scheduling.tolerations"));
        let path = path.child("tolerations");
        tolerations(&read::typed_list(list), &path, &mut errors);
        for (index, toleration) in list.iter().enumerate() {
            if list[..index].contains(toleration) {
                errors.push(Error::duplicate(&path.index(index), toleration.clone()));
            }
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let (new, old) = (new.body.get("handler"), old.body.get("handler"));
        checks::immutable(new, old, &Path::new("handler"), &mut errors);
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Handler", "What the container runtime calls it."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let handler = read::text(object.body.get("handler"));
        vec![object.name().into(), handler.into(), age(object, now).into()]
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{created, updated, with};
    use serde_json::json;

    #[test]
    fn classes_name_a_handler_for_good() {
        let class = json!({"metadata": {"name": "c"}, "handler": "runc", "overhead": {"podFixed": {"memory": "10Mi"}},
            "scheduling": {"tolerations": [{"key": "a", "operator": "Exists"}]}});
        assert_eq!(created("RuntimeClass", class.clone()), Vec::<String>::new());
        let told = created("RuntimeClass", with(class.clone(), "/handler", json!("A")));
        assert!(
            told[0].starts_with("handler: Invalid value: \"A\": a lowercase RFC 1123 label"),
            "{told:?}"
        );
        let again = json!({"key": "a", "operator": "Exists"});
        let told = created("RuntimeClass", with(class.clone(), "/scheduling/tolerations/-", again));
        assert!(
            told[0].starts_with("scheduling.tolerations[1]: Duplicate value"),
            "{told:?}"
        );
        assert_eq!(
            updated("RuntimeClass", class.clone(), with(class, "/handler", json!("kata"))),
            ["handler: Invalid value: \"kata\": field is immutable"]
        );
    }
}
