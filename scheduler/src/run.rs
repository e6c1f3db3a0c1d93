//! The shell: watches in, decisions, writes out. One task owns the snapshot and the queue.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::decide::{Decision, decide};
use crate::effects::Effects;
use crate::queue::Queue;
use crate::snapshot::{PodKey, Snapshot};
use crate::{Error, NAME};

/// How a binding ended.
struct Bound {
    pod: Arc<Pod>,
    result: Result<(), kube::Error>,
}

/// The state that the one task owns.
struct Scheduler {
    effects: Arc<Effects>,
    snapshot: Snapshot,
    queue: Queue,
    bound: mpsc::UnboundedSender<Bound>,
    /// Both watches have delivered their first full picture: before that, a node's room isn't known.
    pods_known: bool,
    nodes_known: bool,
    /// What is seen while a watch lists anew: the rest is gone when it has ended.
    relisted: Option<HashSet<PodKey>>,
    pods: HashSet<PodKey>,
    nodes: HashSet<String>,
    relisted_nodes: Option<HashSet<String>>,
}

/// Follows pods and nodes until SIGTERM or SIGINT.
pub(crate) async fn run(client: Client) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    let mut pods = pin!(watcher(Api::<Pod>::all(client.clone()), watcher::Config::default()).default_backoff());
    let mut nodes = pin!(watcher(Api::<Node>::all(client.clone()), watcher::Config::default()).default_backoff());
    let (bound, mut outcomes) = mpsc::unbounded_channel();
    let mut scheduler = Scheduler::new(Effects::new(client), bound);
    minik_api::notify::ready().map_err(Error::Notify)?;
    tracing::info!("scheduling");
    loop {
        let due = scheduler.schedule(Instant::now());
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(event) = nodes.next() => match event {
                Ok(event) => scheduler.node_event(event),
                Err(error) => tracing::warn!(%error, "the watch of nodes broke; trying again"),
            },
            Some(event) = pods.next() => match event {
                Ok(event) => scheduler.pod_event(event),
                Err(error) => tracing::warn!(%error, "the watch of pods broke; trying again"),
            },
            Some(outcome) = outcomes.recv() => scheduler.outcome(outcome, Instant::now()),
            () = timer => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("stopping");
    Ok(())
}

impl Scheduler {
    fn new(effects: Effects, bound: mpsc::UnboundedSender<Bound>) -> Self {
        Self {
            effects: Arc::new(effects),
            snapshot: Snapshot::default(),
            queue: Queue::default(),
            bound,
            pods_known: false,
            nodes_known: false,
            relisted: None,
            pods: HashSet::new(),
            nodes: HashSet::new(),
            relisted_nodes: None,
        }
    }

    /// Looks at every pod that is ready to be looked at; says when to come back.
    fn schedule(&mut self, now: Instant) -> Option<Instant> {
        let due = self.queue.tick(now);
        if !(self.pods_known && self.nodes_known) {
            return due;
        }
        while let Some(pod) = self.queue.pop() {
            match decide(&pod, &self.snapshot) {
                Decision::Bind(node) => self.bind(pod, node),
                Decision::Unschedulable(message) => {
                    tracing::info!(pod = pod.name_any(), message, "unschedulable");
                    self.queue.unschedulable(&PodKey::of(&pod));
                    let effects = Arc::clone(&self.effects);
                    tokio::spawn(async move { effects.say_unschedulable(&pod, &message).await });
                }
            }
        }
        due
    }

    /// Counts the pod on the node at once, so that the next decision knows, and writes the binding beside.
    fn bind(&mut self, pod: Arc<Pod>, node: String) {
        tracing::info!(pod = pod.name_any(), namespace = pod.namespace(), node, "binding");
        self.snapshot.place(&pod, &node);
        let (effects, bound) = (Arc::clone(&self.effects), self.bound.clone());
        tokio::spawn(async move {
            let result = effects.bind(&pod, &node).await;
            let ok = result.is_ok();
            // The receiver lives as long as the scheduler.
            let _ = bound.send(Bound {
                pod: Arc::clone(&pod),
                result,
            });
            if ok {
                effects.say_scheduled(&pod, &node).await;
            }
        });
    }

