//! Requests and limits as the kernel takes them.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Container;
use minik_api::cri::LinuxContainerResources;

use super::Node;
use super::qos::{self, Class, limit, request};
use crate::pod::Pod;

/// 100 ms: the period that quotas are counted in.
const PERIOD_MICROS: i64 = 100_000;
/// The kernel refuses less than 1 ms.
const MIN_QUOTA_MICROS: i64 = 1000;
/// The least weight that the kernel takes.
const MIN_SHARES: i64 = 2;

/// A container's share of the machine.
pub(crate) fn container(pod: &Pod, container: &Container, node: &Node) -> LinuxContainerResources {
    let cpu_limit = limit(container, "cpu").map(|cpu| cpu.milli_value());
    let cpu_request = request(container, "cpu").map(|cpu| cpu.milli_value()).or(cpu_limit);
    let memory = limit(container, "memory").map_or(0, |memory| memory.value());
    LinuxContainerResources {
        cpu_period: if cpu_limit.is_some() { PERIOD_MICROS } else { 0 },
        cpu_quota: cpu_limit.map_or(0, quota),
        cpu_shares: shares(cpu_request.unwrap_or(0)),
        memory_limit_in_bytes: memory,
        // The same as memory alone: no swap.
        memory_swap_limit_in_bytes: memory,
        oom_score_adj: oom_score_adj(pod, container, node),
        unified: unified(node),
        ..Default::default()
    }
}

/// Where the kernel can do it, a container that is out of memory ends as a whole, instead of going on without one of its
/// processes. Runtimes refuse these on v1.
fn unified(node: &Node) -> HashMap<String, String> {
    let group = node.cgroup_v2.then(|| ("memory.oom.group".to_owned(), "1".to_owned()));
    group.into_iter().collect()
}

/// The pod's share: the sum of its containers, unlimited where one of them is.
pub(crate) fn pod(pod: &Pod) -> LinuxContainerResources {
    let containers = pod.containers();
    let sum = |amounts: Vec<Option<i64>>| {
        amounts
            .into_iter()
            .try_fold(0i64, |sum, amount| Some(sum.saturating_add(amount?)))
    };
    let cpu_limit = sum(containers
        .iter()
        .map(|c| limit(c, "cpu").map(|cpu| cpu.milli_value()))
        .collect());
    let memory = sum(containers
        .iter()
        .map(|c| limit(c, "memory").map(|memory| memory.value()))
        .collect());
    let requests = containers
        .iter()
        .map(|c| request(c, "cpu").or(limit(c, "cpu")).map_or(0, |cpu| cpu.milli_value()));
    LinuxContainerResources {
        cpu_period: if cpu_limit.is_some() { PERIOD_MICROS } else { 0 },
        cpu_quota: cpu_limit.map_or(0, quota),
        cpu_shares: shares(requests.sum()),
        memory_limit_in_bytes: memory.unwrap_or(0),
        ..Default::default()
    }
}

fn quota(milli_cpus: i64) -> i64 {
    (milli_cpus.saturating_mul(PERIOD_MICROS) / 1000).max(MIN_QUOTA_MICROS)
}

fn shares(milli_cpus: i64) -> i64 {
    (milli_cpus.saturating_mul(1024) / 1000).clamp(MIN_SHARES, 262_144)
}

/// Who dies first: those without any request; last, those that are sure of what they have. In between, the less of the
/// machine's memory a container requested, the sooner.
fn oom_score_adj(pod: &Pod, container: &Container, node: &Node) -> i64 {
    if pod.spec.priority.is_some_and(|priority| priority >= 2_000_000_000) {
        return -997;
    }
    match qos::class(&pod.spec) {
        Class::Guaranteed => -997,
        Class::BestEffort => 1000,
        Class::Burstable => {
            let requested = request(container, "memory").map_or(0, |memory| memory.value());
            let adjusted = 1000 - requested.saturating_mul(1000) / node.memory_bytes.max(1);
            // Above the guaranteed ones, below the best-effort ones.
            adjusted.clamp(3, 999)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::testing;

    fn resources_of(resources: serde_json::Value) -> LinuxContainerResources {
        let pod = testing::pod(json!({"containers": [{"name": "a", "resources": resources}]}));
        let node = Node {
            memory_bytes: 8 << 30,
            ..Default::default()
        };
        container(&pod, &pod.containers()[0], &node)
    }

    #[test]
    fn limits_become_quota_and_bytes() {
        let resources = resources_of(json!({"limits": {"cpu": "500m", "memory": "128Mi"}}));
        assert_eq!(
            (resources.cpu_period, resources.cpu_quota, resources.cpu_shares),
            (100_000, 50_000, 512)
        );
        assert_eq!(resources.memory_limit_in_bytes, 128 << 20);
        assert_eq!(resources.oom_score_adj, -997);
    }

    #[test]
    fn nothing_asked_is_nothing_set() {
        let resources = resources_of(json!({}));
        assert_eq!(
            (resources.cpu_period, resources.cpu_quota, resources.cpu_shares),
            (0, 0, 2)
        );
        assert_eq!((resources.memory_limit_in_bytes, resources.oom_score_adj), (0, 1000));
    }

    #[test]
    fn out_of_memory_ends_the_whole_container_on_v2_alone() {
        let pod = testing::pod(json!({"containers": [{"name": "a"}]}));
        let on = |cgroup_v2| {
            let node = Node {
                cgroup_v2,
                ..Default::default()
            };
            container(&pod, &pod.containers()[0], &node).unified
        };
        assert_eq!(on(true).get("memory.oom.group").map(String::as_str), Some("1"));
        assert!(on(false).is_empty());
    }

    #[test]
    fn a_tiny_limit_is_raised_to_what_the_kernel_takes() {
        assert_eq!(resources_of(json!({"limits": {"cpu": "1m"}})).cpu_quota, 1000);
        assert_eq!(resources_of(json!({"requests": {"memory": "4Gi"}})).oom_score_adj, 500);
    }
}
