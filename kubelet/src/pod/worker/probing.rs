//! Which runs are probed: each that runs and has a probe, for as long as the pod isn't to end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Worker;
use crate::pod::Pod;
use crate::pod::memory::Probed;
use crate::pod::observed::ContainerState;
use crate::probes::{self, Prober};

impl Worker {
    /// Starts probing what has begun to run, and stops probing what doesn't any more.
    pub(super) fn keep_probing(&mut self) {
        let observed = &self.observed;
        let is_running = |id: &String| {
            observed
                .container(id)
                .is_some_and(|run| run.state == ContainerState::Running)
        };
        self.probers.retain(|id, _| is_running(id));
        self.memory.probes.retain(|id, _| is_running(id));
        if self.pod.is_deleted() || self.memory.removed {
            self.probers.clear();
            return;
        }
        let pod_ips = self.pod_ips();
        for run in observed
            .containers
            .iter()
            .filter(|run| run.state == ContainerState::Running)
        {
            let Some(container) = self
                .pod
                .container(&run.name)
                .filter(|container| probes::has_any(container))
            else {
                continue;
            };
            if self.probers.contains_key(&run.id) {
                continue;
            }
            let before = remembered(&self.pod, &run.id);
            let begin = before.unwrap_or_else(|| self.memory.probed(container, &run.id));
            let started = begin.started;
            self.memory.probes.insert(run.id.clone(), begin);
            let prober = Prober::spawn(probes::Subject {
                context: Arc::clone(&self.context),
                pod: self.pod.clone(),
                container: container.clone(),
                container_id: run.id.clone(),
                pod_ip: pod_ips.first().cloned().unwrap_or_default(),
                running_for: running_for(run.started_at_nanos),
                started,
                tell: self.own.clone(),
            });
            self.probers.insert(run.id.clone(), prober);
        }
    }
}

/// What an earlier kubelet had found out about this very run, if it has seen it run at all.
fn remembered(pod: &Pod, container_id: &str) -> Option<Probed> {
    let statuses = pod
        .status
        .init_container_statuses
        .iter()
        .chain(&pod.status.container_statuses)
        .flatten();
    let known = statuses.into_iter().find(|status| {
        let id = status.container_id.as_deref().unwrap_or_default();
        id.rsplit("://").next() == Some(container_id)
    })?;
    known.state.as_ref()?.running.as_ref()?;
    Some(Probed {
        started: known.started == Some(true),
        ready: known.ready,
        unhealthy: None,
    })
}

fn running_for(started_at_nanos: i64) -> Duration {
    let nanos = Timestamp::now().as_nanosecond() - i128::from(started_at_nanos);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}
