//! What new namespaces begin with: names, clocks, a loopback interface, a keyring.

use std::ffi::CStr;

use nix::fcntl::OFlag;
use nix::sched::{setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::Mode;
use std::os::fd::AsFd;

use crate::launch::plan::{Plan, TIME_NAMESPACE};
use crate::launch::report::{Failure, InStep};
use crate::sys;

/// Sets what was asked for in the namespaces that the process is in by now.
pub(crate) fn furnish(plan: &Plan) -> Result<(), Failure> {
    if let Some(hostname) = &plan.hostname {
        nix::unistd::sethostname(hostname).step("set hostname", hostname)?;
    }
    if let Some(name) = &plan.domainname {
        std::fs::write("/proc/sys/kernel/domainname", name).step("set domainname", name)?;
    }
    if plan.loopback {
        // The kernel makes it and leaves it down.
        let family = AddressFamily::Inet;
        let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).step("bring up", "lo")?;
        sys::interface::bring_up(socket.as_fd(), "lo").step("bring up", "lo")?;
    }
    plan.time_offsets.as_deref().map_or(Ok(()), set_clocks)
}

/// A time namespace's clocks are set before anybody is in it, and unshare(2) makes one for children; then it is entered.
fn set_clocks(offsets: &str) -> Result<(), Failure> {
    unshare(TIME_NAMESPACE).step("unshare", "time namespace")?;
    if !offsets.is_empty() {
        std::fs::write("/proc/self/timens_offsets", offsets).step("set clocks of the time namespace", offsets)?;
    }
    let path = "/proc/self/ns/time_for_children";
    let own = nix::fcntl::open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).step("open", path)?;
    setns(own, TIME_NAMESPACE).step("join namespace", "time")
}

/// Keys of the caller's session are none of the container's business (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING).
pub(crate) fn new_keyring(name: &CStr) -> Result<(), Failure> {
    match sys::keyring::join_session(name) {
        // A kernel without keys has none to keep from the container.
        Ok(()) | Err(nix::errno::Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(Failure::new("make session keyring", name.to_string_lossy(), errno)),
    }
}
