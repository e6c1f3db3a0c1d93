//! Requests for certificates at work: each is read when it has changed or is due, and one request runs at a time for each.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc;

use crate::certificates::{Authority, Verdict, decide, failed, signed};
use crate::effects;

/// The kind that is tended here.
pub(super) const KIND: &str = "CertificateSigningRequest";

const REQUESTS_MAX: usize = 4;
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// The wall clock is looked at this often at least.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// How a look at a request ended: when to look again, if it is still there; or why it failed.
struct Looked {
    name: String,
    result: Result<Option<Timestamp>, Failure>,
}

/// Why a request is as it was.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Request(#[from] kube::Error),
    #[error(transparent)]
    Sign(#[from] crate::certificates::SignError),
}

pub(super) struct Signer {
    client: Client,
    authority: Option<Arc<Authority>>,
    outcomes: mpsc::UnboundedSender<Looked>,
    looked: mpsc::UnboundedReceiver<Looked>,
    touched: BTreeSet<String>,
    under_way: HashSet<String>,
    due: BTreeMap<String, Instant>,
    failures: BTreeMap<String, u32>,
}

impl Signer {
    pub(super) fn new(client: Client, authority: Option<Authority>) -> Self {
        let (outcomes, looked) = mpsc::unbounded_channel();
        Self {
            client,
            authority: authority.map(Arc::new),
            outcomes,
            looked,
            touched: BTreeSet::new(),
            under_way: HashSet::new(),
            due: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// A request has appeared or changed.
    pub(super) fn touched(&mut self, name: Option<String>) {
        self.touched.extend(name);
        self.work();
    }

    /// Waits for what comes next, and goes on with it.
    pub(super) async fn next(&mut self) {
        let due = self.due.values().min().copied();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            Some(looked) = self.looked.recv() => self.done(looked),
            () = timer => {
                let now = Instant::now();
                let late = self.due.iter().filter(|(_, at)| **at <= now);
                self.touched.extend(late.map(|(name, _)| name.clone()));
                self.due.retain(|_, at| *at > now);
            }
        }
        self.work();
    }

    fn work(&mut self) {
        let free = REQUESTS_MAX.saturating_sub(self.under_way.len());
        let ready = self.touched.iter().filter(|name| !self.under_way.contains(*name));
        let ready: Vec<String> = ready.take(free).cloned().collect();
        for name in ready {
            self.touched.remove(&name);
            self.due.remove(&name);
            self.under_way.insert(name.clone());
            let (client, authority, outcomes) = (self.client.clone(), self.authority.clone(), self.outcomes.clone());
            tokio::spawn(async move {
                let result = look(&client, authority.as_deref(), &name).await;
                // The receiver lives as long as the program.
                let _ = outcomes.send(Looked { name, result });
            });
        }
    }

    fn done(&mut self, Looked { name, result }: Looked) {
        self.under_way.remove(&name);
        match result {
            Ok(again) => {
                self.failures.remove(&name);
                if let Some(at) = again {
                    let left = at.duration_since(Timestamp::now()).max(jiff::SignedDuration::ZERO);
                    // A moment later: a timer may be early by the wall clock.
                    let left = left.unsigned_abs().min(LOOK_AGAIN) + RETRY_MIN;
                    self.due.insert(name, Instant::now() + left);
                }
            }
            Err(error) => {
                let failures = self.failures.entry(name.clone()).or_insert(0);
                let delay = RETRY_MIN.saturating_mul(1 << (*failures).min(16)).min(RETRY_MAX);
                *failures += 1;
                tracing::warn!(name, %error, "the request for a certificate could not be tended; trying again");
                self.due.insert(name, Instant::now() + delay);
            }
        }
    }
}

/// Reads a request and does what is decided about it; gives when to look again, unless it is gone or its change will be seen.
async fn look(client: &Client, authority: Option<&Authority>, name: &str) -> Result<Option<Timestamp>, Failure> {
    let Some(request) = effects::signing_request(client, name).await? else {
        return Ok(None);
    };
    let now = Timestamp::now();
    match (
        decide(&request, authority.map(|authority| authority.longest), now),
        authority,
    ) {
        (Verdict::Keep(until), _) => return Ok(Some(until)),
        (Verdict::Delete, _) => effects::delete_signing_request(client, &request).await?,
        (Verdict::Sign(lifetime), Some(authority)) => {
            let certificate = authority.sign(&request, lifetime, rand::random(), now)?;
            effects::answer_signing_request(client, &signed(request, &certificate)).await?;
            tracing::info!(name, "signed");
        }
        (Verdict::Fail(why), _) => {
            effects::answer_signing_request(client, &failed(request, &why)).await?;
            tracing::info!(name, why, "not signed");
        }
        (Verdict::Sign(_), None) => unreachable!("without an authority nothing is to be signed"),
    }
    Ok(None)
}
