//! `emptyDir`: a directory that lives as long as the pod, on disk or in memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use minik_api::quantity::Quantity;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use super::VolumeError;
use super::files::{directory, give_to_group, making};

/// Makes it, or leaves it as it is.
pub(crate) fn make(path: &Path, source: &EmptyDirVolumeSource, group: Option<i64>) -> Result<(), VolumeError> {
    let in_memory = source.medium.as_deref() == Some("Memory");
    // After a restart of the machine the directory of one in memory is there, but nothing is mounted on it.
    if path.exists() && (!in_memory || is_tmpfs(path)) {
        return Ok(());
    }
    let mode = if group.is_some() { 0o2777 } else { 0o777 };
    directory(path, mode)?;
    if in_memory {
        let size = source
            .size_limit
            .as_ref()
            .and_then(|size| size.0.parse::<Quantity>().ok());
        let size = size.map_or(String::new(), |size| format!("size={},", size.value()));
        let options = format!("{size}mode={mode:o}");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let mounted = mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(options.as_str()));
        if let Err(source) = mounted {
            // Otherwise the next attempt would take the bare directory for the volume.
            fs::remove_dir(path).map_err(making(path))?;
            return Err(VolumeError::Mount {
                path: path.to_owned(),
                source,
            });
        }
    }
    group
        .map_or(Ok(()), |group| give_to_group(path, group))
        .map_err(making(path))
}

fn is_tmpfs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

/// Unmounts whatever is mounted below a pod's directory, the deepest first.
pub(crate) fn unmount_below(pod_dir: &Path) -> Result<(), VolumeError> {
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(making(Path::new("/proc/self/mountinfo")))?;
    let mut points: Vec<PathBuf> = table
        .lines()
        .filter_map(mount_point)
        .filter(|point| point.starts_with(pod_dir))
        .collect();
    points.sort_by_key(|point| std::cmp::Reverse(point.as_os_str().len()));
    for point in points {
        umount2(&point, MntFlags::MNT_DETACH).map_err(|source| VolumeError::Make {
            path: point.clone(),
            source: io::Error::from(source),
        })?;
    }
    Ok(())
}

/// The fifth field of a line of mountinfo (proc_pid_mountinfo(5)), its octal escapes undone.
fn mount_point(line: &str) -> Option<PathBuf> {
    let field = line.split(' ').nth(4)?;
    let unescaped = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    let path = unescaped
        .iter()
        .fold(field.to_owned(), |path, (escape, char)| path.replace(escape, char));
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read() {
        let line = "36 35 98:0 /mnt1 /mnt/my\\040disk rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/mnt/my disk")));
        assert_eq!(mount_point("short line"), None);
    }

    /// Needs root, as the kubelet does.
    #[test]
    fn memory_is_mounted_and_unmounted() {
        assert!(
            nix::unistd::geteuid().is_root(),
            "this test mounts a tmpfs: run it as root"
        );
        let pod = tempfile::tempdir().expect("a temporary directory");
        let volume = pod.path().join("cache");
        let source: EmptyDirVolumeSource =
            serde_json::from_value(serde_json::json!({"medium": "Memory", "sizeLimit": "1Mi"})).expect("a source");
        make(&volume, &source, None).expect("mounted");
        let kind = statfs(&volume).expect("statfs").filesystem_type();
        assert_eq!(kind, TMPFS_MAGIC);
        make(&volume, &source, None).expect("made once only");
        unmount_below(pod.path()).expect("unmounted");
        let kind = statfs(&volume).expect("statfs").filesystem_type();
        let outside = statfs(pod.path()).expect("statfs").filesystem_type();
        assert_eq!(kind, outside);
    }
}
