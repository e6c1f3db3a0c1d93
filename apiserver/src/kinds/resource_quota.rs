//! Resource quotas: how much of everything a namespace may have.

use std::collections::BTreeSet;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use minik_api::quantity::Quantity;
use serde_json::{Map, Value, json};

use super::{AGE, Column, NAME, Rules, age, checks};

/// Resources that may stand without a domain.
const STANDARD: [&str; 19] = [
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];
/// What a scope about the life or class of pods can be asked of.
const OF_PODS: [&str; 11] = [
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "pods",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "hugepages",
];
const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
/// Nothing is in both.
const CONFLICTS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

pub(super) struct Quotas;

impl Rules for Quotas {
    fn prepare_create(&self, object: &mut Object) {
        object.body.insert("status".to_owned(), json!({}));
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (path, mut errors) = (Path::new("spec"), Vec::new());
        amounts(object.at("spec.hard"), &path.child("hard"), &mut errors);
        scopes(object, &path, &mut errors);
        scope_selector(object, &path.child("scopeSelector"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        let set = |object: &Object| -> BTreeSet<String> { scope_names(object).map(str::to_owned).collect() };
        if set(new) != set(old) {
            let shown: Vec<String> = scope_names(new).map(str::to_owned).collect();
            let path = Path::new("spec").child("scopes");
            errors.push(Error::invalid(&path, shown, "field is immutable"));
        }
        errors
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        for name in ["hard", "used"] {
            let path = Path::new("status").child(name);
            amounts(new.at(&format!("status.{name}")), &path, &mut errors);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Request", "What is requested, and what may be."),
            Column::text("Limit", "What limits come to, and may come to."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let hard = object.at("status.hard").and_then(Value::as_object);
        let used = object.at("status.used").and_then(Value::as_object);
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (name, hard) in hard.into_iter().flatten() {
            let used = used.and_then(|used| used.get(name)?.as_str()).unwrap_or("0");
            let shown = format!("{name}: {used}/{}", hard.as_str().unwrap_or_default());
            if name.starts_with("limits.") {
                limits.push(shown);
            } else {
                requests.push(shown);
            }
        }
        vec![
            object.name().into(),
            requests.join(", ").into(),
            limits.join(", ").into(),
            age(object, now).into(),
        ]
    }
}

fn amounts(list: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    for (name, amount) in list.and_then(Value::as_object).into_iter().flatten() {
        let path = path.key(name);
        resource_name(name, &path, errors);
        let text = amount.as_str().unwrap_or_default();
        let amount = text.parse().unwrap_or(Quantity::from_whole(0));
        checks::amount(name, amount, &path, errors);
    }
}

fn resource_name(name: &str, path: &Path, errors: &mut Vec<Error>) {
    let before = errors.len();
    checks::name(names::qualified, name, path, errors);
    let huge = name.starts_with("hugepages-") || name.starts_with("requests.hugepages-");
    if errors.len() == before && !name.contains('/') && !huge && !STANDARD.contains(&name) {
        errors.push(Error::invalid(path, name, "must be a standard resource for quota"));
    }
}

fn scope_names(object: &Object) -> impl Iterator<Item = &str> {
    let scopes = object.at("spec.scopes").and_then(Value::as_array);
    scopes.into_iter().flatten().filter_map(Value::as_str)
}

fn hard(object: &Object) -> Option<&Map<String, Value>> {
    object.at("spec.hard").and_then(Value::as_object)
}

fn scopes(object: &Object, path: &Path, errors: &mut Vec<Error>) {
    let scopes: Vec<&str> = scope_names(object).collect();
    let shown: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let path = path.child("scopes");
    let mut complain = |detail: &str| errors.push(Error::invalid(&path, shown.clone(), detail));
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            complain("unsupported scope");
        }
        for resource in hard(object).into_iter().flatten().map(|(name, _)| name.as_str()) {
            if STANDARD.contains(&resource) && !fits(scope, resource) {
                complain("unsupported scope applied to resource");
            }
        }
    }
    if CONFLICTS
        .iter()
        .any(|pair| pair.iter().all(|scope| scopes.contains(scope)))
    {
        complain("conflicting scopes");
    }
}

/// Whether a scope says anything about a resource.
fn fits(scope: &str, resource: &str) -> bool {
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            OF_PODS.contains(&resource)
        }
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => ["persistentvolumeclaims", "requests.storage"].contains(&resource),
        _ => true,
    }
}

