//! Removal, and what a crash leaves.

use super::docker_registry::DockerRegistry;
use super::fake::Fake;
use super::sample::{Packing, Sample};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_last_name_takes_everything_along_but_what_others_need() {
    let registry = DockerRegistry::start();
    let base = ("base", "base", Packing::Gzip);
    let samples = [
        Sample::new(&[base, ("v", "1", Packing::Gzip)]),
        Sample::new(&[base, ("v", "2", Packing::Gzip)]),
    ];
    registry.push("app", "1", &samples[0]).await;
    registry.push("app", "2", &samples[1]).await;
    registry.push("app", "also1", &samples[0]).await;
    let node = Node::new(&[]);
    let name = |tag: &str| format!("{}/app:{tag}", registry.host);
    let mut images = Vec::new();
    for tag in ["1", "2", "also1"] {
        images.push(node.pull(&name(tag)).await.expect("pulled"));
    }
    let full = node.images.usage();
    node.images.remove(&name("1")).await.expect("untagged");
    assert_eq!(node.images.usage(), full, "another tag still names the image");

    let rootfs = node
        .images
        .snapshots()
        .prepare("c1", images[0].chain.as_ref())
        .expect("prepared");
    node.images.remove(images[0].id.as_str()).await.expect("removed");
    assert!(node.images.find(&name("also1")).is_none());
    assert!(
        rootfs.lower.iter().all(|path| path.exists()),
        "a container still needs the layers"
    );
    node.images.snapshots().remove("c1").expect("removed");
    node.images.remove(&name("2")).await.expect("removed");
    assert_eq!(node.left_over(), Vec::<PathBuf>::new());
    assert_eq!(node.images.usage(), Usage::default());
    assert!(matches!(
        node.images.remove(&name("2")).await,
        Err(RemoveError::NotFound(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_survive_a_restart_and_damaged_ones_are_pulled_again() {
    let sample = Sample::simple();
    let registry = Fake::with_image(sample.clone(), |_| None).await;
    let node = Node::new(&[]);
    let name = format!("{}/app:1", registry.host);
    node.pull(&name).await.expect("pulled");
    let node = node.reopened();
    let image = node.images.find(&name).expect("still there");
    assert_eq!(node.text(&image, "etc/top").as_deref(), Some("top"));

    let blob = node
        .directory
        .path()
        .join("content/blobs/sha256")
        .join(sample.id().hex());
    std::fs::write(blob, "damaged by the disk").expect("written");
    let node = node.reopened();
    assert!(
        node.images.find(&name).is_none(),
        "an image without its config can't run"
    );
    node.pull(&name).await.expect("pulled again");
    assert!(node.reopened().images.find(&name).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_snapshot_is_unpacked_from_the_kept_blob() {
    let sample = Sample::simple();
    let registry = Fake::with_image(sample.clone(), |_| None).await;
    let node = Node::new(&[]);
    let name = format!("{}/app:1", registry.host);
    node.pull(&name).await.expect("pulled");
    std::fs::remove_dir_all(node.directory.path().join("snapshots")).expect("removed");
    let node = node.reopened();
    let before = registry.requests().len();
    let image = node.pull(&name).await.expect("pulled again");
    assert_eq!(node.text(&image, "etc/base").as_deref(), Some("base"));
    let after = &registry.paths()[before..];
    assert!(after.iter().all(|path| !path.contains("/blobs/")), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_during_a_pull_waits_with_collecting() {
    let sample = Sample::simple();
    let registry = Fake::with_image(sample, |_| None).await;
    let node = Node::new(&[]);
    let name = format!("{}/app:1", registry.host);
    node.pull(&name).await.expect("pulled");
    let busy = node.images.busy().await;
    node.images.remove(&name).await.expect("removed");
    assert!(!node.left_over().is_empty());
    drop(busy);
    // The collection that follows holds the lock that a new pull takes first.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while !node.left_over().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", node.left_over());
        tokio::task::yield_now().await;
    }
}
