//! `auth can-i`: yes or no, with the exit code to match; `--list` shows all that is allowed.

use std::io::Write as _;

use anyhow::bail;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::rules;
use crate::cli::Global;
use crate::client::Session;
use crate::failure::Exit;
use crate::resources::Resource;

/// The verbs that resources have; others are told, since they are most often misspelt.
const RESOURCE_VERBS: [&str; 14] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
    "*",
    "approve",
];
/// The verbs that paths have.
const PATH_VERBS: [&str; 8] = ["get", "put", "post", "head", "options", "delete", "patch", "*"];

/// Arguments of `auth can-i`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl auth can-i create pods
  minikctl auth can-i get pods --subresource=log -A
  minikctl auth can-i list secrets --as=system:serviceaccount:dev:robot -n dev
  minikctl auth can-i get /healthz
  minikctl auth can-i --list")]
pub struct CanI {
    /// The verb, then the kind, KIND/NAME or a path.
    #[arg(value_name = "VERB KIND")]
    words: Vec<String>,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// A part of the object with a path of its own: log, exec, status, scale.
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// Show everything that is allowed.
    #[arg(long)]
    list: bool,
    /// Say it by the exit code alone.
    #[arg(short, long)]
    quiet: bool,
    /// Rows only (with --list).
    #[arg(long)]
    no_headers: bool,
}

impl CanI {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        if self.list {
            return self.show(&session).await;
        }
        let (verb, what, name) = match self.words.as_slice() {
            [verb, what] => (verb, what, None),
            [verb, what, name] if !what.contains('/') => (verb, what, Some(name.as_str())),
            _ => bail!("you must specify two arguments: verb resource or verb resource/resourceName."),
        };
        if what.starts_with('/') && self.subresource.is_some() {
            bail!("--subresource can not be used with NonResourceURL");
        }
        let spec = if what.starts_with('/') {
            self.warn_of_verb(verb, &PATH_VERBS)?;
            json!({"nonResourceAttributes": {"verb": verb, "path": what}})
        } else {
            self.warn_of_verb(verb, &RESOURCE_VERBS)?;
            let attributes = self.attributes(&session, verb, what, name).await?;
            json!({"resourceAttributes": attributes})
        };
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = session.send(Method::POST, path, "application/json", &review).await?;
        let allowed = answer["status"]["allowed"] == true;
        if !self.quiet {
            writeln!(anstream::stdout(), "{}", said(&answer["status"]))?;
        }
        if allowed { Ok(()) } else { Err(Exit(1).into()) }
    }

    async fn attributes(&self, session: &Session, verb: &str, what: &str, name: Option<&str>) -> anyhow::Result<Value> {
        let (kind, name) = match what.split_once('/') {
            Some((kind, name)) => (kind, Some(name)),
            None => (what, name),
        };
        let namespace = if self.all_namespaces {
            ""
        } else {
            session.namespace.as_str()
        };
        let mut attributes = json!({"verb": verb, "namespace": namespace});
        let known = if kind == "*" {
            None
        } else {
            resource(session, kind).await?
        };
        match &known {
            Some(resource) => {
                attributes["group"] = json!(resource.group);
                attributes["resource"] = json!(resource.plural);
                if !resource.namespaced && !self.all_namespaces {
                    let group = match resource.group.as_str() {
                        "" => String::new(),
                        group => format!(" in group '{group}'"),
                    };
                    self.warn(&format!(
                        "resource '{}' is not namespace scoped{group}\n",
                        resource.plural
                    ))?;
                }
            }
            None => {
                let (plural, group) = kind.split_once('.').unwrap_or((kind, ""));
                if kind != "*" {
                    let group = if group.is_empty() {
                        String::new()
                    } else {
                        format!(" in group '{group}'")
                    };
                    self.warn(&format!("the server doesn't have a resource type '{plural}'{group}\n"))?;
                }
                attributes["group"] = json!(if kind == "*" { "*" } else { group });
                attributes["resource"] = json!(plural);
            }
        }
        if known.is_some_and(|resource| !resource.namespaced) {
            attributes["namespace"] = json!("");
        }
        if let Some(name) = name {
            attributes["name"] = json!(name);
        }
        if let Some(part) = &self.subresource {
            attributes["subresource"] = json!(part);
        }
        Ok(attributes)
    }

    async fn show(&self, session: &Session) -> anyhow::Result<()> {
        if !self.words.is_empty() {
            bail!("list option must be specified with no arguments");
        }
        if self.all_namespaces {
            bail!("list option must not be specified with all-namespaces");
        }
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": session.namespace}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let answer = session.send(Method::POST, path, "application/json", &review).await?;
        let status = &answer["status"];
        if status["incomplete"] == true {
            let why = status["evaluationError"].as_str().unwrap_or_default();
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(": {why}")
            };
            writeln!(anstream::stderr(), "warning: the list may be incomplete{why}")?;
        }
        rules::grid(status, self.no_headers).write(&mut anstream::stdout(), &[], None)?;
        Ok(())
    }

    fn warn_of_verb(&self, verb: &str, known: &[&str]) -> anyhow::Result<()> {
        if known.contains(&verb) {
            return Ok(());
        }
        self.warn(&format!("verb '{verb}' is not a known verb\n"))
    }

    fn warn(&self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(anstream::stderr(), "Warning: {text}")?)
    }
}

/// The kind that a word means; nothing when the server has none, which is worth a warning, no more.
async fn resource(session: &Session, kind: &str) -> anyhow::Result<Option<Resource>> {
    match session.called(kind).await {
        Ok(mut found) if !found.is_empty() => Ok(Some(found.remove(0))),
        Ok(_) => Ok(None),
        Err(error) if error.downcast_ref::<crate::resources::UnknownResource>().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// `yes`, `no`, with why. Pure.
fn said(status: &Value) -> String {
    let text = |field: &str| status[field].as_str().unwrap_or_default();
    let mut said = if status["allowed"] == true { "yes" } else { "no" }.to_owned();
    if status["allowed"] == true {
        return said;
    }
    if !text("reason").is_empty() {
        said.push_str(&format!(" - {}", text("reason")));
    }
    if !text("evaluationError").is_empty() {
        said.push_str(&format!(" - {}", text("evaluationError")));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kubectls() {
        assert_eq!(said(&json!({"allowed": true, "reason": "RBAC: …"})), "yes");
        assert_eq!(said(&json!({"allowed": false})), "no");
        assert_eq!(
            said(&json!({"allowed": false, "reason": "because", "evaluationError": "x"})),
            "no - because - x"
        );
    }
}