    fn outcome(&mut self, Bound { pod, result }: Bound, now: Instant) {
        let key = PodKey::of(&pod);
        let Err(error) = result else {
            self.queue.remove(&key);
            return;
        };
        self.snapshot.remove(&key);
        self.queue.wake();
        match error {
            // Gone, or bound by somebody else: the watch says which.
            kube::Error::Api(status) if matches!(status.code, 404 | 409) => {
                tracing::info!(pod = key.name, reason = status.message, "not bound");
                self.queue.failed(&key, now);
            }
            error => {
                tracing::warn!(pod = key.name, %error, "binding failed; trying again");
                self.queue.failed(&key, now);
            }
        }
    }

    fn pod_event(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.relisted = Some(HashSet::new()),
            watcher::Event::InitApply(pod) => {
                if let Some(relisted) = &mut self.relisted {
                    relisted.insert(PodKey::of(&pod));
                }
                self.pod_seen(pod);
            }
            watcher::Event::InitDone => {
                let seen = self.relisted.take().unwrap_or_default();
                let gone: Vec<PodKey> = self.pods.difference(&seen).cloned().collect();
                for key in gone {
                    self.pod_gone(&key);
                }
                self.pods_known = true;
            }
            watcher::Event::Apply(pod) => self.pod_seen(pod),
            watcher::Event::Delete(pod) => self.pod_gone(&PodKey::of(&pod)),
        }
    }

    fn pod_seen(&mut self, pod: Pod) {
        let key = PodKey::of(&pod);
        self.pods.insert(key.clone());
        match stage(&pod) {
            Stage::Ended => {
                self.queue.remove(&key);
                if self.snapshot.remove(&key) {
                    self.queue.wake();
                }
            }
            Stage::Placed(node) => {
                self.queue.remove(&key);
                self.snapshot.place(&pod, &node);
            }
            Stage::Waiting => self.queue.put(pod),
            Stage::Gated => {
                self.queue.remove(&key);
                let effects = Arc::clone(&self.effects);
                tokio::spawn(async move { effects.say_gated(&pod).await });
            }
            Stage::NotOurs => self.queue.remove(&key),
        }
    }

    fn pod_gone(&mut self, key: &PodKey) {
        self.pods.remove(key);
        self.queue.remove(key);
        if self.snapshot.remove(key) {
            self.queue.wake();
        }
        let (effects, key) = (Arc::clone(&self.effects), key.clone());
        tokio::spawn(async move { effects.forget(&key).await });
    }

    fn node_event(&mut self, event: watcher::Event<Node>) {
        match event {
            watcher::Event::Init => self.relisted_nodes = Some(HashSet::new()),
            watcher::Event::InitApply(node) => {
                if let Some(relisted) = &mut self.relisted_nodes {
                    relisted.insert(node.name_any());
                }
                self.node_seen(&node);
            }
            watcher::Event::InitDone => {
                let seen = self.relisted_nodes.take().unwrap_or_default();
                let gone: Vec<String> = self.nodes.difference(&seen).cloned().collect();
                for name in gone {
                    self.node_gone(&name);
                }
                self.nodes_known = true;
            }
            watcher::Event::Apply(node) => self.node_seen(&node),
            watcher::Event::Delete(node) => self.node_gone(&node.name_any()),
        }
    }

    fn node_seen(&mut self, node: &Node) {
        self.nodes.insert(node.name_any());
        if self.snapshot.node(node) {
            self.queue.wake();
        }
    }

    fn node_gone(&mut self, name: &str) {
        self.nodes.remove(name);
        self.snapshot.node_gone(name);
        self.queue.wake();
    }
}

/// Where a pod is, as far as scheduling goes.
enum Stage {
    /// It has ended: it takes nothing.
    Ended,
    /// It has a node.
    Placed(String),
    /// It wants a node from us.
    Waiting,
    /// It wants a node, but its gates are closed.
    Gated,
    /// It wants a node from another scheduler, or is going away without ever having had one.
    NotOurs,
}

fn stage(pod: &Pod) -> Stage {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return Stage::Ended;
    }
    let spec = pod.spec.as_ref();
    if let Some(node) = spec
        .and_then(|spec| spec.node_name.clone())
        .filter(|node| !node.is_empty())
    {
        return Stage::Placed(node);
    }
    let ours = spec.and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or(NAME) == NAME;
    if !ours || pod.metadata.deletion_timestamp.is_some() {
        return Stage::NotOurs;
    }
    if spec
        .and_then(|spec| spec.scheduling_gates.as_ref())
        .is_some_and(|gates| !gates.is_empty())
    {
        return Stage::Gated;
    }
    Stage::Waiting
}
