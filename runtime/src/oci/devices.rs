//! Devices: which a container may open, and nodes of the host's that it gets.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use minik_api::cri;
use nix::sys::stat::{major, minor};
use oci_spec::runtime::{
    LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
};

/// A device of the host that a container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The node to make.
    pub node: LinuxDevice,
    /// `r`, `w` and `m`.
    pub access: String,
}

/// Devices that any container may use: null, zero, full, random, urandom, tty, console, ptmx and pseudo-terminals.
const ALWAYS: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// Rules for the devices cgroup: everything is denied first; making a node is harmless where opening it is not allowed.
#[must_use]
pub fn rules(privileged: bool, granted: &[Resolved]) -> Vec<LinuxDeviceCgroup> {
    use LinuxDeviceType::{A, B, C};
    if privileged {
        return vec![rule(true, A, None, None, "rwm")];
    }
    let mut rules = vec![rule(false, A, None, None, "rwm")];
    rules.extend([C, B].map(|kind| rule(true, kind, None, None, "m")));
    rules.extend(ALWAYS.map(|(major, minor)| rule(true, C, Some(major), minor, "rwm")));
    rules.extend(granted.iter().map(|device| {
        let node = &device.node;
        rule(true, node.typ(), Some(node.major()), Some(node.minor()), &device.access)
    }));
    rules
}

/// Finds the devices that a container asks for on this host; a directory stands for all devices in it.
///
/// # Errors
/// The path isn't there or holds no device.
pub fn resolve(asked: &[cri::Device]) -> io::Result<Vec<Resolved>> {
    let mut all = Vec::new();
    for device in asked {
        let access = if device.permissions.is_empty() {
            "rwm"
        } else {
            &device.permissions
        };
        let (host, inside) = (Path::new(&device.host_path), Path::new(&device.container_path));
        let nodes = found(host, inside).map_err(|error| named(host, &error))?;
        if nodes.is_empty() {
            return Err(io::Error::other(format!("{} is no device", host.display())));
        }
        all.extend(nodes.into_iter().map(|node| Resolved {
            node,
            access: access.to_owned(),
        }));
    }
    Ok(all)
}

/// All devices below /dev, for a privileged container; its own terminals and shared memory are left out.
///
/// # Errors
/// /dev can't be read.
pub fn of_host() -> io::Result<Vec<LinuxDevice>> {
    found(Path::new("/dev"), Path::new("/dev"))
}

fn found(host: &Path, inside: &Path) -> io::Result<Vec<LinuxDevice>> {
    let metadata = std::fs::metadata(host)?;
    if !metadata.is_dir() {
        return Ok(node(&metadata, inside).into_iter().collect());
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(host)? {
        let entry = entry?;
        let name = entry.file_name();
        let own = ["pts", "shm", "mqueue", "fd", "console", "ptmx"]
            .iter()
            .any(|own| name == *own);
        // Links below /dev name devices that are there under their own names too, or lead elsewhere.
        if own || entry.file_type()?.is_symlink() {
            continue;
        }
        all.extend(found(&entry.path(), &inside.join(name))?);
    }
    Ok(all)
}

fn node(metadata: &std::fs::Metadata, inside: &Path) -> Option<LinuxDevice> {
    let kind = metadata.file_type();
    let kind = match (kind.is_char_device(), kind.is_block_device()) {
        (true, _) => LinuxDeviceType::C,
        (_, true) => LinuxDeviceType::B,
        _ => return None,
    };
    let number = |part: u64| i64::try_from(part).unwrap_or(-1);
    let builder = LinuxDeviceBuilder::default()
        .path(PathBuf::from(inside))
        .typ(kind)
        .major(number(major(metadata.rdev())))
        .minor(number(minor(metadata.rdev())))
        .file_mode(metadata.mode() & 0o7777)
        .uid(metadata.uid())
        .gid(metadata.gid());
    builder.build().ok()
}

fn rule(allow: bool, kind: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroupBuilder::default()
        .allow(allow)
        .typ(kind)
        .access(access);
    if let Some(major) = major {
        rule = rule.major(major);
    }
    if let Some(minor) = minor {
        rule = rule.minor(minor);
    }
    rule.build().expect("all fields have defaults")
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("device {}: {error}", path.display()))
}
