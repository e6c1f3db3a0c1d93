//! Namespaces at work: which are being deleted, how far each is, and one request at a time for each.

use std::collections::HashMap;
use std::future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::effects;
use crate::garbage::{Graph, Kind, Uid};
use crate::namespace::{Step, conditions, step};

const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How a request ended.
pub(super) struct Emptied {
    namespace: String,
    done: Done,
}

enum Done {
    /// Everything was told to go, but for these.
    Told(Vec<String>),
    /// The status was written, or not.
    Reported(Result<(), kube::Error>),
    /// There was nothing left, and it was let go.
    LetGo,
    /// There was something left after all.
    NotEmpty,
    Failed(kube::Error),
}

/// A namespace on its way out.
struct Going {
    uid: Uid,
    /// Everything in it has been told to go at least once.
    told: bool,
    let_go: bool,
    failures: Vec<String>,
    reported: Vec<Value>,
    under_way: bool,
    /// Something in it has changed since it was looked at.
    touched: bool,
    attempts: u32,
    not_before: Option<Instant>,
}

pub(super) struct Emptier {
    client: Client,
    outcomes: mpsc::UnboundedSender<Emptied>,
    going: HashMap<String, Going>,
    touched: Vec<String>,
}

impl Emptier {
    pub(super) fn new(client: Client, outcomes: mpsc::UnboundedSender<Emptied>) -> Self {
        Self {
            client,
            outcomes,
            going: HashMap::new(),
            touched: Vec::new(),
        }
    }

    /// The namespace, or something in it, has changed.
    pub(super) fn touched(&mut self, namespace: String) {
        match self.going.get_mut(&namespace) {
            Some(going) => going.touched = true,
            None => self.touched.push(namespace),
        }
    }

    /// Does the next thing for every namespace that is being deleted.
    pub(super) fn work(&mut self, graph: &Graph) {
        for name in std::mem::take(&mut self.touched) {
            if let Some(uid) = deleted(graph, &name) {
                self.going.entry(name).or_insert_with(|| Going::new(uid));
            }
        }
        self.going
            .retain(|name, going| !going.touched || deleted(graph, name).as_ref() == Some(&going.uid));
        let now = Instant::now();
        for (name, going) in &mut self.going {
            let is_due = going.not_before.is_some_and(|at| at <= now);
            if going.under_way || going.let_go || !(going.touched || is_due) {
                continue;
            }
            going.touched = false;
            going.not_before = going.not_before.filter(|_| !is_due);
            if let Some(request) = going.next(graph, name) {
                going.under_way = true;
                let (client, outcomes, namespace) = (self.client.clone(), self.outcomes.clone(), name.clone());
                tokio::spawn(async move {
                    let done = request.perform(&client, &namespace).await;
                    // The receiver lives as long as the program.
                    let _ = outcomes.send(Emptied { namespace, done });
                });
            }
        }
    }

    /// Notes how a request ended.
    pub(super) fn done(&mut self, Emptied { namespace, done }: Emptied) {
        let Some(going) = self.going.get_mut(&namespace) else {
            return;
        };
        going.under_way = false;
        match done {
            Done::Told(failures) => {
                if !failures.is_empty() {
                    tracing::warn!(
                        namespace,
                        ?failures,
                        "not everything in the namespace can be deleted; trying again"
                    );
                }
                going.told = true;
                going.failures = failures;
                going.retry();
            }
            Done::Reported(Ok(())) => going.touched = true,
            Done::LetGo => {
                tracing::info!(namespace, "empty: let go");
                going.let_go = true;
            }
            Done::NotEmpty => {
                going.told = false;
                going.retry();
            }
            Done::Reported(Err(error)) | Done::Failed(error) => {
                tracing::warn!(namespace, %error, "the namespace can't be emptied; trying again");
                going.reported.clear();
                going.retry();
            }
        }
    }

    /// Until a namespace has to be looked at though nothing has changed.
    pub(super) async fn due(&self) {
        let waiting = self.going.values().filter(|going| !going.under_way && !going.let_go);
        match waiting.filter_map(|going| going.not_before).min() {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => future::pending().await,
        }
    }
}

/// The uid of a namespace that is being deleted.
fn deleted(graph: &Graph, name: &str) -> Option<Uid> {
    let kind = graph.kind("", "Namespace")?;
    graph
        .named(kind, name)
        .filter(|object| object.is_deleting)
        .map(|object| object.uid.clone())
}

impl Going {
    fn new(uid: Uid) -> Self {
        Self {
            uid,
            told: false,
            let_go: false,
            failures: Vec::new(),
            reported: Vec::new(),
            under_way: false,
            touched: true,
            attempts: 0,
            not_before: None,
        }
    }

    fn retry(&mut self) {
        let delay = RETRY_MIN.saturating_mul(1 << self.attempts.min(16)).min(RETRY_MAX);
        self.attempts += 1;
        self.not_before = Some(Instant::now() + delay);
    }

    /// The next request, if one is due.
    fn next(&mut self, graph: &Graph, name: &str) -> Option<Request> {
        let namespaced = |kind: &&Arc<Kind>| kind.namespaced;
        let all: Vec<Arc<Kind>> = graph.kinds().filter(namespaced).cloned().collect();
        if !self.told {
            return Some(Request::Empty(all));
        }
        match step(graph, name) {
            Step::Finalize => Some(Request::Finalize(all)),
            // What was told to go a moment ago is seen to do so soon: only what stays is told again.
            Step::Empty => self.not_before.is_none().then_some(Request::Empty(all)),
            Step::Wait => {
                let now = conditions(graph, name, &self.failures);
                let news = now.iter().filter(|condition| !self.reported.contains(condition));
                let changed: Vec<Value> = news.cloned().collect();
                self.reported = now;
                (!changed.is_empty()).then_some(Request::Report(changed))
            }
        }
    }
}

/// What the API server is asked for.
enum Request {
    Empty(Vec<Arc<Kind>>),
    Report(Vec<Value>),
    Finalize(Vec<Arc<Kind>>),
}

impl Request {
    async fn perform(self, client: &Client, namespace: &str) -> Done {
        match self {
            Self::Empty(kinds) => Done::Told(effects::empty(client, &kinds, namespace).await),
            Self::Report(changed) => Done::Reported(effects::report(client, namespace, changed).await),
            Self::Finalize(kinds) => match effects::is_empty(client, &kinds, namespace).await {
                Ok(false) => Done::NotEmpty,
                Ok(true) => match effects::finalize(client, namespace).await {
                    Ok(()) => Done::LetGo,
                    Err(error) => Done::Failed(error),
                },
                Err(error) => Done::Failed(error),
            },
        }
    }
}
