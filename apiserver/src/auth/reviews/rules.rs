//! SelfSubjectRulesReview: what may I do in this namespace? `kubectl auth can-i --list` shows it.

use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::text;
use crate::auth::rbac::{PolicyRule, is_master};
use crate::auth::{Authorizer, User};

pub(super) fn review(authorizer: &Authorizer, user: &User, review: &Object) -> Result<Value, Status> {
    let namespace = text(review, "spec.namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (mut rules, mut errors) = authorizer.rbac().rules(user, namespace);
    if is_master(user) {
        rules.splice(0..0, everything());
    }
    if user.node().is_some() {
        errors.insert(0, "node authorizer does not support user rule resolution".into());
    }
    let (about_paths, about_resources): (Vec<_>, Vec<_>) =
        rules.into_iter().partition(|rule| !rule.non_resource_urls.is_empty());
    let resource = |rule: &PolicyRule| {
        let mut value = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
        if !rule.resource_names.is_empty() {
            value["resourceNames"] = json!(rule.resource_names);
        }
        value
    };
    let path = |rule: &PolicyRule| json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls});
    let mut status = json!({
        "resourceRules": about_resources.iter().map(resource).collect::<Vec<_>>(),
        "nonResourceRules": about_paths.iter().map(path).collect::<Vec<_>>(),
        "incomplete": !errors.is_empty(),
    });
    if !errors.is_empty() {
        status["evaluationError"] = errors.join(", ").into();
    }
    Ok(status)
}

fn everything() -> [PolicyRule; 2] {
    let all = || vec!["*".to_owned()];
    [
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
    ]
}
