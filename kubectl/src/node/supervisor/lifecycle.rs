//! What happens to one program: pure, told the time.
//!
//! ```text
//!            NeedsReady           READY=1
//!   Waiting ───────────> Starting ───────> Ready
//!      ^                    │ exited         │ exited
//!      │ due                v                v
//!      └──────────────── BackingOff <────────┘        Stop: any ──> Stopping ──exited──> Down
//! ```

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::STOP_GRACE;
use super::control::What;

/// The first restart comes at once as far as people can tell, the following ones ever later.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Who ran this long has overcome whatever made it fail before.
const RAN_WELL: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Starting { since: Instant },
    Ready { since: Instant },
    BackingOff { until: Instant },
    Stopping { kill_at: Instant, killed: bool },
    Down,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) enum Event {
    /// All that it needs is ready.
    NeedsReady,
    /// It said `READY=1`.
    Ready,
    /// Its process ended, for this reason.
    Exited(String),
    /// The moment that [`Lifecycle::due`] named has come.
    Due,
    /// It should end for good.
    Stop,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    Start,
    Signal(Signal),
    Announce(What),
}

/// One program's state and past.
#[derive(Debug)]
pub(super) struct Lifecycle {
    state: State,
    /// Failures in a row, forgotten once it ran well.
    failures: u32,
    restarts: u32,
    last_failure: Option<String>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            state: State::Waiting,
            failures: 0,
            restarts: 0,
            last_failure: None,
        }
    }
}

impl Lifecycle {
    /// The one transition.
    pub(super) fn on(&mut self, event: Event, now: Instant) -> Action {
        match (self.state, event) {
            (State::Waiting, Event::NeedsReady) => {
                self.state = State::Starting { since: now };
                Action::Start
            }
            (State::Starting { since }, Event::Ready) => {
                self.state = State::Ready { since };
                Action::Announce(What::Ready {
                    took_millis: super::millis(now - since),
                })
            }
            (State::Starting { since } | State::Ready { since }, Event::Exited(reason)) => {
                self.failed(reason, since, now)
            }
            (State::BackingOff { .. }, Event::Due) => {
                self.state = State::Waiting;
                self.restarts += 1;
                Action::None
            }
            (State::Starting { .. } | State::Ready { .. }, Event::Stop) => {
                self.state = State::Stopping {
                    kill_at: now + STOP_GRACE,
                    killed: false,
                };
                Action::Signal(Signal::SIGTERM)
            }
            (State::Waiting | State::BackingOff { .. }, Event::Stop) => {
                self.state = State::Down;
                Action::None
            }
            (State::Stopping { kill_at, killed: false }, Event::Due) => {
                self.state = State::Stopping { kill_at, killed: true };
                Action::Signal(Signal::SIGKILL)
            }
            (State::Stopping { .. }, Event::Exited(_)) => {
                self.state = State::Down;
                Action::Announce(What::Stopped)
            }
            _ => Action::None,
        }
    }

    fn failed(&mut self, reason: String, since: Instant, now: Instant) -> Action {
        self.failures = if now - since >= RAN_WELL { 1 } else { self.failures + 1 };
        let delay = backoff(self.failures);
        self.state = State::BackingOff { until: now + delay };
        self.last_failure = Some(reason.clone());
        Action::Announce(What::Failed {
            reason,
            failures: self.failures,
            retry_millis: super::millis(delay),
        })
    }

    /// When [`Event::Due`] is wanted.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::BackingOff { until } => Some(until),
            State::Stopping { kill_at, killed: false } => Some(kill_at),
            _ => None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    pub(super) fn is_down(&self) -> bool {
        self.state == State::Down
    }

    pub(super) fn has_process(&self) -> bool {
        !matches!(self.state, State::Waiting | State::BackingOff { .. } | State::Down)
    }

    /// When its process was started, if there is one.
    pub(super) fn since(&self) -> Option<Instant> {
        match self.state {
            State::Starting { since } | State::Ready { since } => Some(since),
            _ => None,
        }
    }

    pub(super) fn restarts(&self) -> u32 {
        self.restarts
    }

    pub(super) fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// The state's word on the screen.
    pub(super) fn word(&self) -> &'static str {
        match self.state {
            State::Waiting => "waiting",
            State::Starting { .. } => "starting",
            State::Ready { .. } => "ready",
            State::BackingOff { .. } => "backing off",
            State::Stopping { .. } => "stopping",
            State::Down => "stopped",
        }
    }
}

/// How long to wait after so many failures in a row.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited() -> Event {
        Event::Exited("exit status: 1".to_owned())
    }

    fn started(now: Instant) -> Lifecycle {
        let mut lifecycle = Lifecycle::default();
        assert_eq!(lifecycle.on(Event::NeedsReady, now), Action::Start);
        lifecycle
    }

    #[test]
    fn delays_double_up_to_their_limit() {
        let delays: Vec<u128> = (1..12).map(|failures| backoff(failures).as_millis()).collect();
        assert_eq!(
            delays,
            [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]
        );
        assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
    }

    #[test]
    fn who_keeps_failing_waits_longer_and_who_ran_well_starts_over() {
        let mut now = Instant::now();
        let mut lifecycle = started(now);
        for expected in [100, 200, 400] {
            let Action::Announce(What::Failed { retry_millis, .. }) = lifecycle.on(exited(), now) else {
                panic!("a failure is announced");
            };
            assert_eq!(retry_millis, expected);
            now = lifecycle.due().expect("it is retried");
            assert_eq!(lifecycle.on(Event::Due, now), Action::None);
            assert_eq!(lifecycle.on(Event::NeedsReady, now), Action::Start);
        }
        assert_eq!(lifecycle.restarts(), 3);
        lifecycle.on(Event::Ready, now);
        now += RAN_WELL;
        let Action::Announce(What::Failed { retry_millis, .. }) = lifecycle.on(exited(), now) else {
            panic!("a failure is announced");
        };
        assert_eq!(retry_millis, 100);
    }

    #[test]
    fn a_stop_ends_every_state() {
        let now = Instant::now();
        let mut waiting = Lifecycle::default();
        assert_eq!(waiting.on(Event::Stop, now), Action::None);
        assert!(waiting.is_down());

        let mut ready = started(now);
        ready.on(Event::Ready, now);
        assert_eq!(ready.on(Event::Stop, now), Action::Signal(Signal::SIGTERM));
        assert_eq!(ready.on(Event::Stop, now), Action::None, "one signal is enough");
        assert_eq!(ready.on(exited(), now), Action::Announce(What::Stopped));
        assert!(ready.is_down());
        assert_eq!(ready.on(Event::NeedsReady, now), Action::None, "down is for good");

        let mut stubborn = started(now);
        stubborn.on(Event::Stop, now);
        let kill_at = stubborn.due().expect("its grace ends");
        assert_eq!(stubborn.on(Event::Due, kill_at), Action::Signal(Signal::SIGKILL));
        assert_eq!(stubborn.due(), None);
        stubborn.on(exited(), kill_at);
        assert!(stubborn.is_down());

        let mut failing = started(now);
        failing.on(exited(), now);
        failing.on(Event::Stop, now);
        assert!(failing.is_down());
    }
}
