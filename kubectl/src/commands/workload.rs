//! The pods behind something that selects pods: a service, a deployment, a job.
//!
//! `exec`, `attach`, `port-forward` and `logs` name those as well as pods. Which of several pods is meant is decided here;
//! where there is none yet, one is waited for.

use std::cmp::{Ordering, Reverse};
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures::StreamExt as _;
use serde_json::Value;

use crate::client::Session;
use crate::commands::target;
use crate::resources::Resource;

/// The label selector of a Service (a map) or of a workload (`matchLabels` and `matchExpressions`). Pure.
#[must_use]
pub fn selector_of(object: &Value) -> Option<String> {
    let selector = &object["spec"]["selector"];
    let has_parts = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let labels = if has_parts { &selector["matchLabels"] } else { selector };
    let equal = labels.as_object().into_iter().flatten();
    let mut parts: Vec<String> = equal
        .filter_map(|(name, value)| value.as_str().map(|value| format!("{name}={value}")))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str()?;
        let values = expression["values"].as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

/// The selector of what a user named, or why it has none.
///
/// # Errors
/// When this kind of object selects no pods.
pub fn selector_for(resource: &Resource, object: &Value, what: &str) -> anyhow::Result<String> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let selects = matches!(
        resource.kind.as_str(),
        "Service" | "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController"
    );
    if !selects {
        bail!("cannot {what} {}: it selects no pods", resource.named(name));
    }
    selector_of(object).ok_or_else(|| anyhow!("invalid {} {name:?}: it selects no pods", resource.singular))
}

/// The pods that a selector selects, the liveliest first.
///
/// # Errors
/// Those of asking.
pub async fn pods(session: &Session, selector: &str) -> anyhow::Result<Vec<Value>> {
    Ok(list(session, selector).await?.0)
}

/// The liveliest pod that a selector selects; where there is none, one is waited for.
///
/// # Errors
/// Those of asking, and when none turns up in time.
pub async fn first_pod(session: &Session, selector: &str, patience: Duration) -> anyhow::Result<(Value, usize)> {
    let (mut pods, version) = list(session, selector).await?;
    if !pods.is_empty() {
        let count = pods.len();
        return Ok((pods.swap_remove(0), count));
    }
    let resource = session.called("pods").await?.remove(0);
    let query = target::query(&[
        ("labelSelector", selector),
        ("resourceVersion", &version),
        ("watch", "true"),
    ]);
    let path = format!("{}{query}", resource.collection(Some(&session.namespace)));
    let appears = async {
        let mut events = Box::pin(session.follow(&path, "application/json").await?);
        while let Some(event) = events.next().await {
            let mut event = event?;
            if event["type"] == "ADDED" {
                return Ok((event["object"].take(), 1));
            }
        }
        bail!("the server ended the watch")
    };
    let appeared = tokio::time::timeout(patience, appears).await;
    appeared.map_err(|_| anyhow!("timed out waiting for the condition"))?
}

async fn list(session: &Session, selector: &str) -> anyhow::Result<(Vec<Value>, String)> {
    let query = target::query(&[("labelSelector", selector)]);
    let resource = session.called("pods").await?.remove(0);
    let path = format!("{}{query}", resource.collection(Some(&session.namespace)));
    let mut list = session.get(&path).await?;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
    let mut pods = match list["items"].take() {
        Value::Array(pods) => pods,
        _ => Vec::new(),
    };
    pods.sort_by(by_life);
    Ok((pods, version))
}

/// Bound before unbound, running before pending, ready before not, few restarts before many, old before new. Pure.
fn by_life(a: &Value, b: &Value) -> Ordering {
    let rank = |pod: &Value| {
        let phase = match pod["status"]["phase"].as_str() {
            Some("Running") => 0,
            Some("Unknown") => 1,
            Some("Pending") => 2,
            _ => 3,
        };
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut conditions = conditions.filter(|condition| condition["status"] == "True");
        let ready = conditions.any(|condition| condition["type"] == "Ready");
        let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        let restarts: i64 = containers
            .filter_map(|container| container["restartCount"].as_i64())
            .sum();
        let bound = pod["spec"]["nodeName"].is_string();
        let created = pod["metadata"]["creationTimestamp"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (Reverse(bound), phase, Reverse(ready), restarts, created)
    };
    rank(a).cmp(&rank(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_come_in_two_shapes() {
        let of = |spec: Value| selector_of(&json!({ "spec": spec }));
        assert_eq!(of(json!({"selector": {"app": "a"}})).as_deref(), Some("app=a"));
        assert_eq!(
            of(json!({"selector": {"matchLabels": {"app": "a", "b": "c"}}})).as_deref(),
            Some("app=a,b=c")
        );
        let expressions = json!([
            {"key": "x", "operator": "In", "values": ["1", "2"]}, {"key": "y", "operator": "DoesNotExist"}]);
        assert_eq!(
            of(json!({"selector": {"matchExpressions": expressions}})).as_deref(),
            Some("x in (1,2),!y")
        );
        assert_eq!(of(json!({})), None);
    }

    #[test]
    fn the_liveliest_pod_comes_first() {
        let pod = |name: &str, node: Option<&str>, phase: &str, ready: &str, restarts: i64| {
            json!({"metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"nodeName": node},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}],
                           "containerStatuses": [{"restartCount": restarts}]}})
        };
        let mut pods = [
            pod("unbound", None, "Pending", "False", 0),
            pod("starting", Some("n"), "Pending", "False", 0),
            pod("shaky", Some("n"), "Running", "True", 3),
            pod("broken", Some("n"), "Running", "False", 0),
            pod("well", Some("n"), "Running", "True", 0),
            pod("done", Some("n"), "Succeeded", "False", 0),
        ];
        pods.sort_by(by_life);
        let names: Vec<&str> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        assert_eq!(names, ["well", "shaky", "broken", "starting", "done", "unbound"]);
    }
}
