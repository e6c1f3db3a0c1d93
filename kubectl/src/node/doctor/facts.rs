//! What was found on this machine, before anybody judged it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::node::cidr::Cidr;
use crate::node::ports::Taken;

/// What a trial showed: none when it wasn't made (it needs root), else whether it worked, or why not.
pub(super) type Trial = Option<Result<(), String>>;

/// All of it. [`Default`] is a machine of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) root: bool,
    pub(super) kernel_release: String,
    pub(super) init: String,
    pub(super) wsl: Option<Wsl>,
    pub(super) cgroup: Cgroup,
    /// Namespace kinds by name.
    pub(super) namespaces: BTreeMap<&'static str, Trial>,
    pub(super) mount: Trial,
    pub(super) overlay: Trial,
    /// The directory whose file system overlayfs was tried on.
    pub(super) overlay_on: String,
    pub(super) veth: Trial,
    pub(super) nat: Trial,
    pub(super) ip_forward: Option<bool>,
    pub(super) seccomp: Option<bool>,
    pub(super) limits: Limits,
    pub(super) disk: Option<Disk>,
    pub(super) memory_available_bytes: Option<u64>,
    pub(super) ports_taken: Vec<Taken>,
    pub(super) api_port: u16,
    /// Host routes other than the instance's own, with the interface's name.
    pub(super) routes: Vec<(Cidr, String)>,
    pub(super) pod_cidr: Option<Cidr>,
    pub(super) service_cidr: Option<Cidr>,
    pub(super) clock_seconds: i64,
    pub(super) nameservers: Option<Vec<String>>,
}

/// Control groups as they are mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cgroup {
    /// Controllers of the v2 hierarchy; none when it isn't mounted.
    pub(super) v2: Option<BTreeSet<String>>,
    /// Controllers with a v1 hierarchy.
    pub(super) v1: BTreeSet<String>,
    /// A cgroup was made and removed in each hierarchy.
    pub(super) trial: Trial,
}

/// Windows Subsystem for Linux.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wsl {
    /// 1 translates system calls, 2 is a virtual machine.
    pub(super) version: u8,
    pub(super) networking: Networking,
    /// What `/etc/wsl.conf` says about `[boot] systemd`.
    pub(super) systemd_configured: Option<bool>,
    /// Whether the data directory lies on a Windows drive.
    pub(super) data_on_windows: bool,
}

/// How WSL2 reaches the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Networking {
    Nat,
    Mirrored,
    VirtioProxy,
    Bridged,
    None,
    #[default]
    Unknown,
}

/// Limits that pods share with everything else on the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) inotify_instances: Option<u64>,
    pub(super) inotify_watches: Option<u64>,
    pub(super) open_files_system: Option<u64>,
    pub(super) open_files_hard: Option<u64>,
    pub(super) pids: Option<u64>,
}

/// The file system of the data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) path: String,
    pub(super) free_bytes: u64,
    pub(super) total_bytes: u64,
    /// None where the file system has no such limit.
    pub(super) free_inodes: Option<u64>,
}

/// A line of `/proc/net/route`: destination and mask are in the machine's byte order.
pub(super) fn parse_route(line: &str) -> Option<(Cidr, String)> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |index: usize| u32::from_str_radix(columns.get(index)?, 16).ok().map(u32::swap_bytes);
    let (destination, mask) = (number(1)?, number(7)?);
    let prefix = u8::try_from(mask.leading_ones()).ok()?;
    (prefix > 0).then(|| {
        (
            Cidr::new(Ipv4Addr::from_bits(destination), prefix),
            columns[0].to_owned(),
        )
    })
}
