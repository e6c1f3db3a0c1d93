//! Which requests something is asked about: rules, selectors, conditions. Shared by webhooks, policies and bindings.

use minik_api::field::{Error, Path};
use minik_api::names;
use serde_json::{Map, Value};

use super::expressions::Scope;
use crate::cel::Kind;
use crate::kinds::fill::{self, Fields};
use crate::kinds::{checks, read};

pub(super) const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
pub(super) const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
const CONDITIONS_MAX: usize = 64;
const SELECTORS: [&str; 2] = ["namespaceSelector", "objectSelector"];

/// Everything, unless it is narrowed.
pub(super) fn fill_selection(fields: &mut Fields) {
    fill::absent(fields, "matchPolicy", "Equivalent");
    for selector in SELECTORS {
        fill::absent(fields, selector, Map::new());
    }
}

/// Rules apply to all scopes.
pub(super) fn fill_rules(fields: &mut Fields, name: &str) {
    for rule in fill::items(fields, name) {
        fill::absent(rule, "scope", "*");
    }
}

/// The two selectors.
pub(super) fn check_selectors(value: &Value, path: &Path, errors: &mut Vec<Error>) {
    for field in SELECTORS {
        let selector = read::typed(value.get(field));
        checks::label_selector(selector.as_ref(), &path.child(field), errors);
    }
}

/// Operations on resources of groups in versions.
pub(super) fn check_rule(rule: &Value, path: &Path, errors: &mut Vec<Error>) {
    let operations = wildcard_alone(rule, "operations", "operations", path, errors);
    for (index, operation) in operations.into_iter().enumerate() {
        if !OPERATIONS.contains(&operation) {
            let path = path.child("operations").index(index);
            errors.push(Error::not_supported(&path, operation, OPERATIONS));
        }
    }
    wildcard_alone(rule, "apiGroups", "API groups", path, errors);
    let versions = wildcard_alone(rule, "apiVersions", "API versions", path, errors);
    for (index, _) in versions.iter().enumerate().filter(|(_, version)| version.is_empty()) {
        errors.push(Error::required(&path.child("apiVersions").index(index), ""));
    }
    check_resources(&read::texts(rule.get("resources")), &path.child("resources"), errors);
    if let Some(scope) = rule.get("scope").and_then(Value::as_str)
        && !SCOPES.contains(&scope)
    {
        errors.push(Error::not_supported(&path.child("scope"), scope, SCOPES));
    }
}

/// A list that must be there; `*` stands for all of it.
fn wildcard_alone<'a>(rule: &'a Value, field: &str, what: &str, path: &Path, errors: &mut Vec<Error>) -> Vec<&'a str> {
    let list = read::texts(rule.get(field));
    if list.is_empty() {
        errors.push(Error::required(&path.child(field), ""));
    }
    if list.len() > 1 && list.contains(&"*") {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.push(Error::invalid(&path.child(field), list.clone(), detail));
    }
    list
}

fn check_resources(resources: &[&str], path: &Path, errors: &mut Vec<Error>) {
    if resources.is_empty() {
        errors.push(Error::required(path, ""));
    }
    let (mut all_below, mut all_above) = (Vec::new(), Vec::new());
    let mut plain = false;
    for (index, resource) in resources.iter().enumerate() {
        let path = path.index(index);
        if resource.is_empty() {
            errors.push(Error::required(&path, ""));
            continue;
        }
        let Some((above, below)) = resource.split_once('/') else {
            plain |= *resource != "*";
            continue;
        };
        if all_below.contains(&above) {
            let detail = format!("if '{above}/*' is present, must not specify {resource}");
            errors.push(Error::invalid(&path, *resource, detail));
        }
        if all_above.contains(&below) {
            let detail = format!("if '*/{below}' is present, must not specify {resource}");
            errors.push(Error::invalid(&path, *resource, detail));
        }
        if below == "*" {
            all_below.push(above);
        }
        if above == "*" {
            all_above.push(below);
        }
    }
    if resources.len() > 1 && resources.contains(&"*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(Error::invalid(path, resources.to_vec(), detail));
    }
    if plain && resources.contains(&"*") {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(Error::invalid(path, resources.to_vec(), detail));
    }
}

/// Expressions of which each has to hold.
pub(super) fn check_conditions(conditions: &[Value], scope: &Scope, path: &Path, errors: &mut Vec<Error>) {
    if conditions.len() > CONDITIONS_MAX {
        errors.push(Error::too_many(path, conditions.len(), CONDITIONS_MAX));
    }
    let mut known = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        checks::required(
            read::text(condition.get("expression")).trim(),
            &path.child("expression"),
            errors,
        );
        scope.check(
            read::text(condition.get("expression")),
            Kind::Bool,
            &path.child("expression"),
            errors,
        );
        let name = read::text(condition.get("name"));
        checks::required_name(names::qualified, name, &path.child("name"), errors);
        if !name.is_empty() && known.contains(&name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        known.push(name);
    }
}

/// The resources that a policy or binding is about.
pub(super) fn check_match_resources(value: &Value, path: &Path, errors: &mut Vec<Error>) {
    let policy = value.get("matchPolicy").and_then(Value::as_str);
    checks::one_of(policy, MATCH_POLICIES, &path.child("matchPolicy"), errors);
    check_selectors(value, path, errors);
    for field in ["resourceRules", "excludeResourceRules"] {
        for (index, rule) in read::list(value.get(field)).iter().enumerate() {
            let path = path.child(field).index(index);
            let mut known = Vec::new();
            for (index, name) in read::texts(rule.get("resourceNames")).into_iter().enumerate() {
                let path = path.child("resourceNames").index(index);
                checks::name(names::path_segment, name, &path, errors);
                if known.contains(&name) {
                    errors.push(Error::duplicate(&path, name));
                }
                known.push(name);
            }
            check_rule(rule, &path, errors);
        }
    }
}
