//! Garbage collection at work: which objects to look at, which requests are under way, which failed and when to try them again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::mpsc;

use crate::effects::{self, Outcome};
use crate::garbage::{Action, Graph, Object, Uid, decide};

/// How many requests run at once: a deletion of thousands doesn't take the API server away from others.
const REQUESTS_MAX: usize = 16;
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// How an action ended.
pub(super) struct Collected {
    /// What was looked at when it was decided on.
    because: Uid,
    object: Object,
    action: Action,
    result: Result<Outcome, kube::Error>,
}

pub(super) struct Collector {
    client: Client,
    outcomes: mpsc::UnboundedSender<Collected>,
    to_look_at: BTreeSet<Uid>,
    /// By object, not by what was looked at: one request at a time for each.
    under_way: HashSet<Uid>,
    /// In which state an object was when a request for it succeeded: until the watch shows its new one, there is nothing to do.
    settled: HashMap<Uid, String>,
    failures: HashMap<Uid, u32>,
    retries: BTreeSet<(Instant, Uid)>,
}

impl Collector {
    pub(super) fn new(client: Client, outcomes: mpsc::UnboundedSender<Collected>) -> Self {
        Self {
            client,
            outcomes,
            to_look_at: BTreeSet::new(),
            under_way: HashSet::new(),
            settled: HashMap::new(),
            failures: HashMap::new(),
            retries: BTreeSet::new(),
        }
    }

    /// These may have to be decided on anew.
    pub(super) fn look_at(&mut self, uids: impl IntoIterator<Item = Uid>) {
        self.to_look_at.extend(uids);
    }

    /// Decides on what is to be looked at, as far as requests are free.
    pub(super) fn work(&mut self, graph: &Graph) {
        while let Some((_, uid)) = self.retries.first().filter(|(at, _)| *at <= Instant::now()).cloned() {
            self.retries.pop_first();
            self.to_look_at.insert(uid);
        }
        while self.under_way.len() < REQUESTS_MAX {
            let Some(uid) = self.to_look_at.pop_first() else { break };
            if graph.get(&uid).is_none() {
                self.settled.remove(&uid);
                self.failures.remove(&uid);
            }
            for (object, action) in decide(graph, &uid) {
                if self.settled.get(&object.uid) == Some(&object.resource_version) {
                    continue;
                }
                if self.under_way.len() >= REQUESTS_MAX {
                    self.to_look_at.insert(uid);
                    return;
                }
                self.start(graph, uid.clone(), object, action);
            }
        }
    }

    fn start(&mut self, graph: &Graph, because: Uid, object: Object, action: Action) {
        if !self.under_way.insert(object.uid.clone()) {
            return;
        }
        let owner_kind = match &action {
            Action::Ask(owner) => {
                let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
                graph.kind(group, &owner.kind).cloned()
            }
            _ => None,
        };
        let (client, outcomes) = (self.client.clone(), self.outcomes.clone());
        tokio::spawn(async move {
            let result = effects::collect(&client, &object, &action, owner_kind.as_deref()).await;
            // The receiver lives as long as the program.
            let _ = outcomes.send(Collected {
                because,
                object,
                action,
                result,
            });
        });
    }

    /// Notes how a request ended.
    pub(super) fn done(&mut self, collected: Collected, graph: &mut Graph) {
        let Collected {
            because,
            object,
            action,
            result,
        } = collected;
        self.under_way.remove(&object.uid);
        match result {
            Ok(outcome) => {
                self.failures.remove(&because);
                match (outcome, &action) {
                    (Outcome::Answered(answer), Action::Ask(owner)) => {
                        graph.answered(Uid::from(owner.uid.as_str()), answer);
                        self.to_look_at.insert(object.uid);
                    }
                    (Outcome::Changed, _) => self.try_again(because),
                    _ => {
                        let (kind, name) = (&object.kind.kind, &object.name);
                        tracing::info!(kind, object.namespace, name, ?action, "collected");
                        self.settled.insert(object.uid, object.resource_version);
                        self.to_look_at.insert(because);
                    }
                }
            }
            Err(error) => {
                let (kind, name) = (&object.kind.kind, &object.name);
                tracing::warn!(kind, object.namespace, name, ?action, %error, "not collected; trying again");
                self.try_again(because);
            }
        }
    }

    fn try_again(&mut self, uid: Uid) {
        let failures = self.failures.entry(uid.clone()).or_insert(0);
        let delay = RETRY_MIN.saturating_mul(1 << (*failures).min(16)).min(RETRY_MAX);
        *failures += 1;
        self.retries.insert((Instant::now() + delay, uid));
    }

    /// Until something has to be tried again.
    pub(super) async fn due(&self) {
        match self.retries.first() {
            Some((at, _)) => tokio::time::sleep_until((*at).into()).await,
            None => future::pending().await,
        }
    }
}
