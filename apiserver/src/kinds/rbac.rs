//! Roles say what may be done, bindings to whom that is granted (`rbac.authorization.k8s.io`). What they mean stands in
//! `crate::auth`; here is only how they have to look. The sentences are those of upstream's `pkg/apis/rbac/validation`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use super::{AGE, Column, NAME, NameRule, Rules, age, checks, fill, read};

const GROUP: &str = "rbac.authorization.k8s.io";

/// `Role` and `ClusterRole`.
pub(super) struct Roles {
    pub(super) namespaced: bool,
}

/// `RoleBinding` and `ClusterRoleBinding`.
pub(super) struct Bindings {
    pub(super) namespaced: bool,
}

impl Rules for Roles {
    fn name_rule(&self) -> NameRule {
        names::path_segment
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        for (index, rule) in read::list(object.body.get("rules")).iter().enumerate() {
            check_rule(rule, self.namespaced, &Path::new("rules").index(index), &mut errors);
        }
        if let Some(aggregation) = object.body.get("aggregationRule") {
            check_aggregation(aggregation, &Path::new("aggregationRule"), &mut errors);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[NAME, Column::text("Created At", "When the object was created.").date()];
        COLUMNS
    }

    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let created = object.metadata.creation_timestamp.as_ref();
        let created = created.map(|time| time.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        vec![object.name().into(), created.into()]
    }
}

impl Rules for Bindings {
    fn name_rule(&self) -> NameRule {
        names::path_segment
    }

