//! CRI's limits as the runtime specification has them: zero means "not set" in CRI and is left out.

use minik_api::cri;
use oci_spec::runtime::{LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxResources};

/// Limits of a container or a pod, for config.json and for [`crate::cgroup::Driver::apply`].
#[must_use]
pub fn linux_resources(asked: &cri::LinuxContainerResources) -> LinuxResources {
    let text = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
    let signed = |value: i64| Some(value).filter(|value| *value != 0);
    let unsigned = |value: i64| u64::try_from(value).ok().filter(|value| *value != 0);
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(unsigned(asked.cpu_shares))
        .set_quota(signed(asked.cpu_quota));
    cpu.set_period(unsigned(asked.cpu_period))
        .set_cpus(text(&asked.cpuset_cpus))
        .set_mems(text(&asked.cpuset_mems));
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(signed(asked.memory_limit_in_bytes))
        .set_swap(signed(asked.memory_swap_limit_in_bytes));
    let huge = |limit: &cri::HugepageLimit| {
        let mut own = LinuxHugepageLimit::default();
        own.set_page_size(limit.page_size.clone())
            .set_limit(i64::try_from(limit.limit).unwrap_or(i64::MAX));
        own
    };
    let mut resources = LinuxResources::default();
    resources.set_cpu(Some(cpu)).set_memory(Some(memory)).set_devices(None);
    if !asked.hugepage_limits.is_empty() {
        resources.set_hugepage_limits(Some(asked.hugepage_limits.iter().map(huge).collect()));
    }
    if !asked.unified.is_empty() {
        resources.set_unified(Some(asked.unified.clone()));
    }
    resources
}
