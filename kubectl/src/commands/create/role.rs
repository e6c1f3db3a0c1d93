//! `create role` and `clusterrole`: what may be done to what.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::creating::Creating;
use super::sources::metadata;
use crate::client::Session;

pub(super) const GROUP: &str = "rbac.authorization.k8s.io";
const VERBS: [&str; 14] = [
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];

/// What may be done to what.
#[derive(Args, Debug)]
pub struct Rule {
    /// What may be done: get,list,watch.
    #[arg(long, value_name = "VERB", value_delimiter = ',')]
    verb: Vec<String>,
    /// To what: pods, deployments.apps, pods/log.
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',')]
    resource: Vec<String>,
    /// Only to these by name; may be repeated.
    #[arg(long, value_name = "NAME")]
    resource_name: Vec<String>,
}

/// Arguments of `create role`.
#[derive(Args, Debug)]
pub struct Role {
    /// Its name.
    name: String,
    #[command(flatten)]
    rule: Rule,
    #[command(flatten)]
    pub creating: Creating,
}

/// Arguments of `create clusterrole`.
#[derive(Args, Debug)]
pub struct ClusterRole {
    /// Its name.
    name: String,
    #[command(flatten)]
    rule: Rule,
    /// Paths that are no objects: /healthz, /logs/*.
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    non_resource_url: Vec<String>,
    /// The labels of the roles that this one unites.
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    aggregation_rule: Vec<String>,
    #[command(flatten)]
    pub creating: Creating,
}

impl Role {
    pub async fn object(&self, session: &Session) -> anyhow::Result<Value> {
        if self.rule.verb.is_empty() {
            bail!("at least one verb must be specified");
        }
        if self.rule.resource.is_empty() {
            bail!("at least one resource must be specified");
        }
        let rules = self.rule.rules(session).await?;
        Ok(object("Role", &self.name, &[("rules", json!(rules))]))
    }
}

impl ClusterRole {
    pub async fn object(&self, session: &Session) -> anyhow::Result<Value> {
        let (rule, paths) = (&self.rule, &self.non_resource_url);
        let names_nothing = rule.verb.is_empty() && rule.resource.is_empty() && rule.resource_name.is_empty();
        if !self.aggregation_rule.is_empty() {
            if !names_nothing || !paths.is_empty() {
                bail!("aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames");
            }
            let mut labels = Map::new();
            for pair in &self.aggregation_rule {
                let (key, value) = pair
                    .split_once('=')
                    .ok_or_else(|| anyhow!("malformed pair, expect string=string"))?;
                labels.insert(key.to_owned(), json!(value));
            }
            let aggregation = json!({"clusterRoleSelectors": [{"matchLabels": labels}]});
            let fields = [("aggregationRule", aggregation), ("rules", Value::Null)];
            return Ok(object("ClusterRole", &self.name, &fields));
        }
        if rule.verb.is_empty() {
            bail!("at least one verb must be specified");
        }
        if rule.resource.is_empty() && paths.is_empty() {
            bail!("one of resource or nonResourceURL must be specified");
        }
        let mut rules = rule.rules(session).await?;
        if !paths.is_empty() {
            let verbs = rule.verbs();
            let http = ["*", "get", "post", "put", "delete", "patch", "head", "options"];
            if let Some(verb) = verbs.iter().find(|verb| !http.contains(&verb.as_str())) {
                bail!("invalid verb: '{verb}' for nonResourceURL");
            }
            if paths.iter().any(|path| path != "*" && !path.starts_with('/')) {
                bail!("nonResourceURL should start with /");
            }
            if paths.iter().any(|path| path.trim_end_matches('*').contains('*')) {
                bail!("nonResourceURL only supports wildcard matches when '*' is at the end");
            }
            rules.push(json!({"verbs": verbs, "nonResourceURLs": paths}));
        }
        Ok(object("ClusterRole", &self.name, &[("rules", json!(rules))]))
    }
}

impl Rule {
    fn verbs(&self) -> Vec<String> {
        if self.verb.iter().any(|verb| verb == "*") {
            return vec!["*".to_owned()];
        }
        distinct(&self.verb)
    }

    /// A rule for each API group, in the groups' order.
    async fn rules(&self, session: &Session) -> anyhow::Result<Vec<Value>> {
        let verbs = self.verbs();
        for verb in verbs.iter().filter(|verb| !VERBS.contains(&verb.as_str())) {
            writeln!(anstream::stderr(), "Warning: '{verb}' is not a standard resource verb")?;
        }
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for word in &self.resource {
            let (name, below) = word
                .split_once('/')
                .map_or((word.as_str(), None), |(name, below)| (name, Some(below)));
            if name.is_empty() || name.starts_with('.') {
                bail!("resource must be specified if apiGroup/subresource specified");
            }
            let (plural, group) = self.resource_of(session, name, &verbs).await?;
            let resource = below.map_or(plural.clone(), |below| format!("{plural}/{below}"));
            let list = groups.entry(group).or_default();
            if !list.contains(&resource) {
                list.push(resource);
            }
        }
        let names = distinct(&self.resource_name);
        let rule = |(group, resources): (String, Vec<String>)| {
            let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources});
            if !names.is_empty() {
                rule["resourceNames"] = json!(names);
            }
            rule
        };
        Ok(groups.into_iter().map(rule).collect())
    }

    /// The plural and group of what the user calls `name`.
    async fn resource_of(&self, session: &Session, name: &str, verbs: &[String]) -> anyhow::Result<(String, String)> {
        let (bare, group) = name.split_once('.').unwrap_or((name, ""));
        if bare == "*" {
            return Ok((bare.to_owned(), group.to_owned()));
        }
        let found = session.called(name).await;
        let (plural, group) = match &found {
            Ok(found) => (found[0].plural.clone(), found[0].group.clone()),
            Err(_) => (bare.to_owned(), group.to_owned()),
        };
        let mut is_special = false;
        for verb in verbs {
            let Some(things) = special(verb) else { continue };
            if !things.contains(&(group.as_str(), plural.as_str())) {
                bail!("can not perform '{verb}' on '{plural}' in group '{group}'");
            }
            is_special = true;
        }
        match found {
            Err(error) if !is_special => Err(error),
            _ => Ok((plural, group)),
        }
    }
}

/// The resources, as group and plural, that some verbs are for.
fn special(verb: &str) -> Option<&'static [(&'static str, &'static str)]> {
    Some(match verb {
        "use" => &[("policy", "podsecuritypolicies"), ("extensions", "podsecuritypolicies")],
        "bind" | "escalate" => &[(GROUP, "roles"), (GROUP, "clusterroles")],
        "impersonate" => &[
            ("", "users"),
            ("", "serviceaccounts"),
            ("", "groups"),
            ("authentication.k8s.io", "userextras"),
        ],
        _ => return None,
    })
}

fn distinct(words: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for word in words {
        if !kept.contains(word) {
            kept.push(word.clone());
        }
    }
    kept
}

/// An object of RBAC's group.
pub(super) fn object(kind: &str, name: &str, fields: &[(&str, Value)]) -> Value {
    let mut object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata(name)});
    for (field, value) in fields {
        object[*field] = value.clone();
    }
    object
}
