//! Small text files of an image, such as /etc/passwd, read before anything is mounted.
//!
//! The layers are looked through from the top. A link in an image is resolved within its layer, never on the host, and
//! what is no plain file, or larger than any user file, is refused.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;

use super::steps::resolve;
use crate::oci::Rootfs;

/// Largest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// The text of a file in a container's root filesystem; empty when it isn't there.
///
/// # Errors
/// It is no plain file, is too large, or a layer can't be read.
pub fn read(rootfs: &Rootfs, path: &str) -> io::Result<String> {
    let path = Path::new(path.trim_start_matches('/'));
    for layer in std::iter::once(&rootfs.upper).chain(&rootfs.lower) {
        let root = File::open(layer)?;
        // Only named, not opened: an image may have a pipe there, which waits, or a device, which acts (a watchdog that has
        // been opened resets the machine).
        let found = match resolve::open(root.as_fd(), path) {
            Ok(found) => File::from(found),
            Err(Errno::ENOENT) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let metadata = found.metadata()?;
        // A whiteout: the file has been removed by this layer.
        if metadata.file_type().is_char_device() && metadata.rdev() == 0 {
            return Ok(String::new());
        }
        if !metadata.is_file() || metadata.len() > MAX_BYTES {
            return Err(io::Error::other(format!(
                "/{} in the image is no plain, small file",
                path.display()
            )));
        }
        let mut bytes = Vec::new();
        let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers in a temporary directory: `upper` over `1` over `0`.
    fn layers() -> (tempfile::TempDir, Rootfs) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        for name in ["upper/etc", "1/etc", "0/etc", "work"] {
            std::fs::create_dir_all(at(name)).expect("a directory");
        }
        let rootfs = Rootfs {
            lower: vec![at("1"), at("0")],
            upper: at("upper"),
            work: at("work"),
        };
        (directory, rootfs)
    }

    #[test]
    fn the_topmost_layer_wins() {
        let (directory, rootfs) = layers();
        assert_eq!(read(&rootfs, "/etc/passwd").expect("read"), "");
        std::fs::write(directory.path().join("0/etc/passwd"), "low").expect("written");
        assert_eq!(read(&rootfs, "/etc/passwd").expect("read"), "low");
        std::fs::write(directory.path().join("1/etc/passwd"), "high").expect("written");
        assert_eq!(read(&rootfs, "/etc/passwd").expect("read"), "high");
        let whiteout = directory.path().join("upper/etc/passwd");
        let kind = nix::sys::stat::SFlag::S_IFCHR;
        nix::sys::stat::mknod(&whiteout, kind, nix::sys::stat::Mode::empty(), 0).expect("root, to make a whiteout");
        assert_eq!(read(&rootfs, "/etc/passwd").expect("read"), "");
    }

    #[test]
    fn the_hosts_files_are_not_the_images() {
        let (directory, rootfs) = layers();
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join("1/etc/passwd")).expect("a link");
        assert_eq!(read(&rootfs, "/etc/passwd").expect("read"), "");
        std::fs::write(directory.path().join("1/etc/hostname"), "inside").expect("written");
        assert_eq!(read(&rootfs, "/etc/passwd").expect("read"), "inside");
        std::fs::remove_file(directory.path().join("1/etc/passwd")).expect("removed");
        nix::unistd::mkfifo(&directory.path().join("1/etc/passwd"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        assert!(read(&rootfs, "/etc/passwd").is_err());
    }

    #[test]
    fn a_device_in_the_place_of_a_file_is_not_opened() {
        use nix::sys::stat::{Mode, SFlag, makedev, mknod};
        let (directory, rootfs) = layers();
        // Opening a device that no driver has fails with another error than ours.
        let passwd = directory.path().join("1/etc/passwd");
        mknod(&passwd, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(240, 77)).expect("root, to make a device");
        let error = read(&rootfs, "/etc/passwd").expect_err("a device");
        assert!(error.to_string().contains("no plain, small file"), "{error}");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let (directory, rootfs) = layers();
        let file = File::create(directory.path().join("0/etc/passwd")).expect("made");
        file.set_len(1 << 40).expect("a hole");
        let error = read(&rootfs, "/etc/passwd").expect_err("too large");
        assert!(error.to_string().contains("no plain, small file"), "{error}");
    }
}
