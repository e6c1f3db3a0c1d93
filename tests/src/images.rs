//! Real images, made for the tests: a root filesystem of the distribution's static busybox, as an OCI archive.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Run;

/// Makes an OCI archive of a busybox image in `folder` and gives its path; `config` is merged into the image's config
/// (`{"Cmd": […]}`), so that tests can have their own entrypoints, users and ports.
///
/// # Panics
/// When a file can't be written or `tar` fails.
#[must_use]
pub fn busybox(folder: &Path, tag: &str, config: &Value) -> PathBuf {
    built_for(architecture(), folder, tag, config)
}

/// The same, said to be built for an architecture.
///
/// # Panics
/// When a file can't be written or `tar` fails.
#[must_use]
pub fn built_for(architecture: &str, folder: &Path, tag: &str, config: &Value) -> PathBuf {
    let work = TempDir::new_in(folder).expect("a temporary folder");
    let layer = layer(work.path());
    let layout = work.path().join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("folders are made");
    let put = |bytes: &[u8]| {
        let file = work.path().join("blob");
        fs::write(&file, bytes).expect("a blob is written");
        let digest = Run::new("sha256sum").args([&file]).ok();
        let digest = digest
            .split_whitespace()
            .next()
            .expect("sha256sum prints a digest")
            .to_owned();
        fs::rename(&file, blobs.join(&digest)).expect("the blob is renamed");
        (format!("sha256:{digest}"), bytes.len())
    };
    let (diff, size) = put(&layer);
    let mut merged = json!({"Env": ["PATH=/bin:/usr/bin"], "Cmd": ["sh"]});
    for (key, value) in config.as_object().into_iter().flatten() {
        merged[key] = value.clone();
    }
    let config = json!({
        "architecture": architecture, "os": "linux", "config": merged,
        "rootfs": {"type": "layers", "diff_ids": [diff]},
    });
    let (config, config_size) = put(config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": diff, "size": size}],
    });
    let (manifest, manifest_size) = put(manifest.to_string().as_bytes());
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": manifest_size,
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }]});
    fs::write(layout.join("index.json"), index.to_string()).expect("the index is written");
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("the layout is written");
    let archive = folder.join(format!("{}.tar", tag.replace(['/', ':'], "-")));
    let tar = Run::new("tar").args([
        "-C".as_ref(),
        layout.as_os_str(),
        "-cf".as_ref(),
        archive.as_os_str(),
        ".".as_ref(),
    ]);
    let _ = tar.ok();
    archive
}

/// The one layer: busybox with all its names, and the files that programs look for.
fn layer(work: &Path) -> Vec<u8> {
    let root = work.join("root");
    for folder in ["bin", "etc", "tmp", "root", "home/app", "var/www"] {
        fs::create_dir_all(root.join(folder)).expect("folders are made");
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("modes are set");
    let busybox = Run::new("sh").args(["-c", "command -v busybox"]).ok();
    fs::copy(busybox.trim(), root.join("bin/busybox")).expect("busybox is copied");
    for name in Run::new("busybox")
        .args(["--list"])
        .ok()
        .lines()
        .filter(|name| *name != "busybox")
    {
        symlink("busybox", root.join("bin").join(name)).expect("busybox gets its names");
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n";
    let group = "root:x:0:\napp:x:1000:\nwheel:x:10:root,app\n";
    fs::write(root.join("etc/passwd"), passwd).expect("files are written");
    fs::write(root.join("etc/group"), group).expect("files are written");
    fs::write(root.join("var/www/index.html"), "hello from a pod\n").expect("files are written");
    let file = work.join("layer.tar");
    let _ = Run::new("tar")
        .args(["--owner=0", "--group=0", "--numeric-owner", "-C"])
        .args([root.as_os_str(), "-cf".as_ref(), file.as_os_str(), ".".as_ref()])
        .ok();
    fs::read(file).expect("the layer is read")
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
