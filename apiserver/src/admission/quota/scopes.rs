//! Which pods a quota with scopes is about. Other objects are counted only by quotas without.

use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::read;

/// Whether a quota is about this object.
pub(super) fn cover(quota: &Object, resource: &str, object: &Object) -> bool {
    let scopes = read::texts(quota.at("spec.scopes"));
    let expressions = read::list(quota.at("spec.scopeSelector.matchExpressions"));
    if scopes.is_empty() && expressions.is_empty() {
        return true;
    }
    resource == "pods"
        && scopes.iter().all(|scope| holds(scope, "Exists", &[], object))
        && expressions.iter().all(|expression| {
            let text = |name: &str| read::text(expression.get(name));
            let values = read::texts(expression.get("values"));
            holds(text("scopeName"), text("operator"), &values, object)
        })
}

fn holds(scope: &str, operator: &str, values: &[&str], pod: &Object) -> bool {
    let spec = |field: &str| pod.at(&format!("spec.{field}")).filter(|value| !value.is_null());
    match scope {
        "Terminating" => spec("activeDeadlineSeconds").is_some(),
        "NotTerminating" => spec("activeDeadlineSeconds").is_none(),
        "BestEffort" => asks_for_nothing(pod),
        "NotBestEffort" => !asks_for_nothing(pod),
        "CrossNamespacePodAffinity" => spec("affinity").is_some_and(crosses),
        "PriorityClass" => {
            let class = read::text(spec("priorityClassName"));
            match operator {
                "In" => values.contains(&class),
                "NotIn" => !values.contains(&class),
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        _ => false,
    }
}

/// The quality of service is the lowest: no container has a request or a limit of CPU or memory.
fn asks_for_nothing(pod: &Object) -> bool {
    let containers = ["spec.containers", "spec.initContainers"];
    let all = containers.iter().flat_map(|field| read::list(pod.at(field)));
    let asks = |holder: &Value| {
        ["requests", "limits"].iter().any(|part| {
            let list = &holder["resources"][part];
            !list["cpu"].is_null() || !list["memory"].is_null()
        })
    };
    !all.into_iter().any(asks) && !pod.body.get("spec").is_some_and(asks)
}

/// Affinity to pods of other namespaces.
fn crosses(affinity: &Value) -> bool {
    let names = |term: &Value| !read::is_empty(term.get("namespaces")) || !term["namespaceSelector"].is_null();
    ["podAffinity", "podAntiAffinity"].iter().any(|which| {
        let own = &affinity[which];
        let required = read::list(own.get("requiredDuringSchedulingIgnoredDuringExecution"));
        let preferred = read::list(own.get("preferredDuringSchedulingIgnoredDuringExecution"));
        required.iter().any(names) || preferred.iter().any(|one| names(&one["podAffinityTerm"]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scopes_choose_pods() {
        let object = |value: Value| -> Object { serde_json::from_value(value).expect("an object") };
        let pod = || {
            object(json!({"spec": {"priorityClassName": "high", "activeDeadlineSeconds": 5,
                "containers": [{"resources": {"limits": {"cpu": "1"}}}],
                "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}]}}}}))
        };
        let none = || object(json!({"spec": {"containers": [{}]}}));
        let scope = |name: &str| json!({"scopes": [name]});
        let class = |operator: &str, values: Value| {
            json!({"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": operator, "values": values}]}})
        };
        for (spec, of_pod, of_none) in [
            (json!({}), true, true),
            (scope("Terminating"), true, false),
            (scope("NotTerminating"), false, true),
            (scope("BestEffort"), false, true),
            (scope("NotBestEffort"), true, false),
            (scope("CrossNamespacePodAffinity"), true, false),
            (class("In", json!(["high"])), true, false),
            (class("NotIn", json!(["high"])), false, true),
            (class("Exists", json!([])), true, false),
            (class("DoesNotExist", json!([])), false, true),
        ] {
            let quota = object(json!({"spec": spec}));
            assert_eq!(cover(&quota, "pods", &pod()), of_pod, "{spec}");
            assert_eq!(cover(&quota, "pods", &none()), of_none, "{spec}");
        }
        assert!(!cover(
            &object(json!({"spec": scope("BestEffort")})),
            "services",
            &none()
        ));
    }
}
