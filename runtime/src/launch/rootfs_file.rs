//! Small text files of an image, such as /etc/passwd, read before anything is mounted.
//!
//! The layers are looked through from the top. A link in an image is resolved within its layer, never on the host, and
//! what is no plain file, or larger than any user file, is refused.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

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
        // Non-blocking: opening a named pipe would else wait for a writer.
        let file = match resolve::open_with(root.as_fd(), path, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => continue,
            // A whiteout is a device 0:0 that nobody can open: the file has been removed by this layer.
            Err(Errno::ENXIO | Errno::ENODEV) => return Ok(String::new()),
            Err(errno) => return Err(errno.into()),
        };
        let metadata = file.metadata()?;
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
}
