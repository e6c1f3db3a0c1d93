//! The roles and bindings that are there from the start, as upstream's: what people expect by name (`cluster-admin`, `admin`,
//! `edit`, `view`), and what the programs of a node and the controllers need.
//!
//! At each start what is missing from them is added, unless the annotation `rbac.authorization.kubernetes.io/autoupdate` says
//! `false`; what somebody added stays.

mod controllers;
mod namespaces;
mod node;
mod roles;
#[cfg(test)]
mod tests;

use futures::future::try_join_all;
use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::index;
use super::rule::PolicyRule;
use super::{GROUP, aggregate};
use crate::registry::{Part, Registry, Target, WriteOptions};

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// How many are written at once: the store makes them durable together.
const AT_ONCE: usize = 64;

/// A rule as it stands in these tables: words between blanks, `-` for the core group.
#[derive(Clone, Copy)]
struct Rule {
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
    urls: &'static str,
}

/// `verbs` on `resources` of `groups`.
const fn on(verbs: &'static str, groups: &'static str, resources: &'static str) -> Rule {
    Rule {
        verbs,
        groups,
        resources,
        names: "",
        urls: "",
    }
}

/// The same, on those `names` alone.
const fn named(verbs: &'static str, groups: &'static str, resources: &'static str, names: &'static str) -> Rule {
    Rule {
        names,
        ..on(verbs, groups, resources)
    }
}

/// `verbs` on paths.
const fn paths(verbs: &'static str, urls: &'static str) -> Rule {
    Rule {
        urls,
        ..on(verbs, "", "")
    }
}

const READ: &str = "get list watch";
const WRITE: &str = "create delete deletecollection patch update";
const READ_WRITE: &str = "create delete deletecollection get list patch update watch";
/// Events are written in either group.
const EVENTS: Rule = on("create patch update", "- events.k8s.io", "events");

impl Rule {
    fn policy(&self) -> PolicyRule {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let mut groups: Vec<String> = words(self.groups);
        for group in &mut groups {
            if group == "-" {
                group.clear();
            }
        }
        PolicyRule {
            verbs: words(self.verbs),
            api_groups: groups,
            resources: words(self.resources),
            resource_names: words(self.names),
            non_resource_urls: words(self.urls),
        }
    }
}

/// A role of these tables.
struct Role {
    /// Empty: a ClusterRole.
    namespace: &'static str,
    name: &'static str,
    /// `admin`, `edit`, `view`: which of these it is part of.
    part_of: &'static str,
    /// It is put together from those that are part of it.
    aggregates: bool,
    rules: &'static [Rule],
    /// `User NAME`, `Group NAME`, `ServiceAccount NAME` of kube-system: to whom it is bound by a binding of its name.
    bound_to: &'static [(&'static str, &'static str)],
}

const PLAIN: Role = Role {
    namespace: "",
    name: "",
    part_of: "",
    aggregates: false,
    rules: &[],
    bound_to: &[],
};

impl Role {
    fn object(&self) -> Value {
        let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
        if !self.part_of.is_empty() {
            labels[format!("{GROUP}/aggregate-to-{}", self.part_of)] = "true".into();
        }
        let rules: Vec<PolicyRule> = self.rules.iter().map(Rule::policy).collect();
        let mut object = json!({"metadata": metadata(self.name, labels), "rules": rules});
        if self.aggregates {
            let label = format!("{GROUP}/aggregate-to-{}", self.name);
            object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
        }
        object
    }

