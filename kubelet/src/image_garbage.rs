//! Removes images that no container uses when the runtime's disk gets full: Kubernetes' image garbage collection.
//!
//! ```text
//!   usage >= high threshold ──> down to the low one: the longest unused first, none younger than the minimum age
//! ```
//! What is in use and since when is noted at each look (`Seen`, pure), what goes is decided from that (`decide`, pure). An image
//! that no container of the CRI uses may still be wanted by a pod that is about to start: the minimum age is for those.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minik_api::cri;
use nix::sys::statvfs::statvfs;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{debug, info, warn};

use crate::cri::{CallError, Runtime};
use crate::recorder::{Recorder, Severity};

/// Between two looks, as in Kubernetes.
const EVERY: Duration = Duration::from_secs(300);

/// The kubelet's `imageGCHighThresholdPercent`, `imageGCLowThresholdPercent` and `imageMinimumGCAge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) high_percent: u8,
    pub(crate) low_percent: u8,
    pub(crate) minimum_age: Duration,
}

/// Whose images, and who is told.
pub(crate) struct Collector {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) recorder: Recorder,
    pub(crate) node: String,
    pub(crate) policy: Policy,
}

/// What is known of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    first: Instant,
    /// When a container was last seen to use it.
    used: Option<Instant>,
    bytes: u64,
}

type Images = BTreeMap<String, Seen>;

/// A disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Disk {
    all: u64,
    available: u64,
}

impl Collector {
    /// Looks now and then until the process ends.
    pub(crate) async fn run(self) {
        let mut seen = Images::new();
        let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
        // After a sleep of the machine one look is enough.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.look(&mut seen).await {
                warn!(%error, "images can't be collected: the runtime doesn't answer");
            }
        }
    }

    async fn look(&self, seen: &mut Images) -> Result<(), CallError> {
        let now = Instant::now();
        let images = self.runtime.list_images().await?;
        let containers = self.runtime.list_containers(Vec::new()).await?;
        let in_use = in_use(&images, &containers);
        note(seen, &images, &in_use, now);
        let Some(disk) = self.runtime.image_filesystem().await?.as_deref().and_then(disk) else {
            return Ok(());
        };
        let Some(wanted) = to_free(disk, self.policy) else {
            return Ok(());
        };
        info!(wanted, "the disk of the images is fuller than allowed: unused ones go");
        let mut freed = 0;
        for id in decide(seen, &in_use, now, self.policy.minimum_age) {
            if freed >= wanted {
                break;
            }
            match self.runtime.remove_image(&id).await {
                Ok(()) => freed += seen.remove(&id).map_or(0, |seen| seen.bytes),
                Err(error) => debug!(%error, image = id, "an unused image can't be removed"),
            }
        }
        if freed < wanted {
            // Kubernetes' words.
            let message = format!(
                "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
            );
            self.recorder
                .node(&self.node, Severity::Warning, "FreeDiskSpaceFailed", message);
        }
        Ok(())
    }
}

fn disk(path: &Path) -> Option<Disk> {
    let found = statvfs(path).ok()?;
    let unit = found.fragment_size();
    Some(Disk {
        all: found.blocks() * unit,
        available: found.blocks_available() * unit,
    })
}

/// Ids of images that a container was made from, whether it still runs or not. Runtimes name them in different fields.
fn in_use(images: &[cri::Image], containers: &[cri::Container]) -> BTreeSet<String> {
    let is_named = |image: &cri::Image, container: &cri::Container| {
        let given = container
            .image
            .as_ref()
            .map(|spec| spec.image.as_str())
            .unwrap_or_default();
        let names = [container.image_id.as_str(), container.image_ref.as_str(), given];
        let own = || image.repo_digests.iter().chain(&image.repo_tags).chain([&image.id]);
        names.iter().any(|name| own().any(|own| own == name))
    };
    let used = images
        .iter()
        .filter(|image| image.pinned || containers.iter().any(|container| is_named(image, container)));
    used.map(|image| image.id.clone()).collect()
}

fn note(seen: &mut Images, images: &[cri::Image], in_use: &BTreeSet<String>, now: Instant) {
    seen.retain(|id, _| images.iter().any(|image| image.id == *id));
    for image in images {
        let known = seen.entry(image.id.clone()).or_insert(Seen {
            first: now,
            used: None,
            bytes: image.size,
        });
        known.bytes = image.size;
        if in_use.contains(&image.id) {
            known.used = Some(now);
        }
    }
}

