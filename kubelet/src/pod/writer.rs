//! Writes a pod's status to the API server: always the newest, one write at a time, as often as it takes.
//!
//! What a user waits for (a phase, readiness) is written at once. What is about to be overtaken (a container that waits for
//! its creation) is held back for a moment, so that a pod that starts quickly costs one write and not three.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{self as core, PodStatus};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

/// How long something unimportant may wait for something important.
const HELD_BACK: Duration = Duration::from_millis(25);
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Whose status it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// A write that failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The pod is gone, or another one has its name.
    #[error("the pod is gone from the API server")]
    Gone,
    /// Anything else; worth another attempt.
    #[error("{0}")]
    Refused(String),
}

/// The two things that a kubelet writes to a pod.
pub(crate) trait PodApi: Send + Sync + 'static {
    /// Merges this into the pod with that uid.
    fn patch_status<'a>(&'a self, target: &'a Target, patch: Value) -> BoxFuture<'a, Result<(), WriteError>>;
    /// Lets the API server forget the pod with that uid.
    fn delete<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<(), WriteError>>;
}

/// The API server.
pub(crate) struct Server(pub(crate) Client);

impl PodApi for Server {
    fn patch_status<'a>(&'a self, target: &'a Target, patch: Value) -> BoxFuture<'a, Result<(), WriteError>> {
        let api: Api<core::Pod> = Api::namespaced(self.0.clone(), &target.namespace);
        Box::pin(async move {
            let patched = api
                .patch_status(&target.name, &PatchParams::default(), &Patch::Merge(patch))
                .await;
            patched.map(drop).map_err(|error| classify(&error))
        })
    }

    fn delete<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<(), WriteError>> {
        let api: Api<core::Pod> = Api::namespaced(self.0.clone(), &target.namespace);
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: Some(target.uid.clone()),
                resource_version: None,
            }),
            ..Default::default()
        };
        Box::pin(async move {
            api.delete(&target.name, &params)
                .await
                .map(drop)
                .map_err(|error| classify(&error))
        })
    }
}

fn classify(error: &kube::Error) -> WriteError {
    match error {
        kube::Error::Api(status) if status.code == 404 => WriteError::Gone,
        // The uid is another one's.
        kube::Error::Api(status) if status.code == 409 && status.message.contains("uid") => WriteError::Gone,
        error => WriteError::Refused(error.to_string()),
    }
}

#[derive(Clone, Debug)]
struct Desired {
    status: PodStatus,
    urgent: bool,
    last: bool,
}

