//! What one may do as a table: rules that speak of the same thing are one row. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::print::table::Grid;

/// Group, resource, names: what a rule speaks of.
type Thing = (String, String, Vec<String>);

/// The table of a SelfSubjectRulesReview's status.
#[must_use]
pub fn grid(status: &Value, no_headers: bool) -> Grid {
    let texts = |value: &Value| -> Vec<String> {
        let values = value.as_array().into_iter().flatten();
        values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let mut things: BTreeMap<Thing, Vec<String>> = BTreeMap::new();
    for rule in status["resourceRules"].as_array().into_iter().flatten() {
        let names = texts(&rule["resourceNames"]);
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let verbs = things.entry((group.clone(), resource, names.clone())).or_default();
                for verb in texts(&rule["verbs"]) {
                    if !verbs.contains(&verb) {
                        verbs.push(verb);
                    }
                }
            }
        }
    }
    let list = |words: &[String]| format!("[{}]", words.join(" "));
    // kubectl sorts by how Go prints a rule, which begins with the verbs.
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for ((group, resource, names), verbs) in things {
        let named = if group.is_empty() {
            resource.clone()
        } else {
            format!("{resource}.{group}")
        };
        let key = format!("{},[{group}],[{resource}],{},[]", list(&verbs), list(&names));
        rows.push((key, vec![named, "[]".to_owned(), list(&names), list(&verbs)]));
    }
    for rule in status["nonResourceRules"].as_array().into_iter().flatten() {
        let verbs = texts(&rule["verbs"]);
        for path in texts(&rule["nonResourceURLs"]) {
            let path = list(&[path]);
            let key = format!("{},[],[],[],{path}", list(&verbs));
            rows.push((key, vec![String::new(), path, "[]".to_owned(), list(&verbs)]));
        }
    }
    rows.sort();
    let head = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"];
    Grid {
        head: if no_headers {
            Vec::new()
        } else {
            head.map(str::to_owned).to_vec()
        },
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_of_the_same_thing_are_one_row() {
        let rule = |verbs: &[&str], groups: &[&str], resources: &[&str]| json!({"verbs": verbs, "apiGroups": groups, "resources": resources});
        let status = json!({
            "resourceRules": [rule(&["get"], &[""], &["pods"]), rule(&["list", "get"], &[""], &["pods"]), rule(&["create"], &["apps"], &["deployments"])],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/version"]}]});
        assert_eq!(
            grid(&status, false).rows,
            [
                ["deployments.apps", "[]", "[]", "[create]"],
                ["pods", "[]", "[]", "[get list]"],
                ["", "[/healthz]", "[]", "[get]"],
                ["", "[/version]", "[]", "[get]"],
            ]
        );
    }
}
