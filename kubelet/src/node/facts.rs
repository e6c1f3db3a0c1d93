//! What this machine is: read once, at the start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::sys::utsname::uname;

/// The version that this kubelet speaks.
pub(crate) const KUBELET_VERSION: &str = "v1.36.0";
/// Kubernetes' own default.
pub(crate) const MAX_PODS: i64 = 110;

/// Everything about the node that doesn't change while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) ips: Vec<String>,
    pub(crate) port: u16,
    pub(crate) pod_cidr: String,
    pub(crate) root: PathBuf,
    pub(crate) milli_cpus: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) disk_bytes: i64,
    pub(crate) cgroup_v2: bool,
    pub(crate) machine_id: String,
    pub(crate) system_uuid: String,
    pub(crate) boot_id: String,
    pub(crate) kernel: String,
    pub(crate) os_image: String,
    /// As Go names it: amd64, arm64.
    pub(crate) architecture: String,
    /// `minik://0.1.0`, `containerd://2.1.0`.
    pub(crate) runtime_version: String,
}

/// A part of /proc or the like that can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FactsError {
    #[error("reading {path}: {source}")]
    Read { path: &'static str, source: io::Error },
    #[error("asking the size of the file system of {path:?}: {source}")]
    Disk { path: PathBuf, source: nix::Error },
    #[error("asking for the kernel's version: {0}")]
    Kernel(nix::Error),
}

/// Reads the machine's part; names, addresses and the runtime's version are the caller's.
pub(crate) fn machine(root: &Path) -> Result<Facts, FactsError> {
    let kernel = uname().map_err(FactsError::Kernel)?;
    let disk = statvfs(root).map_err(|source| FactsError::Disk {
        path: root.to_owned(),
        source,
    })?;
    let disk_bytes = disk.blocks().saturating_mul(disk.fragment_size());
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Facts {
        root: root.to_owned(),
        milli_cpus: i64::try_from(cpus).unwrap_or(1) * 1000,
        memory_bytes: memory_total(&read("/proc/meminfo")?),
        disk_bytes: i64::try_from(disk_bytes).unwrap_or(i64::MAX),
        // Only the root of a v2 hierarchy has this file; a hybrid machine mounts that elsewhere.
        cgroup_v2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        // WSL and containers may lack these; the API takes an empty one.
        machine_id: read("/etc/machine-id").unwrap_or_default().trim().to_owned(),
        system_uuid: read("/sys/class/dmi/id/product_uuid")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        boot_id: read("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
        kernel: kernel.release().to_string_lossy().into_owned(),
        os_image: os_image(&read("/etc/os-release").unwrap_or_default()),
        architecture: architecture(&kernel.machine().to_string_lossy()),
        ..Default::default()
    })
}

fn read(path: &'static str) -> Result<String, FactsError> {
    fs::read_to_string(path).map_err(|source| FactsError::Read { path, source })
}

/// `MemTotal` in bytes.
fn memory_total(meminfo: &str) -> i64 {
    field_kilobytes(meminfo, "MemTotal") * 1024
}

/// A line of /proc/meminfo, which counts in kB.
pub(crate) fn field_kilobytes(meminfo: &str, name: &str) -> i64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn os_image(os_release: &str) -> String {
    let line = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    line.map_or("Linux", |name| name.trim_matches('"')).to_owned()
}

fn architecture(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_they_are_written() {
        let meminfo = "MemTotal:       24689752 kB\nMemFree:         200 kB\nMemAvailable:   1024 kB\n";
        assert_eq!(memory_total(meminfo), 24_689_752 * 1024);
        assert_eq!(field_kilobytes(meminfo, "MemAvailable"), 1024);
        assert_eq!(field_kilobytes(meminfo, "Mem"), 0);
        assert_eq!(
            os_image("NAME=\"x\"\nPRETTY_NAME=\"Debian GNU/Linux 13\"\n"),
            "Debian GNU/Linux 13"
        );
        assert_eq!(architecture("x86_64"), "amd64");
    }

    #[test]
    fn this_machine_has_something() {
        let facts = machine(Path::new("/")).expect("a Linux machine");
        assert!(facts.memory_bytes > 0 && facts.milli_cpus >= 1000 && facts.disk_bytes > 0);
        assert!(!facts.kernel.is_empty() && !facts.boot_id.is_empty());
    }
}
