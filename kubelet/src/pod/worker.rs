//! One pod's task: waits for something to happen, looks, decides, has it done, and reports.
//!
//! It owns everything that is remembered of the pod. Actions run in tasks of their own, so that a pull of minutes or a grace
//! period never keeps it from seeing that the pod was deleted meanwhile. It wakes for messages and for the one time that the
//! plan names; it never polls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, debug, info_span};

use super::action::{Action, Key};
use super::decide::{self, Plan};
use super::memory::Memory;
use super::observed::Observed;
use super::perform::{Done, Failed, Job, is_urgent, perform};
use super::status::{self, Now};
use super::writer::{Target, Writer};
use super::{Pod, backoff};
use crate::context::Context;
use crate::cri::client::TRACEPARENT;
use crate::cri::observe::observe;
use crate::probes::{Prober, Verdict};
use crate::recorder::Severity;
use crate::spec::references;
use crate::words;

mod probing;
#[cfg(test)]
mod tests;

/// Messages that may wait for a worker; more makes their senders wait.
const INBOX: usize = 64;
/// Between attempts to look at a pod whose runtime is away.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What can happen to a pod.
#[derive(Debug)]
pub(crate) enum Message {
    /// The API server has this now.
    Changed(Box<Pod>),
    /// The API server doesn't have it any more.
    Removed,
    /// The runtime has something new.
    Look,
    /// An object that a volume shows has changed.
    VolumesChanged,
    /// A pull has come so far.
    Progress { container: String, words: String },
    /// A probe has changed its mind.
    Probed { container_id: String, verdict: Verdict },
    /// An action has ended.
    Done(Key, Result<Done, Failed>),
}

/// A pod's task.
pub(crate) struct Worker {
    context: Arc<Context>,
    pod: Pod,
    memory: Memory,
    observed: Observed,
    inbox: Receiver<Message>,
    own: Sender<Message>,
    writer: Writer,
    written: Option<PodStatus>,
    probers: BTreeMap<String, Prober>,
    actions: JoinSet<()>,
    /// Watches of what the volumes show; they end with it.
    _refresh: JoinSet<()>,
}

impl Worker {
    /// A worker for this pod, and where its messages go. `removed`: the API server doesn't have it.
    pub(crate) fn new(context: Arc<Context>, pod: Pod, removed: bool) -> (Self, Sender<Message>) {
        let (own, inbox) = mpsc::channel(INBOX);
        let target = Target {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
        };
        let references = references::of_volumes(&pod);
        let refresh = match &context.watches {
            Some(watches) if !references.is_empty() => {
                watches.follow(&pod.namespace, &references, &own, || Message::VolumesChanged)
            }
            _ => JoinSet::new(),
        };
        let start_time = pod
            .status
            .start_time
            .as_ref()
            .map_or_else(Timestamp::now, |time| time.0);
        let memory = Memory {
            removed,
            start_time: Timestamp::from_second(start_time.as_second()).ok(),
            deadline_at: deadline(&pod, start_time),
            ..Default::default()
        };
        let worker = Self {
            writer: Writer::spawn(Arc::clone(&context.pods), target),
            context,
            pod,
            memory,
            observed: Observed::default(),
            inbox,
            own: own.clone(),
            written: None,
            probers: BTreeMap::new(),
            actions: JoinSet::new(),
            _refresh: refresh,
        };
        (worker, own)
    }

    /// Lives as long as there is anything of the pod, here or at the API server. Gives its uid.
    pub(crate) async fn run(mut self) -> String {
        let uid = self.pod.uid.clone();
        let span = info_span!("pod", name = self.pod.name, namespace = self.pod.namespace, uid);
        let parent = self.pod.annotation(minik_api::trace::ANNOTATION).map(str::to_owned);
        TRACEPARENT
            .scope(parent, async move { self.live().await })
            .instrument(span)
            .await;
        uid
    }