    fn defaults(&self, object: &mut Object) {
        if let Some(role) = fill::object(&mut object.body, "roleRef")
            && fill::text(role, "apiGroup").is_empty()
        {
            role.insert("apiGroup".to_owned(), GROUP.into());
        }
        for subject in fill::items(&mut object.body, "subjects") {
            let is_user = matches!(fill::text(subject, "kind"), "User" | "Group");
            if is_user && fill::text(subject, "apiGroup").is_empty() {
                subject.insert("apiGroup".to_owned(), GROUP.into());
            }
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        self.check_role(object.body.get("roleRef"), &mut errors);
        for (index, subject) in read::list(object.body.get("subjects")).iter().enumerate() {
            check_subject(
                subject,
                self.namespaced,
                &Path::new("subjects").index(index),
                &mut errors,
            );
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        let role = |object: &Object| object.body.get("roleRef").cloned().unwrap_or_default();
        if role(new) != role(old) {
            errors.push(Error::invalid(
                &Path::new("roleRef"),
                role(new),
                "cannot change roleRef",
            ));
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Role", "Which role is granted."),
            AGE,
            Column::text("Users", "Users it is granted to.").wide(),
            Column::text("Groups", "Groups it is granted to.").wide(),
            Column::text("ServiceAccounts", "Service accounts it is granted to.").wide(),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let role = object.body.get("roleRef");
        let role = format!(
            "{}/{}",
            read::text(read::at(role, "kind")),
            read::text(read::at(role, "name"))
        );
        let subjects = read::list(object.body.get("subjects"));
        let named = |kind: &str| -> Value {
            let of_kind = subjects.iter().filter(|subject| subject["kind"] == kind);
            let names = of_kind.map(|subject| {
                let name = read::text(subject.get("name"));
                match kind {
                    "ServiceAccount" => format!("{}/{name}", read::text(subject.get("namespace"))),
                    _ => name.to_owned(),
                }
            });
            names.collect::<Vec<_>>().join(", ").into()
        };
        vec![
            object.name().into(),
            role.into(),
            age(object, now).into(),
            named("User"),
            named("Group"),
            named("ServiceAccount"),
        ]
    }
}

impl Bindings {
    fn check_role(&self, role: Option<&Value>, errors: &mut Vec<Error>) {
        let path = Path::new("roleRef");
        let group = read::text(read::at(role, "apiGroup"));
        if group != GROUP {
            errors.push(Error::not_supported(&path.child("apiGroup"), group, &[GROUP]));
        }
        let kinds: &[&str] = if self.namespaced {
            &["Role", "ClusterRole"]
        } else {
            &["ClusterRole"]
        };
        let kind = read::text(read::at(role, "kind"));
        if !kinds.contains(&kind) {
            errors.push(Error::not_supported(&path.child("kind"), kind, kinds));
        }
        let name = read::text(read::at(role, "name"));
        checks::required_name(names::path_segment, name, &path.child("name"), errors);
    }
}

fn check_rule(rule: &Value, namespaced: bool, path: &Path, errors: &mut Vec<Error>) {
    let lacks = |field: &str| read::is_empty(rule.get(field));
    if lacks("verbs") {
        let detail = "verbs must contain at least one value";
        errors.push(Error::required(&path.child("verbs"), detail));
    }
    if !lacks("nonResourceURLs") {
        let path = path.child("nonResourceURLs");
        let mut refuse = |detail: &str| errors.push(Error::invalid(&path, rule["nonResourceURLs"].clone(), detail));
        if namespaced {
            refuse("namespaced rules cannot apply to non-resource URLs");
        }
        if !(lacks("apiGroups") && lacks("resources") && lacks("resourceNames")) {
            refuse("rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if lacks("apiGroups") {
        let detail = "resource rules must supply at least one api group";
        errors.push(Error::required(&path.child("apiGroups"), detail));
    }
    if lacks("resources") {
        let detail = "resource rules must supply at least one resource";
        errors.push(Error::required(&path.child("resources"), detail));
    }
}

fn check_aggregation(rule: &Value, path: &Path, errors: &mut Vec<Error>) {
    let path = path.child("clusterRoleSelectors");
    let selectors = read::list(rule.get("clusterRoleSelectors"));
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(Error::required(&path, detail));
    }
    for (index, selector) in selectors.iter().enumerate() {
        let selector: Option<LabelSelector> = read::typed(Some(selector));
        checks::label_selector(selector.as_ref(), &path.index(index), errors);
    }
}

fn check_subject(subject: &Value, namespaced: bool, path: &Path, errors: &mut Vec<Error>) {
    let (name, group) = (read::text(subject.get("name")), read::text(subject.get("apiGroup")));
    checks::required(name, &path.child("name"), errors);
    let kind = read::text(subject.get("kind"));
    let of_group = |wanted: &str, errors: &mut Vec<Error>| {
        if group != wanted {
            errors.push(Error::not_supported(&path.child("apiGroup"), group, &[wanted]));
        }
    };
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                checks::name(names::subdomain, name, &path.child("name"), errors);
            }
            of_group("", errors);
            if !namespaced {
                checks::required(read::text(subject.get("namespace")), &path.child("namespace"), errors);
            }
        }
        "User" | "Group" => {
            if name.is_empty() {
                let detail = format!("{} name cannot be empty", kind.to_lowercase());
                errors.push(Error::invalid(&path.child("name"), name, detail));
            }
            of_group(GROUP, errors);
        }
        other => {
            let known = ["ServiceAccount", "User", "Group"];
            errors.push(Error::not_supported(&path.child("kind"), other, &known));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, rules_of, updated, with};
    use serde_json::json;

    fn role() -> Value {
        json!({"metadata": {"name": "r", "namespace": "default"},
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]})
    }

    fn binding() -> Value {
        json!({"metadata": {"name": "b", "namespace": "default"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]})
    }

    #[test]
    fn rules_name_resources_or_urls() {
        assert_eq!(created("Role", role()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/rules/0/verbs",
                json!([]),
                "rules[0].verbs: Required value: verbs must contain at least one value",
            ),
            (
                "/rules/0/apiGroups",
                json!([]),
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            ),
            (
                "/aggregationRule",
                json!({}),
                "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil",
            ),
            (
                "/rules/0/nonResourceURLs",
                json!(["/healthz"]),
                "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: rules cannot apply to both regular resources and non-resource URLs",
            ),
        ] {
            assert_eq!(
                created("ClusterRole", with(role(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        let urls = json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]});
        assert_eq!(
            created("Role", urls),
            ["rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs"]
        );
    }

    #[test]
    fn bindings_name_a_role_and_subjects() {
        assert_eq!(created("RoleBinding", binding()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/roleRef/kind",
                json!("Rôle"),
                vec!["roleRef.kind: Unsupported value: \"Rôle\": supported values: \"Role\", \"ClusterRole\""],
            ),
            ("/roleRef/name", json!(""), vec!["roleRef.name: Required value"]),
            (
                "/subjects/1/apiGroup",
                json!("x"),
                vec!["subjects[1].apiGroup: Unsupported value: \"x\": supported values: \"\""],
            ),
            (
                "/subjects/0/kind",
                json!("Robot"),
                vec![
                    "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
                ],
            ),
        ] {
            assert_eq!(
                created("RoleBinding", with(binding(), pointer, value)),
                expected,
                "{pointer}"
            );
        }
        let nowhere = with(binding(), "/subjects/1/namespace", Value::Null);
        assert_eq!(
            created("ClusterRoleBinding", nowhere),
            ["subjects[1].namespace: Required value"]
        );
        let other = with(binding(), "/roleRef/name", json!("edit"));
        assert_eq!(
            updated("RoleBinding", binding(), other),
            [
                "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"edit\"}: cannot change roleRef"
            ]
        );
    }

    #[test]
    fn tables_show_who_has_which_role() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cells = rules_of("RoleBinding").cells(&decoded("RoleBinding", binding()), now);
        assert_eq!(cells[1], "ClusterRole/view");
        assert_eq!(cells[3..], [json!("jane"), json!(""), json!("n/s")]);
        let at = with(role(), "/metadata/creationTimestamp", json!("2026-01-01T00:00:00Z"));
        let cells = rules_of("Role").cells(&decoded("Role", at), now);
        assert_eq!(cells[1], "2026-01-01T00:00:00Z");
    }
}
