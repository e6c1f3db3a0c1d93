//! Which pods are this node's: watches them at the API server and keeps one worker for each.
//!
//! A pod is its uid here: one of the same name that was made anew is another pod with another worker. What the runtime holds
//! of this node's that the API server doesn't know gets a worker too, which ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1 as core;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::context::Context;
use crate::cri::events::Look;
use crate::cri::labels;
use crate::pod::Pod;
use crate::pod::worker::{Message, Worker};

/// The pods as the API server has them, for the server's requests.
pub(crate) type Known = BTreeMap<String, core::Pod>;

/// All workers.
pub(crate) struct Pods {
    context: Arc<Context>,
    workers: BTreeMap<String, mpsc::Sender<Message>>,
    running: JoinSet<String>,
    known: watch::Sender<Arc<Known>>,
    /// What a new listing has brought so far.
    listing: Option<BTreeSet<String>>,
    /// The first listing is complete: what isn't in it doesn't exist.
    is_listed: bool,
}

impl Pods {
    pub(crate) fn new(context: Arc<Context>) -> (Self, watch::Receiver<Arc<Known>>) {
        let (known, receiver) = watch::channel(Arc::default());
        let pods = Self {
            context,
            workers: BTreeMap::new(),
            running: JoinSet::new(),
            known,
            listing: None,
            is_listed: false,
        };
        (pods, receiver)
    }

    /// Runs until the process ends.
    pub(crate) async fn run(mut self, client: Client, mut looks: mpsc::Receiver<Look>) {
        let api: Api<core::Pod> = Api::all(client);
        let config = watcher::Config::default().fields(&format!("spec.nodeName={}", self.context.node.name));
        let mut events = watcher(api, config).default_backoff().boxed();
        loop {
            tokio::select! {
                Some(event) = events.next() => match event {
                    Ok(event) => self.event(event).await,
                    Err(error) => warn!(%error, "the node's pods can't be watched; trying again"),
                },
                Some(look) = looks.recv() => self.look(look).await,
                Some(ended) = self.running.join_next() => self.ended(ended),
                else => return,
            }
        }
    }

    async fn event(&mut self, event: Event<core::Pod>) {
        match event {
            Event::Init => self.listing = Some(BTreeSet::new()),
            Event::InitApply(pod) | Event::Apply(pod) => self.apply(pod).await,
            Event::Delete(pod) => self.remove(&pod.metadata.uid.unwrap_or_default()).await,
            Event::InitDone => {
                let listed = self.listing.take().unwrap_or_default();
                let gone: Vec<String> = self
                    .known
                    .borrow()
                    .keys()
                    .filter(|uid| !listed.contains(*uid))
                    .cloned()
                    .collect();
                for uid in gone {
                    self.remove(&uid).await;
                }
                self.is_listed = true;
                self.end_orphans().await;
            }
        }
    }

    async fn apply(&mut self, api: core::Pod) {
        let Some(pod) = Pod::from_api(api.clone()) else { return };
        let uid = pod.uid.clone();
        if let Some(listing) = &mut self.listing {
            listing.insert(uid.clone());
        }
        let is_new = !self.known.borrow().contains_key(&uid);
        self.known
            .send_modify(|known| drop(Arc::make_mut(known).insert(uid.clone(), api)));
        match self.workers.get(&uid) {
            // A worker that has ended has ended the pod; the API server keeps it for someone's finalizer.
            Some(worker) => drop(worker.send(Message::Changed(Box::new(pod))).await),
            None if is_new => self.start(pod, false),
            None => {}
        }
    }

    async fn remove(&mut self, uid: &str) {
        self.known.send_modify(|known| drop(Arc::make_mut(known).remove(uid)));
        if let Some(worker) = self.workers.get(uid) {
            drop(worker.send(Message::Removed).await);
        }
    }

    fn start(&mut self, pod: Pod, removed: bool) {
        debug!(
            pod = pod.name,
            namespace = pod.namespace,
            uid = pod.uid,
            removed,
            "worker begins"
        );
        let uid = pod.uid.clone();
        let (worker, sender) = Worker::new(Arc::clone(&self.context), pod, removed);
        self.workers.insert(uid, sender);
        self.running.spawn(worker.run());
    }

    async fn look(&mut self, look: Look) {
        match look {
            Look::Pod(uid) => {
                if let Some(worker) = self.workers.get(&uid) {
                    drop(worker.send(Message::Look).await);
                }
            }
            Look::All => {
                for worker in self.workers.values() {
                    drop(worker.send(Message::Look).await);
                }
                self.end_orphans().await;
            }
        }
    }

    fn ended(&mut self, ended: Result<String, tokio::task::JoinError>) {
        match ended {
            Ok(uid) => drop(self.workers.remove(&uid)),
            Err(error) => {
                // Its pod is taken up again by a new worker.
                warn!(%error, "a pod's worker broke off");
                self.workers.retain(|_, sender| !sender.is_closed());
                let lost: Vec<_> = self
                    .known
                    .borrow()
                    .iter()
                    .filter(|(uid, _)| !self.workers.contains_key(*uid))
                    .map(|(_, pod)| pod.clone())
                    .collect();
                for pod in lost.into_iter().filter_map(Pod::from_api) {
                    self.start(pod, false);
                }
            }
        }
    }

    /// Ends what this node's kubelet once made and nobody wants any more. Sandboxes without our node's label are not ours.
    async fn end_orphans(&mut self) {
        if !self.is_listed {
            return;
        }
        let own = vec![(labels::NODE.to_owned(), self.context.node.name.clone())];
        let sandboxes = match self.context.runtime.list_pod_sandboxes(own).await {
            Ok(sandboxes) => sandboxes,
            Err(error) => return warn!(%error, "the runtime's sandboxes can't be listed"),
        };
        for sandbox in sandboxes {
            let metadata = sandbox.metadata.unwrap_or_default();
            let is_known = self.workers.contains_key(&metadata.uid) || self.known.borrow().contains_key(&metadata.uid);
            if is_known || metadata.uid.is_empty() {
                continue;
            }
            warn!(
                pod = metadata.name,
                namespace = metadata.namespace,
                uid = metadata.uid,
                "ending a pod that the API server doesn't know"
            );
            let pod = core::Pod {
                metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                    name: Some(metadata.name),
                    namespace: Some(metadata.namespace),
                    uid: Some(metadata.uid),
                    ..Default::default()
                },
                spec: Some(core::PodSpec::default()),
                status: None,
            };
            if let Some(pod) = Pod::from_api(pod) {
                self.start(pod, true);
            }
        }
    }
}
