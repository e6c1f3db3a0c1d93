//! Archives of every kind that tools write.

use super::sample::{Packing, Sample, index, pack};
use super::*;

/// A tar archive of files and links (`target` begins with `->`).
pub(super) fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if let Some(target) = content.strip_prefix(b"->") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            let target = std::str::from_utf8(target).expect("text");
            builder.append_link(&mut header, name, target).expect("into memory");
        } else {
            header.set_size(content.len() as u64);
            builder
                .append_data(&mut header, name, content.as_slice())
                .expect("into memory");
        }
    }
    builder.into_inner().expect("into memory")
}

fn blobs(sample: &Sample) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = sample
        .blobs
        .iter()
        .map(|(digest, blob)| (format!("blobs/sha256/{}", digest.hex()), blob.clone()))
        .collect();
    files.push((
        format!("blobs/sha256/{}", sample.digest().hex()),
        sample.manifest.clone(),
    ));
    files
}

fn oci_index(sample: &Sample, annotations: serde_json::Value) -> (String, Vec<u8>) {
    let mut index: serde_json::Value = serde_json::from_slice(&index(&[("amd64", sample)])).expect("JSON");
    index["manifests"][0]["annotations"] = annotations;
    index["manifests"][0]
        .as_object_mut()
        .expect("a descriptor")
        .remove("platform");
    ("index.json".to_owned(), index.to_string().into_bytes())
}

fn layout() -> (String, Vec<u8>) {
    ("oci-layout".to_owned(), br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec())
}

#[tokio::test]
async fn oci_layouts_with_either_annotation_and_any_order_and_packing() {
    let sample = Sample::simple();
    for (annotations, tag, packing, index_first) in [
        (
            serde_json::json!({"io.containerd.image.name": "quay.io/a/b:1"}),
            "quay.io/a/b:1",
            Packing::Plain,
            true,
        ),
        (
            serde_json::json!({"org.opencontainers.image.ref.name": "nginx:stable"}),
            "docker.io/library/nginx:stable",
            Packing::Gzip,
            false,
        ),
        (
            serde_json::json!({"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "docker.io/library/x:1"}),
            "docker.io/library/x:1",
            Packing::Zstd,
            false,
        ),
    ] {
        let mut files = blobs(&sample);
        files.insert(
            if index_first { 0 } else { files.len() },
            oci_index(&sample, annotations),
        );
        files.push(layout());
        let node = Node::new(&[]);
        let bytes = pack(&archive(&files), packing);
        let images = node
            .images
            .import(bytes.as_slice())
            .await
            .unwrap_or_else(|error| panic!("{tag}: {error}"));
        assert_eq!(images.len(), 1);
        assert_eq!(
            (images[0].id.clone(), images[0].tags.clone()),
            (sample.id(), vec![tag.to_owned()])
        );
        assert_eq!(node.text(&images[0], "etc/top").as_deref(), Some("top"));
        assert!(node.reopened().images.find(tag).is_some());
    }
}

#[tokio::test]
async fn docker_save_of_old_versions_with_links_between_layers() {
    let sample = Sample::new(&[
        ("a", "a", Packing::Plain),
        ("b", "b", Packing::Plain),
        ("a", "a", Packing::Plain),
    ]);
    let config = format!("{}.json", sample.id().hex());
    let manifest = serde_json::json!([{"Config": config, "RepoTags": ["app:1", "quay.io/x/app:2"],
        "Layers": ["one/layer.tar", "two/layer.tar", "three/layer.tar"]}]);
    let files = [
        ("one/layer.tar".to_owned(), sample.archives[0].clone()),
        ("three/layer.tar".to_owned(), b"->../one/layer.tar".to_vec()),
        ("two/layer.tar".to_owned(), sample.archives[1].clone()),
        (config, sample.config.clone()),
        ("manifest.json".to_owned(), manifest.to_string().into_bytes()),
        ("repositories".to_owned(), b"{}".to_vec()),
    ];
    let node = Node::new(&[]);
    let images = node.images.import(archive(&files).as_slice()).await.expect("imported");
    assert_eq!(images[0].tags, ["docker.io/library/app:1", "quay.io/x/app:2"]);
    assert_eq!(node.text(&images[0], "b").as_deref(), Some("b"));
    node.images.remove("app:1").await.expect("untagged");
    node.images.remove("quay.io/x/app:2").await.expect("removed");
    assert_eq!(node.left_over(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_is_no_image_archive_is_said_and_leaves_nothing() {
    let sample = Sample::simple();
    let without_layer: Vec<_> = blobs(&sample)
        .into_iter()
        .filter(|(name, _)| !name.ends_with(sample.layers[0].hex()))
        .chain([oci_index(
            &sample,
            serde_json::json!({"org.opencontainers.image.ref.name": "a:1"}),
        )])
        .collect();
    let mut damaged = blobs(&sample);
    damaged[0].1[0] ^= 1;
    let node = Node::new(&[]);
    for (bytes, words) in [
        (archive(&[("etc/passwd".to_owned(), b"x".to_vec())]), "neither"),
        (
            b"not a tar archive at all, but long enough to fill a block of five hundred and twelve bytes".repeat(8),
            "tar",
        ),
        (archive(&without_layer), "is not in the archive"),
        (archive(&damaged), "damaged"),
        (archive(&blobs(&sample))[..700].to_vec(), "can't be read"),
        (Vec::new(), "neither"),
    ] {
        let error = node.images.import(bytes.as_slice()).await.expect_err(words);
        assert!(
            error::chain(&error).contains(words),
            "{words}: {}",
            error::chain(&error)
        );
        assert_eq!((node.images.list().len(), node.left_over()), (0, Vec::new()), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_that_skopeo_writes() {
    let registry = super::docker_registry::DockerRegistry::start();
    registry.push("app", "1", &Sample::simple()).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    for kind in ["docker-archive", "oci-archive"] {
        let path = directory.path().join(kind);
        let output = std::process::Command::new("skopeo")
            .args(["copy", "--src-tls-verify=false"])
            .arg(format!("docker://{}/app:1", registry.host))
            .arg(format!("{kind}:{}:docker.io/library/app:1", path.display()))
            .output()
            .expect("skopeo must be installed: apt-get install skopeo");
        assert!(output.status.success(), "{output:?}");
        let node = Node::new(&[]);
        let file = tokio::fs::File::open(&path).await.expect("written");
        let images = node
            .images
            .import(file)
            .await
            .unwrap_or_else(|error| panic!("{kind}: {}", error::chain(&error)));
        assert_eq!(images[0].tags, ["docker.io/library/app:1"], "{kind}");
        assert_eq!(node.text(&images[0], "etc/base").as_deref(), Some("base"));
    }
}
