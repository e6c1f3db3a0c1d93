//! The cgroup of a pod that is gone. The runtime makes it, and ours takes it away again; others leave that to the kubelet.

use std::path::{Path, PathBuf};

/// Where the hierarchies are mounted (cgroups(7)).
const MOUNT: &str = "/sys/fs/cgroup";

/// Removes the pod's cgroup from every hierarchy. One that holds a process stays; one that isn't there is removed.
pub(crate) fn remove(cgroup: &str) {
    for directory in directories(Path::new(MOUNT), cgroup) {
        // The kernel refuses a cgroup with processes or children, and has no files to remove in one without.
        if let Err(error) = std::fs::remove_dir(&directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!(%error, cgroup = %directory.display(), "leave a pod's cgroup");
        }
    }
}

/// The cgroup's directory in the one hierarchy of v2, or in each of v1.
fn directories(mount: &Path, cgroup: &str) -> Vec<PathBuf> {
    let relative = cgroup.trim_start_matches('/');
    // Never the mount itself, and nothing outside of it.
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if !relative.split('/').all(plain) {
        return Vec::new();
    }
    let hierarchies = std::fs::read_dir(mount).into_iter().flatten().flatten();
    let hierarchies = hierarchies.map(|entry| entry.path()).filter(|path| path.is_dir());
    let all = hierarchies
        .chain([mount.to_owned()])
        .map(|hierarchy| hierarchy.join(relative));
    all.filter(|directory| directory.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mount = tempfile::tempdir().expect("a temporary directory");
        let at = |path: &str| mount.path().join(path);
        for path in ["memory/pods/a", "pids/pods/a", "cpu/pods/b", "pods/a"] {
            std::fs::create_dir_all(at(path)).expect("a directory");
        }
        let mut found = directories(mount.path(), "/pods/a");
        found.sort();
        assert_eq!(found, [at("memory/pods/a"), at("pids/pods/a"), at("pods/a")]);
        for outside in ["", "/", "../x", "/pods/../a", "/pods//a"] {
            assert_eq!(directories(mount.path(), outside), Vec::<PathBuf>::new(), "{outside}");
        }
    }
}
