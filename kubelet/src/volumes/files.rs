//! Directories and files with exact modes, and the two files that the kubelet gives every container: hosts and the
//! termination log.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::VolumeError;
use crate::pod::Pod;
use crate::spec::{Node, sandbox};

/// Makes a directory and those above it; its own mode is set whatever the umask says.
pub(crate) fn directory(path: &Path, mode: u32) -> Result<(), VolumeError> {
    let made = fs::create_dir_all(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
    made.map_err(making(path))
}

/// Writes a file through a new one beside it, so that a reader sees the old or the new and nothing between.
pub(crate) fn replace(path: &Path, content: &str, mode: u32) -> Result<(), VolumeError> {
    let beside = path.with_extension("new");
    let write = || {
        fs::write(&beside, content)?;
        fs::set_permissions(&beside, Permissions::from_mode(mode))?;
        fs::rename(&beside, path)
    };
    write().map_err(making(path))
}

/// Gives something to a group.
pub(crate) fn give_to_group(path: &Path, group: i64) -> io::Result<()> {
    chown(path, None, u32::try_from(group).ok())
}

pub(crate) fn making(path: &Path) -> impl Fn(io::Error) -> VolumeError {
    move |source| VolumeError::Make {
        path: path.to_owned(),
        source,
    }
}

/// Writes the pod's /etc/hosts, once its addresses are known. It is made once for a sandbox and kept as the pod left it.
pub(crate) fn hosts(pod: &Pod, ips: &[String], node: &Node) -> Result<PathBuf, VolumeError> {
    let path = node.pod_dir(&pod.uid).join("etc-hosts");
    let content = match pod.is_host_network() {
        true => fs::read_to_string("/etc/hosts").unwrap_or_default() + &aliases(pod),
        false => hosts_content(pod, ips),
    };
    match fs::read_to_string(&path) {
        Ok(known) if known.starts_with(&content) => {}
        // Containers have this file mounted: it is written in place, where they see it.
        Ok(_) => fs::write(&path, content).map_err(making(&path))?,
        Err(_) => replace(&path, &content, 0o644)?,
    }
    Ok(path)
}

fn hosts_content(pod: &Pod, ips: &[String]) -> String {
    let hostname = sandbox::hostname(pod);
    let names = match pod.spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty()) {
        Some(subdomain) => format!("{hostname}.{subdomain}.{}.svc.cluster.local\t{hostname}", pod.namespace),
        None => hostname,
    };
    let mut content = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         fe00::\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    for ip in ips {
        content.push_str(&format!("{ip}\t{names}\n"));
    }
    content + &aliases(pod)
}

fn aliases(pod: &Pod) -> String {
    let aliases: Vec<_> = pod.spec.host_aliases.iter().flatten().collect();
    if aliases.is_empty() {
        return String::new();
    }
    let lines = aliases.iter().map(|alias| {
        format!(
            "{}\t{}\n",
            alias.ip,
            alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join("\t")
        )
    });
    format!("\n# Entries added by HostAliases.\n{}", lines.collect::<String>())
}

/// Where a run's last words go: an empty file that any user of the container can write.
pub(crate) fn termination_log(pod: &Pod, container: &str, attempt: u32, node: &Node) -> Result<PathBuf, VolumeError> {
    let path = termination_log_path(pod, container, attempt, node);
    if let Some(parent) = path.parent() {
        directory(parent, 0o750)?;
    }
    // What an earlier run of the same number left, before the machine was restarted, isn't this one's.
    let make = || {
        fs::write(&path, "")?;
        fs::set_permissions(&path, Permissions::from_mode(0o666))
    };
    make().map_err(making(&path))?;
    Ok(path)
}

/// Where that is.
pub(crate) fn termination_log_path(pod: &Pod, container: &str, attempt: u32, node: &Node) -> PathBuf {
    node.pod_dir(&pod.uid)
        .join("containers")
        .join(container)
        .join(attempt.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::testing;

    #[test]
    fn hosts_name_the_pod_and_its_aliases() {
        let pod = testing::pod(json!({"subdomain": "apps", "containers": [],
            "hostAliases": [{"ip": "10.9.9.9", "hostnames": ["db", "db.local"]}]}));
        let content = hosts_content(&pod, &["10.1.0.2".into()]);
        assert!(
            content.contains("10.1.0.2\tweb.apps.default.svc.cluster.local\tweb\n"),
            "{content}"
        );
        assert!(
            content.ends_with("# Entries added by HostAliases.\n10.9.9.9\tdb\tdb.local\n"),
            "{content}"
        );
    }

    #[test]
    fn what_a_container_added_to_its_hosts_file_stays() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let node = Node {
            root: root.path().to_owned(),
            ..Default::default()
        };
        let pod = testing::pod(json!({"containers": []}));
        directory(&node.pod_dir(&pod.uid), 0o750).expect("made");
        let path = hosts(&pod, &["10.1.0.2".into()], &node).expect("written");
        fs::write(&path, hosts_content(&pod, &["10.1.0.2".into()]) + "1.2.3.4 mine\n").expect("appended");
        hosts(&pod, &["10.1.0.2".into()], &node).expect("kept");
        assert!(fs::read_to_string(&path).expect("read").ends_with("1.2.3.4 mine\n"));
    }
}
