//! Probes: whether a container has started, is ready, and still lives.
//!
//! Each probe of each running container is a task: it waits, asks, counts ([`counter`], pure), and tells the pod's worker when
//! its verdict changes. What follows from a verdict is decided there.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::context::Context;
use crate::pod::Pod;
use crate::pod::memory::Unhealthy;
use crate::pod::worker::Message;
use crate::recorder::Severity;

pub(crate) mod counter;
pub(crate) mod exec;
pub(crate) mod http;

/// Before a container's first period is over, a probe that failed is tried again after this, then after twice this, and so
/// on: a server that needs a moment to listen isn't unready for a whole period.
const FIRST_RETRY: Duration = Duration::from_millis(20);

/// What a probe has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Started,
    Ready(bool),
    Unhealthy(Unhealthy),
}

/// What is probed.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) context: Arc<Context>,
    pub(crate) pod: Pod,
    pub(crate) container: Container,
    pub(crate) container_id: String,
    pub(crate) pod_ip: String,
    /// For the initial delay, which counts from the container's start.
    pub(crate) running_for: Duration,
    /// An earlier kubelet saw the startup probe succeed.
    pub(crate) started: bool,
    pub(crate) tell: Sender<Message>,
}

/// The probes of one run of a container; they end with it.
pub(crate) struct Prober(#[expect(dead_code, reason = "held for its tasks, which end when it is dropped")] JoinSet<()>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Startup,
    Readiness,
    Liveness,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Startup => "startup",
            Kind::Readiness => "readiness",
            Kind::Liveness => "liveness",
        }
    }

    /// As events begin.
    fn title(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Readiness => "Readiness",
            Kind::Liveness => "Liveness",
        }
    }
}

/// Whether the container has a probe.
pub(crate) fn has_any(container: &Container) -> bool {
    container.startup_probe.is_some() || container.readiness_probe.is_some() || container.liveness_probe.is_some()
}

impl Prober {
    /// Begins probing.
    pub(crate) fn spawn(subject: Subject) -> Self {
        let mut tasks = JoinSet::new();
        let has_started = subject.started || subject.container.startup_probe.is_none();
        let (started, wait) = watch::channel(has_started);
        let probes = [
            (
                Kind::Startup,
                subject.container.startup_probe.clone().filter(|_| !has_started),
            ),
            (Kind::Readiness, subject.container.readiness_probe.clone()),
            (Kind::Liveness, subject.container.liveness_probe.clone()),
        ];
        for (kind, probe) in probes {
            let Some(probe) = probe else { continue };
            let (subject, started, mut wait) = (subject.clone(), started.clone(), wait.clone());
            tasks.spawn(async move {
                if kind != Kind::Startup && wait.wait_for(|started| *started).await.is_err() {
                    return;
                }
                repeat(kind, &probe, &subject, &started).await;
            });
        }
        Self(tasks)
    }
}

async fn repeat(kind: Kind, probe: &Probe, subject: &Subject, started: &watch::Sender<bool>) {
    let period = seconds(probe.period_seconds, 10);
    let delay = seconds(probe.initial_delay_seconds, 0);
    sleep(delay.saturating_sub(subject.running_for)).await;
    let mut counter = counter::Counter::new(probe);
    let begun = Instant::now();
    let mut retry = FIRST_RETRY;
    loop {
        let result = once(probe, subject).await;
        let is_early = kind != Kind::Liveness && !counter.has_succeeded() && begun.elapsed() + retry < period;
        if is_early && result.is_err() {
            sleep(retry).await;
            retry *= 2;
            continue;
        }
        if let Err(why) = &result {
            let message = format!("{} probe failed: {why}", kind.title());
            let recorder = &subject.context.recorder;
            recorder.pod(
                &subject.pod,
                Some(&subject.container.name),
                Severity::Warning,
                "Unhealthy",
                message,
            );
        }
        let verdict = counter
            .record(result.is_ok())
            .map(|healthy| verdict(kind, probe, healthy));
        if let Some(Some(verdict)) = verdict {
            let is_last = matches!(verdict, Verdict::Started | Verdict::Unhealthy(_));
            let message = Message::Probed {
                container_id: subject.container_id.clone(),
                verdict: verdict.clone(),
            };
            if subject.tell.send(message).await.is_err() {
                return;
            }
            started.send_if_modified(|started| {
                !std::mem::replace(started, *started || verdict == Verdict::Started) && *started
            });
            if is_last {
                return;
            }
        }
        sleep(period).await;
    }
}

/// What a change of health means for this kind; a live container is no news.
fn verdict(kind: Kind, probe: &Probe, healthy: bool) -> Option<Verdict> {
    match (kind, healthy) {
        (Kind::Startup, true) => Some(Verdict::Started),
        (Kind::Readiness, ready) => Some(Verdict::Ready(ready)),
        (Kind::Liveness, true) => None,
        (_, false) => Some(Verdict::Unhealthy(Unhealthy {
            probe: kind.name(),
            grace_seconds: probe.termination_grace_period_seconds,
        })),
    }
}

async fn once(probe: &Probe, subject: &Subject) -> Result<(), String> {
    let limit = seconds(probe.timeout_seconds, 1);
    let address = if subject.pod.is_host_network() {
        "127.0.0.1"
    } else {
        &subject.pod_ip
    };
    if let Some(action) = &probe.exec {
        let command = action.command.clone().unwrap_or_default();
        return exec::run(&*subject.context.runtime, &subject.container_id, command, limit).await;
    }
    if let Some(action) = &probe.http_get {
        let target = http::target(action, &subject.container, address)?;
        return http::get(&target, limit).await;
    }
    if let Some(action) = &probe.tcp_socket {
        let port = http::port(&action.port, &subject.container)?;
        let host = action
            .host
            .as_deref()
            .filter(|host| !host.is_empty())
            .unwrap_or(address);
        return match timeout(limit, tokio::net::TcpStream::connect((host, port))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("dial tcp {host}:{port}: {error}")),
            Err(_) => Err(format!(
                "dial tcp {host}:{port}: no answer within {} s",
                limit.as_secs()
            )),
        };
    }
    if let Some(action) = &probe.grpc {
        let port = u16::try_from(action.port).map_err(|_| format!("no port: {}", action.port))?;
        return http::grpc_health(address, port, action.service.as_deref().unwrap_or_default(), limit).await;
    }
    Ok(())
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
}
