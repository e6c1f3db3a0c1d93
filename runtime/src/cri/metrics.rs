//! ListMetricDescriptors, ListPodSandboxMetrics: the figures of [`super::stats`] under the names that cAdvisor gave them, which
//! dashboards know. A kubelet with the feature PodAndContainerStatsFromCRI passes them on at /metrics/cadvisor.
//!
//! Values are whole numbers on this wire, so seconds are whole seconds.

use std::sync::Arc;

use minik_api::cri::{self, MetricType};

use super::answer::Answer;
use super::stats;
use crate::daemon::{Daemon, now_nanos};

/// Labels of each metric, in this order; further ones stand behind them.
const LABELS: [&str; 6] = ["id", "name", "image", "container", "pod", "namespace"];

/// A metric of containers, and of pods as a whole.
struct Row {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    value: fn(&Figures<'_>) -> Option<u64>,
}

/// A metric of a pod's interfaces, with the label `interface`.
struct NetworkRow {
    name: &'static str,
    help: &'static str,
    value: fn(&cri::NetworkInterfaceUsage) -> Option<u64>,
}

/// What one cgroup uses.
#[derive(Clone, Copy, Default)]
struct Figures<'a> {
    cpu: Option<&'a cri::CpuUsage>,
    memory: Option<&'a cri::MemoryUsage>,
    disk: Option<&'a cri::FilesystemUsage>,
    swap: Option<&'a cri::SwapUsage>,
    processes: Option<u64>,
}

const ROWS: [Row; 10] = [
    Row {
        name: "container_cpu_usage_seconds_total",
        help: "Cumulative CPU time consumed in seconds",
        kind: MetricType::Counter,
        value: |figures| Some(number(figures.cpu?.usage_core_nano_seconds)? / 1_000_000_000),
    },
    Row {
        name: "container_memory_usage_bytes",
        help: "Memory in use in bytes, whenever it was accessed",
        kind: MetricType::Gauge,
        value: |figures| number(figures.memory?.usage_bytes),
    },
    Row {
        name: "container_memory_working_set_bytes",
        help: "Memory in use in bytes that can't be given back under pressure",
        kind: MetricType::Gauge,
        value: |figures| number(figures.memory?.working_set_bytes),
    },
    Row {
        name: "container_memory_rss",
        help: "Anonymous memory in bytes",
        kind: MetricType::Gauge,
        value: |figures| number(figures.memory?.rss_bytes),
    },
    Row {
        name: "container_memory_swap",
        help: "Swap in use in bytes",
        kind: MetricType::Gauge,
        value: |figures| number(figures.swap?.swap_usage_bytes),
    },
    Row {
        name: "container_memory_page_faults_total",
        help: "Cumulative number of page faults",
        kind: MetricType::Counter,
        value: |figures| number(figures.memory?.page_faults),
    },
    Row {
        name: "container_memory_major_page_faults_total",
        help: "Cumulative number of page faults that had to read from a disk",
        kind: MetricType::Counter,
        value: |figures| number(figures.memory?.major_page_faults),
    },
    Row {
        name: "container_fs_usage_bytes",
        help: "Disk in use in bytes by what the container has written",
        kind: MetricType::Gauge,
        value: |figures| number(figures.disk?.used_bytes),
    },
    Row {
        name: "container_fs_inodes_used",
        help: "Files and directories that the container has written",
        kind: MetricType::Gauge,
        value: |figures| number(figures.disk?.inodes_used),
    },
    Row {
        name: "container_processes",
        help: "Processes and threads",
        kind: MetricType::Gauge,
        value: |figures| figures.processes,
    },
];

const NETWORK: [NetworkRow; 4] = [
    NetworkRow {
        name: "container_network_receive_bytes_total",
        help: "Cumulative count of bytes received",
        value: |interface| number(interface.rx_bytes),
    },
    NetworkRow {
        name: "container_network_receive_errors_total",
        help: "Cumulative count of errors while receiving",
        value: |interface| number(interface.rx_errors),
    },
    NetworkRow {
        name: "container_network_transmit_bytes_total",
        help: "Cumulative count of bytes sent",
        value: |interface| number(interface.tx_bytes),
    },
    NetworkRow {
        name: "container_network_transmit_errors_total",
        help: "Cumulative count of errors while sending",
        value: |interface| number(interface.tx_errors),
    },
];

pub(super) fn descriptors() -> Vec<cri::MetricDescriptor> {
    let descriptor = |name: &str, help: &str, further: &[&str]| cri::MetricDescriptor {
        name: name.to_owned(),
        help: help.to_owned(),
        label_keys: LABELS.iter().chain(further).map(|label| (*label).to_owned()).collect(),
    };
    let rows = ROWS.iter().map(|row| descriptor(row.name, row.help, &[]));
    let network = NETWORK.iter().map(|row| descriptor(row.name, row.help, &["interface"]));
    rows.chain(network).collect()
}

/// Of the ready pods, with their running containers.
pub(super) async fn pods(daemon: Arc<Daemon>) -> Answer<Vec<cri::PodSandboxMetrics>> {
    let image_of = {
        let daemon = Arc::clone(&daemon);
        move |id: &str| {
            let entry = daemon.containers.find(id).ok();
            entry
                .map(|entry| entry.peek(|record| record.image_name.clone()))
                .unwrap_or_default()
        }
    };
    let now = now_nanos();
    let all = stats::sandboxes(daemon, None).await?;
    Ok(all.iter().map(|stats| of_pod(stats, &image_of, now)).collect())
}

