//! Pulls and imports as a whole: against a real registry (Debian's docker-registry) and against one that misbehaves.

mod docker_registry;
mod failures;
mod fake;
mod full_disk;
mod imports;
mod leaving;
mod pulls;
mod sample;
mod services;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::registry::Patience;
use super::*;

/// A data directory with short patience.
struct Node {
    directory: TempDir,
    images: Images,
}

impl Node {
    fn new(mirrors: &[&str]) -> Self {
        Self::with(Registries {
            mirrors: mirrors.iter().map(|mirror| mirror.parse().expect("a mirror")).collect(),
            docker_config: None,
            patience: patience(),
        })
    }

    fn with(registries: Registries) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let images = Images::open(directory.path(), registries).expect("a new store");
        Self { directory, images }
    }

    async fn pull(&self, reference: &str) -> Result<Arc<Image>, PullError> {
        self.images.pull(&reference.parse().expect("a reference"), None).await
    }

    /// As after a restart.
    fn reopened(self) -> Self {
        let registries = self.images.inner.registries.clone();
        let images = Images::open(self.directory.path(), registries).expect("opened again");
        Self { images, ..self }
    }

    /// Text of a file in an image, by the topmost layer that has it.
    fn text(&self, image: &Image, path: &str) -> Option<String> {
        let key = uuid::Uuid::new_v4().to_string();
        let rootfs = self
            .images
            .snapshots()
            .prepare(&key, image.chain.as_ref())
            .expect("prepared");
        let text = rootfs
            .lower
            .iter()
            .find_map(|layer| std::fs::read_to_string(layer.join(path)).ok());
        self.images.snapshots().remove(&key).expect("removed");
        text
    }

    fn left_over(&self) -> Vec<PathBuf> {
        ["content/blobs/sha256", "content/ingest", "snapshots"]
            .iter()
            .flat_map(|part| std::fs::read_dir(self.directory.path().join(part)).expect("readable"))
            .map(|entry| entry.expect("readable").path())
            .collect()
    }
}

/// Quick to give up, so that tests of giving up are quick.
fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(700),
        attempts: 3,
        backoff: Duration::from_millis(1),
    }
}
