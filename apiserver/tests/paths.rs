//! Which paths and actions of Kubernetes 1.36 are served. `data/rest-paths-v1.36.json` has the facts: every path of upstream's API
//! and what can be done there. What isn't served stands in `data/left-out.txt` with its reason, and the test fails when that
//! list and the truth differ in either direction. `cargo test --test paths -- --nocapture` prints the report.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use support::{Client, Server};

/// A path with `{name}` and the like in it, and what is done there: `list`, `post`, `connect`.
type Action = (String, String);

/// A line of the list: what isn't served, and why.
struct LeftOut {
    /// A path, or with a `*` at its end the beginning of paths.
    path: &'static str,
    /// All of them when it is `*`.
    actions: Vec<&'static str>,
    why: &'static str,
}

impl LeftOut {
    fn fits(&self, (path, action): &Action) -> bool {
        let here = match self.path.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => path == self.path,
        };
        here && (self.actions == ["*"] || self.actions.contains(&action.as_str()))
    }
}

#[tokio::test]
async fn what_is_not_served_is_known() {
    let facts: BTreeMap<String, Value> = serde_json::from_str(include_str!("data/rest-paths-v1.36.json")).unwrap();
    let upstream: BTreeSet<Action> = facts
        .iter()
        .flat_map(|(path, fact)| texts(&fact["actions"]).map(|action| (path.clone(), action.to_owned())))
        .collect();
    let server = Server::start().await;
    let served = served(&mut server.admin().await).await;
    let left_out = left_out();
    report(&upstream, &served, &left_out);

    let missing: Vec<String> = upstream
        .difference(&served)
        .filter(|action| !left_out.iter().any(|left| left.fits(action)))
        .map(told)
        .collect();
    assert!(missing.is_empty(), "neither served nor in left-out.txt: {missing:#?}");
    let back: Vec<String> = upstream
        .intersection(&served)
        .filter(|action| left_out.iter().any(|left| left.fits(action)))
        .map(told)
        .collect();
    assert!(back.is_empty(), "served now, take it out of left-out.txt: {back:#?}");
    let stale: Vec<&str> = left_out
        .iter()
        .filter(|left| !upstream.iter().any(|action| left.fits(action)))
        .map(|left| left.path)
        .collect();
    assert!(
        stale.is_empty(),
        "left-out.txt names what upstream hasn't got: {stale:#?}"
    );
    let own: Vec<String> = served.difference(&upstream).map(told).collect();
    assert!(own.is_empty(), "served, but not by upstream: {own:#?}");
}

/// Everything that discovery says is served, as paths and actions.
async fn served(client: &mut Client) -> BTreeSet<Action> {
    let mut versions = vec!["/api/v1".to_owned()];
    for group in client.get("/apis").await.json()["groups"].as_array().unwrap() {
        let of_group = group["versions"].as_array().unwrap().iter();
        versions.extend(of_group.map(|version| format!("/apis/{}", version["groupVersion"].as_str().unwrap())));
    }
    let mut served = BTreeSet::new();
    for root in versions {
        let list = client.get(&root).await.json();
        for resource in list["resources"].as_array().unwrap() {
            add(&root, resource, &mut served);
        }
    }
    served
}

/// The paths of an APIResource, and what its verbs are there.
fn add(root: &str, resource: &Value, served: &mut BTreeSet<Action>) {
    let name = resource["name"].as_str().unwrap();
    let place = match resource["namespaced"] == true {
        true => format!("{root}/namespaces/{{namespace}}"),
        false => root.to_owned(),
    };
    let mut add = |path: String, action: &str| served.insert((path, action.to_owned()));
    let Some((plural, subresource)) = name.split_once('/') else {
        for verb in texts(&resource["verbs"]) {
            match verb {
                "create" => add(format!("{place}/{name}"), "post"),
                "list" => {
                    add(format!("{root}/{name}"), "list");
                    add(format!("{place}/{name}"), "list")
                }
                "deletecollection" => add(format!("{place}/{name}"), "deletecollection"),
                "update" => add(format!("{place}/{name}/{{name}}"), "put"),
                "get" | "patch" | "delete" => add(format!("{place}/{name}/{{name}}"), verb),
                // Of the facts, watch is a list with a parameter.
                _ => false,
            };
        }
        return;
    };
    let path = format!("{place}/{plural}/{{name}}/{subresource}");
    // Whatever is sent to these goes on to somebody else.
    if resource["kind"].as_str().unwrap().ends_with("Options") {
        add(path.clone(), "connect");
        if subresource == "proxy" {
            add(format!("{path}/{{path}}"), "connect");
        }
        return;
    }
    for verb in texts(&resource["verbs"]) {
        let action = match verb {
            "create" => "post",
            "update" => "put",
            verb => verb,
        };
        add(path.clone(), action);
    }
}

fn told((path, action): &Action) -> String {
    format!("{path} {action}")
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn left_out() -> Vec<LeftOut> {
    let lines = include_str!("data/left-out.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let (path, actions, why) = (words.next().unwrap(), words.next().unwrap(), words.next());
            LeftOut {
                path,
                actions: actions.split(',').collect(),
                why: why.unwrap_or_else(|| panic!("{path} has no reason")).trim(),
            }
        })
        .collect()
}

/// How much of each group and version is served, and what isn't.
fn report(upstream: &BTreeSet<Action>, served: &BTreeSet<Action>, left_out: &[LeftOut]) {
    let mut groups: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for action in upstream {
        let segments: Vec<&str> = action.0.split('/').collect();
        let depth = if segments[1] == "api" { 3 } else { 4 };
        let (have, all) = groups.entry(segments[..depth].join("/")).or_default();
        *have += usize::from(served.contains(action));
        *all += 1;
    }
    for (group, (have, all)) in groups {
        println!("{have:4} of {all:4}  {group}");
    }
    let have = upstream.intersection(served).count();
    println!("{have:4} of {:4}  actions in all; left out:", upstream.len());
    for left in left_out {
        println!("              {} {}: {}", left.path, left.actions.join(","), left.why);
    }
}
