//! Limits, from the CRI's message to the runtime specification's: for pods, and for containers that get new ones. Pure.

use std::collections::HashMap;

use minik_api::cri;
use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

/// The pod's own limits; none if the kubelet names none.
pub(crate) fn of_pod(config: &cri::PodSandboxConfig) -> Option<LinuxResources> {
    let resources = config.linux.as_ref()?.resources.as_ref()?;
    Some(to_oci(resources))
}

/// 0 and empty mean that nothing is said.
pub(super) fn to_oci(resources: &cri::LinuxContainerResources) -> LinuxResources {
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(u64::try_from(resources.cpu_shares).ok().filter(|shares| *shares != 0));
    cpu.set_quota(Some(resources.cpu_quota).filter(|quota| *quota != 0));
    cpu.set_period(u64::try_from(resources.cpu_period).ok().filter(|period| *period != 0));
    cpu.set_cpus(Some(resources.cpuset_cpus.clone()).filter(|cpus| !cpus.is_empty()));
    cpu.set_mems(Some(resources.cpuset_mems.clone()).filter(|mems| !mems.is_empty()));
    let mut memory = LinuxMemory::default();
    memory.set_limit(Some(resources.memory_limit_in_bytes).filter(|limit| *limit != 0));
    memory.set_swap(Some(resources.memory_swap_limit_in_bytes).filter(|limit| *limit != 0));
    let mut oci = LinuxResources::default();
    // The default names devices, which are none of a pod's or an update's business.
    oci.set_devices(None);
    oci.set_cpu(Some(cpu));
    oci.set_memory(Some(memory));
    oci.set_unified(Some(resources.unified.clone()).filter(|unified: &HashMap<_, _>| !unified.is_empty()));
    oci
}

/// What a container has after an update: what the update doesn't say stays as it was.
pub(super) fn updated(
    before: &cri::LinuxContainerResources,
    update: &cri::LinuxContainerResources,
) -> cri::LinuxContainerResources {
    let number = |before: i64, update: i64| if update == 0 { before } else { update };
    let text = |before: &String, update: &String| {
        if update.is_empty() {
            before.clone()
        } else {
            update.clone()
        }
    };
    let mut unified = before.unified.clone();
    unified.extend(update.unified.clone());
    cri::LinuxContainerResources {
        cpu_period: number(before.cpu_period, update.cpu_period),
        cpu_quota: number(before.cpu_quota, update.cpu_quota),
        cpu_shares: number(before.cpu_shares, update.cpu_shares),
        memory_limit_in_bytes: number(before.memory_limit_in_bytes, update.memory_limit_in_bytes),
        // It can't be changed while the container runs, or isn't this message's business.
        oom_score_adj: before.oom_score_adj,
        cpuset_cpus: text(&before.cpuset_cpus, &update.cpuset_cpus),
        cpuset_mems: text(&before.cpuset_mems, &update.cpuset_mems),
        hugepage_limits: if update.hugepage_limits.is_empty() {
            &before.hugepage_limits
        } else {
            &update.hugepage_limits
        }
        .clone(),
        unified,
        memory_swap_limit_in_bytes: number(before.memory_swap_limit_in_bytes, update.memory_swap_limit_in_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_not_set() {
        let oci = to_oci(&cri::LinuxContainerResources {
            cpu_quota: -1,
            cpu_shares: 2,
            ..Default::default()
        });
        let cpu = oci.cpu().as_ref().expect("cpu");
        assert_eq!((cpu.quota(), cpu.shares(), cpu.period()), (Some(-1), Some(2), None));
        assert_eq!(oci.memory().as_ref().expect("memory").limit(), None);
        assert_eq!(of_pod(&cri::PodSandboxConfig::default()), None);
    }

    #[test]
    fn updates_keep_what_they_do_not_say() {
        let before = cri::LinuxContainerResources {
            cpu_shares: 512,
            memory_limit_in_bytes: 64,
            cpuset_cpus: "0".to_owned(),
            ..Default::default()
        };
        let update = cri::LinuxContainerResources {
            memory_limit_in_bytes: 128,
            ..Default::default()
        };
        let after = updated(&before, &update);
        assert_eq!(
            (
                after.cpu_shares,
                after.memory_limit_in_bytes,
                after.cpuset_cpus.as_str()
            ),
            (512, 128, "0")
        );
    }
}
