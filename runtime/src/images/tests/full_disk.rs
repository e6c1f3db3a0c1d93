//! A disk that is full: said clearly, nothing half left, and room again as soon as something is removed.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::fake::Fake;
use super::sample::{Packing, Sample, noise, tar};
use super::*;
use crate::images::error::chain;

/// A data directory on a disk of its own.
struct SmallDisk {
    node: Node,
    mounted: PathBuf,
}

impl SmallDisk {
    fn new(size: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (mounted, options) = (directory.path().to_owned(), format!("size={size}"));
        let none: Option<&Path> = None;
        mount(none, &mounted, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).expect("needs root");
        let registries = Registries {
            mirrors: Vec::new(),
            docker_config: None,
            patience: patience(),
        };
        let images = Images::open(&mounted, registries).expect("a new store");
        let node = Node { directory, images };
        Self { node, mounted }
    }

    /// Blocking threads of a failed pull tidy up after it has ended.
    async fn await_nothing(&self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        loop {
            self.node.images.trash_is_emptied().await;
            let left = self.node.left_over();
            if left.is_empty() {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{left:?}");
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached: threads that end later may still have something open.
        let _ = umount2(&self.mounted, MntFlags::MNT_DETACH);
    }
}

fn of(bytes: usize) -> Sample {
    let archives = vec![
        (tar("small", b"x"), Packing::Gzip),
        (tar("large", &noise(bytes)), Packing::Plain),
    ];
    Sample::of_archives(archives, "amd64")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_does_not_fit_says_so_and_leaves_nothing() {
    let registry = Fake::with_image(of(3 << 20), |_| None).await;
    let disk = SmallDisk::new("4m");
    let error = disk.node.pull(&format!("{}/large:1", registry.host)).await;
    let error = error.expect_err("blob and content together need 6 MiB");
    assert!(matches!(error, PullError::NoSpace { .. }), "{error:?}");
    assert!(
        chain(&error).contains("minikctl image rm") && chain(&error).contains(&disk.mounted.display().to_string()),
        "{}",
        chain(&error)
    );
    disk.await_nothing().await;
    assert_eq!(disk.node.images.usage(), Usage::default());
    let registry = Fake::with_image(of(1 << 20), |_| None).await;
    let fits = disk.node.pull(&format!("{}/small:1", registry.host)).await;
    fits.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_just_now_makes_room() {
    let disk = SmallDisk::new("5m");
    for round in 0..5 {
        // Content of its own each time.
        let registry = Fake::with_image(of((2 << 20) - round), |_| None).await;
        let name = format!("{}/app:1", registry.host);
        let pulled = disk.node.pull(&name).await;
        pulled.unwrap_or_else(|error| panic!("round {round}: {}", chain(&error)));
        disk.node.images.remove(&name).await.expect("removed");
    }
    disk.await_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_does_not_fit_says_so_and_leaves_nothing() {
    let disk = SmallDisk::new("2m");
    let archive = tar("blobs/large", &noise(3 << 20));
    let error = disk.node.images.import(archive.as_slice()).await;
    let error = error.expect_err("3 MiB don't fit in 2");
    assert!(
        matches!(error, ImportError::Image(PullError::NoSpace { .. })),
        "{error:?}"
    );
    disk.await_nothing().await;
}
