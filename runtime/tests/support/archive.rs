//! A `docker save` archive of a small image, made from the distribution's static busybox.

use std::fs;

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 16] = [
    "sh", "cat", "echo", "sleep", "id", "hostname", "ip", "nc", "ping", "ls", "true", "false", "kill", "dd", "stty",
    "wget",
];

/// The image as a tar archive.
pub(crate) fn busybox(tag: &str) -> Vec<u8> {
    image(tag, &[programs()])
}

/// An image of two layers: the programs, and a page at `/site/page` with a link beside it that leads out.
pub(crate) fn site(tag: &str) -> Vec<u8> {
    let mut layer = Builder::new(Vec::new());
    append(&mut layer, "site/", EntryType::Directory, 0o755, b"", None);
    append(&mut layer, "site/page", EntryType::Regular, 0o644, b"hello\n", None);
    append(
        &mut layer,
        "out",
        EntryType::Symlink,
        0o777,
        b"",
        Some("../../../../etc"),
    );
    image(tag, &[programs(), layer.into_inner().expect("a tar in memory")])
}

fn programs() -> Vec<u8> {
    let program = fs::read(BUSYBOX).expect("/bin/busybox, from `apt-get install busybox-static`");
    let mut layer = Builder::new(Vec::new());
    for directory in ["bin/", "etc/", "root/", "tmp/"] {
        append(&mut layer, directory, EntryType::Directory, 0o755, b"", None);
    }
    append(&mut layer, "bin/busybox", EntryType::Regular, 0o755, &program, None);
    for applet in APPLETS {
        append(
            &mut layer,
            &format!("bin/{applet}"),
            EntryType::Symlink,
            0o777,
            b"",
            Some("busybox"),
        );
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/root:/bin/sh\n";
    append(
        &mut layer,
        "etc/passwd",
        EntryType::Regular,
        0o644,
        passwd.as_bytes(),
        None,
    );
    append(
        &mut layer,
        "etc/group",
        EntryType::Regular,
        0o644,
        b"root:x:0:\nweb:x:1000:\n",
        None,
    );
    layer.into_inner().expect("a tar in memory")
}

fn image(tag: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", hash(layer))).collect();
    let names: Vec<String> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "StopSignal": "SIGTERM"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string().into_bytes();
    let config_name = format!("{}.json", hash(&config));
    let manifest = json!([{"Config": config_name, "RepoTags": [tag], "Layers": names}]);

    let mut archive = Builder::new(Vec::new());
    append(&mut archive, &config_name, EntryType::Regular, 0o644, &config, None);
    for (name, layer) in names.iter().zip(layers) {
        append(&mut archive, name, EntryType::Regular, 0o644, layer, None);
    }
    append(
        &mut archive,
        "manifest.json",
        EntryType::Regular,
        0o644,
        manifest.to_string().as_bytes(),
        None,
    );
    archive.into_inner().expect("a tar in memory")
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn append(tar: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, mode: u32, data: &[u8], link: Option<&str>) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(data.len() as u64);
    let appended = match link {
        Some(target) => tar.append_link(&mut header, path, target),
        None => tar.append_data(&mut header, path, data),
    };
    appended.expect("a tar in memory");
}
