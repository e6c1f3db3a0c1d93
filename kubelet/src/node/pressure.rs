//! How tight it is: memory, disk and process ids, against Kubernetes' default eviction thresholds.

use std::fs;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::facts::field_kilobytes;

/// `memory.available<100Mi`
const MEMORY_BYTES: i64 = 100 << 20;
/// `nodefs.available<10%`, `nodefs.inodesFree<5%`
const DISK_PERCENT: u64 = 10;
const INODES_PERCENT: u64 = 5;
/// Process ids that must be left, in percent.
const PIDS_PERCENT: u64 = 5;

/// What is short. None: it can't be found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pressure {
    pub(crate) memory: Option<bool>,
    pub(crate) disk: Option<bool>,
    pub(crate) pids: Option<bool>,
}

/// Looks at the machine now.
pub(crate) fn measure(root: &Path) -> Pressure {
    Pressure {
        memory: memory(),
        disk: disk(root),
        pids: pids(),
    }
}

fn memory() -> Option<bool> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    Some(field_kilobytes(&meminfo, "MemAvailable") * 1024 < MEMORY_BYTES)
}

fn disk(root: &Path) -> Option<bool> {
    let found = statvfs(root).ok()?;
    let is_short = |free: u64, all: u64, percent: u64| all > 0 && free.saturating_mul(100) / all < percent;
    let blocks = is_short(found.blocks_available(), found.blocks(), DISK_PERCENT);
    // Some file systems (btrfs, those of WSL's Windows drives) count no inodes: then all is 0.
    Some(blocks || is_short(found.files_available(), found.files(), INODES_PERCENT))
}

fn pids() -> Option<bool> {
    let limit: u64 = fs::read_to_string("/proc/sys/kernel/pid_max")
        .ok()?
        .trim()
        .parse()
        .ok()?;
    // The fourth field is `running/all`.
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let all: u64 = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    Some(limit.saturating_sub(all) * 100 / limit.max(1) < PIDS_PERCENT)
}