    fn binding(&self) -> Option<Value> {
        if self.bound_to.is_empty() {
            return None;
        }
        let subject = |&(kind, name): &(&str, &str)| match kind {
            "ServiceAccount" => json!({"kind": kind, "name": name, "namespace": "kube-system"}),
            _ => json!({"kind": kind, "name": name, "apiGroup": GROUP}),
        };
        let mut subjects: Vec<Value> = self.bound_to.iter().map(subject).collect();
        // The controllers of a node are one program with one identity, as upstream's are without
        // --use-service-account-credentials, where it is for the administrator to grant this.
        if self.namespace.is_empty() && self.name.starts_with("system:controller:") {
            subjects.push(subject(&("User", "system:kube-controller-manager")));
        }
        let kind = if self.namespace.is_empty() {
            "ClusterRole"
        } else {
            "Role"
        };
        let labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
        Some(json!({"metadata": metadata(self.name, labels), "subjects": subjects,
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": self.name}}))
    }
}

fn metadata(name: &str, labels: Value) -> Value {
    json!({"name": name, "labels": labels, "annotations": {AUTOUPDATE: "true"}})
}

/// What the node authorizer allows every node.
pub(crate) fn node_rules() -> Vec<PolicyRule> {
    node::RULES.iter().map(Rule::policy).collect()
}

fn all() -> impl Iterator<Item = &'static Role> {
    roles::ROLES.iter().chain(controllers::ROLES).chain(namespaces::ROLES)
}

fn kind(namespace: &str, is_binding: bool) -> &'static Kind {
    let name = match (namespace.is_empty(), is_binding) {
        (true, false) => "ClusterRole",
        (true, true) => "ClusterRoleBinding",
        (false, false) => "Role",
        (false, true) => "RoleBinding",
    };
    kinds::of(GROUP, "v1", name).expect("roles are in the table of kinds")
}

/// Sees to it that everything of these tables is there, and that roles which are put together are.
pub(crate) async fn reconcile(registry: &Registry) -> Result<(), Status> {
    let mut wanted: Vec<(&'static str, bool, Value)> =
        all().map(|role| (role.namespace, false, role.object())).collect();
    wanted.extend(all().filter_map(|role| Some((role.namespace, true, role.binding()?))));
    for group in wanted.chunks(AT_ONCE) {
        let written = group
            .iter()
            .map(|(namespace, is_binding, value)| one(registry, kind(namespace, *is_binding), namespace, value));
        try_join_all(written).await?;
    }
    aggregate::all(registry).await
}

async fn one(registry: &Registry, kind: &'static Kind, namespace: &str, value: &Value) -> Result<(), Status> {
    let wanted: Object = serde_json::from_value(value.clone()).expect("written out in this program");
    let target = Target {
        kind,
        namespace,
        name: wanted.name(),
    };
    let Ok(stored) = registry.get(target) else {
        return registry.ensure(kind, namespace, value).await;
    };
    if merged(&stored.object(), &wanted).is_none() {
        return Ok(());
    }
    let update = registry.update(target, Part::Main, WriteOptions::own(), |old| {
        Ok(merged(old, &wanted).unwrap_or_else(|| old.clone()))
    });
    update.await.map(drop)
}

/// The stored object with what is missing from it; `None` when nothing is, or somebody keeps it as it is.
fn merged(old: &Object, wanted: &Object) -> Option<Object> {
    let annotation = |object: &Object| object.metadata.annotations.as_ref()?.get(AUTOUPDATE).cloned();
    if annotation(old).is_some_and(|value| value == "false") {
        return None;
    }
    let mut new = old.clone();
    for (own, theirs) in [
        (&mut new.metadata.labels, &wanted.metadata.labels),
        (&mut new.metadata.annotations, &wanted.metadata.annotations),
    ] {
        let own = own.get_or_insert_default();
        for (key, value) in theirs.iter().flatten() {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    if wanted.body.contains_key("roleRef") {
        merge_subjects(&mut new, wanted);
    } else if !wanted.body.contains_key("aggregationRule") {
        let mut rules = index::rules(old);
        let missing: Vec<PolicyRule> = {
            let owned: Vec<&PolicyRule> = rules.iter().collect();
            let wanted = index::rules(wanted);
            wanted
                .iter()
                .flat_map(|rule| rule.uncovered_by(&owned).collect::<Vec<_>>())
                .collect()
        };
        rules.extend(missing);
        new.body.insert("rules".into(), json!(rules));
    }
    let is_same = new.metadata == old.metadata && new.body == old.body;
    (!is_same).then_some(new)
}

fn merge_subjects(new: &mut Object, wanted: &Object) {
    let theirs = wanted.body.get("subjects").and_then(Value::as_array).cloned();
    let own = new.body.entry("subjects").or_insert_with(|| json!([]));
    let Some(own) = own.as_array_mut() else {
        return;
    };
    for subject in theirs.into_iter().flatten() {
        let is_there = |one: &Value| {
            ["kind", "name", "namespace"]
                .iter()
                .all(|field| one[*field] == subject[*field])
        };
        if !own.iter().any(is_there) {
            own.push(subject);
        }
    }
}
