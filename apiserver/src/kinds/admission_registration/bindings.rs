//! Bindings put policies into force: `ValidatingAdmissionPolicyBinding`, `MutatingAdmissionPolicyBinding`.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use super::matching;
use crate::kinds::{AGE, Column, NAME, Rules, age, checks, fill, read};

const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];
const EXCLUSIVE: &str = "name and selector are mutually exclusive";

pub(in crate::kinds) struct PolicyBindings {
    pub(in crate::kinds) mutating: bool,
}

impl Rules for PolicyBindings {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        if let Some(spec) = fill::object(&mut object.body, "spec")
            && let Some(resources) = fill::object(spec, "matchResources")
        {
            matching::fill_selection(resources);
            matching::fill_rules(resources, "resourceRules");
            matching::fill_rules(resources, "excludeResourceRules");
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        let policy = read::text(object.at("spec.policyName"));
        checks::required_name(names::subdomain, policy, &path.child("policyName"), &mut errors);
        if let Some(reference) = object.at("spec.paramRef") {
            check_parameters(reference, &path.child("paramRef"), &mut errors);
        }
        if let Some(resources) = object.at("spec.matchResources") {
            matching::check_match_resources(resources, &path.child("matchResources"), &mut errors);
        }
        if !self.mutating {
            let actions = read::texts(object.at("spec.validationActions"));
            check_actions(&actions, &path.child("validationActions"), &mut errors);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("PolicyName", "Which policy it puts into force."),
            Column::text("ParamRef", "With which parameters."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let reference = object.at("spec.paramRef").map_or("<unset>".to_owned(), |reference| {
            let part = |name: &str| read::text(reference.get(name));
            match (part("namespace"), part("name")) {
                ("", "") => "*".to_owned(),
                ("", name) => name.to_owned(),
                (namespace, "") => format!("{namespace}/*"),
                (namespace, name) => format!("{namespace}/{name}"),
            }
        });
        vec![
            object.name().into(),
            read::text(object.at("spec.policyName")).into(),
            reference.into(),
            age(object, now).into(),
        ]
    }
}

fn check_parameters(reference: &Value, path: &Path, errors: &mut Vec<Error>) {
    let name = read::text(reference.get("name"));
    let selector = reference.get("selector");
    if !name.is_empty() {
        checks::name(names::path_segment, name, &path.child("name"), errors);
    }
    let typed = read::typed(selector);
    checks::label_selector(typed.as_ref(), &path.child("selector"), errors);
    match (name.is_empty(), selector) {
        (false, Some(_)) => {
            errors.push(Error::forbidden(&path.child("name"), EXCLUSIVE));
            errors.push(Error::forbidden(&path.child("selector"), EXCLUSIVE));
        }
        (true, None) => {
            let detail = "one of name or selector must be specified";
            errors.push(Error::required(path, detail));
        }
        _ => {}
    }
    let action = reference.get("parameterNotFoundAction").and_then(Value::as_str);
    let path = path.child("parameterNotFoundAction");
    checks::one_of(action, &["Deny", "Allow"], &path, errors);
}

fn check_actions(actions: &[&str], path: &Path, errors: &mut Vec<Error>) {
    for (index, action) in actions.iter().enumerate() {
        if !ACTIONS.contains(action) {
            errors.push(Error::not_supported(&path.index(index), *action, ACTIONS));
        }
        if actions[..index].contains(action) {
            errors.push(Error::duplicate(&path.index(index), *action));
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
            response and headers serves no purpose)";
        errors.push(Error::invalid(path, actions.to_vec(), detail));
    }
    if actions.is_empty() {
        errors.push(Error::required(path, "at least one validation action is required"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, with};
    use serde_json::json;

    fn binding() -> Value {
        json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"],
            "paramRef": {"name": "r", "namespace": "n", "parameterNotFoundAction": "Deny"}}})
    }

    #[test]
    fn bindings_name_a_policy_and_what_to_do() {
        assert_eq!(
            created("ValidatingAdmissionPolicyBinding", binding()),
            Vec::<String>::new()
        );
        for (pointer, value, expected) in [
            ("/spec/policyName", json!(""), "spec.policyName: Required value"),
            (
                "/spec/validationActions",
                json!([]),
                "spec.validationActions: Required value: at least one validation action is required",
            ),
            (
                "/spec/validationActions/0",
                json!("Cry"),
                "spec.validationActions[0]: Unsupported value: \"Cry\": supported values: \"Audit\", \"Deny\", \"Warn\"",
            ),
            (
                "/spec/paramRef/name",
                json!(""),
                "spec.paramRef: Required value: one of name or selector must be specified",
            ),
        ] {
            let told = created("ValidatingAdmissionPolicyBinding", with(binding(), pointer, value));
            assert_eq!(told, [expected], "{pointer}");
        }
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let object = decoded("ValidatingAdmissionPolicyBinding", binding());
        assert_eq!(
            PolicyBindings { mutating: false }.cells(&object, now)[1..3],
            ["p", "n/r"]
        );
    }
}