    async fn live(&mut self) {
        let mut has_seen = self.look().await;
        loop {
            let wake_at = match has_seen {
                true => self.step().wake_at,
                // Without a look nothing may be decided: an empty picture isn't an empty runtime.
                false => Some(Instant::now() + LOOK_AGAIN),
            };
            if has_seen && self.memory.finished && self.observed.is_empty() && self.memory.under_way.is_empty() {
                return;
            }
            let mut must_look = !has_seen;
            tokio::select! {
                message = self.inbox.recv() => must_look |= message.is_some_and(|message| self.take(message)),
                () = until(wake_at) => {}
            }
            while let Ok(message) = self.inbox.try_recv() {
                must_look |= self.take(message);
            }
            while self.actions.try_join_next().is_some() {}
            if must_look {
                has_seen = self.look().await;
            }
        }
    }

    /// Takes a message in; true if the runtime has to be looked at.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Changed(pod) => self.change(*pod),
            Message::Removed => self.memory.removed = true,
            Message::Look => return true,
            Message::VolumesChanged => self.memory.volumes_ready = false,
            Message::Progress { container, words } => drop(self.memory.progress.insert(container, words)),
            Message::Probed { container_id, verdict } => self.probed(&container_id, verdict),
            Message::Done(key, result) => return self.done(key, result),
        }
        false
    }

    /// Our own last status is newer than the one that the API server's event brings; the conditions of others are theirs.
    fn change(&mut self, mut pod: Pod) {
        if let Some(mut own) = self.written.clone() {
            let foreign = status::foreign_conditions(&pod.status);
            status::replace_foreign_conditions(&mut own, foreign);
            pod.status = own;
        }
        let shows_metadata = pod
            .spec
            .volumes
            .iter()
            .flatten()
            .any(|volume| volume.downward_api.is_some() || volume.projected.is_some());
        if shows_metadata
            && (pod.metadata.labels != self.pod.metadata.labels
                || pod.metadata.annotations != self.pod.metadata.annotations)
        {
            self.memory.volumes_ready = false;
        }
        self.pod = pod;
    }

    fn probed(&mut self, container_id: &str, verdict: Verdict) {
        let run = self.observed.container(container_id);
        let Some(container) = run.and_then(|run| self.pod.container(&run.name)) else {
            // It has gone while its probe was under way.
            return;
        };
        let before = self.memory.probed(container, container_id);
        let probed = self.memory.probes.entry(container_id.to_owned()).or_insert(before);
        match verdict {
            Verdict::Started => {
                probed.started = true;
                probed.ready |= container.readiness_probe.is_none();
            }
            Verdict::Ready(ready) => probed.ready = ready,
            // It stays as ready as it was until it is ended: so does Kubernetes.
            Verdict::Unhealthy(unhealthy) => probed.unhealthy = Some(unhealthy),
        }
    }

    /// Notes how an action ended; true if it has changed something in the runtime.
    fn done(&mut self, key: Key, result: Result<Done, Failed>) -> bool {
        self.memory.under_way.remove(&key);
        if let Key::Image(container) = &key {
            self.memory.progress.remove(container);
        }
        match result {
            Ok(done) => {
                self.memory.succeeded(&key, Instant::now());
                match (done, &key) {
                    (Done::Volumes, _) => self.memory.volumes_ready = true,
                    (Done::Image(reference), Key::Image(container)) => {
                        self.memory.images.insert(container.clone(), reference);
                        return false;
                    }
                    // The next start asks for the image again: its policy may be Always.
                    (Done::Started, Key::Start(container)) => drop(self.memory.images.remove(container)),
                    (Done::Finished, _) => self.memory.finished = true,
                    _ => {}
                }
            }
            Err(failed) => {
                debug!(
                    ?key,
                    reason = failed.reason,
                    message = failed.message,
                    "an action failed"
                );
                self.memory.failed(key, failed.reason, failed.message, Instant::now());
            }
        }
        true
    }

    /// Brings what is known of the runtime up to date; false if it couldn't be asked.
    async fn look(&mut self) -> bool {
        match observe(&*self.context.runtime, &self.context.node.name, &self.pod.uid).await {
            Ok(observed) => {
                self.observed = observed;
                self.remember_ends();
                self.keep_probing();
                true
            }
            Err(error) => {
                // Whoever follows its events has warned already, once and not for each pod.
                debug!(%error, call = error.call, "the runtime can't be asked about the pod");
                false
            }
        }
    }

    /// When each run ended, and its last words; forgets those that are gone.
    fn remember_ends(&mut self) {
        let (now, wall) = (Instant::now(), Timestamp::now());
        for run in &self.observed.containers {
            let Some(finished) = run
                .finished_at_nanos()
                .filter(|_| !self.memory.ended_at.contains_key(&run.id))
            else {
                continue;
            };
            let ago = u64::try_from(wall.as_nanosecond() - i128::from(finished)).unwrap_or(0);
            let ago = Duration::from_nanos(ago).min(backoff::restart(run).delay);
            self.memory.note_end(&run.id, ago, now);
            let words = words::last(&self.pod, run, &self.context.node);
            self.memory.last_words.insert(run.id.clone(), words);
        }
        let observed = &self.observed;
        self.memory.ended_at.retain(|id, _| observed.container(id).is_some());
        self.memory.last_words.retain(|id, _| observed.container(id).is_some());
    }

    fn pod_ips(&self) -> Vec<String> {
        match self.pod.is_host_network() {
            true => self.context.node.ips.clone(),
            false => self
                .observed
                .sandbox()
                .map(|sandbox| sandbox.ips.clone())
                .unwrap_or_default(),
        }
    }

    /// Decides, has it done, and reports.
    fn step(&mut self) -> Plan {
        let now = Now {
            instant: Instant::now(),
            wall: Timestamp::now(),
        };
        if self.pod.is_deleted() || self.memory.removed {
            self.probers.clear();
        }
        let plan = decide::decide(&self.pod, &self.observed, &self.memory, now.instant);
        let status = status::status(&self.pod, &self.observed, &self.memory, &self.context.host, now);
        for action in &plan.actions {
            debug!(?action, "begins");
            self.memory.under_way.insert(action.key());
            self.begin(action.clone(), &status);
        }
        if !self.memory.removed
            && !self.memory.finished
            && !plan.actions.contains(&Action::Finish)
            && !self.is_finishing()
        {
            self.report(status);
        }
        plan
    }

    fn is_finishing(&self) -> bool {
        self.memory.is_under_way(&Key::Finish)
    }

    fn report(&mut self, status: PodStatus) {
        if self.written.as_ref() == Some(&status) {
            return;
        }
        for (container, message) in status::new_back_offs(&self.pod, self.written.as_ref(), &status) {
            let recorder = &self.context.recorder;
            recorder.pod(&self.pod, Some(&container), Severity::Warning, "BackOff", message);
        }
        let urgent = is_urgent(self.written.as_ref(), &status);
        self.pod.status = status.clone();
        self.written = Some(status.clone());
        self.writer.write(status, urgent);
    }

    fn begin(&mut self, action: Action, status: &PodStatus) {
        let image_ref = match &action {
            Action::StartContainer { container, .. } => self.memory.images.get(container).cloned(),
            _ => None,
        };
        let finish = (action == Action::Finish && !self.memory.removed).then(|| self.writer.finish(status.clone()));
        let attempt = match &action {
            Action::RunSandbox { attempt } => *attempt,
            _ => self.observed.sandboxes.first().map_or(0, |sandbox| sandbox.attempt),
        };
        let job = Job {
            pod: self.pod.clone(),
            sandbox_attempt: attempt,
            pod_ips: self.pod_ips(),
            image_ref: image_ref.unwrap_or_default(),
            finish,
            tell: self.own.clone(),
        };
        let (context, own, key) = (Arc::clone(&self.context), self.own.clone(), action.key());
        let parent = TRACEPARENT.try_with(Clone::clone).ok().flatten();
        let work = async move {
            let result = perform(&context, job, action).await;
            // The worker outlives its actions, but for the end of the process.
            let _ = own.send(Message::Done(key, result)).await;
        };
        self.actions.spawn(TRACEPARENT.scope(parent, work).in_current_span());
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// When `activeDeadlineSeconds` is over, on the monotonic clock.
fn deadline(pod: &Pod, start_time: Timestamp) -> Option<Instant> {
    let seconds = u64::try_from(pod.spec.active_deadline_seconds?).ok()?;
    let spent = u64::try_from(Timestamp::now().as_second() - start_time.as_second()).unwrap_or(0);
    Some(Instant::now() + Duration::from_secs(seconds.saturating_sub(spent)))
}
