//! A path below a volume, for `subPath`: made if it isn't there, and never one that leads out of the volume.
//!
//! What a container wrote into its volume can't be trusted: a symlink to `/` must not give it the host. Each part is resolved
//! by openat2(2) with RESOLVE_BENEATH, which refuses to leave the volume.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};

use super::VolumeError;
use super::files::making;

/// The real path on the host of `sub_path` below `volume`.
pub(crate) fn resolve(volume: &Path, sub_path: &str) -> Result<PathBuf, VolumeError> {
    let root = File::open(volume).map_err(making(volume))?;
    let mut walked = PathBuf::new();
    for part in Path::new(sub_path).components() {
        let Component::Normal(part) = part else {
            return Err(VolumeError::Escape(sub_path.to_owned()));
        };
        walked.push(part);
        match open_beneath(&root, &walked) {
            Ok(_) => {}
            Err(Errno::ENOENT) => make_beneath(&root, &walked).map_err(|errno| failed(volume, sub_path, errno))?,
            Err(errno) => return Err(failed(volume, sub_path, errno)),
        }
    }
    let opened = open_beneath(&root, &walked).map_err(|errno| failed(volume, sub_path, errno))?;
    // Where the kernel got to, every symlink followed.
    let link = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened)));
    std::fs::read_link(&link).map_err(making(&link))
}

fn open_beneath(root: &File, path: &Path) -> Result<std::os::fd::OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH);
    openat2(root.as_fd(), path, how)
}

fn make_beneath(root: &File, path: &Path) -> Result<(), Errno> {
    let mode = Mode::from_bits_truncate(0o750);
    match (
        path.parent().filter(|parent| !parent.as_os_str().is_empty()),
        path.file_name(),
    ) {
        (Some(parent), Some(name)) => mkdirat(open_beneath(root, parent)?, name, mode),
        _ => mkdirat(root.as_fd(), path, mode),
    }
}

fn failed(volume: &Path, sub_path: &str, errno: Errno) -> VolumeError {
    match errno {
        // RESOLVE_BENEATH's refusal.
        Errno::EXDEV => VolumeError::Escape(sub_path.to_owned()),
        errno => making(&volume.join(sub_path))(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_are_made_and_files_found() {
        let volume = tempfile::tempdir().expect("a temporary directory");
        let path = resolve(volume.path(), "a/b").expect("made");
        assert!(path.is_dir() && path.ends_with("a/b"));
        fs::write(volume.path().join("f"), "x").expect("written");
        assert!(resolve(volume.path(), "f").expect("found").is_file());
    }

    #[test]
    fn nothing_leads_out() {
        let volume = tempfile::tempdir().expect("a temporary directory");
        symlink("/etc", volume.path().join("out")).expect("linked");
        symlink("../..", volume.path().join("up")).expect("linked");
        for path in ["../x", "/etc", "out", "out/passwd", "up/etc"] {
            assert!(
                matches!(resolve(volume.path(), path), Err(VolumeError::Escape(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn symlinks_within_the_volume_are_followed() {
        let volume = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(volume.path().join("real")).expect("made");
        symlink("real", volume.path().join("link")).expect("linked");
        assert!(resolve(volume.path(), "link").expect("found").ends_with("real"));
    }
}
