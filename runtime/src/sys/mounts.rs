//! The mount API that works on descriptors: open_tree, move_mount, fsopen, fsconfig, fsmount (Linux 5.2) and
//! mount_setattr (5.12).
//!
//! A mount that is built detached and attached to a descriptor cannot be redirected by a symbolic link that a hostile
//! image put in its way.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::check;

/// Attributes of a mount (`MOUNT_ATTR_*` of linux/mount.h).
pub mod attribute {
    /// Read-only.
    pub const RDONLY: u64 = 0x1;
    /// Set-user-ID bits and file capabilities are ignored.
    pub const NOSUID: u64 = 0x2;
    /// Device files cannot be opened.
    pub const NODEV: u64 = 0x4;
    /// Programs cannot be executed.
    pub const NOEXEC: u64 = 0x8;
    /// Mask of the three access time modes below.
    pub const ATIME: u64 = 0x70;
    /// Access times are not updated.
    pub const NOATIME: u64 = 0x10;
    /// Access times are always updated.
    pub const STRICTATIME: u64 = 0x20;
    /// Access times of directories are not updated.
    pub const NODIRATIME: u64 = 0x80;
    /// Symbolic links are not followed (Linux 5.10).
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
    /// Owners of files are translated by a user namespace (Linux 5.12).
    pub const IDMAP: u64 = 0x10_0000;
}

const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC as libc::c_uint;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct MountAttributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`; 0 leaves the propagation.
    pub propagation: u64,
    /// The user namespace that [`attribute::IDMAP`] translates by.
    pub userns_fd: u64,
}

/// A detached copy of the mount at `path` (open_tree(2) with `OPEN_TREE_CLONE`), with the mounts below when `recursive`.
///
/// # Errors
/// What the kernel says; `ENOENT` when the path is not there.
pub fn open_tree(path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    open_tree_at(
        libc::AT_FDCWD,
        path,
        if recursive { libc::AT_RECURSIVE as u32 } else { 0 },
    )
}

/// A detached copy of the mount that `fd` (a path descriptor) stands in.
///
/// # Errors
/// What open_tree(2) says.
pub fn open_tree_of(fd: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    let recursive = if recursive { libc::AT_RECURSIVE as u32 } else { 0 };
    open_tree_at(fd.as_raw_fd(), c"", libc::AT_EMPTY_PATH as u32 | recursive)
}

fn open_tree_at(dir: RawFd, path: &CStr, flags: u32) -> Result<OwnedFd, Errno> {
    let flags = flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    // SAFETY: `path` is NUL-terminated and outlives the call; the kernel only reads it.
    let fd = check(unsafe { libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags) })?;
    Ok(owned(fd))
}

/// Attaches the detached mount `from` onto the file or directory `to` (move_mount(2)).
///
/// # Errors
/// What the kernel says.
pub fn move_mount(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: both paths are empty C strings with static lifetime; the descriptors are borrowed for the call.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) }).map(drop)
}

/// Changes attributes of the mount `fd`, and of those below when `recursive` (mount_setattr(2)).
///
/// # Errors
/// What the kernel says.
pub fn mount_setattr(fd: BorrowedFd<'_>, attributes: &MountAttributes, recursive: bool) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `attributes` has the layout of struct mount_attr and the size is its own; the path is a static C string.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    })
    .map(drop)
}

/// A new, detached mount of a filesystem by name, with options as `key` or `key`, `value` pairs.
///
/// # Errors
/// What fsopen(2), fsconfig(2) or fsmount(2) say: `ENODEV` when the kernel lacks the filesystem.
pub fn new_mount(fs: &CStr, options: &[(&CStr, Option<&CStr>)], attributes: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: `fs` is NUL-terminated and outlives the call.
    let context = owned(check(unsafe {
        libc::syscall(libc::SYS_fsopen, fs.as_ptr(), FSOPEN_CLOEXEC)
    })?);
    for (key, value) in options {
        let command = if value.is_some() {
            FSCONFIG_SET_STRING
        } else {
            FSCONFIG_SET_FLAG
        };
        fsconfig(&context, command, Some(key), *value)?;
    }
    fsconfig(&context, FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: integers only.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            FSMOUNT_CLOEXEC,
            attributes as u32,
        )
    })?;
    Ok(owned(fd))
}

fn fsconfig(context: &OwnedFd, command: u32, key: Option<&CStr>, value: Option<&CStr>) -> Result<(), Errno> {
    let key = key.map_or(std::ptr::null(), CStr::as_ptr);
    let value = value.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: key and value are NULL or NUL-terminated strings that outlive the call, as the command wants them.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) }).map(drop)
}

fn owned(fd: libc::c_long) -> OwnedFd {
    let fd = RawFd::try_from(fd).expect("descriptors are small");
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
