//! Capabilities of a container: the default set, what the pod adds and drops.

use minik_api::cri;
use oci_spec::runtime::{Capabilities, Capability};

use super::{HostCapabilities, SpecError};
use crate::launch::plan::{CAPABILITIES, capability_number};

/// What a container has when nothing is said (containerd's default, which is Docker's).
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The two sets that all five are made of. Nothing is inheritable but what is ambient (CVE-2022-24769).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sets {
    pub(super) bounding: Capabilities,
    pub(super) ambient: Capabilities,
}

pub(super) fn sets(context: &cri::LinuxContainerSecurityContext, host: &HostCapabilities) -> Result<Sets, SpecError> {
    let asked = context.capabilities.clone().unwrap_or_default();
    let ambient = mask(&asked.add_ambient_capabilities, host)?;
    let bounding = if context.privileged {
        host.capabilities
    } else {
        granted(&asked, host)? | ambient
    };
    Ok(Sets {
        bounding: names(bounding),
        ambient: names(ambient),
    })
}

/// `ALL` comes first on either side, so that `drop: [ALL], add: [X]` leaves X and `add: [ALL], drop: [X]` all but X.
fn granted(asked: &cri::Capability, host: &HostCapabilities) -> Result<u64, SpecError> {
    let (add, drop) = (&asked.add_capabilities, &asked.drop_capabilities);
    let mut set = DEFAULT
        .iter()
        .filter_map(|name| bit(name))
        .fold(0, |all, bit| all | bit);
    if !host.device_control {
        // A container that makes a node of the host's disk could open it where no cgroup forbids that.
        set &= !bit("MKNOD").expect("it is a capability");
    }
    if has_all(add) {
        set = host.capabilities;
    }
    if has_all(drop) {
        set = 0;
    }
    let added = mask(add.iter().filter(|name| !is_all(name)), host)?;
    let dropped = mask(drop.iter().filter(|name| !is_all(name)), host)?;
    Ok((set | added) & !dropped)
}

fn mask<'a>(names: impl IntoIterator<Item = &'a String>, host: &HostCapabilities) -> Result<u64, SpecError> {
    let each = |name: &String| {
        if is_all(name) {
            Ok(host.capabilities)
        } else {
            bit(name).ok_or_else(|| SpecError::UnknownCapability(name.clone()))
        }
    };
    names.into_iter().try_fold(0, |all, name| Ok(all | each(name)?))
}

fn bit(name: &str) -> Option<u64> {
    capability_number(name).map(|number| 1 << number)
}

fn has_all(names: &[String]) -> bool {
    names.iter().any(|name| is_all(name))
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("ALL") || name.eq_ignore_ascii_case("CAP_ALL")
}

fn names(set: u64) -> Capabilities {
    let known = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(number, _)| set & (1 << number) != 0);
    known.filter_map(|(_, name)| name.parse::<Capability>().ok()).collect()
}
