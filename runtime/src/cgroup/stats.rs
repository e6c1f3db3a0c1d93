//! Figures of a cgroup, as CRI's container stats want them.

use std::collections::HashMap;
use std::path::Path;

/// Figures at one moment; what a host can't tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time used, in nanoseconds.
    pub cpu_usage_nanos: u64,
    /// Memory in use, page cache included, in bytes.
    pub memory_usage_bytes: u64,
    /// Memory that can't be reclaimed at once: usage without inactive file pages, in bytes.
    pub memory_working_set_bytes: u64,
    /// Anonymous memory, in bytes.
    pub memory_rss_bytes: u64,
    /// Page faults, and those that had to read from disk.
    pub page_faults: (u64, u64),
    /// The memory limit in bytes, when there is one.
    pub memory_limit_bytes: Option<u64>,
    /// Swap in use, in bytes.
    pub swap_usage_bytes: Option<u64>,
    /// Number of processes and threads.
    pub tasks: u64,
}

/// A control file of one number; `max` and what can't be read are absent.
pub(super) fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A control file with a key and a number a line.
pub(super) fn table(path: &Path) -> HashMap<String, u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// Usage without inactive file pages, as cAdvisor counts it and the kubelet evicts by.
pub(super) fn working_set(usage: u64, inactive_file: u64) -> u64 {
    usage.saturating_sub(inactive_file)
}
