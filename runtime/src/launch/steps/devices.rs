//! Nodes and links in the container's own /dev (runtime-spec, config-linux.md, "default devices").

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};

use super::resolve::{self, Missing};
use crate::launch::plan::Device;
use crate::launch::report::{Failure, InStep};
use crate::sys::mounts::{move_mount, open_tree};

const DEFAULT: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Fills /dev and makes the devices that were asked for.
pub(crate) fn make(root: BorrowedFd<'_>, own_dev: bool, devices: &[Device]) -> Result<(), Failure> {
    if own_dev {
        for (name, major, minor) in DEFAULT {
            let device = Device {
                path: Path::new("dev").join(name),
                kind: SFlag::S_IFCHR,
                number: makedev(major, minor),
                mode: 0o666,
                owner: (0, 0),
            };
            node(root, &device)?;
        }
        let dev = resolve::open(root, Path::new("dev")).step("open", "/dev")?;
        for (target, name) in LINKS {
            match symlinkat(target, &dev, name) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(Failure::new("link", format!("/dev/{name}"), errno)),
            }
        }
    }
    devices.iter().try_for_each(|device| node(root, device))
}

fn node(root: BorrowedFd<'_>, device: &Device) -> Result<(), Failure> {
    let path = device.path.strip_prefix("/").unwrap_or(&device.path);
    let (parent, name) = resolve::make_parents(root, path).step("make directory of device", path)?;
    let mode = Mode::from_bits_truncate(device.mode);
    match mknodat(&parent, name, device.kind, mode, device.number) {
        Ok(()) => {}
        Err(Errno::EEXIST) => return Ok(()),
        // Without CAP_MKNOD the host's own node serves, if it has one.
        Err(Errno::EPERM) => return bind_node(root, path),
        Err(errno) => return Err(Failure::new("make device", path.to_string_lossy(), errno)),
    }
    // The mask of this process applies to mknod, not to chmod.
    fchmodat(&parent, name, mode, FchmodatFlags::FollowSymlink).step("set mode of device", path)?;
    let (uid, gid) = (Uid::from_raw(device.owner.0), Gid::from_raw(device.owner.1));
    fchownat(&parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW).step("set owner of device", path)
}

fn bind_node(root: BorrowedFd<'_>, path: &Path) -> Result<(), Failure> {
    let host = std::ffi::CString::new(Path::new("/").join(path).into_os_string().into_encoded_bytes());
    let host = host.map_err(|_| Failure::new("bind device", path.to_string_lossy(), Errno::EINVAL))?;
    let tree = open_tree(&host, false).step("bind device", path)?;
    let target = resolve::open_or_make(root, path, Missing::File).step("bind device", path)?;
    move_mount(tree.as_fd(), target.as_fd()).step("bind device", path)
}
