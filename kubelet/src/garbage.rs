//! Sweeps up directories that no pod has any more: of pods that were removed while no kubelet ran.
//!
//! What the runtime holds of such pods is ended by [`crate::pods`]; dead containers of living pods are swept by their workers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval_at};
use tracing::{debug, warn};

use crate::context::Context;
use crate::cri::labels;
use crate::pods::Known;
use crate::volumes;

/// The first sweep: when a kubelet has long seen which pods there are.
const FIRST: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(300);

/// Sweeps now and then until the process ends.
pub(crate) async fn collect(context: Arc<Context>, known: watch::Receiver<Arc<Known>>) {
    let mut ticks = interval_at(Instant::now() + FIRST, EVERY);
    loop {
        ticks.tick().await;
        let own = vec![(labels::NODE.to_owned(), context.node.name.clone())];
        // Without the runtime's word nobody knows which directories are in use.
        let Ok(sandboxes) = context.runtime.list_pod_sandboxes(own).await else {
            continue;
        };
        let mut live: BTreeSet<String> = known.borrow().keys().cloned().collect();
        if live.is_empty() {
            // Perhaps none has been listed yet; a node without pods has little to sweep.
            continue;
        }
        live.extend(
            sandboxes
                .into_iter()
                .filter_map(|sandbox| sandbox.metadata)
                .map(|metadata| metadata.uid),
        );
        for dir in orphans(&context.node.root, &live) {
            debug!(?dir, "removing the directory of a pod that is gone");
            if let Err(error) = volumes::remove(&dir) {
                warn!(%error, ?dir, "the directory of a pod that is gone can't be removed");
            }
        }
    }
}

/// Directories named after uids that aren't among the living.
fn orphans(root: &Path, live: &BTreeSet<String>) -> Vec<PathBuf> {
    let entries = |dir: &str| {
        fs::read_dir(root.join(dir))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let uid_of = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.rsplit('_').next().unwrap_or_default().to_owned()
    };
    let all = entries("pods").chain(entries("pods-logs"));
    all.filter(|path| path.is_dir() && !live.contains(&uid_of(path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_pod_has_is_swept() {
        let root = tempfile::tempdir().expect("a temporary directory");
        for dir in [
            "pods/u1",
            "pods/u2",
            "pods-logs/default_web_u1",
            "pods-logs/default_old_u3",
        ] {
            fs::create_dir_all(root.path().join(dir)).expect("made");
        }
        let found = orphans(root.path(), &BTreeSet::from(["u1".to_owned()]));
        let mut names: Vec<_> = found
            .iter()
            .map(|path| path.file_name().unwrap_or_default().to_string_lossy())
            .collect();
        names.sort();
        assert_eq!(names, ["default_old_u3", "u2"]);
    }
}
