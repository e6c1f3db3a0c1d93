//! Limits of pods, and those of containers that get new ones. Pure.

use minik_api::cri;
use oci_spec::runtime::LinuxResources;

use crate::oci::linux_resources;

/// The pod's own limits; none if the kubelet names none.
pub(crate) fn of_pod(config: &cri::PodSandboxConfig) -> Option<LinuxResources> {
    let resources = config.linux.as_ref()?.resources.as_ref()?;
    Some(linux_resources(resources))
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
