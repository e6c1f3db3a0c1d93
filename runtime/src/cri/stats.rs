//! ContainerStats, PodSandboxStats and their lists: figures of cgroups, writable layers and interfaces, read when asked for.

use std::path::Path;
use std::sync::Arc;

use minik_api::cri;

use super::answer::Answer;
use super::filter;
use crate::cgroup::{CgroupPath, Stats};
use crate::daemon::{Daemon, now_nanos};
use crate::network::read_traffic;
use crate::state::{ContainerPhase, ContainerRecord, SandboxRecord};

pub(super) async fn container(
    daemon: Arc<Daemon>,
    request: cri::ContainerStatsRequest,
) -> Answer<cri::ContainerStatsResponse> {
    let record = daemon.containers.find(&request.container_id)?.get();
    let stats = reading(&daemon, move |daemon| of_container(daemon, &record)).await;
    Ok(cri::ContainerStatsResponse { stats: Some(stats) })
}

/// Of the running ones: the others use nothing.
pub(super) async fn containers(
    daemon: Arc<Daemon>,
    wanted: Option<cri::ContainerStatsFilter>,
) -> Answer<Vec<cri::ContainerStats>> {
    let wanted = wanted.unwrap_or_default();
    let matches = |record: &ContainerRecord| {
        record.phase.is_running()
            && record.id.starts_with(&wanted.id)
            && record.sandbox_id.starts_with(&wanted.pod_sandbox_id)
            && filter::labels(&record.config.labels, &wanted.label_selector)
    };
    let mut records: Vec<ContainerRecord> = daemon.containers.all().iter().map(|entry| entry.get()).collect();
    records.retain(matches);
    Ok(reading(&daemon, move |daemon| {
        records.iter().map(|record| of_container(daemon, record)).collect()
    })
    .await)
}

pub(super) async fn sandbox(
    daemon: Arc<Daemon>,
    request: cri::PodSandboxStatsRequest,
) -> Answer<cri::PodSandboxStatsResponse> {
    let record = daemon.sandboxes.find(&request.pod_sandbox_id)?.get();
    let stats = reading(&daemon, move |daemon| of_sandbox(daemon, &record)).await;
    Ok(cri::PodSandboxStatsResponse { stats: Some(stats) })
}

/// Of the ready ones: the others use nothing.
pub(super) async fn sandboxes(
    daemon: Arc<Daemon>,
    wanted: Option<cri::PodSandboxStatsFilter>,
) -> Answer<Vec<cri::PodSandboxStats>> {
    let wanted = wanted.unwrap_or_default();
    let matches = |record: &SandboxRecord| {
        record.state() == cri::PodSandboxState::SandboxReady
            && record.id.starts_with(&wanted.id)
            && filter::labels(&record.config.labels, &wanted.label_selector)
    };
    let mut records: Vec<SandboxRecord> = daemon.sandboxes.all().iter().map(|entry| entry.get()).collect();
    records.retain(matches);
    Ok(reading(&daemon, move |daemon| {
        records.iter().map(|record| of_sandbox(daemon, record)).collect()
    })
    .await)
}

/// Reads files on a thread where that holds up nobody.
async fn reading<T: Send + 'static>(daemon: &Arc<Daemon>, work: impl FnOnce(&Daemon) -> T + Send + 'static) -> T {
    let daemon = Arc::clone(daemon);
    tokio::task::spawn_blocking(move || work(&daemon))
        .await
        .expect("reading figures doesn't panic")
}