fn scope_selector(object: &Object, path: &Path, errors: &mut Vec<Error>) {
    let expressions = object
        .at("spec.scopeSelector.matchExpressions")
        .and_then(Value::as_array);
    let path = path.child("matchExpressions");
    for (index, expression) in expressions.into_iter().flatten().enumerate() {
        let text = |name: &str| expression[name].as_str().unwrap_or_default();
        let values = expression["values"].as_array().map_or(0, Vec::len);
        let (scope, operator, path) = (text("scopeName"), text("operator"), path.index(index));
        if !SCOPES.contains(&scope) {
            errors.push(Error::invalid(&path.child("scopeName"), scope, "unsupported scope"));
        }
        let only_exists = [
            "BestEffort",
            "NotBestEffort",
            "Terminating",
            "NotTerminating",
            "CrossNamespacePodAffinity",
        ];
        if only_exists.contains(&scope) && operator != "Exists" {
            let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(Error::invalid(&path.child("operator"), operator, detail));
        }
        match operator {
            "In" | "NotIn" if values == 0 => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(Error::required(&path.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                let shown = expression["values"].clone();
                errors.push(Error::invalid(&path.child("values"), shown, detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => errors.push(Error::invalid(
                &path.child("operator"),
                operator,
                "not a valid selector operator",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, updated, with};
    use serde_json::{Value, json};

    fn quota() -> Value {
        json!({"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"pods": "3", "limits.cpu": "2"}}})
    }

    #[test]
    fn quotas_break_rules_in_the_words_of_kubernetes() {
        let kind = "ResourceQuota";
        assert_eq!(created(kind, quota()), Vec::<String>::new());
        assert_eq!(
            created(
                kind,
                with(quota(), "/spec/hard", json!({"count/deployments.apps": "3"}))
            ),
            Vec::<String>::new()
        );
        for (pointer, value, expected) in [
            (
                "/spec/hard",
                json!({"towels": "1"}),
                "spec.hard[towels]: Invalid value: \"towels\": must be a standard resource for quota",
            ),
            (
                "/spec/hard",
                json!({"cpu": "-1"}),
                "spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            ),
            (
                "/spec/scopes",
                json!(["Sometimes"]),
                "spec.scopes: Invalid value: [\"Sometimes\"]: unsupported scope",
            ),
            (
                "/spec",
                json!({"hard": {"secrets": "1"}, "scopes": ["Terminating"]}),
                "spec.scopes: Invalid value: [\"Terminating\"]: unsupported scope applied to resource",
            ),
            (
                "/spec/scopes",
                json!(["Terminating", "NotTerminating"]),
                "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes",
            ),
            (
                "/spec/scopeSelector",
                json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}),
                "spec.scopeSelector.matchExpressions[0].values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            ),
        ] {
            assert_eq!(created(kind, with(quota(), pointer, value)), [expected], "{pointer}");
        }
        let scoped = with(quota(), "/spec/scopes", json!(["Terminating"]));
        assert_eq!(
            updated(kind, quota(), scoped),
            ["spec.scopes: Invalid value: [\"Terminating\"]: field is immutable"]
        );
    }

    #[test]
    fn tables_show_what_is_used() {
        let status = json!({"hard": {"pods": "3", "limits.cpu": "2", "requests.cpu": "1"}, "used": {"pods": "1"}});
        assert_eq!(
            cells("ResourceQuota", with(quota(), "/status", status)),
            ["q", "pods: 1/3, requests.cpu: 0/1", "limits.cpu: 0/2", "<unknown>"]
        );
    }
}
