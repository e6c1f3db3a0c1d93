//! What becomes of a pod when its node is drained. Pure.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

/// What the user allows.
#[derive(Args, Clone, Debug, Default)]
pub struct Allowed {
    /// Also pods that nothing will make anew.
    #[arg(long)]
    pub force: bool,
    /// Leave the pods of daemon sets alone: they would come back.
    #[arg(long)]
    pub ignore_daemonsets: bool,
    /// Also pods whose data in emptyDir volumes goes with them.
    #[arg(long)]
    pub delete_emptydir_data: bool,
    /// Don't wait for pods that have been going for longer than this many seconds; 0 means wait for all.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub skip_wait_for_delete_timeout: i64,
}

/// What becomes of a pod, and what the user is told of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Leave(Option<&'static str>),
    /// It goes.
    Evict(Option<&'static str>),
    /// It can't go unless the user says more.
    Refuse(&'static str),
}

const LOCAL: &str = "Pods with local storage (use --delete-emptydir-data to override)";
const ALONE: &str = "cannot delete Pods that declare no controller (use --force to override)";
const DAEMON: &str = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";

/// What becomes of a pod. `daemon_set` says whether the daemon set that it belongs to is there, if it belongs to one.
#[must_use]
pub fn of(pod: &Value, daemon_set: Option<bool>, allowed: &Allowed, now: Timestamp) -> Verdict {
    let annotations = &pod["metadata"]["annotations"];
    if annotations["kubernetes.io/config.mirror"].is_string() {
        // A static pod: the kubelet makes it from a file.
        return Verdict::Leave(None);
    }
    if has_been_going(pod, allowed.skip_wait_for_delete_timeout, now) {
        return Verdict::Leave(None);
    }
    let finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    match daemon_set {
        Some(_) if finished => {}
        Some(true) if allowed.ignore_daemonsets => return Verdict::Leave(Some("ignoring DaemonSet-managed Pods")),
        Some(true) => return Verdict::Refuse(DAEMON),
        // Its daemon set is gone: nothing will make it anew.
        Some(false) if !allowed.force => return Verdict::Refuse(ALONE),
        Some(false) | None => {}
    }
    if finished {
        return Verdict::Evict(None);
    }
    let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    if volumes.any(|volume| volume.get("emptyDir").is_some()) && !allowed.delete_emptydir_data {
        return Verdict::Refuse(LOCAL);
    }
    if controller(pod).is_none() {
        if !allowed.force {
            return Verdict::Refuse(ALONE);
        }
        return Verdict::Evict(Some("deleting Pods that declare no controller"));
    }
    Verdict::Evict(None)
}

/// What is to be told of pods, one sentence for each reason: `ignoring …: default/a, default/b`.
#[must_use]
pub fn told<'a>(reasons: impl Iterator<Item = (&'static str, &'a Value)>) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (reason, pod) in reasons {
        let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
        let pods = by_reason.entry(reason).or_default();
        pods.push(format!("{}/{}", text("namespace"), text("name")));
    }
    by_reason
        .into_iter()
        .map(|(reason, pods)| format!("{reason}: {}", pods.join(", ")))
        .collect()
}

/// The owner that makes the pod anew.
#[must_use]
pub fn controller(pod: &Value) -> Option<&Value> {
    let mut owners = pod["metadata"]["ownerReferences"].as_array()?.iter();
    owners.find(|owner| owner["controller"] == true)
}

fn has_been_going(pod: &Value, seconds: i64, now: Timestamp) -> bool {
    let since = pod["metadata"]["deletionTimestamp"].as_str();
    let since = since.and_then(|text| text.parse::<Timestamp>().ok());
    seconds > 0 && since.is_some_and(|since| now.as_second() - since.as_second() > seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(pod: Value, daemon_set: Option<bool>, line: &str) -> Verdict {
        let allowed = Allowed {
            force: line.contains('f'),
            ignore_daemonsets: line.contains('i'),
            delete_emptydir_data: line.contains('e'),
            skip_wait_for_delete_timeout: if line.contains('s') { 10 } else { 0 },
        };
        of(
            &pod,
            daemon_set,
            &allowed,
            Timestamp::from_second(1_000_000).expect("a time"),
        )
    }

    #[test]
    fn pods_go_as_far_as_the_user_allows() {
        let owned = |more: Value| {
            let mut pod = json!({"metadata": {"namespace": "d", "name": "p", "ownerReferences": [{"controller": true, "kind": "ReplicaSet"}]}});
            for (field, value) in more.as_object().expect("an object") {
                pod[field] = value.clone();
            }
            pod
        };
        assert_eq!(verdict(owned(json!({})), None, ""), Verdict::Evict(None));
        let alone = json!({"metadata": {}});
        assert_eq!(verdict(alone.clone(), None, ""), Verdict::Refuse(ALONE));
        assert!(matches!(verdict(alone, None, "f"), Verdict::Evict(Some(_))));
        let finished = json!({"metadata": {}, "status": {"phase": "Succeeded"}});
        assert_eq!(verdict(finished, None, ""), Verdict::Evict(None));
        let local = owned(json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}));
        assert_eq!(verdict(local.clone(), None, "f"), Verdict::Refuse(LOCAL));
        assert_eq!(verdict(local, None, "e"), Verdict::Evict(None));
        assert_eq!(verdict(owned(json!({})), Some(true), "f"), Verdict::Refuse(DAEMON));
        assert!(matches!(
            verdict(owned(json!({})), Some(true), "i"),
            Verdict::Leave(Some(_))
        ));
        assert_eq!(verdict(owned(json!({})), Some(false), ""), Verdict::Refuse(ALONE));
        let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}});
        assert_eq!(verdict(mirror, None, ""), Verdict::Leave(None));
        let going = json!({"metadata": {"deletionTimestamp": "1970-01-12T13:46:00Z"}});
        assert_eq!(verdict(going, None, "s"), Verdict::Leave(None));
    }

    #[test]
    fn reasons_are_told_once() {
        let pods = [
            json!({"metadata": {"namespace": "a", "name": "b"}}),
            json!({"metadata": {"namespace": "c", "name": "d"}}),
        ];
        let told = told(pods.iter().map(|pod| (LOCAL, pod)));
        assert_eq!(told, [format!("{LOCAL}: a/b, c/d")]);
    }
}
