//! Which requests a webhook or a policy is asked about: its rules and selectors (upstream's `webhook/predicates`).

use std::collections::BTreeMap;

use minik_api::kinds;
use minik_api::object::Object;
use minik_api::selector::Labels;
use serde_json::Value;

use super::{Attributes, Operation};
use crate::kinds::read;

/// Nobody is asked about these: otherwise a webhook could keep everybody from taking it away.
const GROUP: &str = "admissionregistration.k8s.io";

impl Operation {
    /// As rules and reviews call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// Whether a request is one that the rules below `field` and the selectors of `asked` mean.
pub(super) fn matches(asked: &Value, field: &str, attributes: &Attributes<'_>, object: Option<&Object>) -> bool {
    let exact = asked["matchPolicy"] == "Exact";
    let any = |field: &str| {
        let rules = read::list(asked.get(field));
        rules.iter().any(|rule| rule_matches(rule, attributes, exact))
    };
    any(field)
        && !any("excludeResourceRules")
        && object_selected(asked, attributes, object)
        && namespace_selected(asked, attributes, object)
}

/// Whether anybody may be asked about requests of this kind at all.
pub(super) fn is_free(attributes: &Attributes<'_>) -> bool {
    attributes.kind.group != GROUP
}

fn rule_matches(rule: &Value, attributes: &Attributes<'_>, exact: bool) -> bool {
    let kind = attributes.kind;
    let names = |field: &str, wanted: &str| {
        let all = read::texts(rule.get(field));
        all.contains(&"*") || all.contains(&wanted)
    };
    // A rule about another version of the same means this one too, unless it says that it doesn't.
    let equivalent = || {
        let versions = read::texts(rule.get("apiVersions"));
        !exact
            && versions
                .iter()
                .any(|version| kinds::at(kind.group, version, kind.plural).is_some())
    };
    let scope = match rule["scope"].as_str() {
        Some("Namespaced") => kind.namespaced,
        Some("Cluster") => !kind.namespaced,
        _ => true,
    };
    let object_names = read::texts(rule.get("resourceNames"));
    scope
        && names("operations", attributes.operation.name())
        && names("apiGroups", kind.group)
        && (names("apiVersions", kind.version) || equivalent())
        && (object_names.is_empty() || object_names.contains(&attributes.name))
        && read::texts(rule.get("resources"))
            .iter()
            .any(|resource| resource_matches(resource, kind.plural, attributes.subresource))
}

/// `pods`, `pods/status`, `pods/*`, `*/status`, `*`, `*/*`.
fn resource_matches(rule: &str, plural: &str, subresource: &str) -> bool {
    let (above, below) = rule.split_once('/').unwrap_or((rule, ""));
    (above == "*" || above == plural) && (below == "*" || below == subresource)
}

fn selects(selector: &Value, labels: Option<&BTreeMap<String, String>>) -> bool {
    let none = BTreeMap::new();
    match read::typed(Some(selector)) {
        None => true,
        Some(spec) => Labels::from_spec(&spec).is_ok_and(|chosen| chosen.matches(labels.unwrap_or(&none))),
    }
}

fn object_selected(asked: &Value, attributes: &Attributes<'_>, object: Option<&Object>) -> bool {
    let selector = &asked["objectSelector"];
    let objects = [object, attributes.old];
    read::is_empty(Some(selector))
        || objects
            .into_iter()
            .flatten()
            .any(|object| selects(selector, object.metadata.labels.as_ref()))
}

fn namespace_selected(asked: &Value, attributes: &Attributes<'_>, object: Option<&Object>) -> bool {
    let selector = &asked["namespaceSelector"];
    if read::is_empty(Some(selector)) {
        return true;
    }
    if attributes.is("", "Namespace") {
        let own = object.or(attributes.old);
        return own.is_none_or(|own| selects(selector, own.metadata.labels.as_ref()));
    }
    if !attributes.kind.namespaced {
        return true;
    }
    let namespace = attributes.object("namespaces", "", attributes.namespace);
    selects(
        selector,
        namespace
            .as_ref()
            .and_then(|namespace| namespace.metadata.labels.as_ref()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_and_what_is_below_them() {
        for (rule, resource, expected) in [
            ("pods", ("pods", ""), true),
            ("pods", ("pods", "status"), false),
            ("pods/status", ("pods", "status"), true),
            ("pods/*", ("pods", "status"), true),
            ("pods/*", ("pods", ""), true),
            ("*", ("pods", ""), true),
            ("*", ("pods", "status"), false),
            ("*/status", ("pods", "status"), true),
            ("*/*", ("pods", ""), true),
            ("*/*", ("nodes", "status"), true),
            ("nodes", ("pods", ""), false),
        ] {
            assert_eq!(
                resource_matches(rule, resource.0, resource.1),
                expected,
                "{rule} {resource:?}"
            );
        }
    }
}
