//! Capability sets of the process, around the change of its user (capabilities(7)).

use crate::launch::plan::Capabilities;
use crate::launch::report::{Failure, InStep, Reporter};
use crate::sys::capabilities as sys;
use nix::errno::Errno;

/// Drops from the bounding set what the container may never get back; needs CAP_SETPCAP, so it comes first.
pub(crate) fn limit(wanted: &Capabilities, last: u32) -> Result<(), Failure> {
    // Kernels newer than our list know more; EINVAL marks their last one.
    for number in 0..64.max(last) {
        if number < 64 && wanted.bounding & (1 << number) != 0 {
            continue;
        }
        match sys::bounding_has(number) {
            Ok(true) => sys::bounding_drop(number).step("drop capability", number.to_string())?,
            Ok(false) => {}
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(Failure::new("read bounding set", number.to_string(), errno)),
        }
    }
    Ok(())
}

/// Sets the sets. What this host's root doesn't have cannot be given, and is left out with a note.
pub(crate) fn apply(wanted: &Capabilities, reporter: Reporter<'_>) -> Result<(), Failure> {
    let own = sys::permitted().step("read capabilities", "permitted")?;
    let lacking = (wanted.permitted | wanted.inheritable) & !own;
    if lacking != 0 {
        reporter.note(format!(
            "capabilities that this host's root lacks are left out: {}",
            names(lacking)
        ));
    }
    let [effective, permitted, inheritable] =
        [wanted.effective, wanted.permitted, wanted.inheritable].map(|set| set & own);
    sys::capset(effective & permitted, permitted, inheritable).step("set capabilities", names(permitted))?;
    let ambient = wanted.ambient & permitted & inheritable;
    for number in (0..64).filter(|number| ambient & (1 << number) != 0) {
        sys::ambient_raise(number).step("raise ambient capability", names(1 << number))?;
    }
    Ok(())
}

fn names(set: u64) -> String {
    let known = crate::launch::plan::CAPABILITIES.iter().enumerate();
    let names: Vec<&str> = known
        .filter(|(number, _)| set & (1 << number) != 0)
        .map(|(_, name)| *name)
        .collect();
    names.join(", ")
}
