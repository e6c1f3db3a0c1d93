//! Images on their way out: pushed to a real registry, exported into archives; and names in namespaces.

use super::docker_registry::{DockerRegistry, PASSWORD, USER};
use super::sample::{INDEX, Packing, Sample, index};
use super::*;
use crate::images::digest::Digest;

async fn push(node: &Node, image: &str, to: &str, access: Access) -> Result<Digest, PushError> {
    node.images.push(image, &to.parse().expect("a reference"), access).await
}

/// The archive that an export writes.
async fn exported(images: &Images, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut pieces = images.export(&names).await.expect("exported");
    let mut archive = Vec::new();
    while let Some(piece) = pieces.recv().await {
        archive.extend_from_slice(&piece.expect("a piece"));
    }
    archive
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_can_be_pulled_elsewhere_bit_by_bit() {
    let registry = DockerRegistry::start_with_login();
    let sample = Sample::simple();
    registry.push("team/app", "1", &sample).await;
    let access = || {
        Access::with(Some(Credentials::Basic {
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
        }))
    };
    let node = Node::new(&[]);
    let from = format!("{}/team/app:1", registry.host);
    let reference = from.parse().expect("a reference");
    node.images.pull_by(&reference, access()).await.expect("pulled");
    let to = format!("{}/other/copy:2", registry.host);
    let digest = push(&node, &from, &to, access()).await.expect("pushed");
    assert_eq!(digest, sample.digest());
    // Again, though all is there.
    assert_eq!(push(&node, &from, &to, access()).await.expect("pushed"), digest);
    let other = Node::new(&[]);
    let reference = to.parse().expect("a reference");
    let image = other.images.pull_by(&reference, access()).await.expect("pulled");
    assert_eq!(image.id, sample.id());
    assert_eq!(other.text(&image, "etc/top").as_deref(), Some("top"));

    let refused = push(&node, &from, &to, Access::default()).await.expect_err("no login");
    assert!(
        error::chain(&refused).contains("needs a login"),
        "{}",
        error::chain(&refused)
    );
    let absent = push(&node, "nothing:1", &to, access()).await.expect_err("no image");
    assert_eq!(absent.to_status().code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_for_many_platforms_is_pushed_whole_or_for_this_one() {
    let (here, there) = (Sample::simple(), Sample::of_archives(Vec::new(), "s390x"));
    let source = DockerRegistry::start();
    for sample in [&here, &there] {
        source.push("app", sample.digest().as_str(), sample).await;
    }
    let both = index(&[("amd64", &here), ("s390x", &there)]);
    source.push_manifest("app", "1", INDEX, &both).await;
    let node = Node::new(&[]);
    let from = format!("{}/app:1", source.host);
    node.pull(&from).await.expect("pulled");
    // The source has the other platform's part, so the index itself can go there.
    let back = format!("{}/app:2", source.host);
    let digest = push(&node, &from, &back, Access::default()).await.expect("pushed");
    assert_eq!(digest, Digest::of(&both));
    let empty = DockerRegistry::start();
    let to = format!("{}/app:1", empty.host);
    let digest = push(&node, &from, &to, Access::default()).await.expect("pushed");
    assert_eq!(digest, here.digest(), "the other platform's part is not here");
    assert_eq!(Node::new(&[]).pull(&to).await.expect("pulled").id, here.id());
}

#[tokio::test]
async fn an_archive_goes_out_and_comes_in_again_with_all_names() {
    let sample = Sample::new(&[("a", "a", Packing::Plain), ("b", "b", Packing::Plain)]);
    let config = format!("{}.json", sample.id().hex());
    let manifest = serde_json::json!([{"Config": config, "RepoTags": ["app:1", "quay.io/x/app:2"],
        "Layers": ["one/layer.tar", "two/layer.tar"]}]);
    let files = [
        ("one/layer.tar".to_owned(), sample.archives[0].clone()),
        ("two/layer.tar".to_owned(), sample.archives[1].clone()),
        (config, sample.config.clone()),
        ("manifest.json".to_owned(), manifest.to_string().into_bytes()),
    ];
    let node = Node::new(&[]);
    let archive = super::imports::archive(&files);
    node.images.import(archive.as_slice()).await.expect("imported");
    let named = node.images.named().expect("listed");
    let tag = named
        .iter()
        .find(|named| named.name == "quay.io/x/app:2")
        .expect("listed");
    assert_eq!(tag.media_type, "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!((tag.present, tag.needed), (3, 3));

    let archive = exported(&node.images, &["app:1", "quay.io/x/app:2"]).await;
    let other = Node::new(&[]);
    let images = other.images.import(archive.as_slice()).await.expect("imported");
    assert_eq!(images[0].id, sample.id());
    let mut tags = other.images.find("app:1").expect("here").tags.clone();
    tags.sort();
    assert_eq!(tags, ["docker.io/library/app:1", "quay.io/x/app:2"]);
    assert_eq!(
        other
            .images
            .find("app:1")
            .expect("here")
            .target("docker.io/library/app:1")
            .map(Digest::to_string),
        Some(tag.digest.clone()),
        "the manifest that was made is the same"
    );
    let absent = node
        .images
        .export(&["nothing:1".to_owned()])
        .await
        .expect_err("no image");
    assert_eq!(absent.to_status().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn namespaces_share_content_and_know_nothing_else_of_each_other() {
    let registry = DockerRegistry::start();
    registry.push("app", "1", &Sample::simple()).await;
    let node = Node::new(&[]);
    let name = format!("{}/app:1", registry.host);
    let own = node.images.in_namespace("default").expect("a name");
    own.pull(&name.parse().expect("a reference"), None)
        .await
        .expect("pulled");
    assert!(node.images.find(&name).is_none(), "the CRI doesn't see it");
    assert!(node.images.in_namespace("../etc").is_err());
    drop(registry);
    // All is here already, but for the registry's word on the name.
    assert!(node.pull(&name).await.is_err());
    let node = node.reopened();
    assert_eq!(node.images.namespaces(), ["default"]);
    let own = node.images.in_namespace("default").expect("a name");
    assert!(own.find(&name).is_some());
    own.tag(&name, &"app:2".parse().expect("a reference"), false)
        .expect("tagged");
    own.remove(&name).await.expect("removed");
    assert!(!node.left_over().is_empty(), "the other name keeps all of it");
    own.remove("app:2").await.expect("removed");
    assert_eq!(node.left_over(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_a_crash_left_goes_when_it_is_old() {
    let registry = DockerRegistry::start();
    registry.push("app", "1", &Sample::simple()).await;
    let node = Node::new(&[]);
    node.pull(&format!("{}/app:1", registry.host)).await.expect("pulled");
    // As if the program had ended before the image was recorded.
    std::fs::remove_file(node.directory.path().join("images.json")).expect("removed");
    let node = node.reopened();
    let left = node.left_over();
    assert!(!left.is_empty());
    node.images.collect_left_behind().await.expect("collected");
    assert_eq!(node.left_over(), left, "the next attempt goes on with it");
    let yesterday = std::time::SystemTime::now() - super::LEFT_BEHIND;
    for path in &left {
        let file = std::fs::File::open(path).expect("opened");
        file.set_modified(yesterday).expect("its time is set");
    }
    node.images.collect_left_behind().await.expect("collected");
    assert_eq!(node.left_over(), Vec::<PathBuf>::new());
}
