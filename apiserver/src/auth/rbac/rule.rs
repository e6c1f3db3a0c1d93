//! A rule of a role (rbac/v1 PolicyRule): what it allows, and whether it covers another one. Pure.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::auth::authorize::{Asked, Resource};

/// Everything: verbs, groups, resources, paths.
const ALL: &str = "*";

/// What may be done with what.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PolicyRule {
    /// `get`, `*`.
    #[serde(deserialize_with = "nullable")]
    pub(crate) verbs: Vec<String>,
    /// `""`, `apps`, `*`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale`, `*`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<String>,
    /// Empty: all names.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource_names: Vec<String>,
    /// `/healthz`, `/api/*`.
    #[serde(
        rename = "nonResourceURLs",
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) non_resource_urls: Vec<String>,
}

/// Clients write `null` for a list that isn't there.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn has(list: &[String], text: &str) -> bool {
    list.iter().any(|item| item == text)
}

fn has_or_all(list: &[String], text: &str) -> bool {
    list.iter().any(|item| item == ALL || item == text)
}

impl PolicyRule {
    /// Whether it allows this.
    pub(crate) fn allows(&self, asked: &Asked<'_>) -> bool {
        match asked {
            Asked::Resource(resource) => self.allows_resource(resource),
            Asked::Path { verb, path } => {
                has_or_all(&self.verbs, verb) && self.non_resource_urls.iter().any(|url| url_covers(url, path))
            }
        }
    }

    fn allows_resource(&self, asked: &Resource<'_>) -> bool {
        has_or_all(&self.verbs, asked.verb)
            && has_or_all(&self.api_groups, asked.group)
            && self
                .resources
                .iter()
                .any(|resource| resource_covers(resource, asked.resource, asked.subresource))
            && (self.resource_names.is_empty() || has(&self.resource_names, asked.name))
    }

    /// The parts of this rule that none of `owned` covers, each of one verb, one resource and one name.
    pub(crate) fn uncovered_by<'a>(&'a self, owned: &'a [&'a PolicyRule]) -> impl Iterator<Item = PolicyRule> + 'a {
        self.parts().filter(|part| !owned.iter().any(|rule| rule.covers(part)))
    }

    fn parts(&self) -> impl Iterator<Item = PolicyRule> + '_ {
        let one = |text: &str| vec![text.to_owned()];
        let names: Vec<Vec<String>> = match self.resource_names.as_slice() {
            [] => vec![Vec::new()],
            names => names.iter().map(|name| one(name)).collect(),
        };
        let mut parts = Vec::new();
        for verb in &self.verbs {
            for group in &self.api_groups {
                for resource in &self.resources {
                    parts.extend(names.iter().map(|names| PolicyRule {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        resource_names: names.clone(),
                        non_resource_urls: Vec::new(),
                    }));
                }
            }
            parts.extend(self.non_resource_urls.iter().map(|url| PolicyRule {
                verbs: one(verb),
                non_resource_urls: one(url),
                ..PolicyRule::default()
            }));
        }
        parts.into_iter()
    }

    /// Whether it allows all that `part`, a rule of one verb and one thing, does.
    fn covers(&self, part: &PolicyRule) -> bool {
        let resource = |text: &String| {
            let (resource, subresource) = text.split_once('/').unwrap_or((text, ""));
            // `*/x` of the part is covered by the same text alone, or by everything.
            has(&self.resources, text)
                || self
                    .resources
                    .iter()
                    .any(|own| resource_covers(own, resource, subresource))
        };
        let names = self.resource_names.is_empty()
            || (!part.resource_names.is_empty()
                && part.resource_names.iter().all(|name| has(&self.resource_names, name)));
        part.verbs.iter().all(|verb| has_or_all(&self.verbs, verb))
            && part.api_groups.iter().all(|group| has_or_all(&self.api_groups, group))
            && part.resources.iter().all(resource)
            && names
            && part
                .non_resource_urls
                .iter()
                .all(|url| self.non_resource_urls.iter().any(|own| url_covers(own, url)))
    }

    /// Takes the verbs of a rule that is about the same things; false when it isn't.
    pub(super) fn absorb(&mut self, other: &PolicyRule) -> bool {
        let same = self.api_groups == other.api_groups
            && self.resources == other.resources
            && self.resource_names == other.resource_names
            && self.non_resource_urls == other.non_resource_urls;
        if same {
            self.verbs.extend(other.verbs.iter().cloned());
        }
        same
    }
}

/// The parts of some rules that others don't allow, each of one verb, one resource and one name: for clients that show what a
/// role lacks. Rules are lists of `PolicyRule` as JSON; null is none.
///
/// # Errors
/// When a list holds something else.
pub fn uncovered_rules(
    rules: &serde_json::Value,
    by: &serde_json::Value,
) -> serde_json::Result<Vec<serde_json::Value>> {
    let read = |list: &serde_json::Value| Option::<Vec<PolicyRule>>::deserialize(list).map(Option::unwrap_or_default);
    let (rules, owned) = (read(rules)?, read(by)?);
    let owned: Vec<&PolicyRule> = owned.iter().collect();
    let uncovered = rules.iter().flat_map(|rule| rule.uncovered_by(&owned));
    uncovered.map(serde_json::to_value).collect()
}

