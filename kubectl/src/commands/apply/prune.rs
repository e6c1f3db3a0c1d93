//! `apply --prune` and `diff --prune`: what was applied once, fits the selector and stands in no file any more is deleted, or shown as going.

use std::collections::BTreeSet;
use std::io::Write as _;

use anyhow::{anyhow, bail};
use http::Method;
use serde_json::Value;

use super::Apply;
use crate::apply::LAST_APPLIED;
use crate::client::Session;
use crate::commands::following::Followed;
use crate::commands::objects::items;
use crate::commands::removing::{gone, uid_of};
use crate::commands::target::{Selectors, query};
use crate::commands::writing::DryRun;
use crate::failure::Failure;
use crate::resources::Resource;

/// The kinds that are pruned when nobody names any: kubectl's.
const KINDS: [(&str, &str); 16] = [
    ("v1", "ConfigMap"),
    ("v1", "Endpoints"),
    ("v1", "Namespace"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "PersistentVolume"),
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
];

/// An object that a file names.
#[derive(Debug)]
pub struct Visited {
    uid: String,
    namespace: String,
}

impl Visited {
    /// What of it tells it from others.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        Self {
            uid: text("uid"),
            namespace: text("namespace"),
        }
    }
}

/// The kinds that may be pruned: those of the allowlist, or kubectl's.
///
/// # Errors
/// When the list names something that isn't served.
pub async fn prunable(session: &Session, allowlist: &[String]) -> anyhow::Result<Vec<Resource>> {
    let mut resources = Vec::new();
    if allowlist.is_empty() {
        for (api_version, kind) in KINDS {
            resources.extend(session.serving(api_version, kind).await?);
        }
        return Ok(resources);
    }
    for named in allowlist {
        let [group, version, kind] = named.split('/').collect::<Vec<_>>()[..] else {
            bail!("invalid GroupVersionKind format: {named}, please follow <group/version/kind>");
        };
        let api_version = match group {
            "core" | "" => version.to_owned(),
            group => format!("{group}/{version}"),
        };
        let served = session.serving(&api_version, kind).await?;
        resources.push(served.ok_or_else(|| anyhow!("no matches for kind {kind:?} in version {api_version:?}"))?);
    }
    // Namespaces take all with them that is in them.
    resources.sort_by_key(|resource| !resource.namespaced);
    Ok(resources)
}

/// What was applied once and stands in no file any more, with its kind.
///
/// # Errors
/// Those of asking.
pub async fn orphans<'r>(
    session: &Session,
    prunable: &'r [Resource],
    selector: Option<&String>,
    applied: &[Visited],
) -> anyhow::Result<Vec<(&'r Resource, Value)>> {
    let selectors = Selectors {
        labels: selector.cloned(),
        fields: None,
    };
    let mut namespaces: BTreeSet<&str> = applied.iter().map(|visited| visited.namespace.as_str()).collect();
    namespaces.remove("");
    let mut found = Vec::new();
    for resource in prunable {
        let places: Vec<Option<&str>> = match resource.namespaced {
            true => namespaces.iter().map(|namespace| Some(*namespace)).collect(),
            false => vec![None],
        };
        for namespace in places {
            let path = format!("{}{}", resource.collection(namespace), selectors.query(&[]));
            let list = items(session.get(&path).await?, resource);
            let orphans = list.into_iter().filter(|object| is_orphan(object, applied));
            found.extend(orphans.map(|object| (resource, object)));
        }
    }
    Ok(found)
}

impl Apply {
    pub(super) async fn prune(
        &self,
        session: &Session,
        prunable: &[Resource],
        applied: &[Visited],
    ) -> anyhow::Result<()> {
        for (resource, object) in orphans(session, prunable, self.selector.as_ref(), applied).await? {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            let (namespace, name) = (text("namespace"), text("name"));
            if self.dry_run != DryRun::Client {
                let mut path = resource.object(namespace, name);
                if self.dry_run == DryRun::Server {
                    path.push_str(&query(&[("dryRun", "All")]));
                }
                let options = self.removing.options();
                let answer = match session.send(Method::DELETE, &path, "application/json", &options).await {
                    Err(failure) if !Failure::is_not_found(&failure) => return Err(failure.into()),
                    answer => answer.unwrap_or_default(),
                };
                if self.removing.wait && self.dry_run == DryRun::None {
                    let victim = Followed {
                        resource,
                        namespace,
                        name,
                    };
                    let gone = gone(session, victim, uid_of(&answer));
                    self.removing.in_time(gone).await?;
                }
            }
            let line = format!("{} pruned{}", resource.named(name), self.dry_run.suffix());
            writeln!(anstream::stdout(), "{line}")?;
        }
        Ok(())
    }
}

/// Whether an object was applied, and is in no file. Pure.
fn is_orphan(object: &Value, applied: &[Visited]) -> bool {
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    object["metadata"]["annotations"][LAST_APPLIED].is_string() && applied.iter().all(|visited| visited.uid != uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_applied_is_pruned() {
        let object = |uid: &str, annotations: Value| json!({"metadata": {"uid": uid, "annotations": annotations}});
        let applied = [Visited::of(&object("1", Value::Null))];
        assert!(is_orphan(&object("2", json!({LAST_APPLIED: "{}"})), &applied));
        assert!(!is_orphan(&object("1", json!({LAST_APPLIED: "{}"})), &applied));
        assert!(!is_orphan(&object("2", json!({"other": "x"})), &applied));
    }
}
