//! Ingress classes: which controller takes care of an ingress.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::{AGE, Column, NAME, Rules, age, checks, fill, read};

const CONTROLLER_MAX: usize = 250;

pub(in crate::kinds) struct IngressClasses;

impl Rules for IngressClasses {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        if let Some(spec) = fill::object(&mut object.body, "spec")
            && let Some(parameters) = fill::object(spec, "parameters")
        {
            fill::absent(parameters, "scope", "Cluster");
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let path = Path::new("spec").child("controller");
        let controller = read::text(object.at("spec.controller"));
        if controller.len() > CONTROLLER_MAX {
            errors.push(Error::too_long(&path, CONTROLLER_MAX));
        }
        checks::domain_prefixed_path(controller, &path, &mut errors);
        if let Some(parameters) = object.at("spec.parameters") {
            check_parameters(parameters, &Path::new("spec").child("parameters"), &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let path = Path::new("spec").child("controller");
        checks::immutable(new.at("spec.controller"), old.at("spec.controller"), &path, &mut errors);
        errors.extend(self.validate(new));
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Controller", "Which controller it is."),
            Column::text("Parameters", "Where its settings are."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let parameters = object.at("spec.parameters").map_or("<none>".to_owned(), |parameters| {
            let part = |name: &str| read::text(parameters.get(name));
            match part("apiGroup") {
                "" => format!("{}/{}", part("kind"), part("name")),
                group => format!("{}.{group}/{}", part("kind"), part("name")),
            }
        });
        vec![
            object.name().into(),
            read::text(object.at("spec.controller")).into(),
            parameters.into(),
            age(object, now).into(),
        ]
    }
}

/// A reference to an object of any kind in the same place.
pub(super) fn check_reference(reference: &Value, path: &Path, errors: &mut Vec<Error>) {
    if let Some(group) = reference.get("apiGroup").and_then(Value::as_str) {
        checks::name(names::subdomain, group, &path.child("apiGroup"), errors);
    }
    for field in ["kind", "name"] {
        let text = read::text(reference.get(field));
        checks::required_name(names::path_segment, text, &path.child(field), errors);
    }
}

fn check_parameters(parameters: &Value, path: &Path, errors: &mut Vec<Error>) {
    check_reference(parameters, path, errors);
    let namespace = parameters.get("namespace").and_then(Value::as_str);
    let namespace_path = path.child("namespace");
    match (parameters.get("scope").and_then(Value::as_str), namespace) {
        (None, _) => errors.push(Error::required(&path.child("scope"), "")),
        (Some("Namespace"), None) => {
            let detail = "`parameters.scope` is set to 'Namespace'";
            errors.push(Error::required(&namespace_path, detail));
        }
        (Some("Namespace"), Some(namespace)) => checks::name(names::label, namespace, &namespace_path, errors),
        (Some("Cluster"), Some(_)) => {
            let detail = "`parameters.scope` is set to 'Cluster'";
            errors.push(Error::forbidden(&namespace_path, detail));
        }
        (Some("Cluster"), None) => {}
        (Some(other), _) => {
            let known = ["Cluster", "Namespace"];
            errors.push(Error::not_supported(&path.child("scope"), other, &known));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated, with};
    use serde_json::json;

    fn class() -> Value {
        json!({"metadata": {"name": "c"}, "spec": {"controller": "example.com/ingress",
            "parameters": {"apiGroup": "example.com", "kind": "Settings", "name": "s"}}})
    }

    #[test]
    fn classes_name_their_controller_for_good() {
        assert_eq!(created("IngressClass", class()), Vec::<String>::new());
        for (pointer, value, expected) in [
            ("/spec/controller", json!(""), "spec.controller: Required value"),
            (
                "/spec/controller",
                json!("example.com"),
                "spec.controller: Invalid value: \"example.com\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            ),
            (
                "/spec/parameters/namespace",
                json!("n"),
                "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
            ),
            (
                "/spec/parameters/scope",
                json!("Namespace"),
                "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
            ),
        ] {
            assert_eq!(
                created("IngressClass", with(class(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        assert_eq!(
            updated(
                "IngressClass",
                class(),
                with(class(), "/spec/controller", json!("example.com/b"))
            ),
            ["spec.controller: Invalid value: \"example.com/b\": field is immutable"]
        );
    }

    #[test]
    fn tables_show_the_parameters() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cells = IngressClasses.cells(&decoded("IngressClass", class()), now);
        assert_eq!(cells[2], "Settings.example.com/s");
    }
}
