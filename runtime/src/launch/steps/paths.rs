//! Kernel parameters, hidden and read-only paths, working directory.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::resolve::{self, Missing};
use crate::launch::plan::ProcessPlan;
use crate::launch::report::{Failure, InStep, Reporter};
use crate::sys::mounts::{MountAttributes, attribute, mount_setattr, move_mount, new_mount, open_tree_of};

/// What fails when an image brings its own /dev with something else in it.
const NO_NULL: &str = "mask with /dev/null, which has to be the null device,";

/// Writes kernel parameters through the container's own /proc, before it becomes read-only.
pub(crate) fn sysctls(values: &[(PathBuf, String)]) -> Result<(), Failure> {
    let root = resolve::current_root().step("open the root", "/")?;
    values.iter().try_for_each(|(path, value)| {
        let file = resolve::open_in_proc(root.as_fd(), path, OFlag::O_WRONLY).step("set sysctl", path)?;
        write_whole(file, value).step("set sysctl", path)
    })
}

/// Has execve change the process's AppArmor profile or SELinux label.
pub(crate) fn label(process: &ProcessPlan) -> Result<(), Failure> {
    let (profile, label) = &process.labels;
    if let Some(profile) = profile {
        let exec = format!("exec {profile}");
        write_to_own("apparmor/exec", &exec)
            .or_else(|_| write_to_own("exec", &exec))
            .step("set AppArmor profile (is AppArmor in this kernel?)", profile)?;
    }
    match label {
        Some(label) => write_to_own("exec", label).step("set SELinux label (is SELinux in this kernel?)", label),
        None => Ok(()),
    }
}

/// Writes an attribute of this process, in the kernel's own file and no other (CVE-2025-52881).
fn write_to_own(attribute: &str, value: &str) -> Result<(), Errno> {
    let root = resolve::current_root()?;
    // By its number: `self` is a link.
    let path = Path::new("proc")
        .join(process_number(root.as_fd())?)
        .join("attr")
        .join(attribute);
    write_whole(resolve::open_in_proc(root.as_fd(), &path, OFlag::O_WRONLY)?, value)
}

/// This process as its /proc numbers it.
fn process_number(root: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    nix::fcntl::readlinkat(root, "proc/self").map(PathBuf::from)
}

/// In one write: the kernel takes the value as it comes.
fn write_whole(file: OwnedFd, value: &str) -> Result<(), Errno> {
    nix::unistd::write(&file, value.as_bytes()).map(drop)
}

/// Hides what would show or change the host: a file behind /dev/null, a directory behind an empty one.
pub(crate) fn mask(paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        let Some(target) = existing(path)? else { continue };
        let cover = if resolve::is_directory(&target).step("mask", path)? {
            new_mount(c"tmpfs", &[(c"size", Some(c"0k"))], attribute::RDONLY).step("mask", path)?
        } else {
            let null = resolve::null_device(OFlag::O_PATH).step(NO_NULL, path)?;
            open_tree_of(null.as_fd(), false).step("mask", path)?
        };
        move_mount(cover.as_fd(), target.as_fd()).step("mask", path)?;
    }
    Ok(())
}

/// Makes paths read-only by mounting them, read-only, onto themselves.
pub(crate) fn read_only(paths: &[PathBuf]) -> Result<(), Failure> {
    let readonly = MountAttributes {
        set: attribute::RDONLY,
        ..MountAttributes::default()
    };
    for path in paths {
        let Some(target) = existing(path)? else { continue };
        let tree = open_tree_of(target.as_fd(), true).step("make read-only", path)?;
        mount_setattr(tree.as_fd(), &readonly, true).step("make read-only", path)?;
        move_mount(tree.as_fd(), target.as_fd()).step("make read-only", path)?;
    }
    Ok(())
}

/// Makes the working directory when the image doesn't have it, as containerd does.
pub(crate) fn make_working_directory(path: &CStr) -> Result<(), Failure> {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let root = resolve::current_root().step("open the root", "/")?;
    let relative = path.strip_prefix("/").unwrap_or(path);
    match resolve::open_or_make(root.as_fd(), relative, Missing::Directory) {
        // A read-only or odd place: entering it tells more.
        Ok(_) | Err(Errno::EROFS | Errno::EACCES | Errno::ELOOP) => Ok(()),
        Err(errno) => Err(Failure::new("make working directory", path.to_string_lossy(), errno)),
    }
}

/// Enters the working directory and proves that it lies in the container's root: through a leaked descriptor of the host
/// (`/proc/self/fd/7`) it would not, and getcwd then has no path to tell (CVE-2024-21626).
pub(crate) fn enter(path: &CStr) -> Result<(), Errno> {
    nix::unistd::chdir(path)?;
    let cwd = nix::unistd::getcwd()?;
    if cwd.is_absolute() { Ok(()) } else { Err(Errno::ENOENT) }
}

/// Writes the out-of-memory preference; less than the current one needs CAP_SYS_RESOURCE, which a host may not have.
pub(crate) fn oom_score_adj(value: i32, reporter: Reporter<'_>) -> Result<(), Failure> {
    match std::fs::write("/proc/self/oom_score_adj", value.to_string()) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM)) => {
            reporter.note(format!(
                "oom_score_adj {value} is refused by this host (no CAP_SYS_RESOURCE): left as it is"
            ));
            Ok(())
        }
        other => other.step("set oom_score_adj", value.to_string()),
    }
}

fn existing(path: &Path) -> Result<Option<std::os::fd::OwnedFd>, Failure> {
    let root = resolve::current_root().step("open the root", "/")?;
    debug_assert!(root.as_raw_fd() > 2, "standard streams are open");
    match resolve::open_with(root.as_fd(), path.strip_prefix("/").unwrap_or(path), OFlag::O_PATH) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(Failure::new("open", path.to_string_lossy(), errno)),
    }
}
