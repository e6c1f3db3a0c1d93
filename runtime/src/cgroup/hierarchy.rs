//! Which cgroup hierarchies are mounted (proc_pid_mountinfo(5)), and whether one takes a cgroup.

use std::io;
use std::path::PathBuf;

/// Controllers of cgroup v1; other words in a mount's options are no controllers.
const CONTROLLERS: [&str; 13] = [
    "blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls", "net_prio",
    "pids", "rdma",
];

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// 1 or 2.
    pub(super) version: u8,
    /// Controllers of a v1 hierarchy.
    pub(super) controllers: Vec<String>,
    /// `name=` of a v1 hierarchy, such as `systemd`.
    pub(super) name: Option<String>,
}

pub(super) fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for hierarchy in mountinfo.lines().filter_map(line) {
        // The same hierarchy may be mounted at several places; the first one is the host's own.
        let same = |other: &Hierarchy| {
            (other.version, &other.controllers, &other.name)
                == (hierarchy.version, &hierarchy.controllers, &hierarchy.name)
        };
        if !found.iter().any(same) {
            found.push(hierarchy);
        }
    }
    found
}

/// `36 35 98:0 / /sys/fs/cgroup/cpu rw,nosuid shared:1 - cgroup cgroup rw,cpu`
fn line(line: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = filesystem.split(' ');
    let version = match fields.next()? {
        "cgroup" => 1,
        "cgroup2" => 2,
        _ => return None,
    };
    let options = fields.nth(1)?;
    let mount = mount.split(' ').nth(4)?;
    let words = || options.split(',');
    let controllers = words()
        .filter(|word| version == 1 && CONTROLLERS.contains(word))
        .map(str::to_owned)
        .collect();
    Some(Hierarchy {
        mount: PathBuf::from(unescape(mount)),
        version,
        controllers,
        name: words().find_map(|word| word.strip_prefix("name=")).map(str::to_owned),
    })
}

/// Blank, tab, line feed and backslash are written as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// Makes and removes a cgroup.
pub(super) fn trial(hierarchy: &Hierarchy) -> io::Result<()> {
    let directory = hierarchy.mount.join(format!("minik-trial-{}", std::process::id()));
    match std::fs::create_dir(&directory) {
        // Two trials of one process at the same time prove the same.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    match std::fs::remove_dir(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_hosts_have_both() {
        let text = "\
24 1 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:21 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
26 24 0:22 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
27 24 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
28 24 0:23 / /mnt/with\\040blank rw - cgroup2 cgroup2 rw,nsdelegate
";
        let found = parse(text);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found[0].mount, PathBuf::from("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(found[1].name.as_deref(), Some("systemd"));
        assert_eq!((found[2].version, found[2].controllers.len()), (2, 0));
        assert_eq!(unescape("/mnt/with\\040blank"), "/mnt/with blank");
    }

    #[test]
    fn lines_that_are_cut_are_no_hierarchies() {
        for text in ["", "25 24 0:21", "25 24 0:21 / /x rw - cgroup", "a - cgroup cgroup rw"] {
            assert_eq!(parse(text), [], "{text}");
        }
    }
}
