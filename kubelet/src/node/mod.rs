//! The Node object: what this machine has, how it is, and a lease that says that we are alive.
//!
//! ```text
//!   facts (/proc, uname, CRI Version) --+
//!   pressure (memory, disk, pids) ------+--> status (pure) --register/patch--> API
//!   CRI Status -------------------------+
//!   lease: renewed every 10 s on the monotonic clock
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{info, warn};

use crate::cri::Runtime;
use crate::recorder::{Recorder, Severity};

pub(crate) mod facts;
pub(crate) mod lease;
pub(crate) mod pressure;
pub(crate) mod register;
pub(crate) mod status;

/// How often the lease is renewed and the conditions are looked at.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A status that hasn't changed is written this often all the same.
const REPORT: Duration = Duration::from_secs(300);
/// Between attempts to register at an API server that is away.
const RETRY: Duration = Duration::from_millis(250);

/// What the node is registered with.
pub(crate) struct Node {
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) recorder: Recorder,
    pub(crate) facts: facts::Facts,
}

impl Node {
    /// Registers, and then keeps the Node and its Lease current until the process ends.
    pub(crate) async fn run(self) {
        let mut status = self.status().await;
        let mut is_warned = false;
        while let Err(error) = register::register(&self.client, &self.facts, &status).await {
            if !is_warned {
                warn!(%error, node = self.facts.name, "the node can't be registered; trying again");
                is_warned = true;
            }
            tokio::time::sleep(RETRY).await;
            status = self.status().await;
        }
        info!(node = self.facts.name, "registered");
        self.recorder.node(
            &self.facts.name,
            Severity::Normal,
            "Starting",
            "Starting kubelet.".into(),
        );
        let mut written_at = Instant::now();
        let mut written = status;
        let mut lease = lease::Lease::new(self.client.clone(), &self.facts.name);
        let mut beat = interval_at(Instant::now(), HEARTBEAT);
        // After a sleep of the machine one beat is enough.
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deleted = register::deleted(&self.client, &self.facts.name);
        loop {
            tokio::select! {
                _ = beat.tick() => lease.renew().await,
                // Someone deleted the node; it comes back as long as we live.
                Some(()) = deleted.next() => match register::register(&self.client, &self.facts, &written).await {
                    Ok(()) => info!(node = self.facts.name, "registered again after it was deleted"),
                    Err(error) => warn!(%error, node = self.facts.name, "the node can't be registered again"),
                },
            }
            let mut status = self.status().await;
            status::keep_transitions(&mut status, &written);
            let is_same = status::is_same(&status, &written);
            if is_same && written_at.elapsed() < REPORT {
                continue;
            }
            match register::write(&self.client, &self.facts.name, &status).await {
                Ok(()) => {
                    self.tell_changes(&written, &status);
                    (written, written_at) = (status, Instant::now());
                }
                Err(error) => warn!(%error, node = self.facts.name, "the node's status can't be written"),
            }
        }
    }

    async fn status(&self) -> k8s_openapi::api::core::v1::NodeStatus {
        let runtime = self.runtime.status().await;
        let pressure = pressure::measure(&self.facts.root);
        status::status(&self.facts, &runtime, &pressure, jiff::Timestamp::now())
    }

    fn tell_changes(
        &self,
        before: &k8s_openapi::api::core::v1::NodeStatus,
        now: &k8s_openapi::api::core::v1::NodeStatus,
    ) {
        for (kind, holds) in status::changes(before, now) {
            let reason = match (kind.as_str(), holds) {
                ("Ready", true) => "NodeReady",
                ("Ready", false) => "NodeNotReady",
                ("MemoryPressure", true) => "NodeHasInsufficientMemory",
                ("MemoryPressure", false) => "NodeHasSufficientMemory",
                ("DiskPressure", true) => "NodeHasDiskPressure",
                ("DiskPressure", false) => "NodeHasNoDiskPressure",
                ("PIDPressure", true) => "NodeHasInsufficientPID",
                ("PIDPressure", false) => "NodeHasSufficientPID",
                _ => continue,
            };
            let message = format!("Node {} status is now: {reason}", self.facts.name);
            self.recorder.node(&self.facts.name, Severity::Normal, reason, message);
        }
    }
}
