//! The whole loop of one pod against a runtime in memory: what is called, what is written, and that it ends.

use std::sync::Mutex;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::cri::fake::Fake;
use crate::objects::{Lookup, LookupError};
use crate::pod::testing;
use crate::pod::writer::{PodApi, WriteError};
use crate::recorder::{Record, Recorder};
use crate::spec::Node;
use crate::tokens::TokenRequest;

/// What was written to the API server.
#[derive(Default)]
struct Written {
    statuses: Mutex<Vec<Value>>,
    deleted: watch::Sender<bool>,
}

impl PodApi for Written {
    fn patch_status<'a>(&'a self, _: &'a Target, patch: Value) -> BoxFuture<'a, Result<(), WriteError>> {
        self.statuses
            .lock()
            .expect("no test panics with it")
            .push(patch["status"].clone());
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<(), WriteError>> {
        self.deleted.send_replace(true);
        Box::pin(async { Ok(()) })
    }
}

struct NoObjects;

impl Lookup for NoObjects {
    fn config_map<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<ConfigMap>, LookupError>> {
        Box::pin(async { Ok(None) })
    }

    fn secret<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<Secret>, LookupError>> {
        Box::pin(async { Ok(None) })
    }

    fn runtime_handler<'a>(&'a self, class: &'a str) -> BoxFuture<'a, Result<Option<String>, LookupError>> {
        Box::pin(async move { Ok((class == "known").then(|| "crun".to_owned())) })
    }

    fn token<'a>(&'a self, _: &'a TokenRequest) -> BoxFuture<'a, Result<String, LookupError>> {
        Box::pin(async { Ok("token".to_owned()) })
    }
}

/// A worker that runs, and all that surrounds it.
struct Stage {
    runtime: Fake,
    api: Arc<Written>,
    events: mpsc::Receiver<Record>,
    worker: JoinHandle<String>,
    tell: Sender<Message>,
    root: tempfile::TempDir,
    pod: Pod,
}

impl Stage {
    fn begin(runtime: Fake, pod: Pod) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let api = Arc::new(Written::default());
        let (recorder, events) = Recorder::new();
        let context = Arc::new(Context {
            node: Node {
                name: "n1".into(),
                root: root.path().to_owned(),
                memory_bytes: 1 << 30,
                ..Default::default()
            },
            host: status::Host::default(),
            runtime: Arc::new(runtime.clone()),
            lookup: Arc::new(NoObjects),
            pods: Arc::clone(&api) as Arc<dyn PodApi>,
            recorder,
            pulls: watch::channel(crate::progress::Pulls::new()).1,
            services: watch::channel(Some(Arc::default())).1,
            watches: None,
        });
        let (worker, tell) = Worker::new(context, pod.clone(), false);
        Self {
            runtime,
            api,
            events,
            worker: tokio::spawn(worker.run()),
            tell,
            root,
            pod,
        }
    }

    /// Waits until what was last written satisfies this.
    async fn until(&self, wanted: impl Fn(&Value) -> bool) {
        for _ in 0..10_000 {
            let is_there = self
                .api
                .statuses
                .lock()
                .expect("no test panics with it")
                .last()
                .is_some_and(&wanted);
            if is_there {
                return;
            }
            // Time stands still while anything can run: this hands on to the worker.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "never written; the last is {:?}",
            self.api.statuses.lock().expect("free").last()
        );
    }

    async fn delete(&mut self, grace_seconds: i64) {
        self.pod.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
        self.pod.metadata.deletion_grace_period_seconds = Some(grace_seconds);
        self.tell
            .send(Message::Changed(Box::new(self.pod.clone())))
            .await
            .expect("the worker lives");
    }

    fn reasons(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|record| record.reason)
            .collect()
    }
}

fn one() -> Pod {
    testing::pod(json!({"containers": [{"name": "a", "image": "a:1"}]}))
}

fn is_running(status: &Value) -> bool {
    status["phase"] == "Running" && status["containerStatuses"][0]["ready"] == true
}

