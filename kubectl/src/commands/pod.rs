//! Finding the pod and the container that `logs`, `exec`, `attach` and `port-forward` mean.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use serde_json::Value;

use crate::client::Session;
use crate::commands::objects::{Files, finish};
use crate::commands::workload;
use crate::resources::{Resource, nearest, suggestion};

/// Which container is chosen where the user names none.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The pod that `nginx`, `pod/nginx`, `service/web` or `deployment/web` means. One that a workload has yet to make is waited
/// for.
///
/// # Errors
/// When it is not there, or nothing makes one in time.
pub async fn find(session: &Session, word: &str, what: &str, patience: Duration) -> anyhow::Result<Value> {
    let (resource, object) = named(session, word).await?;
    of(session, &resource, object, what, patience).await
}

/// The pod that an object is or selects.
///
/// # Errors
/// When it selects none, or nothing makes one in time.
pub async fn of(
    session: &Session,
    resource: &Resource,
    object: Value,
    what: &str,
    patience: Duration,
) -> anyhow::Result<Value> {
    if resource.kind == "Pod" {
        return Ok(object);
    }
    let selector = workload::selector_for(resource, &object, what)?;
    Ok(workload::first_pod(session, &selector, patience).await?.0)
}

/// The one object that files name, as the server has it; the session goes to its namespace.
///
/// # Errors
/// When there are several, or it is not there.
pub async fn in_files(session: &mut Session, files: &Files) -> anyhow::Result<(Resource, Value)> {
    let (mut found, errors) = files.find(session).await?;
    finish(errors)?;
    let Some(named) = found.pop().filter(|_| found.is_empty()) else {
        bail!("only a single object can be meant, and the files name several");
    };
    let object = session.get(&named.path()).await?;
    session.namespace.clone_from(&named.namespace);
    Ok((named.resource, object))
}

/// The object that a word means, a pod where it says no kind.
///
/// # Errors
/// When it is not there.
pub async fn named(session: &Session, word: &str) -> anyhow::Result<(Resource, Value)> {
    let (kind, name) = word.split_once('/').unwrap_or(("pods", word));
    let resource = session.called(kind).await?.remove(0);
    let object = session.get(&resource.object(&session.namespace, name)).await?;
    Ok((resource, object))
}

/// What the pod's specification says of a container, of whichever sort.
#[must_use]
pub fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let mut all = lists
        .into_iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    all.find(|container| container["name"] == name)
}

/// The names of a pod's containers: main ones first, then init containers, then ephemeral ones.
#[must_use]
pub fn containers(pod: &Value) -> Vec<(String, &'static str)> {
    let lists = [
        ("containers", ""),
        ("initContainers", " (init)"),
        ("ephemeralContainers", " (ephem)"),
    ];
    let names = lists.into_iter().flat_map(|(list, mark)| {
        let list = pod["spec"][list].as_array().into_iter().flatten();
        list.filter_map(move |container| Some((container["name"].as_str()?.to_owned(), mark)))
    });
    names.collect()
}

/// The container to use, and whether the user should be told which one it is.
///
/// # Errors
/// When the pod has none of that name, with the nearest.
pub fn choose(pod: &Value, wanted: Option<&str>) -> anyhow::Result<(String, bool)> {
    let known = containers(pod);
    let name = name(pod);
    if let Some(wanted) = wanted {
        if !known.iter().any(|(container, _)| container == wanted) {
            let near = nearest(
                known
                    .iter()
                    .map(|(container, _)| (container.as_str(), container.clone())),
                wanted,
            );
            bail!("container {wanted} is not valid for pod {name}{}", suggestion(near));
        }
        return Ok((wanted.to_owned(), false));
    }
    let annotated = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str();
    if let Some(annotated) = annotated.filter(|annotated| known.iter().any(|(container, _)| container == annotated)) {
        return Ok((annotated.to_owned(), false));
    }
    let first = known.first().ok_or_else(|| anyhow!("pod {name} has no containers"))?;
    Ok((first.0.clone(), known.len() > 1))
}

/// Chooses a container and tells the user where there was a choice.
///
/// # Errors
/// As [`choose`].
pub fn choose_and_tell(pod: &Value, wanted: Option<&str>) -> anyhow::Result<String> {
    let (container, tell) = choose(pod, wanted)?;
    if tell {
        let all: Vec<String> = containers(pod)
            .into_iter()
            .map(|(name, mark)| format!("{name}{mark}"))
            .collect();
        writeln!(
            anstream::stderr(),
            "Defaulted container {container:?} out of: {}",
            all.join(", ")
        )?;
    }
    Ok(container)
}

/// A pod's name.
#[must_use]
pub fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

/// Refuses pods whose processes have ended.
///
/// # Errors
/// When the pod has.
pub fn must_be_alive(pod: &Value, what: &str) -> anyhow::Result<()> {
    match pod["status"]["phase"].as_str() {
        Some(phase @ ("Succeeded" | "Failed")) => {
            bail!("cannot {what} a container in a completed pod; current phase is {phase}")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "web"}, {"name": "log"}], "initContainers": [{"name": "setup"}]}})
    }

    #[test]
    fn the_container_is_the_named_the_annotated_or_the_first() {
        assert_eq!(
            choose(&pod(), Some("setup")).expect("there"),
            ("setup".to_owned(), false)
        );
        assert_eq!(choose(&pod(), None).expect("there"), ("web".to_owned(), true));
        let mut annotated = pod();
        annotated["metadata"]["annotations"] = json!({DEFAULT_CONTAINER: "log"});
        assert_eq!(choose(&annotated, None).expect("there"), ("log".to_owned(), false));
        let error = choose(&pod(), Some("wbe")).expect_err("not there").to_string();
        assert_eq!(error, "container wbe is not valid for pod p; did you mean \"web\"?");
    }
}
