//! How long to wait before doing again what failed: pure arithmetic on Kubernetes' figures.
//!
//! Restarts of containers are counted in the runtime's own records (an annotation on each run), so that a kubelet that
//! restarts knows where it was. Everything else starts anew with the process.

use std::time::Duration;

use super::action::Key;
use super::observed::{Container, ContainerState};

/// Annotation on a container: how many restarts in a row led to it.
pub(crate) const CONSECUTIVE: &str = "minik.dev/consecutive-restarts";

const RESTART_BASE: Duration = Duration::from_secs(10);
const RESTART_MAX: Duration = Duration::from_secs(300);
/// A run as long as this makes what was before forgotten.
const RESTART_RESET: Duration = Duration::from_secs(600);

/// When and as which restart a container that ended may run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    /// How many in a row it will be: 1 is the first.
    pub(crate) consecutive: u32,
    /// From the end of the last run. The first restart comes at once.
    pub(crate) delay: Duration,
}

/// The restart that follows this run.
pub(crate) fn restart(last: &Container) -> Restart {
    let before: u32 = last
        .annotations
        .get(CONSECUTIVE)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let before = if ran_for(last) >= RESTART_RESET { 0 } else { before };
    Restart {
        consecutive: before.saturating_add(1),
        delay: match before {
            0 => Duration::ZERO,
            n => doubled(RESTART_BASE, RESTART_MAX, n - 1),
        },
    }
}

fn ran_for(container: &Container) -> Duration {
    match container.state {
        ContainerState::Exited { finished_at_nanos, .. } if container.started_at_nanos > 0 => {
            Duration::from_nanos(u64::try_from(finished_at_nanos - container.started_at_nanos).unwrap_or(0))
        }
        _ => Duration::ZERO,
    }
}

/// How long to wait after an action failed so many times in a row (1 is the first).
pub(crate) fn retry(key: &Key, failures: u32) -> Duration {
    let (base, max) = match key {
        Key::Image(_) => (Duration::from_secs(10), Duration::from_secs(300)),
        Key::Start(_) => (Duration::from_secs(5), Duration::from_secs(300)),
        Key::Volumes => (Duration::from_millis(500), Duration::from_secs(122)),
        Key::Sandbox => (Duration::from_secs(1), Duration::from_secs(60)),
        Key::Kill(..) | Key::RemoveContainer(_) | Key::StopSandbox(_) | Key::RemoveSandbox(_) | Key::Finish => {
            (Duration::from_millis(500), Duration::from_secs(30))
        }
    };
    doubled(base, max, failures.saturating_sub(1))
}

fn doubled(base: Duration, max: Duration, times: u32) -> Duration {
    base.saturating_mul(2u32.saturating_pow(times.min(30))).min(max)
}

/// `10s`, `1m20s`, `5m0s`: as Go prints it, and kubectl's users know it.
pub(crate) fn in_words(delay: Duration) -> String {
    let seconds = delay.as_secs();
    match seconds / 60 {
        0 => format!("{seconds}s"),
        minutes => format!("{minutes}m{}s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ended(consecutive: u32, ran_seconds: i64) -> Container {
        Container {
            id: "c".into(),
            sandbox_id: "s".into(),
            name: "main".into(),
            attempt: consecutive,
            state: ContainerState::Exited {
                code: 1,
                finished_at_nanos: (1000 + ran_seconds) * 1_000_000_000,
            },
            created_at_nanos: 0,
            started_at_nanos: 1000 * 1_000_000_000,
            reason: String::new(),
            message: String::new(),
            image: String::new(),
            image_ref: String::new(),
            log_path: String::new(),
            annotations: BTreeMap::from([(CONSECUTIVE.to_owned(), consecutive.to_string())]),
        }
    }

    #[test]
    fn restarts_are_delayed_as_in_kubernetes() {
        let delays: Vec<u64> = (0..8).map(|n| restart(&ended(n, 1)).delay.as_secs()).collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_long_run_is_forgiven() {
        assert_eq!(restart(&ended(7, 599)).consecutive, 8);
        assert_eq!(
            restart(&ended(7, 600)),
            Restart {
                consecutive: 1,
                delay: Duration::ZERO
            }
        );
    }

    #[test]
    fn pulls_are_retried_as_in_kubernetes() {
        let key = Key::Image("main".into());
        let delays: Vec<u64> = (1..8).map(|n| retry(&key, n).as_secs()).collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn durations_read_as_go_prints_them() {
        for (seconds, text) in [(10, "10s"), (80, "1m20s"), (300, "5m0s")] {
            assert_eq!(in_words(Duration::from_secs(seconds)), text);
        }
    }
}
