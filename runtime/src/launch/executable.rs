//! This program as containers may see it: on a mount that can't be written.
//!
//! A process on its way into a container is still this program, and an image can make it execute `/proc/self/exe`; either
//! way code in a container may get hold of our executable file and, as root, replace the host's copy (CVE-2019-5736). So
//! shims are executed from a detached, read-only mount of it: whoever opens it through /proc is refused with EROFS. The
//! mount lives as long as a shim does.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::sys::mounts::{MountAttributes, attribute, mount_setattr, open_tree};

/// Opens `path` for execution through `/proc/self/fd`, on a read-only mount of its own.
///
/// # Errors
/// The file isn't there, or the kernel is older than 5.12.
pub fn sealed(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let tree = open_tree(&path, false)?;
    let readonly = MountAttributes {
        set: attribute::RDONLY,
        ..MountAttributes::default()
    };
    mount_setattr(tree.as_fd(), &readonly, false)?;
    // The empty path stands for the mount's root, which is the file itself; /proc/self/fd leads there.
    let own = std::path::PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&tree)));
    Ok(openat(
        nix::fcntl::AT_FDCWD,
        own.as_path(),
        OFlag::O_PATH | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?)
}
