//! Roles, bindings and service accounts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sheet::{Sheet, items, plain};

pub fn role(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, false);
    sheet.labels_and_annotations(object);
    sheet.line(0, "PolicyRule:");
    sheet.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    sheet.line(1, "---------\t-----------------\t--------------\t-----");
    for rule in rules(items(&object["rules"])) {
        let list = |words: &[String]| format!("[{}]", words.join(" "));
        sheet.line(
            1,
            &format!(
                "{}\t{}\t{}\t{}",
                rule.resource,
                list(&rule.urls),
                list(&rule.names),
                list(&rule.verbs)
            ),
        );
    }
}

/// What may be done to one resource, or at one path.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    group: String,
    /// `deployments.apps/status`
    resource: String,
    urls: Vec<String>,
    names: Vec<String>,
    verbs: Vec<String>,
}

/// Rules taken apart into single resources, then put together by their verbs, in kubectl's order. Pure.
fn rules(rules: &[Value]) -> Vec<Rule> {
    let texts = |value: &Value| -> Vec<String> { items(value).iter().map(plain).collect() };
    let mut found: BTreeMap<(String, String, Option<String>), Vec<String>> = BTreeMap::new();
    let mut apart = Vec::new();
    for rule in rules {
        let names: Vec<Option<String>> = match texts(&rule["resourceNames"]) {
            names if names.is_empty() => vec![None],
            names => names.into_iter().map(Some).collect(),
        };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for name in &names {
                    let verbs = found
                        .entry((group.clone(), resource.clone(), name.clone()))
                        .or_default();
                    verbs.extend(texts(&rule["verbs"]));
                }
            }
        }
        for url in texts(&rule["nonResourceURLs"]) {
            for verb in texts(&rule["verbs"]) {
                apart.push(Rule {
                    group: String::new(),
                    resource: String::new(),
                    urls: vec![url.clone()],
                    names: Vec::new(),
                    verbs: vec![verb],
                });
            }
        }
    }
    let of_resources = found.into_iter().map(|((group, resource, name), verbs)| Rule {
        resource: with_group(&resource, &group),
        group,
        urls: Vec::new(),
        names: name.into_iter().collect(),
        verbs,
    });
    let mut all: Vec<Rule> = of_resources.chain(apart).collect();
    // The order of the texts that Go makes of rules, where a list ends with a bracket.
    all.sort_by_key(|rule| {
        let (verbs, names, urls) = (rule.verbs.join(" "), rule.names.join(" "), rule.urls.join(" "));
        format!("[{verbs}],[{}],[{}],[{names}],[{urls}]", rule.group, rule.resource)
    });
    all
}

/// `pods/log` and the group `g` make `pods.g/log`.
fn with_group(resource: &str, group: &str) -> String {
    let (name, below) = resource
        .split_once('/')
        .map_or((resource, None), |(name, below)| (name, Some(below)));
    let mut text = name.to_owned();
    if !group.is_empty() {
        text = format!("{text}.{group}");
    }
    below.map_or(text.clone(), |below| format!("{text}/{below}"))
}

pub fn binding(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, false);
    sheet.labels_and_annotations(object);
    sheet.line(0, "Role:");
    sheet.field(1, "Kind", &plain(&object["roleRef"]["kind"]));
    sheet.field(1, "Name", &plain(&object["roleRef"]["name"]));
    sheet.line(0, "Subjects:");
    sheet.line(1, "Kind\tName\tNamespace");
    sheet.line(1, "----\t----\t---------");
    for subject in items(&object["subjects"]) {
        let text = |field: &str| plain(&subject[field]);
        sheet.line(1, &format!("{}\t{}\t{}", text("kind"), text("name"), text("namespace")));
    }
}

/// A service account, and the secrets that hold tokens of it.
pub fn service_account(sheet: &mut Sheet, object: &Value, tokens: &[Value]) {
    sheet.metadata(object, true);
    sheet.labels_and_annotations(object);
    let names = |list: &[Value]| -> Vec<String> { list.iter().map(|one| plain(&one["name"])).collect() };
    let tokens: Vec<String> = tokens.iter().map(|secret| plain(&secret["metadata"]["name"])).collect();
    for (label, names) in [
        ("Image pull secrets:", names(items(&object["imagePullSecrets"]))),
        ("Mountable secrets: ", names(items(&object["secrets"]))),
        ("Tokens:            ", tokens),
    ] {
        let mut label = label;
        if names.is_empty() {
            sheet.line(0, &format!("{label}\t<none>"));
        }
        for name in names {
            sheet.line(0, &format!("{label}\t{name}"));
            label = "                   ";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_are_taken_apart_and_sorted() {
        let found = rules(&[
            json!({"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["list", "get"]}),
            json!({"apiGroups": [""], "resources": ["pods"], "resourceNames": ["a", "b"], "verbs": ["get"]}),
            json!({"nonResourceURLs": ["/x"], "verbs": ["get", "post"]}),
            json!({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["watch"]}),
        ]);
        let shown: Vec<(String, String)> = found
            .into_iter()
            .map(|rule| (rule.resource, rule.verbs.join(",")))
            .collect();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            shown,
            [
                pair("", "get"),
                pair("pods", "get"),
                pair("pods", "get"),
                pair("deployments.apps", "list,get,watch"),
                pair("deployments.apps/scale", "list,get"),
                pair("", "post"),
            ]
        );
    }
}
