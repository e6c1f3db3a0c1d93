//! Which pods wait for a node, and which of them to look at next. Pure: time is an argument.
//!
//! ```text
//!             added, changed                    no node will do
//!   (watch) ─────────────────> ready ── pop ──> unschedulable
//!                                ^  \                 │ anything changed in the cluster
//!               back-off is over │   \ bind failed    │
//!                             backing off <───────────┘ (to ready)
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;

use crate::snapshot::PodKey;

/// How long to wait after the first failed write, doubling up to [`LONGEST`] (upstream's podInitialBackoff).
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Waiting {
    pod: Arc<Pod>,
    place: Place,
    /// Writes that failed since the pod came.
    failures: u32,
    /// Order of arrival.
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Ready,
    Unschedulable,
    BackingOff(Instant),
    /// Taken out by [`Queue::pop`]; a binding is under way.
    Binding,
}

/// The pods without a node.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: HashMap<PodKey, Waiting>,
    arrivals: u64,
}

impl Queue {
    /// A pod without a node came or was changed: look at it (again). Our own writes of its status are no change.
    pub(crate) fn put(&mut self, pod: Pod) {
        let key = PodKey::of(&pod);
        if let Some(known) = self.waiting.get_mut(&key) {
            let changed = known.pod.spec != pod.spec || known.pod.metadata.labels != pod.metadata.labels;
            known.pod = Arc::new(pod);
            if changed && known.place == Place::Unschedulable {
                known.place = Place::Ready;
            }
            return;
        }
        self.arrivals += 1;
        let waiting = Waiting {
            pod: Arc::new(pod),
            place: Place::Ready,
            failures: 0,
            number: self.arrivals,
        };
        self.waiting.insert(key, waiting);
    }

    /// A pod has a node, or is gone.
    pub(crate) fn remove(&mut self, key: &PodKey) {
        self.waiting.remove(key);
    }

    /// The next pod to look at: highest priority first, then first come. The caller says what became of it.
    pub(crate) fn pop(&mut self) -> Option<Arc<Pod>> {
        let ready = self
            .waiting
            .values_mut()
            .filter(|waiting| waiting.place == Place::Ready);
        let next = ready.min_by_key(|waiting| (-priority(&waiting.pod), waiting.number))?;
        next.place = Place::Binding;
        Some(Arc::clone(&next.pod))
    }

    /// No node will do for this pod until something changes.
    pub(crate) fn unschedulable(&mut self, key: &PodKey) {
        self.move_to(key, Place::Unschedulable);
    }

    /// Writing the binding failed: try again after a while.
    pub(crate) fn failed(&mut self, key: &PodKey, now: Instant) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            let wait = FIRST.saturating_mul(1 << waiting.failures.min(8)).min(LONGEST);
            waiting.failures += 1;
            waiting.place = Place::BackingOff(now + wait);
        }
    }

    /// Something changed in the cluster: what had no node may have one now.
    pub(crate) fn wake(&mut self) {
        for waiting in self
            .waiting
            .values_mut()
            .filter(|waiting| waiting.place == Place::Unschedulable)
        {
            waiting.place = Place::Ready;
        }
    }

    /// Moves what has waited long enough, and says when the next one will have.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        for waiting in self.waiting.values_mut() {
            match waiting.place {
                Place::BackingOff(until) if until <= now => waiting.place = Place::Ready,
                Place::BackingOff(until) => next = Some(next.map_or(until, |next: Instant| next.min(until))),
                Place::Ready | Place::Unschedulable | Place::Binding => {}
            }
        }
        next
    }

    fn move_to(&mut self, key: &PodKey, place: Place) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.place = place;
        }
    }
}

fn priority(pod: &Pod) -> i64 {
    pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, priority: i32) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"priority": priority, "containers": []},
        }))
        .expect("a pod")
    }

    fn names(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop())
            .filter_map(|pod| pod.metadata.name.clone())
            .collect()
    }

    #[test]
    fn the_most_important_pod_comes_first_then_the_oldest() {
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 5), ("c", 0)] {
            queue.put(pod(name, priority));
        }
        assert_eq!(names(&mut queue), ["b", "a", "c"]);
        assert_eq!(names(&mut queue), Vec::<String>::new(), "bindings are under way");
    }

    #[test]
    fn an_unschedulable_pod_waits_for_a_change() {
        let mut queue = Queue::default();
        queue.put(pod("a", 0));
        let key = PodKey::of(&queue.pop().expect("it is ready"));
        queue.unschedulable(&key);
        queue.put(pod("a", 0));
        assert_eq!(names(&mut queue), Vec::<String>::new(), "nothing has changed");
        queue.wake();
        assert_eq!(names(&mut queue), ["a"]);
    }

    #[test]
    fn a_failed_write_is_tried_again_ever_later() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.put(pod("a", 0));
        for seconds in [1, 2, 4, 8, 10, 10] {
            let key = PodKey::of(&queue.pop().expect("it is ready"));
            queue.failed(&key, start);
            let due = start + Duration::from_secs(seconds);
            assert_eq!(queue.tick(start), Some(due));
            assert!(queue.pop().is_none());
            assert_eq!(queue.tick(due), None);
        }
        assert_eq!(names(&mut queue), ["a"]);
    }

    #[test]
    fn a_pod_that_is_gone_is_never_looked_at() {
        let mut queue = Queue::default();
        queue.put(pod("a", 0));
        queue.remove(&PodKey::of(&pod("a", 0)));
        assert!(queue.pop().is_none());
    }
}
