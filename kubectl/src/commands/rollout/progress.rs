//! How far a rollout is, told by the object's own numbers, in kubectl's sentences. Pure.

use anyhow::bail;
use serde_json::Value;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to come.
    Waiting(String),
    /// All is as it should be.
    Done(String),
}

/// How far the rollout of an object is.
///
/// # Errors
/// When it will get no further, or the wanted revision (0: any) is not the one that is rolled out.
pub fn of(object: &Value, revision: i64) -> anyhow::Result<Progress> {
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => deployment(object, revision),
        "DaemonSet" => daemon_set(object),
        "StatefulSet" => stateful_set(object),
        kind => bail!("no status viewer has been implemented for {kind}"),
    }
}

fn deployment(object: &Value, revision: i64) -> anyhow::Result<Progress> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if revision > 0 {
        let running = super::revisions::number_of(object).unwrap_or(0);
        if running != revision {
            bail!("desired revision ({revision}) is different from the running revision ({running})");
        }
    }
    if !observed(object) {
        return Ok(Progress::Waiting(
            "Waiting for deployment spec update to be observed...".to_owned(),
        ));
    }
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut progressing = conditions.filter(|condition| condition["type"] == "Progressing");
    if progressing.any(|condition| condition["reason"] == "ProgressDeadlineExceeded") {
        bail!("deployment {name:?} exceeded its progress deadline");
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let of = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    let (all, updated, available) = (of("replicas"), of("updatedReplicas"), of("availableReplicas"));
    let waiting = |what: String| {
        Ok(Progress::Waiting(format!(
            "Waiting for deployment {name:?} rollout to finish: {what}..."
        )))
    };
    if updated < wanted {
        return waiting(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    if all > updated {
        return waiting(format!("{} old replicas are pending termination", all - updated));
    }
    if available < updated {
        return waiting(format!("{available} of {updated} updated replicas are available"));
    }
    Ok(Progress::Done(format!("deployment {name:?} successfully rolled out")))
}

fn daemon_set(object: &Value) -> anyhow::Result<Progress> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if object["spec"]["updateStrategy"]["type"] != "RollingUpdate" {
        bail!("rollout status is only available for RollingUpdate strategy type");
    }
    if !observed(object) {
        return Ok(Progress::Waiting(
            "Waiting for daemon set spec update to be observed...".to_owned(),
        ));
    }
    let of = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    let (wanted, updated, available) = (
        of("desiredNumberScheduled"),
        of("updatedNumberScheduled"),
        of("numberAvailable"),
    );
    let waiting = |what: String| {
        Ok(Progress::Waiting(format!(
            "Waiting for daemon set {name:?} rollout to finish: {what}..."
        )))
    };
    if updated < wanted {
        return waiting(format!("{updated} out of {wanted} new pods have been updated"));
    }
    if available < wanted {
        return waiting(format!("{available} of {wanted} updated pods are available"));
    }
    Ok(Progress::Done(format!("daemon set {name:?} successfully rolled out")))
}

fn stateful_set(object: &Value) -> anyhow::Result<Progress> {
    let strategy = &object["spec"]["updateStrategy"];
    if strategy["type"] != "RollingUpdate" {
        bail!("rollout status is only available for RollingUpdate strategy type");
    }
    if !observed(object) {
        return Ok(Progress::Waiting(
            "Waiting for statefulset spec update to be observed...".to_owned(),
        ));
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let of = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    let (ready, updated) = (of("readyReplicas"), of("updatedReplicas"));
    if ready < wanted {
        return Ok(Progress::Waiting(format!(
            "Waiting for {} pods to be ready...",
            wanted - ready
        )));
    }
    if let Some(partition) = strategy["rollingUpdate"]["partition"]
        .as_i64()
        .filter(|number| *number > 0)
    {
        let new = (wanted - partition).max(0);
        if updated < new {
            return Ok(Progress::Waiting(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {new} new pods have been updated..."
            )));
        }
        return Ok(Progress::Done(format!(
            "partitioned roll out complete: {updated} new pods have been updated..."
        )));
    }
    let status = &object["status"];
    let revision = |field: &str| status[field].as_str().unwrap_or_default();
    if revision("updateRevision") != revision("currentRevision") {
        return Ok(Progress::Waiting(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {}...",
            revision("updateRevision")
        )));
    }
    Ok(Progress::Done(format!(
        "statefulset rolling update complete {} pods at revision {}...",
        of("currentReplicas"),
        revision("currentRevision")
    )))
}

/// Whether the controller has seen the present specification.
fn observed(object: &Value) -> bool {
    let seen = number(object, "/status/observedGeneration").unwrap_or(0);
    number(object, "/metadata/generation").unwrap_or(0) <= seen
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer)?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(object: &Value) -> String {
        match of(object, 0) {
            Ok(Progress::Waiting(text)) => format!("… {text}"),
            Ok(Progress::Done(text)) => text,
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn deployments() {
        let with = |status: Value| json!({"kind": "Deployment", "metadata": {"name": "web", "generation": 2}, "spec": {"replicas": 3}, "status": status});
        for (status, text) in [
            (
                json!({"observedGeneration": 1}),
                "… Waiting for deployment spec update to be observed...",
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 1}),
                "… Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been updated...",
            ),
            (
                json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3}),
                "… Waiting for deployment \"web\" rollout to finish: 1 old replicas are pending termination...",
            ),
            (
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}),
                "… Waiting for deployment \"web\" rollout to finish: 2 of 3 updated replicas are available...",
            ),
            (
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}),
                "deployment \"web\" successfully rolled out",
            ),
            (
                json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}),
                "! deployment \"web\" exceeded its progress deadline",
            ),
        ] {
            assert_eq!(said(&with(status)), text);
        }
    }

    #[test]
    fn daemon_and_stateful_sets() {
        let rolling = json!({"type": "RollingUpdate"});
        let daemon = |status: Value| json!({"kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {"updateStrategy": rolling}, "status": status});
        assert_eq!(
            said(&daemon(
                json!({"desiredNumberScheduled": 2, "updatedNumberScheduled": 1})
            )),
            "… Waiting for daemon set \"d\" rollout to finish: 1 out of 2 new pods have been updated..."
        );
        assert_eq!(said(&daemon(json!({}))), "daemon set \"d\" successfully rolled out");
        let stateful = |strategy: Value, status: Value| {
            json!({"kind": "StatefulSet", "metadata": {"name": "s"},
            "spec": {"replicas": 3, "updateStrategy": strategy}, "status": status})
        };
        assert_eq!(
            said(&stateful(rolling.clone(), json!({"readyReplicas": 1}))),
            "… Waiting for 2 pods to be ready..."
        );
        let moving = json!({"readyReplicas": 3, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b"});
        assert_eq!(
            said(&stateful(rolling.clone(), moving.clone())),
            "… waiting for statefulset rolling update to complete 1 pods at revision b..."
        );
        let partitioned = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
        assert_eq!(
            said(&stateful(partitioned, moving)),
            "partitioned roll out complete: 1 new pods have been updated..."
        );
        let there = json!({"readyReplicas": 3, "currentReplicas": 3, "currentRevision": "b", "updateRevision": "b"});
        assert_eq!(
            said(&stateful(rolling, there)),
            "statefulset rolling update complete 3 pods at revision b..."
        );
        let manual = json!({"type": "OnDelete"});
        assert!(said(&stateful(manual, json!({}))).starts_with("! rollout status is only available"));
    }
}
