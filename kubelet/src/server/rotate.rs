//! Keeps logs from growing without bound: a log above its limit is renamed, the runtime begins a new one, and the oldest of
//! the renamed ones go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use minik_api::cri;
use tokio::time::{Instant, interval_at};
use tracing::{debug, warn};

use super::Shared;
use crate::cri::labels;
use crate::spec;

/// Kubernetes' `containerLogMaxSize` and `containerLogMaxFiles`.
const MAX_BYTES: u64 = 10 << 20;
const MAX_FILES: usize = 5;
/// How often the sizes are looked at, as in Kubernetes.
const EVERY: Duration = Duration::from_secs(10);

/// Looks at the logs of running containers until the process ends.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
    loop {
        ticks.tick().await;
        // Only a large file is reason enough to ask the runtime whose it is.
        let large = large(&shared.context.node.logs_root());
        if large.is_empty() {
            continue;
        }
        let own = vec![(labels::NODE.to_owned(), shared.context.node.name.clone())];
        let Ok(containers) = shared.context.runtime.list_containers(own).await else {
            continue;
        };
        for container in containers
            .iter()
            .filter(|container| container.state() == cri::ContainerState::ContainerRunning)
        {
            let path = path_of(&shared, container);
            if large.contains(&path) {
                rotate(&shared, &container.id, &path).await;
            }
        }
    }
}

fn path_of(shared: &Shared, container: &cri::Container) -> PathBuf {
    let label = |name: &str| container.labels.get(name).map(String::as_str).unwrap_or_default();
    let dir = format!(
        "{}_{}_{}",
        label(labels::POD_NAMESPACE),
        label(labels::POD_NAME),
        label(labels::POD_UID)
    );
    let metadata = container.metadata.clone().unwrap_or_default();
    shared
        .context
        .node
        .logs_root()
        .join(dir)
        .join(spec::log_path(&metadata.name, metadata.attempt))
}

/// Logs above the limit: `POD/CONTAINER/N.log`.
fn large(root: &Path) -> Vec<PathBuf> {
    let below = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    let containers = below(root.to_owned()).flat_map(|pod| below(pod.path()));
    let files = containers.flat_map(|container| below(container.path()));
    let is_large = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|metadata| metadata.len() > MAX_BYTES);
    let paths = files.filter(is_large).map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect()
}

async fn rotate(shared: &Shared, id: &str, path: &Path) {
    let aside = match set_aside(path, Timestamp::now()) {
        Ok(aside) => aside,
        Err(error) => return warn!(%error, ?path, "a log can't be rotated"),
    };
    if let Err(error) = shared.context.runtime.reopen_container_log(id).await {
        warn!(%error, ?path, "the runtime didn't begin a new log; the old one goes on");
        // Otherwise nobody would find what is written from now on.
        if let Err(error) = fs::rename(&aside, path) {
            warn!(%error, ?path, "and it can't be renamed back");
        }
        return;
    }
    debug!(?path, "log rotated");
    if let Err(error) = drop_oldest(path, MAX_FILES - 1) {
        warn!(%error, ?path, "an old log can't be removed");
    }
}

fn set_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let aside = PathBuf::from(format!("{}.{}", path.display(), now.strftime("%Y%m%d-%H%M%S")));
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Of the logs that were set aside, keeps the newest.
fn drop_oldest(path: &Path, kept: usize) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    let mut aside = Vec::new();
    for entry in fs::read_dir(path.parent().unwrap_or(path))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&name) {
            aside.push(entry.path());
        }
    }
    aside.sort();
    let surplus = aside.len().saturating_sub(kept);
    aside.iter().take(surplus).try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_logs_go_and_new_ones_stay() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let dir = root.path().join("default_web_u/main");
        fs::create_dir_all(&dir).expect("made");
        let path = dir.join("0.log");
        for second in 0..6 {
            fs::write(&path, "x").expect("written");
            set_aside(&path, Timestamp::from_second(second).expect("in range")).expect("renamed");
        }
        fs::write(&path, "x").expect("written");
        drop_oldest(&path, 4).expect("removed");
        let names = fs::read_dir(&dir)
            .expect("there")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        assert_eq!(names.len(), 5);
        assert_eq!(names[0], "0.log");
        assert!(names[4].ends_with("-000005"), "{names:?}");
    }

    #[test]
    fn only_large_logs_are_found() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let dir = root.path().join("default_web_u/main");
        fs::create_dir_all(&dir).expect("made");
        fs::write(dir.join("0.log"), "x").expect("written");
        let big = fs::File::create(dir.join("1.log")).expect("made");
        big.set_len(MAX_BYTES + 1).expect("grown");
        assert_eq!(large(root.path()), [dir.join("1.log")]);
    }
}
