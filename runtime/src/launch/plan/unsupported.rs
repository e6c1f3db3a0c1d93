//! What config.json may ask for and isn't done: refused by name, since a container without it would not be what was asked
//! for.

use oci_spec::runtime::{Linux, Spec};

use super::PlanError;

pub(super) fn refuse(spec: &Spec, linux: &Linux) -> Result<(), PlanError> {
    let checks: [(bool, &'static str, &'static str); 5] = [
        (
            linux.intel_rdt().is_some(),
            "linux.intelRdt",
            "no resctrl filesystem is driven; leave it out",
        ),
        (
            linux.memory_policy().is_some(),
            "linux.memoryPolicy",
            "NUMA memory policies are not set; leave it out",
        ),
        (
            linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()),
            "linux.netDevices",
            "interfaces are not moved into containers; use a hook",
        ),
        (
            linux.mount_label().as_ref().is_some_and(|label| !label.is_empty()),
            "linux.mountLabel",
            "mounts get no SELinux labels; leave it out",
        ),
        (
            spec.vm().is_some(),
            "vm",
            "containers are processes here; use a runtime for virtual machines",
        ),
    ];
    match checks.iter().find(|(asked, ..)| *asked) {
        None => Ok(()),
        Some((_, field, why)) => Err(PlanError::Unsupported {
            field,
            value: "set".to_owned(),
            why,
        }),
    }
}
