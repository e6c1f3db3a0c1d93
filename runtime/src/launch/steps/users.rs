//! Into the pod's user namespace: from here on the process is root of the pod, and nobody on the host.
//!
//! What needs the host's root is done before: joining cgroups and the pod's other namespaces, opening what is to be mounted,
//! mapping it, mounting the layers. What is made in the container's root is made after, so that it belongs to the
//! container's users.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchdir, setgroups, setresgid, setresuid};

use crate::launch::report::{Failure, InStep};
use crate::sys::mounts::{move_mount, open_tree};

/// Enters the user namespace with a mount namespace of its own, and returns the container's root in there.
///
/// A copy of a mount namespace that belongs to less privileged users has its mounts locked (mount_namespaces(7)), so the
/// root is mounted once more on itself: what was mounted here can be moved. The working directory is what leads there: it is
/// carried over into the new namespace, and no path has to be walked that only the host's root may enter.
pub(crate) fn enter(namespace: BorrowedFd<'_>, root: &OwnedFd) -> Result<OwnedFd, Failure> {
    fchdir(root).step("enter rootfs", "/")?;
    setns(namespace, CloneFlags::CLONE_NEWUSER).step("join namespace", "user")?;
    become_root()?;
    unshare(CloneFlags::CLONE_NEWNS).step("unshare", "mount namespace")?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let here = nix::fcntl::open(".", flags, Mode::empty()).step("open rootfs", ".")?;
    let tree = open_tree(c".", false).step("bind rootfs", ".")?;
    move_mount(tree.as_fd(), here.as_fd()).step("bind rootfs", ".")?;
    Ok(tree)
}

/// The host's root has no number in the namespace; what it makes there would belong to nobody.
pub(crate) fn become_root() -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setgroups(&[]).step("become root of the user namespace", "groups")?;
    setresgid(gid, gid, gid).step("become root of the user namespace", "group")?;
    setresuid(uid, uid, uid).step("become root of the user namespace", "user")
}