fn of_container(daemon: &Daemon, record: &ContainerRecord) -> cri::ContainerStats {
    let now = now_nanos();
    let stats = cgroup(daemon, &record.cgroup);
    let layer = daemon.images.snapshots().usage(&record.id).ok();
    cri::ContainerStats {
        attributes: Some(cri::ContainerAttributes {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
        }),
        cpu: stats.as_ref().map(|stats| cpu(stats, now)),
        memory: stats.as_ref().map(|stats| memory(stats, now)),
        writable_layer: layer.map(|layer| cri::FilesystemUsage {
            timestamp: now,
            fs_id: Some(cri::FilesystemIdentifier {
                mountpoint: daemon.config.root.display().to_string(),
            }),
            used_bytes: value(layer.bytes),
            inodes_used: value(layer.inodes),
        }),
        swap: stats
            .and_then(|stats| stats.swap_usage_bytes)
            .map(|bytes| cri::SwapUsage {
                timestamp: now,
                swap_available_bytes: None,
                swap_usage_bytes: value(bytes),
            }),
        io: None,
    }
}

fn of_sandbox(daemon: &Daemon, record: &SandboxRecord) -> cri::PodSandboxStats {
    let now = now_nanos();
    let stats = cgroup(daemon, &record.cgroup_parent);
    let containers: Vec<ContainerRecord> = daemon
        .containers_of(&record.id)
        .iter()
        .map(|entry| entry.get())
        .collect();
    let running: Vec<&ContainerRecord> = containers.iter().filter(|record| record.phase.is_running()).collect();
    let pid = running.iter().find_map(|record| match record.phase {
        ContainerPhase::Running { pid, .. } => u32::try_from(pid).ok(),
        ContainerPhase::Created | ContainerPhase::Exited(_) => None,
    });
    cri::PodSandboxStats {
        attributes: Some(cri::PodSandboxAttributes {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
        }),
        linux: Some(cri::LinuxPodSandboxStats {
            cpu: stats.as_ref().map(|stats| cpu(stats, now)),
            memory: stats.as_ref().map(|stats| memory(stats, now)),
            network: pid.filter(|_| !record.host_network()).and_then(|pid| network(pid, now)),
            process: stats.map(|stats| cri::ProcessUsage {
                timestamp: now,
                process_count: value(stats.tasks),
            }),
            containers: running.into_iter().map(|record| of_container(daemon, record)).collect(),
            io: None,
        }),
        windows: None,
    }
}

fn cgroup(daemon: &Daemon, path: &Path) -> Option<Stats> {
    let stats = CgroupPath::parse(path).and_then(|path| daemon.cgroups.stats(&path));
    stats
        .inspect_err(|error| tracing::debug!(%error, cgroup = %path.display(), "read figures"))
        .ok()
}

fn cpu(stats: &Stats, now: i64) -> cri::CpuUsage {
    cri::CpuUsage {
        timestamp: now,
        usage_core_nano_seconds: value(stats.cpu_usage_nanos),
        // A rate needs two moments, and who asks has them.
        usage_nano_cores: None,
        psi: None,
    }
}

fn memory(stats: &Stats, now: i64) -> cri::MemoryUsage {
    let available = stats
        .memory_limit_bytes
        .map(|limit| limit.saturating_sub(stats.memory_working_set_bytes));
    cri::MemoryUsage {
        timestamp: now,
        working_set_bytes: value(stats.memory_working_set_bytes),
        available_bytes: available.and_then(value),
        usage_bytes: value(stats.memory_usage_bytes),
        rss_bytes: value(stats.memory_rss_bytes),
        page_faults: value(stats.page_faults.0),
        major_page_faults: value(stats.page_faults.1),
        psi: None,
    }
}

fn network(pid: u32, now: i64) -> Option<cri::NetworkUsage> {
    let traffic = read_traffic(pid).ok()??;
    let interface = cri::NetworkInterfaceUsage {
        name: "eth0".to_owned(),
        rx_bytes: value(traffic.received_bytes),
        rx_errors: value(traffic.receive_errors),
        tx_bytes: value(traffic.sent_bytes),
        tx_errors: value(traffic.send_errors),
    };
    Some(cri::NetworkUsage {
        timestamp: now,
        default_interface: Some(interface.clone()),
        interfaces: vec![interface],
    })
}

fn value(value: u64) -> Option<cri::UInt64Value> {
    Some(cri::UInt64Value { value })
}
