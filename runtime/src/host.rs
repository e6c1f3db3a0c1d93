//! What this host can do for containers, found out once at start.

use std::fs;
use std::path::Path;

use crate::cgroup::Driver;
use crate::launch::trial;
use crate::oci::HostCapabilities;

/// Asks the kernel; what can't be told counts as not there. `root` is where layers are.
pub(crate) fn capabilities(cgroups: &dyn Driver, root: &Path) -> HostCapabilities {
    HostCapabilities {
        seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
        capabilities: fs::read_to_string("/proc/self/status")
            .map(|text| bounding_set(&text))
            .unwrap_or_default(),
        // v2 has it as BPF programs only, which aren't loaded here.
        device_control: cgroups.version() != "v2",
        selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        no_user_namespaces: trial::user_namespaces(root).err().map(|error| error.to_string()),
        devices: Vec::new(),
        least_oom_score_adj: None,
    }
}

/// Only CAP_SYS_RESOURCE may make a process less likely to be killed than its parent (proc_pid_oom_score_adj(5)).
pub(crate) fn least_oom_score_adj(host: &HostCapabilities) -> Option<i32> {
    const SYS_RESOURCE: u64 = 1 << 24;
    if host.capabilities & SYS_RESOURCE != 0 {
        return None;
    }
    fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse().ok()
}

/// proc_pid_status(5): what no child of this process can exceed.
fn bounding_set(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_do_anything_has_no_least_score() {
        let all = HostCapabilities {
            capabilities: u64::MAX,
            ..HostCapabilities::default()
        };
        assert_eq!(least_oom_score_adj(&all), None);
        assert!(least_oom_score_adj(&HostCapabilities::default()).is_some());
    }

    #[test]
    fn the_bounding_set_is_read_as_hexadecimal() {
        assert_eq!(
            bounding_set("Name:\tx\nCapPrm:\t0000000000000001\nCapBnd:\t000001fffeffffff\n"),
            0x01ff_feff_ffff
        );
        assert_eq!(bounding_set("Name:\tx\n"), 0);
    }
}