fn resource_covers(own: &str, resource: &str, subresource: &str) -> bool {
    if own == ALL {
        return true;
    }
    match own.split_once('/') {
        None => subresource.is_empty() && own == resource,
        Some((own, own_subresource)) => (own == ALL || own == resource) && own_subresource == subresource,
    }
}

fn url_covers(own: &str, path: &str) -> bool {
    own == path
        || own
            .strip_suffix('*')
            .is_some_and(|prefix| path.starts_with(prefix.trim_end_matches('*')))
}

/// As upstream shows a rule in messages: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let said = lists.iter().filter(|(_, list)| !list.is_empty());
        let said: Vec<String> = said.map(|(name, list)| format!("{name}:{}", quoted(list))).collect();
        write!(f, "{{{}}}", said.join(", "))
    }
}

/// `["a" "b"]`, as Go prints lists of strings.
pub(crate) fn quoted(list: &[String]) -> String {
    let quoted: Vec<String> = list.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rule(value: Value) -> PolicyRule {
        serde_json::from_value(value).expect("a rule")
    }

    fn on(verbs: &[&str], groups: &[&str], resources: &[&str]) -> PolicyRule {
        rule(json!({"verbs": verbs, "apiGroups": groups, "resources": resources}))
    }

    #[test]
    fn rules_allow_what_they_name() {
        let asked = |verb, group, resource, subresource, name| {
            Asked::Resource(Resource {
                verb,
                group,
                resource,
                subresource,
                name,
                ..Resource::default()
            })
        };
        let log = asked("get", "", "pods", "log", "a");
        let pod = asked("get", "", "pods", "", "a");
        for (rule, asked, allowed) in [
            (on(&["get"], &[""], &["pods"]), &pod, true),
            (on(&["get"], &[""], &["pods"]), &log, false),
            (on(&["get"], &[""], &["pods/log"]), &log, true),
            (on(&["get"], &[""], &["*/log"]), &log, true),
            (on(&["get"], &[""], &["*/log"]), &pod, false),
            (on(&["*"], &["*"], &["*"]), &log, true),
            (on(&["list"], &[""], &["pods"]), &pod, false),
            (on(&["get"], &["apps"], &["pods"]), &pod, false),
            (on(&["get"], &[], &["pods"]), &pod, false),
            (
                rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]})),
                &pod,
                true,
            ),
            (
                rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["b"]})),
                &pod,
                false,
            ),
            (rule(json!({"verbs": ["get"], "nonResourceURLs": ["*"]})), &pod, false),
        ] {
            assert_eq!(rule.allows(asked), allowed, "{rule}");
        }
    }

    #[test]
    fn paths_are_allowed_by_prefix() {
        for (url, path, allowed) in [
            ("/api", "/api", true),
            ("/api", "/api/v1", false),
            ("/api/*", "/api/v1", true),
            ("/api/*", "/api", false),
            ("*", "/any", true),
        ] {
            let rule = rule(json!({"verbs": ["get"], "nonResourceURLs": [url]}));
            assert_eq!(rule.allows(&Asked::Path { verb: "get", path }), allowed, "{url} {path}");
        }
    }

    #[test]
    fn what_is_not_covered_is_named() {
        let wanted = on(&["get", "delete"], &[""], &["pods", "pods/log"]);
        let owned = on(&["get"], &[""], &["pods", "*/log"]);
        let left: Vec<String> = wanted.uncovered_by(&[&owned]).map(|rule| rule.to_string()).collect();
        assert_eq!(
            left,
            [
                "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}",
                "{APIGroups:[\"\"], Resources:[\"pods/log\"], Verbs:[\"delete\"]}"
            ]
        );
        let named = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}));
        assert_eq!(named.uncovered_by(&[&owned]).count(), 0, "all names cover one");
        let all = on(&["get"], &[""], &["pods"]);
        assert_eq!(all.uncovered_by(&[&named]).count(), 1, "one name doesn't cover all");
        let star = on(&["get"], &[""], &["*"]);
        assert_eq!(
            star.uncovered_by(&[&owned]).count(),
            1,
            "some resources don't cover all"
        );
        let urls = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/a/*"]}));
        assert_eq!(urls.uncovered_by(&[&owned]).count(), 1, "resources cover no paths");
    }

    proptest::proptest! {
        /// A rule that covers another allows whatever that one allows.
        #[test]
        fn covering_is_at_least_as_much(
            own in proptest::collection::vec(proptest::sample::select(vec!["a", "b", "*", "a/x", "*/x", "b/x"]), 0..3),
            other in proptest::sample::select(vec!["a", "b", "*", "a/x", "*/x", "b/x"]),
            (resource, subresource) in proptest::sample::select(vec![("a", ""), ("b", ""), ("a", "x"), ("b", "x"), ("c", "x")]),
        ) {
            let own = on(&["get"], &[""], &own);
            let other = on(&["get"], &[""], &[other]);
            let asked = Asked::Resource(Resource { verb: "get", resource, subresource, ..Resource::default() });
            if own.covers(&other) && other.allows(&asked) {
                proptest::prop_assert!(own.allows(&asked));
            }
        }
    }
}
