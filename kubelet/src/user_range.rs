//! The users of a pod with `hostUsers: false`: 65536 numbers of the host that no other pod of this node has.
//!
//! Which ones they are is written into the pod's directory before its sandbox is made, in the form that upstream's kubelet
//! has there; with the directory they are given back. The runtime makes the user namespace.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use minik_api::cri::{IdMapping, NamespaceMode, UserNamespace};
use serde_json::{Value, json};

use crate::pod::Pod;
use crate::spec::Node;
use crate::volumes::{VolumeError, files};

/// As many as a user's number in a container usually has values; the first range is the host's own.
const LENGTH: u32 = 65_536;
const FILE: &str = "userns";

/// Two pods that begin at once must not find the same range free.
static TURN: Mutex<()> = Mutex::new(());

/// A range that can't be had, or whose record can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RangeError {
    #[error("user namespace of the pod: {path}: {source}")]
    File { path: String, source: io::Error },
    #[error(transparent)]
    Directory(#[from] VolumeError),
    #[error("user namespace of the pod: {0} isn't a record of its users; delete the pod")]
    Damaged(String),
    #[error("all {0} ranges of users are taken by other pods of this node")]
    Exhausted(u32),
}

/// Whether the pod wants users of its own.
pub(crate) fn is_wanted(pod: &Pod) -> bool {
    pod.spec.host_users == Some(false)
}

/// Takes a range for the pod, unless it wants none or has one.
pub(crate) fn take(pod: &Pod, node: &Node) -> Result<(), RangeError> {
    if !is_wanted(pod) {
        return Ok(());
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = node.pod_dir(&pod.uid);
    files::directory(&directory, 0o750)?;
    if read(&directory)?.is_some() {
        return Ok(());
    }
    let pods = directory.parent().unwrap_or(&directory);
    let taken: BTreeSet<u32> = fs::read_dir(pods)
        .map_err(failed(pods))?
        .flatten()
        // A record that can't be read is another pod's trouble.
        .filter_map(|entry| read(&entry.path()).ok().flatten())
        .collect();
    let host = free(&taken)?;
    // Written whole or not at all: a pod that has begun with a range keeps it.
    let (path, draft) = (directory.join(FILE), directory.join("userns.new"));
    let text = record(host).to_string();
    fs::write(&draft, text)
        .and_then(|()| fs::rename(&draft, &path))
        .map_err(failed(&path))
}

/// What the runtime is to make; none for a pod with the node's users.
pub(crate) fn of(pod: &Pod, node: &Node) -> Option<UserNamespace> {
    if !is_wanted(pod) {
        return None;
    }
    // Without a record no sandbox of the pod has been made.
    let host = read(&node.pod_dir(&pod.uid)).ok().flatten()?;
    let mapping = IdMapping {
        container_id: 0,
        host_id: host,
        length: LENGTH,
    };
    Some(UserNamespace {
        mode: NamespaceMode::Pod.into(),
        uids: vec![mapping],
        gids: vec![mapping],
    })
}

fn record(host: u32) -> Value {
    let mapping = json!([{"hostId": host, "containerId": 0, "length": LENGTH}]);
    json!({"uidMappings": mapping, "gidMappings": mapping})
}

/// The first number of a pod's range.
fn read(pod_dir: &Path) -> Result<Option<u32>, RangeError> {
    let path = pod_dir.join(FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed(&path))?,
    };
    let damaged = || RangeError::Damaged(path.display().to_string());
    let record: Value = serde_json::from_str(&text).map_err(|_| damaged())?;
    let host = record["uidMappings"][0]["hostId"].as_u64();
    let host = host
        .and_then(|host| u32::try_from(host).ok())
        .filter(|host| host % LENGTH == 0);
    host.map(Some).ok_or_else(damaged)
}

/// The lowest range that isn't taken.
fn free(taken: &BTreeSet<u32>) -> Result<u32, RangeError> {
    // The last range would end at the number that means "nobody".
    let all = u32::MAX / LENGTH;
    (1..all)
        .map(|range| range * LENGTH)
        .find(|host| !taken.contains(host))
        .ok_or(RangeError::Exhausted(all - 1))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RangeError {
    let path = path.display().to_string();
    move |source| RangeError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::testing;

    #[test]
    fn no_two_pods_have_the_same_users() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let node = Node {
            root: root.path().to_owned(),
            ..Default::default()
        };
        let begun = |uid: &str| {
            let mut pod = testing::pod(json!({"hostUsers": false, "containers": []}));
            pod.uid = uid.to_owned();
            fs::create_dir_all(node.pod_dir(uid)).expect("made");
            take(&pod, &node).expect("a range");
            pod
        };
        let host = |pod: &Pod| of(pod, &node).map(|users| (users.uids[0].host_id, users.gids[0].length));
        let (first, second) = (begun("a"), begun("b"));
        assert_eq!(
            (host(&first), host(&second)),
            (Some((65_536, 65_536)), Some((131_072, 65_536)))
        );
        take(&second, &node).expect("the same");
        assert_eq!(host(&second), Some((131_072, 65_536)), "a range is kept");
        fs::remove_dir_all(node.pod_dir("a")).expect("removed");
        assert_eq!(
            host(&begun("c")),
            Some((65_536, 65_536)),
            "given back with the directory"
        );
        let plain = testing::pod(json!({"containers": []}));
        take(&plain, &node).expect("nothing to take");
        assert_eq!(host(&plain), None);
    }

    #[test]
    fn a_damaged_record_is_told() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for text in ["", "{}", r#"{"uidMappings": [{"hostId": 7}]}"#] {
            fs::write(directory.path().join(FILE), text).expect("written");
            assert!(matches!(read(directory.path()), Err(RangeError::Damaged(_))), "{text}");
        }
    }
}