/// One pod's writer. Its task ends with it.
pub(crate) struct Writer {
    desired: watch::Sender<Option<Desired>>,
    done: watch::Receiver<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Writer {
    /// Begins; nothing is written before the first `write`.
    pub(crate) fn spawn(api: Arc<dyn PodApi>, target: Target) -> Self {
        let (desired, wanted) = watch::channel(None);
        let (finished, done) = watch::channel(false);
        let task = tokio::spawn(run(api, target, wanted, finished));
        Self {
            desired,
            done,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Has this status written, instead of any that waits.
    pub(crate) fn write(&self, status: PodStatus, urgent: bool) {
        self.desired.send_modify(|desired| {
            let was_urgent = desired
                .as_ref()
                .is_some_and(|desired| desired.urgent && desired.status != status);
            *desired = Some(Desired {
                status,
                urgent: urgent || was_urgent,
                last: false,
            });
        });
    }

    /// Has this written as the last status and the pod deleted. The receiver turns true when the API server knows both.
    pub(crate) fn finish(&self, status: PodStatus) -> watch::Receiver<bool> {
        self.desired.send_replace(Some(Desired {
            status,
            urgent: true,
            last: true,
        }));
        self.done.clone()
    }
}

async fn run(
    api: Arc<dyn PodApi>,
    target: Target,
    mut wanted: watch::Receiver<Option<Desired>>,
    finished: watch::Sender<bool>,
) {
    let mut written: Option<PodStatus> = None;
    let mut retry = RETRY_BASE;
    while let Some(desired) = next(&mut wanted).await {
        let result = match written.as_ref() == Some(&desired.status) {
            true => Ok(()),
            false => api.patch_status(&target, patch(&target, &desired.status)).await,
        };
        let result = match result {
            Ok(()) => {
                written = Some(desired.status);
                if desired.last {
                    api.delete(&target).await
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) if desired.last => break,
            Ok(()) => retry = RETRY_BASE,
            Err(WriteError::Gone) => {
                debug!(pod = target.name, "its status is no longer wanted: the pod is gone");
                break;
            }
            Err(error) => {
                warn!(pod = target.name, namespace = target.namespace, %error, "writing the pod's status failed; trying again");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
                // The newest is tried, whether it changed meanwhile or not.
                wanted.mark_changed();
            }
        }
    }
    finished.send_replace(true);
}

/// The newest wish; one that isn't urgent is held back until a moment has passed or an urgent one has come.
async fn next(wanted: &mut watch::Receiver<Option<Desired>>) -> Option<Desired> {
    wanted.changed().await.ok()?;
    let is_urgent = |desired: &Option<Desired>| desired.as_ref().is_some_and(|desired| desired.urgent);
    let wait = wanted.wait_for(is_urgent);
    if let Ok(Err(_)) = tokio::time::timeout(HELD_BACK, wait).await {
        return None;
    }
    wanted.borrow_and_update().clone()
}

/// A JSON merge patch: what isn't there any more is null, and only the pod with this uid takes it.
fn patch(target: &Target, status: &PodStatus) -> Value {
    let mut status = serde_json::to_value(status).expect("a status is plain data");
    for field in ["reason", "message", "podIP", "podIPs", "initContainerStatuses"] {
        if status.get(field).is_none() {
            status[field] = Value::Null;
        }
    }
    json!({"metadata": {"uid": target.uid}, "status": status})
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Recording {
        writes: Mutex<Vec<String>>,
        refusals: Mutex<u32>,
    }

    impl PodApi for Recording {
        fn patch_status<'a>(&'a self, _: &'a Target, patch: Value) -> BoxFuture<'a, Result<(), WriteError>> {
            let mut refusals = self.refusals.lock().expect("no test panics with it");
            if *refusals > 0 {
                *refusals -= 1;
                return Box::pin(async { Err(WriteError::Refused("busy".into())) });
            }
            let phase = patch["status"]["phase"].as_str().unwrap_or_default().to_owned();
            self.writes.lock().expect("no test panics with it").push(phase);
            Box::pin(async { Ok(()) })
        }

        fn delete<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<(), WriteError>> {
            self.writes
                .lock()
                .expect("no test panics with it")
                .push("DELETE".into());
            Box::pin(async { Ok(()) })
        }
    }

    fn status(phase: &str) -> PodStatus {
        PodStatus {
            phase: Some(phase.into()),
            ..Default::default()
        }
    }

    fn writer(api: &Arc<Recording>) -> Writer {
        let target = Target {
            namespace: "default".into(),
            name: "web".into(),
            uid: "u".into(),
        };
        Writer::spawn(Arc::clone(api) as Arc<dyn PodApi>, target)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_overtaken_is_never_written() {
        let api = Arc::new(Recording::default());
        let writer = writer(&api);
        writer.write(status("Pending"), false);
        tokio::time::sleep(Duration::from_millis(5)).await;
        writer.write(status("Running"), true);
        let mut done = writer.finish(status("Succeeded"));
        done.wait_for(|done| *done).await.expect("the writer lives");
        assert_eq!(
            *api.writes.lock().expect("no test panics with it"),
            ["Succeeded", "DELETE"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_written_in_the_end_and_refusals_are_retried() {
        let api = Arc::new(Recording::default());
        *api.refusals.lock().expect("no test panics with it") = 3;
        let writer = writer(&api);
        writer.write(status("Pending"), false);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(*api.writes.lock().expect("no test panics with it"), ["Pending"]);
    }

    #[test]
    fn what_is_no_longer_there_is_nulled() {
        let target = Target {
            namespace: "default".into(),
            name: "web".into(),
            uid: "u".into(),
        };
        let patch = patch(&target, &status("Running"));
        assert!(patch["status"]["message"].is_null() && patch["status"]["reason"].is_null());
        assert_eq!(patch["metadata"]["uid"], "u");
    }
}