/// How much has to go; none while the disk isn't full enough.
fn to_free(disk: Disk, policy: Policy) -> Option<u64> {
    let used = disk.all.saturating_sub(disk.available);
    if disk.all == 0 || used.saturating_mul(100) / disk.all < u64::from(policy.high_percent) {
        return None;
    }
    let allowed = disk.all / 100 * u64::from(policy.low_percent.min(100));
    Some(used.saturating_sub(allowed))
}

/// What may go, the longest unused first.
fn decide(seen: &Images, in_use: &BTreeSet<String>, now: Instant, minimum_age: Duration) -> Vec<String> {
    let may_go = |(id, seen): &(&String, &Seen)| {
        // What was used a moment ago may be again: a container that restarts has none in between.
        let since_used = seen.used.is_none_or(|used| now.duration_since(used) >= minimum_age);
        !in_use.contains(*id) && since_used && now.duration_since(seen.first) >= minimum_age
    };
    let mut going: Vec<(&String, &Seen)> = seen.iter().filter(may_go).collect();
    // One that was never used comes before all that were.
    going.sort_by_key(|(_, seen)| (seen.used, seen.first));
    going.into_iter().map(|(id, _)| id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::fake::Fake;

    const POLICY: Policy = Policy {
        high_percent: 85,
        low_percent: 80,
        minimum_age: Duration::from_secs(120),
    };

    fn image(id: &str, bytes: u64) -> cri::Image {
        cri::Image {
            id: id.to_owned(),
            repo_digests: vec![format!("quay.io/{id}@sha256:{id}")],
            size: bytes,
            ..Default::default()
        }
    }

    #[test]
    fn the_thresholds_are_kubernetes() {
        let disk = |available| Disk { all: 1000, available };
        assert_eq!(to_free(disk(151), POLICY), None);
        assert_eq!(to_free(disk(150), POLICY), Some(50));
        assert_eq!(to_free(disk(0), POLICY), Some(200));
        assert_eq!(to_free(Disk { all: 0, available: 0 }, POLICY), None);
    }

    #[test]
    fn an_image_is_in_use_by_any_of_its_names() {
        let images = [image("a", 1), image("b", 1), image("c", 1), image("d", 1)];
        let mut pinned = images.to_vec();
        pinned[3].pinned = true;
        let containers = [
            cri::Container {
                image_id: "a".to_owned(),
                ..Default::default()
            },
            cri::Container {
                image_ref: "quay.io/b@sha256:b".to_owned(),
                ..Default::default()
            },
        ];
        let used: Vec<String> = in_use(&pinned, &containers).into_iter().collect();
        assert_eq!(used, ["a", "b", "d"]);
    }

    #[test]
    fn the_longest_unused_goes_first_and_nothing_young_or_used() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut seen = Images::new();
        let images = [image("used", 1), image("never", 1), image("once", 1)];
        let of = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        note(&mut seen, &images, &of(&["used", "once"]), at(0));
        assert!(
            decide(&seen, &of(&["used", "once"]), at(60), POLICY.minimum_age).is_empty(),
            "all are young"
        );
        let later = [images.to_vec(), vec![image("young", 1)]].concat();
        note(&mut seen, &later, &of(&["used"]), at(300));
        assert_eq!(
            decide(&seen, &of(&["used"]), at(300), POLICY.minimum_age),
            ["never", "once"]
        );
        note(&mut seen, &[image("young", 1)], &BTreeSet::new(), at(400));
        assert_eq!(seen.keys().collect::<Vec<_>>(), ["young"], "what is gone is forgotten");
        // Used until a moment ago.
        note(&mut seen, &[image("young", 1)], &of(&["young"]), at(500));
        assert!(decide(&seen, &BTreeSet::new(), at(501), POLICY.minimum_age).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_takes_only_unused_images_and_tells_when_that_is_not_enough() {
        let runtime = Fake::default();
        runtime.state().images = vec!["a".to_owned(), "b".to_owned()];
        let (recorder, mut records) = Recorder::new();
        let collector = Collector {
            runtime: Arc::new(runtime.clone()),
            recorder,
            node: "node".to_owned(),
            // Any disk is fuller than that.
            policy: Policy {
                high_percent: 0,
                low_percent: 0,
                minimum_age: Duration::from_secs(120),
            },
        };
        let mut seen = Images::new();
        collector.look(&mut seen).await.expect("the fake answers");
        assert_eq!(runtime.state().images.len(), 2, "they are young");
        assert_eq!(records.try_recv().expect("a record").reason, "FreeDiskSpaceFailed");
        tokio::time::advance(Duration::from_secs(121)).await;
        collector.look(&mut seen).await.expect("the fake answers");
        assert!(runtime.state().images.is_empty());
    }
}
