//! Events go by themselves, an hour after they were last written (kube-apiserver's `--event-ttl`).
//!
//! Upstream's store has leases for that. Here the times that an event carries say when it was written, so that nothing more
//! has to be stored and a restart changes nothing. One timer waits for the oldest; what is due soon after goes with it. The
//! deletions are those of anybody: who watches sees them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use serde_json::Value;

use super::delete::Preconditions;
use super::{DeleteOptions, Registry, Selection, Target, WriteOptions, resource};
use crate::storage::Stored;

/// The shortest and the longest wait for others to become due too.
const GROUP_MIN: SignedDuration = SignedDuration::from_secs(1);
const GROUP_MAX: SignedDuration = SignedDuration::from_secs(30);

fn kind() -> &'static Kind {
    kinds::of("", "v1", "Event").expect("events are in the table of kinds")
}

impl Registry {
    /// Deletes events when their time is over, until the store stops.
    pub(crate) async fn expire_events(self, ttl: SignedDuration) {
        let mut changed = self.store.subscribe(&resource(kind()));
        loop {
            // Before anything is looked at: what comes from now on wakes us.
            changed.borrow_and_update();
            let now = Timestamp::now();
            let mut next: Option<Timestamp> = None;
            for stored in self.selected(kind(), &Selection::default()) {
                let object = stored.object();
                // It is deleted already, and somebody has work to do.
                if object.metadata.deletion_timestamp.is_some() {
                    continue;
                }
                let end = expiry(&object, now, ttl);
                if end > now {
                    next = Some(next.map_or(end, |next| next.min(end)));
                } else if !self.expire(&stored, &object).await {
                    next = Some(now);
                }
            }
            match next {
                // Nothing that comes from now on ends sooner.
                Some(next) => tokio::time::sleep(wait(next, now, ttl)).await,
                None if changed.changed().await.is_err() => return,
                None => {}
            }
        }
    }

    /// Deletes it unless it was written in between; whether it is as wanted now.
    async fn expire(&self, stored: &Stored, object: &Object) -> bool {
        let target = Target {
            kind: kind(),
            namespace: stored.key.namespace(),
            name: stored.key.name(),
        };
        let asked = DeleteOptions {
            preconditions: Some(Preconditions {
                uid: object.metadata.uid.clone(),
                resource_version: Some(stored.revision.to_string()),
            }),
            ..DeleteOptions::default()
        };
        match self.delete(target, &asked, WriteOptions::own()).await {
            Ok(_) => true,
            Err(status) if status.code == 404 => true,
            Err(status) => {
                // Written in between, mostly.
                tracing::debug!(name = target.name, %status, "an event can't be deleted yet");
                false
            }
        }
    }
}

/// When the event ends: `ttl` after it was last written, as far as it says. Clients write some of these times: what they say
/// of the future counts as now.
fn expiry(event: &Object, now: Timestamp, ttl: SignedDuration) -> Timestamp {
    let metadata = &event.metadata;
    let written = ["lastTimestamp", "eventTime", "series.lastObservedTime"]
        .into_iter()
        .filter_map(|path| event.at(path).and_then(Value::as_str)?.parse::<Timestamp>().ok());
    let managed = metadata.managed_fields.iter().flatten();
    let managed = managed.filter_map(|entry| entry.time.as_ref().map(|time| time.0));
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    let last = written.chain(managed).chain(created).max().unwrap_or(now).min(now);
    last.checked_add(ttl).unwrap_or(Timestamp::MAX)
}

fn wait(next: Timestamp, now: Timestamp, ttl: SignedDuration) -> Duration {
    let group = (ttl / 60).clamp(GROUP_MIN, GROUP_MAX);
    let wait = next.duration_since(now) + group;
    Duration::try_from(wait).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TTL: SignedDuration = SignedDuration::from_hours(1);

    fn ends(event: Value) -> String {
        let event: Object = serde_json::from_value(event).expect("an event");
        let now = "2026-01-01T12:00:00Z".parse().expect("a time");
        expiry(&event, now, TTL).to_string()
    }

    #[test]
    fn the_last_write_counts() {
        let created = json!({"creationTimestamp": "2026-01-01T10:00:00Z"});
        assert_eq!(ends(json!({"metadata": created})), "2026-01-01T11:00:00Z");
        let again = json!({"metadata": created, "lastTimestamp": "2026-01-01T11:30:00Z"});
        assert_eq!(ends(again), "2026-01-01T12:30:00Z");
        let series = json!({"metadata": created, "series": {"lastObservedTime": "2026-01-01T11:40:00.000000Z"}});
        assert_eq!(ends(series), "2026-01-01T12:40:00Z");
        let managed = json!({"creationTimestamp": "2026-01-01T10:00:00Z",
            "managedFields": [{"manager": "kubelet", "time": "2026-01-01T11:50:00Z"}]});
        assert_eq!(ends(json!({"metadata": managed})), "2026-01-01T12:50:00Z");
        let future = json!({"metadata": created, "lastTimestamp": "2036-01-01T00:00:00Z"});
        assert_eq!(ends(future), "2026-01-01T13:00:00Z");
    }

    #[test]
    fn those_who_are_due_soon_go_together() {
        let now = Timestamp::UNIX_EPOCH;
        let next = now + SignedDuration::from_secs(100);
        assert_eq!(wait(next, now, TTL), Duration::from_secs(130));
        assert_eq!(wait(next, now, SignedDuration::from_secs(6)), Duration::from_secs(101));
    }
}
