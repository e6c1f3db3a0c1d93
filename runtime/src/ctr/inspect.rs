//! A task from outside: signals, its clock, its processes and its figures.

use std::sync::Arc;

use minik_api::containers::{InspectAnswer, Metric, Process, SignalRequest};
use serde_json::json;
use tonic::{Code, Status};

use super::lookup::{self, Running};
use super::record::Task;
use super::{create, task};
use crate::cgroup::{CgroupPath, Stats};
use crate::cri::{Answer, shim_failed, signal_number, with_code};
use crate::daemon::{Daemon, now_nanos};

pub(super) async fn signal(daemon: &Arc<Daemon>, request: SignalRequest) -> Answer<()> {
    let namespace = lookup::namespace(&request.namespace)?;
    if request.pause || request.resume {
        return freeze(daemon, namespace, &request.id, request.pause).await;
    }
    let running = lookup::running(daemon, namespace, &request.id)?;
    let signal = match request.signal.as_str() {
        "" => running.stop_signal,
        name => signal_number(name)
            .ok_or_else(|| Status::invalid_argument(format!("unknown signal {name:?}: write SIGTERM, TERM or 15")))?,
    };
    let failed = |error| shim_failed(&error, "signal task", &request.id);
    if !request.exec_id.is_empty() {
        let key = (running.id.clone(), request.exec_id.clone());
        let exec = daemon.ctr.execs().get(&key).cloned();
        let exec = exec.ok_or_else(|| {
            Status::not_found(format!("process {} in task {}: not found", request.exec_id, request.id))
        })?;
        return running
            .shim
            .kill_exec(&running.id, &exec.shim_id, signal, request.all)
            .await
            .map_err(failed);
    }
    running
        .shim
        .kill(&running.id, signal, request.all)
        .await
        .map_err(failed)?;
    if signal == libc::SIGKILL {
        task::thaw(daemon, &running.cgroup);
    }
    Ok(())
}

async fn freeze(daemon: &Arc<Daemon>, namespace: &str, name: &str, pause: bool) -> Answer<()> {
    create::refuse_pods(namespace)?;
    let entry = lookup::own(daemon, namespace, name)?;
    let running = lookup::running(daemon, namespace, name)?;
    let _turn = entry.operate().await;
    let frozen = CgroupPath::parse(&running.cgroup).and_then(|path| daemon.cgroups.freeze(&path, pause));
    frozen.map_err(|error| with_code(Code::Unknown)(&error))?;
    let changed = entry.update(|record| match &mut record.task {
        Some(Task::Running { paused, .. }) => {
            *paused = pause;
            true
        }
        _ => false,
    });
    changed.map_err(|error| with_code(Code::Unknown)(&error))?;
    let topic = if pause { "/tasks/paused" } else { "/tasks/resumed" };
    daemon.ctr.events.tell(namespace, topic, json!({"container_id": name}));
    Ok(())
}

pub(super) fn inspect(daemon: &Daemon, namespace: &str, name: &str) -> Answer<InspectAnswer> {
    let namespace = lookup::namespace(namespace)?;
    let running = lookup::running(daemon, namespace, name)?;
    let read = |error: crate::cgroup::CgroupError| with_code(Code::Unknown)(&error);
    let path = CgroupPath::parse(&running.cgroup).map_err(read)?;
    let pids = daemon.cgroups.processes(&path).map_err(read)?;
    let stats = daemon.cgroups.stats(&path).map_err(read)?;
    Ok(InspectAnswer {
        processes: pids
            .into_iter()
            .map(|pid| process(daemon, &running, pid.as_raw()))
            .collect(),
        timestamp: now_nanos(),
        metrics: metrics(daemon.cgroups.version() == "v2", &stats),
    })
}

fn process(daemon: &Daemon, running: &Running, pid: i32) -> Process {
    let execs = daemon.ctr.execs();
    let exec = execs
        .iter()
        .find(|((id, _), exec)| *id == running.id && exec.pid == pid);
    Process {
        pid: pid.unsigned_abs(),
        exec_id: exec.map(|((_, name), _)| name.clone()).unwrap_or_default(),
    }
}

/// By the names that containerd's client has for each version of cgroups. Pure.
fn metrics(v2: bool, stats: &Stats) -> Vec<Metric> {
    let no_limit = if v2 {
        u64::MAX
    } else {
        i64::MAX.unsigned_abs() / 4096 * 4096
    };
    let limit = stats.memory_limit_bytes.unwrap_or(no_limit);
    let rows: Vec<(&str, u64)> = if v2 {
        vec![
            ("pids.current", stats.tasks),
            ("cpu.usage_usec", stats.cpu_usage_nanos / 1000),
            ("memory.usage", stats.memory_usage_bytes),
            ("memory.usage_limit", limit),
            ("memory.anon", stats.memory_rss_bytes),
            ("memory.swap_usage", stats.swap_usage_bytes.unwrap_or_default()),
            ("memory.pgfault", stats.page_faults.0),
            ("memory.pgmajfault", stats.page_faults.1),
        ]
    } else {
        vec![
            ("memory.usage_in_bytes", stats.memory_usage_bytes),
            ("memory.limit_in_bytes", limit),
            ("memory.stat.rss", stats.memory_rss_bytes),
            ("cpuacct.usage", stats.cpu_usage_nanos),
            ("pids.current", stats.tasks),
        ]
    };
    rows.into_iter()
        .map(|(name, value)| Metric {
            name: name.to_owned(),
            value: value.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_names_of_the_cgroups_version() {
        let stats = Stats {
            cpu_usage_nanos: 5_000_000,
            memory_usage_bytes: 4096,
            tasks: 2,
            ..Stats::default()
        };
        let value = |v2, name: &str| {
            let all = metrics(v2, &stats);
            all.into_iter()
                .find(|metric| metric.name == name)
                .map(|metric| metric.value)
        };
        assert_eq!(value(true, "cpu.usage_usec").as_deref(), Some("5000"));
        assert_eq!(value(false, "cpuacct.usage").as_deref(), Some("5000000"));
        assert_eq!(
            value(false, "memory.limit_in_bytes").as_deref(),
            Some("9223372036854771712")
        );
        assert_eq!(
            value(true, "memory.usage_limit").as_deref(),
            Some("18446744073709551615")
        );
    }
}
