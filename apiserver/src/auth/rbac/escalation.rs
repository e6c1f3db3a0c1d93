//! Nobody grants what they haven't got themselves: a role's rules, and those of a role that a binding names, have to be covered
//! by the rules of whoever writes them, unless they may `escalate` or `bind`.

use std::collections::BTreeSet;

use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::Value;

use super::index::{binding, rules};
use super::{GROUP, PolicyRule, is_master, quoted};
use crate::auth::{Authorizer, Resource, User};

/// Whether the user may store this role or binding; `old` is what is stored.
pub(crate) fn check(
    authorizer: &Authorizer,
    user: &User,
    kind: &Kind,
    new: &Object,
    old: Option<&Object>,
) -> Result<(), Status> {
    if kind.group != GROUP || is_master(user) || old.is_some_and(|old| old.body == new.body) {
        return Ok(());
    }
    match kind.kind {
        "Role" | "ClusterRole" => role(authorizer, user, kind, new),
        "RoleBinding" | "ClusterRoleBinding" => bound(authorizer, user, kind, new),
        _ => Ok(()),
    }
}

fn role(authorizer: &Authorizer, user: &User, kind: &Kind, role: &Object) -> Result<(), Status> {
    let escalate = Resource {
        verb: "escalate",
        group: GROUP,
        resource: kind.plural,
        namespace: role.namespace(),
        name: role.name(),
        ..Resource::default()
    };
    if authorizer.allows(user, escalate) {
        return Ok(());
    }
    let mut wanted = rules(role);
    if role.body.get("aggregationRule").is_some_and(|rule| !rule.is_null()) {
        // Whoever names labels may end up with anything.
        let all = || vec!["*".to_owned()];
        wanted.extend([
            PolicyRule {
                verbs: all(),
                api_groups: all(),
                resources: all(),
                ..PolicyRule::default()
            },
            PolicyRule {
                verbs: all(),
                non_resource_urls: all(),
                ..PolicyRule::default()
            },
        ]);
        return covered(authorizer, user, kind, role, &wanted).map_err(|_| {
            Status::forbidden(
                kind,
                role.name(),
                "must have cluster-admin privileges to use the aggregationRule",
            )
        });
    }
    covered(authorizer, user, kind, role, &wanted)
}

fn bound(authorizer: &Authorizer, user: &User, kind: &Kind, object: &Object) -> Result<(), Status> {
    let role = binding(object).role;
    let resource = match role.namespace {
        Some(_) => "roles",
        None => "clusterroles",
    };
    let bind = Resource {
        verb: "bind",
        group: GROUP,
        resource,
        namespace: object.namespace(),
        name: &role.name,
        ..Resource::default()
    };
    if authorizer.allows(user, bind) {
        return Ok(());
    }
    let Some(wanted) = authorizer.rbac().role(&role) else {
        let api_kind = object.at("roleRef.kind").and_then(Value::as_str).unwrap_or_default();
        let known = minik_api::kinds::of(GROUP, "v1", api_kind).unwrap_or_else(|| clusterroles());
        return Err(Status::not_found(known, &role.name));
    };
    covered(authorizer, user, kind, object, &wanted)
}

fn clusterroles() -> &'static Kind {
    minik_api::kinds::of(GROUP, "v1", "ClusterRole").expect("roles are in the table of kinds")
}

fn covered(
    authorizer: &Authorizer,
    user: &User,
    kind: &Kind,
    object: &Object,
    wanted: &[PolicyRule],
) -> Result<(), Status> {
    let (owned, unresolved) = authorizer.rbac().rules(user, object.namespace());
    let owned: Vec<&PolicyRule> = owned.iter().collect();
    let missing: Vec<PolicyRule> = wanted
        .iter()
        .flat_map(|rule| rule.uncovered_by(&owned).collect::<Vec<_>>())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let listed: BTreeSet<String> = compact(missing).iter().map(ToString::to_string).collect();
    let listed: Vec<String> = listed.into_iter().collect();
    let mut why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        listed.join("\n")
    );
    if !unresolved.is_empty() {
        why.push_str(&format!("; resolution errors: [{}]", unresolved.join(", ")));
    }
    Err(Status::forbidden(kind, object.name(), &why))
}

/// Parts that are about the same things, with their verbs together.
fn compact(parts: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for part in parts {
        if !rules.iter_mut().any(|rule| rule.absorb(&part)) {
            rules.push(part);
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_of_the_same_thing_are_told_together() {
        let part = |verb: &str, resource: &str| PolicyRule {
            verbs: vec![verb.into()],
            api_groups: vec![String::new()],
            resources: vec![resource.into()],
            ..PolicyRule::default()
        };
        let told: Vec<String> = compact(vec![part("get", "pods"), part("get", "secrets"), part("list", "pods")])
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\" \"list\"]}",
                "{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
            ]
        );
    }
}