fn waits_for(reason: &str) -> impl Fn(&Value) -> bool {
    move |status| status["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_and_goes_without_a_trace() {
    let mut stage = Stage::begin(Fake::default(), one());
    stage.until(is_running).await;
    assert_eq!(
        stage.api.statuses.lock().expect("free").len(),
        1,
        "what comes quickly is written once"
    );
    stage.delete(7).await;
    assert_eq!(stage.worker.await.as_deref().ok(), Some("uid-1"));
    assert!(*stage.api.deleted.borrow());
    let state = stage.runtime.state();
    assert!(state.sandboxes.is_empty() && state.containers.is_empty());
    let calls: Vec<&str> = state.calls.iter().map(String::as_str).collect();
    let expected = [
        "RunPodSandbox",
        "PullImage a:1",
        "CreateContainer a",
        "StartContainer a",
        "grace 7",
        "StopContainer a",
        "StopPodSandbox",
        "RemovePodSandbox",
    ];
    let mut sorted = calls.clone();
    sorted[..2].sort_unstable_by_key(|call| expected.iter().position(|known| known == call));
    assert_eq!(sorted, expected);
    let left: Vec<_> = ["pods", "pods-logs"]
        .iter()
        .flat_map(|dir| std::fs::read_dir(stage.root.path().join(dir)).into_iter().flatten())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn the_runtime_class_names_the_handler() {
    let of_class = |class: &str| {
        let containers = json!([{"name": "a", "image": "a:1"}]);
        testing::pod(json!({"runtimeClassName": class, "containers": containers}))
    };
    let stage = Stage::begin(Fake::default(), of_class("known"));
    stage.until(is_running).await;
    assert!(stage.runtime.state().calls.contains(&"RunPodSandbox crun".to_owned()));
    stage.worker.abort();

    let mut stage = Stage::begin(Fake::default(), of_class("gone"));
    let told = loop {
        let record = stage.events.recv().await.expect("the worker lives");
        if record.reason == "FailedCreatePodSandBox" {
            break record.message;
        }
    };
    let expected =
        "Failed to create pod sandbox: failed to get runtime handler: runtimeclass.node.k8s.io \"gone\" not found";
    assert_eq!(told, expected);
    assert!(stage.runtime.state().sandboxes.is_empty());
    stage.worker.abort();
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_comes_back() {
    let mut stage = Stage::begin(Fake::default(), one());
    stage.until(is_running).await;
    stage.runtime.exit("a", 1);
    stage.tell.send(Message::Look).await.expect("the worker lives");
    stage
        .until(|status| is_running(status) && status["containerStatuses"][0]["restartCount"] == 1)
        .await;
    stage.runtime.exit("a", 1);
    stage.tell.send(Message::Look).await.expect("the worker lives");
    stage.until(waits_for("CrashLoopBackOff")).await;
    stage
        .until(|status| is_running(status) && status["containerStatuses"][0]["restartCount"] == 2)
        .await;
    let reasons = stage.reasons();
    assert_eq!(reasons.iter().filter(|reason| **reason == "Started").count(), 3);
    assert_eq!(reasons.iter().filter(|reason| **reason == "BackOff").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_fails_is_shown_and_tried_again() {
    let runtime = Fake::default();
    runtime.state().failures.insert("PullImage", "no such tag".into());
    let mut stage = Stage::begin(runtime, one());
    stage.until(waits_for("ErrImagePull")).await;
    stage.until(waits_for("ImagePullBackOff")).await;
    stage.runtime.state().failures.clear();
    stage.until(is_running).await;
    let reasons = stage.reasons();
    assert!(
        reasons.contains(&"Failed") && reasons.contains(&"Pulled"),
        "{reasons:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_can_be_deleted_while_it_pulls() {
    let runtime = Fake::default();
    runtime.state().pulls_wait = true;
    let mut stage = Stage::begin(runtime, one());
    stage.until(waits_for("ContainerCreating")).await;
    stage.delete(30).await;
    let mut deleted = stage.api.deleted.subscribe();
    deleted
        .wait_for(|deleted| *deleted)
        .await
        .expect("the pod goes though its pull goes on");
    stage.runtime.may_pull.notify_one();
    assert!(stage.worker.await.is_ok());
    assert!(stage.runtime.state().containers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_away_is_waited_for() {
    let runtime = Fake::default();
    runtime
        .state()
        .failures
        .insert("ListPodSandbox", "nobody listens".into());
    let stage = Stage::begin(runtime, one());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(stage.runtime.state().calls.is_empty(), "nothing is done in the dark");
    stage.runtime.state().failures.clear();
    stage.until(is_running).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_kubelet_touches_nothing_that_runs() {
    let stage = Stage::begin(Fake::default(), one());
    stage.until(is_running).await;
    stage.worker.abort();
    let runtime = stage.runtime.clone();
    let calls = runtime.state().calls.len();
    let again = Stage::begin(runtime, one());
    again.until(is_running).await;
    assert_eq!(
        again.runtime.state().calls.len(),
        calls,
        "{:?}",
        again.runtime.state().calls
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_api_has_forgotten_is_ended() {
    let stage = Stage::begin(Fake::default(), one());
    stage.until(is_running).await;
    stage.tell.send(Message::Removed).await.expect("the worker lives");
    assert!(stage.worker.await.is_ok());
    assert!(stage.runtime.state().sandboxes.is_empty());
    assert!(!*stage.api.deleted.borrow(), "there is nothing to delete");
}