fn of_pod(stats: &cri::PodSandboxStats, image_of: impl Fn(&str) -> String, now: i64) -> cri::PodSandboxMetrics {
    let attributes = stats.attributes.clone().unwrap_or_default();
    let pod = attributes.metadata.unwrap_or_default();
    let linux = stats.linux.clone().unwrap_or_default();
    let labels = |id: &str, name: &str, image: &str, container: &str| {
        [id, name, image, container, &pod.name, &pod.namespace]
            .map(str::to_owned)
            .to_vec()
    };
    let figures = Figures {
        cpu: linux.cpu.as_ref(),
        memory: linux.memory.as_ref(),
        processes: linux.process.as_ref().and_then(|process| number(process.process_count)),
        ..Figures::default()
    };
    // cAdvisor's word for what is the pod's own, its network above all.
    let own = labels(&attributes.id, &attributes.id, "", "POD");
    let mut metrics = of_figures(&figures, &own, now);
    let interfaces = linux.network.iter().flat_map(|network| &network.interfaces);
    metrics.extend(interfaces.flat_map(|interface| of_interface(interface, &own, now)));
    let container = |stats: &cri::ContainerStats| {
        let attributes = stats.attributes.clone().unwrap_or_default();
        let figures = Figures {
            cpu: stats.cpu.as_ref(),
            memory: stats.memory.as_ref(),
            disk: stats.writable_layer.as_ref(),
            swap: stats.swap.as_ref(),
            processes: None,
        };
        let name = attributes.metadata.unwrap_or_default().name;
        let labels = labels(&attributes.id, &attributes.id, &image_of(&attributes.id), &name);
        cri::ContainerMetrics {
            metrics: of_figures(&figures, &labels, now),
            container_id: attributes.id,
        }
    };
    cri::PodSandboxMetrics {
        pod_sandbox_id: attributes.id,
        metrics,
        container_metrics: linux.containers.iter().map(container).collect(),
    }
}

fn of_figures(figures: &Figures<'_>, labels: &[String], now: i64) -> Vec<cri::Metric> {
    let rows = ROWS.iter().filter_map(|row| Some((row, (row.value)(figures)?)));
    rows.map(|(row, value)| metric(row.name, row.kind, labels.to_vec(), value, now))
        .collect()
}

fn of_interface(interface: &cri::NetworkInterfaceUsage, labels: &[String], now: i64) -> Vec<cri::Metric> {
    let labels = [labels, std::slice::from_ref(&interface.name)].concat();
    let rows = NETWORK.iter().filter_map(|row| Some((row, (row.value)(interface)?)));
    rows.map(|(row, value)| metric(row.name, MetricType::Counter, labels.clone(), value, now))
        .collect()
}

fn metric(name: &str, kind: MetricType, label_values: Vec<String>, value: u64, now: i64) -> cri::Metric {
    cri::Metric {
        name: name.to_owned(),
        timestamp: now,
        metric_type: kind.into(),
        label_values,
        value: Some(cri::UInt64Value { value }),
    }
}

fn number(value: Option<cri::UInt64Value>) -> Option<u64> {
    value.map(|value| value.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value: u64) -> Option<cri::UInt64Value> {
        Some(cri::UInt64Value { value })
    }

    #[test]
    fn every_metric_has_a_descriptor_and_all_its_labels() {
        let container = cri::ContainerStats {
            attributes: Some(cri::ContainerAttributes {
                id: "c1".to_owned(),
                metadata: Some(cri::ContainerMetadata {
                    name: "web".to_owned(),
                    attempt: 0,
                }),
                ..Default::default()
            }),
            cpu: Some(cri::CpuUsage {
                usage_core_nano_seconds: value(2_500_000_000),
                ..Default::default()
            }),
            ..Default::default()
        };
        let interface = cri::NetworkInterfaceUsage {
            name: "eth0".to_owned(),
            rx_bytes: value(7),
            ..Default::default()
        };
        let stats = cri::PodSandboxStats {
            attributes: Some(cri::PodSandboxAttributes {
                id: "s1".to_owned(),
                ..Default::default()
            }),
            linux: Some(cri::LinuxPodSandboxStats {
                network: Some(cri::NetworkUsage {
                    interfaces: vec![interface],
                    ..Default::default()
                }),
                containers: vec![container],
                ..Default::default()
            }),
            windows: None,
        };
        let metrics = of_pod(&stats, |id| format!("image of {id}"), 1);
        let of_container = &metrics.container_metrics[0].metrics;
        assert_eq!(
            (
                of_container.len(),
                of_container[0].value,
                of_container[0].label_values.join(",")
            ),
            (1, value(2), "c1,c1,image of c1,web,,".to_owned())
        );
        assert_eq!(metrics.metrics.len(), 1, "what isn't known isn't told");
        for metric in metrics.metrics.iter().chain(of_container) {
            let descriptor = descriptors().into_iter().find(|known| known.name == metric.name);
            let descriptor = descriptor.expect("a descriptor");
            assert_eq!(
                descriptor.label_keys.len(),
                metric.label_values.len(),
                "{}",
                metric.name
            );
        }
    }
}
