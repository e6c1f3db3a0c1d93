//! ClusterRoles that are put together from others: their rules are those of all roles that their selectors take.
//!
//! Level-triggered: whenever any ClusterRole changes all of them are looked at, and one that is as it should be isn't written.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::selector::Labels;
use minik_api::status::Status;
use serde::Deserialize;
use serde_json::{Value, json};

use super::index;
use super::{GROUP, PolicyRule};
use crate::registry::{Part, Registry, Selection, Target, WriteOptions, resource};

fn kind() -> &'static Kind {
    kinds::of(GROUP, "v1", "ClusterRole").expect("roles are in the table of kinds")
}

/// Keeps them as they should be until the store stops.
pub(crate) async fn tend(registry: Registry) {
    let mut changes = registry.store().subscribe(&resource(kind()));
    loop {
        changes.borrow_and_update();
        if let Err(status) = all(&registry).await {
            tracing::warn!(%status, "aggregated roles can't be brought up to date; trying again at the next change");
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Brings all of them up to date. A role may be part of one that is itself part of another, so once may not be enough; what
/// selects itself in a circle ends too, because nothing is ever added twice.
pub(super) async fn all(registry: &Registry) -> Result<(), Status> {
    loop {
        let stored = registry.selected(kind(), &Selection::default());
        let roles: BTreeMap<String, Object> = stored
            .iter()
            .map(|stored| (stored.key.name().to_owned(), stored.object()))
            .collect();
        let outdated: Vec<(&str, Value)> = roles
            .values()
            .filter_map(|role| Some((role.name(), outdated(role, &roles)?)))
            .collect();
        if outdated.is_empty() {
            return Ok(());
        }
        try_join_all(outdated.into_iter().map(|(name, rules)| write(registry, name, rules))).await?;
    }
}

async fn write(registry: &Registry, name: &str, rules: Value) -> Result<(), Status> {
    let target = Target {
        kind: kind(),
        namespace: "",
        name,
    };
    let written = registry.update(target, Part::Main, WriteOptions::own(), |old| {
        let mut new = old.clone();
        if new.body.contains_key("aggregationRule") {
            new.body.insert("rules".into(), rules.clone());
        }
        Ok(new)
    });
    match written.await {
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}

/// The rules that the role should have, if it is put together from others and hasn't got them.
fn outdated(role: &Object, roles: &BTreeMap<String, Object>) -> Option<Value> {
    let selectors = role.at("aggregationRule.clusterRoleSelectors")?.as_array()?;
    let selectors = selectors
        .iter()
        .filter_map(|value| LabelSelector::deserialize(value).ok());
    // A selector that can't be read takes nothing.
    let selectors: Vec<Labels> = selectors
        .filter_map(|selector| Labels::from_spec(&selector).ok())
        .collect();
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in &selectors {
        for (name, other) in roles {
            let labels = other.metadata.labels.clone().unwrap_or_default();
            if name == role.name() || !selector.matches(&labels) {
                continue;
            }
            for rule in index::rules(other) {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
    }
    (index::rules(role) != rules).then(|| json!(rules))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(values: Value) -> BTreeMap<String, Object> {
        let values: Vec<Object> = serde_json::from_value(values).expect("roles");
        values.into_iter().map(|role| (role.name().to_owned(), role)).collect()
    }

    #[test]
    fn rules_are_gathered_once_each_and_not_from_itself() {
        let rule = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let other = json!({"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]});
        let selector = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]});
        let roles = roles(json!([
            {"metadata": {"name": "all", "labels": {"to": "all"}}, "aggregationRule": selector, "rules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]},
            {"metadata": {"name": "a", "labels": {"to": "all"}}, "rules": [rule]},
            {"metadata": {"name": "b", "labels": {"to": "all"}}, "rules": [rule, other]},
            {"metadata": {"name": "c", "labels": {"to": "none"}}, "rules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]},
        ]));
        assert_eq!(outdated(&roles["all"], &roles), Some(json!([rule, other])));
        assert_eq!(outdated(&roles["a"], &roles), None);
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        let selector = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]});
        let roles = roles(json!([{"metadata": {"name": "all"}, "aggregationRule": selector, "rules": null}]));
        assert_eq!(outdated(&roles["all"], &roles), None);
    }
}
