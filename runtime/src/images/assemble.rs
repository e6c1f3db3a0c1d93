//! Puts an image together from its layers: fetches and unpacks what is missing, three at a time, and publishes them from the
//! bottom up as they become ready. Pull and import both end here.

use futures::{StreamExt, TryStreamExt, stream};
use minik_api::images::layer::State;
use tokio::sync::{OwnedMutexGuard, mpsc};

use super::Inner;
use super::error::PullError;
use super::layer::{self, LayerFailure, Ready};
use super::manifest::LayerPlan;
use super::progress::Tracker;
use super::registry::{Blob, Session};

/// Layers that are fetched and unpacked at the same time: containerd's and docker's number.
const AT_ONCE: usize = 3;

/// Where blobs come from that are not in the content store.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Registries, the preferred one first.
    Registries(&'a [Session]),
    /// Nowhere: an archive has brought everything.
    Archive,
}

pub(super) struct Assembly<'a> {
    pub(super) inner: &'a Inner,
    pub(super) image: String,
    pub(super) source: Source<'a>,
    pub(super) tracker: &'a Tracker,
}

/// What became of one layer. The guard keeps others from making the same one until it is published.
enum Obtained {
    Exists,
    Ready(Ready, OwnedMutexGuard<()>),
}

impl Assembly<'_> {
    /// Makes every layer of the plan a published snapshot.
    pub(super) async fn run(&self, plan: &[LayerPlan]) -> Result<(), PullError> {
        self.tracker
            .layers(plan.iter().map(|layer| (layer.digest.to_string(), layer.size_bytes)));
        let (sender, receiver) = mpsc::channel(plan.len().max(1));
        let obtain = async move {
            let sender = &sender;
            let one = |(number, layer)| async move {
                let obtained = self.obtain(number, layer).await?;
                sender
                    .send((number, obtained))
                    .await
                    .expect("publishing ends only after all layers");
                Ok::<(), PullError>(())
            };
            stream::iter(plan.iter().enumerate())
                .map(Ok)
                .try_for_each_concurrent(AT_ONCE, one)
                .await
        };
        // Side by side, so that no download waits for the disk to take a layer below it.
        futures::future::try_join(obtain, self.publish(plan, receiver)).await?;
        Ok(())
    }

    async fn publish(
        &self,
        plan: &[LayerPlan],
        mut obtained: mpsc::Receiver<(usize, Obtained)>,
    ) -> Result<(), PullError> {
        let mut waiting: Vec<Option<Obtained>> = plan.iter().map(|_| None).collect();
        let mut next = 0;
        while next < plan.len() {
            let Some((number, one)) = obtained.recv().await else {
                // Obtaining failed, and says why itself.
                return Ok(());
            };
            waiting[number] = Some(one);
            while let Some(one) = waiting.get_mut(next).and_then(Option::take) {
                self.publish_one(next, &plan[next], one).await?;
                next += 1;
            }
        }
        Ok(())
    }

    async fn publish_one(&self, number: usize, layer: &LayerPlan, obtained: Obtained) -> Result<(), PullError> {
        let Obtained::Ready(ready, _guard) = obtained else {
            return Ok(());
        };
        let (snapshots, plan) = (self.inner.destination.snapshots.clone(), layer.clone());
        let published = tokio::task::spawn_blocking(move || {
            snapshots.publish(
                ready.draft,
                &plan.chain,
                plan.parent.as_ref(),
                &plan.diff_id,
                &ready.unpacked,
            )
        });
        let published = published
            .await
            .expect("publishing doesn't panic, and blocking threads are not aborted");
        published.map_err(|error| PullError::snapshot(&layer.digest, &self.inner.root, error))?;
        self.tracker.state(number, State::Done);
        Ok(())
    }

    async fn obtain(&self, number: usize, layer: &LayerPlan) -> Result<Obtained, PullError> {
        // Another pull may be making the same layer: its work is waited for, not done twice.
        let guard = self.inner.layer_locks.lock(&layer.chain).await;
        if self.inner.destination.snapshots.has(&layer.chain) {
            self.tracker.state(number, State::Exists);
            return Ok(Obtained::Exists);
        }
        if self.inner.destination.content.has(&layer.digest) {
            self.tracker.state(number, State::Unpacking);
            let unpacked = layer::unpack_stored(layer, self.inner.destination.clone()).await;
            match (unpacked, self.source) {
                // The disk has damaged it: fetch it anew.
                (Err(LayerFailure::Digest(_) | LayerFailure::Size(_)), Source::Registries(_)) => {}
                (unpacked, _) => return Ok(Obtained::Ready(self.checked(layer, "the archive", unpacked)?, guard)),
            }
        }
        let Source::Registries(sessions) = self.source else {
            return Err(PullError::Broken {
                image: self.image.clone(),
                what: format!("layer {} is not in the archive", layer.digest),
            });
        };
        self.tracker.state(number, State::Downloading);
        let blob = Blob::new(sessions.iter().collect(), &layer.digest, layer.size_bytes);
        let host = sessions[0].host();
        let downloaded = layer::download(blob, layer, self.inner.destination.clone(), self.tracker, number).await?;
        Ok(Obtained::Ready(self.checked(layer, host, downloaded)?, guard))
    }

    fn checked(&self, layer: &LayerPlan, from: &str, result: Result<Ready, LayerFailure>) -> Result<Ready, PullError> {
        let (what, registry) = (format!("layer {}", layer.digest), from.to_owned());
        result.map_err(|failure| match failure {
            LayerFailure::Unpack(error) => PullError::layer(&layer.digest, &self.inner.root, error),
            LayerFailure::Store(error) => {
                PullError::store(format!("keep {what}"), &self.inner.root, std::sync::Arc::new(error))
            }
            LayerFailure::Snapshot(error) => PullError::snapshot(&layer.digest, &self.inner.root, error),
            LayerFailure::Digest(actual) => PullError::Digest {
                what,
                registry,
                expected: layer.digest.clone(),
                actual,
            },
            LayerFailure::Size(actual_bytes) => PullError::Size {
                what,
                registry,
                expected_bytes: layer.size_bytes,
                actual_bytes,
            },
            LayerFailure::DiffId(actual) => PullError::Broken {
                image: self.image.clone(),
                what: format!("{what} unpacks to {actual}, but its config says {}", layer.diff_id),
            },
        })
    }
}
