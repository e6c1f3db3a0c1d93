//! What only this process knows about a pod: what is under way, what failed and when it may be tried again, what the probes
//! say. All of it can be lost: a new kubelet begins with an empty memory and comes to the same place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use tokio::time::Instant;

use super::action::Key;
use super::backoff;

/// What was done is not to be done again within this time.
const TOO_SOON: Duration = Duration::from_secs(1);

/// What a worker remembers of its pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Actions that have begun and not ended.
    pub(crate) under_way: BTreeSet<Key>,
    /// Actions that failed.
    pub(crate) failures: BTreeMap<Key, Failure>,
    /// When actions were done whose effect should last, for a little while.
    pub(crate) done_at: BTreeMap<Key, Instant>,
    /// Volumes are mounted.
    pub(crate) volumes_ready: bool,
    /// Images that are there for the next start: container name to what the runtime calls it.
    pub(crate) images: BTreeMap<String, String>,
    /// How far a pull is, in words, by container name.
    pub(crate) progress: BTreeMap<String, String>,
    /// What the probes say, by container id.
    pub(crate) probes: BTreeMap<String, Probed>,
    /// When containers ended on the monotonic clock, by container id.
    pub(crate) ended_at: BTreeMap<String, Instant>,
    /// What containers left in their termination logs, by container id.
    pub(crate) last_words: BTreeMap<String, String>,
    /// When this kubelet or an earlier one first saw the pod.
    pub(crate) start_time: Option<Timestamp>,
    /// When `activeDeadlineSeconds` is over.
    pub(crate) deadline_at: Option<Instant>,
    /// The API server doesn't have it any more.
    pub(crate) removed: bool,
    /// The last status is written and the API server told to forget the pod.
    pub(crate) finished: bool,
}

/// An action that failed, perhaps several times in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The reason that the container's or pod's status shows.
    pub(crate) reason: String,
    /// And the message.
    pub(crate) message: String,
    /// How many times in a row.
    pub(crate) count: u32,
    /// When it failed last.
    pub(crate) at: Instant,
    /// Not before this.
    pub(crate) retry_at: Instant,
}

/// What the probes of a running container have found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Probed {
    /// The startup probe has succeeded, or there is none.
    pub(crate) started: bool,
    /// The readiness probe says so, or there is none.
    pub(crate) ready: bool,
    /// Why the container has to be restarted, if it has to.
    pub(crate) unhealthy: Option<Unhealthy>,
}

/// A liveness or startup probe that failed as often as is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unhealthy {
    /// `liveness` or `startup`.
    pub(crate) probe: &'static str,
    /// The probe's own `terminationGracePeriodSeconds`.
    pub(crate) grace_seconds: Option<i64>,
}

impl Memory {
    /// Notes that an action failed; it is tried again after its back-off.
    pub(crate) fn failed(&mut self, key: Key, reason: &str, message: String, now: Instant) {
        let count = self
            .failures
            .get(&key)
            .map_or(0, |failure| failure.count)
            .saturating_add(1);
        let failure = Failure {
            reason: reason.to_owned(),
            message,
            count,
            at: now,
            retry_at: now + backoff::retry(&key, count),
        };
        self.failures.insert(key, failure);
    }

    /// What the probes say of a running container; before they say anything, what follows from there being none.
    pub(crate) fn probed(&self, container: &core::Container, id: &str) -> Probed {
        self.probes.get(id).cloned().unwrap_or_else(|| Probed {
            started: container.startup_probe.is_none(),
            ready: container.startup_probe.is_none() && container.readiness_probe.is_none(),
            unhealthy: None,
        })
    }

    /// Notes that an action succeeded. One that has to be done again at once had no effect, or not for long: that counts as a
    /// failure, so that a runtime that says yes and does nothing is asked again with a back-off and not in a tight loop.
    pub(crate) fn succeeded(&mut self, key: &Key, now: Instant) {
        self.done_at.retain(|_, at| now.duration_since(*at) < TOO_SOON);
        let must_last = !matches!(key, Key::Image(_) | Key::Start(_) | Key::Volumes | Key::Finish);
        if must_last && self.done_at.insert(key.clone(), now).is_some() {
            let message = "the container runtime said that it was done, but it wasn't so, or not for long".into();
            return self.failed(key.clone(), "NoEffect", message, now);
        }
        self.failures.remove(key);
    }

    /// Whether this is being done.
    pub(crate) fn is_under_way(&self, key: &Key) -> bool {
        self.under_way.contains(key)
    }

    /// Notes when a run ended. The runtime tells it by the wall clock, which may have been set since: it can have been no
    /// longer ago than the delay that it matters for, and not in the future.
    pub(crate) fn note_end(&mut self, id: &str, ago: Duration, now: Instant) {
        if !self.ended_at.contains_key(id) {
            self.ended_at.insert(id.to_owned(), now.checked_sub(ago).unwrap_or(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_effect_is_repeated_with_a_back_off() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let stop = Key::StopSandbox("s".into());
        memory.succeeded(&stop, now);
        assert!(memory.failures.is_empty());
        memory.succeeded(&stop, now + Duration::from_millis(2));
        let failure = &memory.failures[&stop];
        assert!(failure.retry_at > now + Duration::from_millis(100));
        memory.succeeded(&stop, now + Duration::from_secs(5));
        assert!(memory.failures.is_empty());
        // A container may be started again at once.
        let start = Key::Start("a".into());
        memory.succeeded(&start, now);
        memory.succeeded(&start, now);
        assert!(memory.failures.is_empty());
    }
}
