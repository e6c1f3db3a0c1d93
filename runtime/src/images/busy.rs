//! Keeps garbage collection away from pulls: a layer that was just published has no image yet that names it.
//!
//! Collection never waits for pulls and pulls hardly for collection: what is to be collected while a pull runs is collected
//! when the last one has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::Images;

#[derive(Debug, Default)]
pub(super) struct Activity {
    counts: Mutex<Counts>,
    /// Held by a collection, and for a moment by each pull that begins.
    collecting: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    pulls: usize,
    collection_wanted: bool,
}

/// A pull or import is running as long as this lives.
pub(crate) struct Busy(Images);

impl Activity {
    pub(super) async fn begin(&self, images: Images) -> Busy {
        let _collecting = self.collecting.lock().await;
        self.counts().pulls += 1;
        Busy(images)
    }

    /// Leave to collect; none while a pull runs, whose end will collect then.
    pub(super) async fn alone(&self) -> Option<OwnedMutexGuard<()>> {
        let guard = Arc::clone(&self.collecting).lock_owned().await;
        let mut counts = self.counts();
        counts.collection_wanted = counts.pulls > 0;
        (counts.pulls == 0).then_some(guard)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let collect = {
            let mut counts = self.0.inner.activity.counts();
            counts.pulls -= 1;
            counts.pulls == 0 && std::mem::take(&mut counts.collection_wanted)
        };
        // Without a runtime the program is ending; the next removal collects.
        if collect && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let images = self.0.clone();
            runtime.spawn(async move {
                if let Err(error) = images.collect().await {
                    tracing::warn!(error = super::error::chain(&error), "collecting images stopped");
                }
            });
        }
    }
}
