//! Webhooks that are asked, or that change what is stored: `ValidatingWebhookConfiguration`, `MutatingWebhookConfiguration`.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use super::expressions::Scope;
use super::matching::{self, FAILURE_POLICIES, MATCH_POLICIES};
use crate::kinds::{AGE, Column, NAME, Rules, age, checks, fill, read, webhook};

const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
const REVIEW_VERSIONS: &[&str] = &["v1", "v1beta1"];

pub(in crate::kinds) struct Webhooks {
    pub(in crate::kinds) mutating: bool,
}

impl Rules for Webhooks {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        for hook in fill::items(&mut object.body, "webhooks") {
            fill::absent(hook, "failurePolicy", "Fail");
            matching::fill_selection(hook);
            fill::absent(hook, "timeoutSeconds", 10);
            if self.mutating {
                fill::absent(hook, "reinvocationPolicy", "Never");
            }
            matching::fill_rules(hook, "rules");
            if let Some(client) = fill::object(hook, "clientConfig")
                && let Some(service) = fill::object(client, "service")
            {
                fill::absent(service, "port", 443);
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (mut errors, mut known) = (Vec::new(), Vec::new());
        for (index, hook) in hooks(object).iter().enumerate() {
            let path = Path::new("webhooks").index(index);
            self.check(hook, &path, &mut errors);
            let name = read::text(hook.get("name"));
            if !name.is_empty() && known.contains(&name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
            known.push(name);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("Webhooks", "How many it has.").number(), AGE];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![
            object.name().into(),
            hooks(object).len().into(),
            age(object, now).into(),
        ]
    }
}

fn hooks(object: &Object) -> &[Value] {
    read::list(object.body.get("webhooks"))
}

impl Webhooks {
    fn check(&self, hook: &Value, path: &Path, errors: &mut Vec<Error>) {
        let text = |field: &str| hook.get(field).and_then(Value::as_str);
        webhook::qualified_name(text("name").unwrap_or_default(), &path.child("name"), errors);
        for (index, rule) in read::list(hook.get("rules")).iter().enumerate() {
            matching::check_rule(rule, &path.child("rules").index(index), errors);
        }
        for (field, known) in [
            ("failurePolicy", FAILURE_POLICIES),
            ("matchPolicy", MATCH_POLICIES),
            ("reinvocationPolicy", &["IfNeeded", "Never"]),
        ] {
            if let Some(value) = text(field).filter(|value| !known.contains(value)) {
                errors.push(Error::not_supported(&path.child(field), value, known));
            }
        }
        match text("sideEffects") {
            None => {
                let detail = format!("must specify one of {}", SIDE_EFFECTS.join(", "));
                errors.push(Error::required(&path.child("sideEffects"), detail));
            }
            Some(effects) if SIDE_EFFECTS.contains(&effects) => {}
            Some(effects) => errors.push(Error::not_supported(&path.child("sideEffects"), effects, SIDE_EFFECTS)),
        }
        let seconds = hook.get("timeoutSeconds").and_then(Value::as_i64);
        if let Some(seconds) = seconds.filter(|seconds| !(1..=30).contains(seconds)) {
            let detail = "the timeout value must be between 1 and 30 seconds";
            errors.push(Error::invalid(&path.child("timeoutSeconds"), seconds, detail));
        }
        matching::check_selectors(hook, path, errors);
        webhook::client(&hook["clientConfig"], &path.child("clientConfig"), errors);
        let conditions = read::list(hook.get("matchConditions"));
        matching::check_conditions(conditions, &Scope::of_webhook(), &path.child("matchConditions"), errors);
        check_versions(
            &read::texts(hook.get("admissionReviewVersions")),
            &path.child("admissionReviewVersions"),
            errors,
        );
    }
}

/// At least one form of question that this server can ask.
fn check_versions(versions: &[&str], path: &Path, errors: &mut Vec<Error>) {
    let known = REVIEW_VERSIONS.join(", ");
    if versions.is_empty() {
        errors.push(Error::required(path, format!("must specify one of {known}")));
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        if versions[..index].contains(version) {
            errors.push(Error::invalid(&path.index(index), *version, "duplicate version"));
        } else {
            checks::name(names::label_1035, version, &path.index(index), errors);
        }
    }
    if !versions.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        let detail = format!("must include at least one of {known}");
        errors.push(Error::invalid(path, versions.to_vec(), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, with};
    use serde_json::json;

    fn configuration() -> Value {
        json!({"metadata": {"name": "c"}, "webhooks": [{"name": "a.example.com", "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "clientConfig": {"service": {"namespace": "n", "name": "s"}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}]})
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let object = decoded("MutatingWebhookConfiguration", configuration());
        let hook = &object.body["webhooks"][0];
        assert_eq!(hook["failurePolicy"], "Fail");
        assert_eq!(hook["timeoutSeconds"], 10);
        assert_eq!(hook["reinvocationPolicy"], "Never");
        assert_eq!(hook["rules"][0]["scope"], "*");
        assert_eq!(hook["clientConfig"]["service"]["port"], 443);
        assert_eq!(hook["objectSelector"], json!({}));
    }

    #[test]
    fn webhooks_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(
            created("ValidatingWebhookConfiguration", configuration()),
            Vec::<String>::new()
        );
        for (pointer, value, expected) in [
            (
                "/name",
                json!("a"),
                "name: Invalid value: \"a\": should be a domain with at least three segments separated by dots",
            ),
            (
                "/sideEffects",
                json!("Some"),
                "sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
            ),
            (
                "/timeoutSeconds",
                json!(31),
                "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
            ),
            (
                "/admissionReviewVersions",
                json!(["v2"]),
                "admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
            ),
            (
                "/clientConfig",
                json!({}),
                "clientConfig: Required value: exactly one of url or service is required",
            ),
            (
                "/clientConfig",
                json!({"url": "http://a.example.com"}),
                "clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
            ),
            (
                "/clientConfig/service/path",
                json!("/a//b"),
                "clientConfig.service.path: Invalid value: \"/a//b\": segment[1] may not be empty",
            ),
            (
                "/rules/0/operations",
                json!(["*", "CREATE"]),
                "rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
            ),
            (
                "/rules/0/resources",
                json!(["*", "pods"]),
                "rules[0].resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources",
            ),
            (
                "/rules/0/resources",
                json!(["pods/*", "pods/log"]),
                "rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log",
            ),
            (
                "/matchConditions",
                json!([{"name": "a", "expression": " "}]),
                "matchConditions[0].expression: Required value",
            ),
        ] {
            let told = created(
                "ValidatingWebhookConfiguration",
                with(configuration(), &format!("/webhooks/0{pointer}"), value),
            );
            assert_eq!(told, [format!("webhooks[0].{expected}")], "{pointer}");
        }
    }
}
