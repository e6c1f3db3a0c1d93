//! Images that mean harm.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};
use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn the_program_that_enters_a_container_cant_be_written_to() {
    let bundle = Bundle::new(&["true"]);
    bundle.make().ok();
    let exe = format!("/proc/{}/exe", bundle.pid());
    assert!(statvfs(Path::new(&exe)).unwrap().flags().contains(FsFlags::ST_RDONLY));
}

#[test]
fn a_link_at_proc_is_refused() {
    let bundle = Bundle::new(&["true"]);
    fs::create_dir(bundle.path("rootfs/elsewhere")).unwrap();
    symlink("/elsewhere", bundle.path("rootfs/proc")).unwrap();
    let error = bundle.run().failed();
    assert!(
        error.contains("ordinary directory") && error.contains("proc"),
        "{error}"
    );
}

#[test]
fn links_of_the_image_end_at_its_root() {
    let bundle = Bundle::new(&["ls", "/data"]);
    let source = bundle.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "").unwrap();
    // A mount through a link that leads out, and to nothing there, lands in the container's root.
    symlink("../../../../..", bundle.path("rootfs/up")).unwrap();
    symlink("/up/target", bundle.path("rootfs/data")).unwrap();
    let bundle = bundle.with(|config| {
        config["mounts"].as_array_mut().unwrap().push(
            json!({"destination": "/data", "type": "bind", "source": source.to_str().unwrap(), "options": ["rbind"]}),
        );
    });
    assert_eq!(bundle.run().ok(), "file");
    assert!(!Path::new("/target").exists() && bundle.path("rootfs/target").is_dir());
}

#[test]
fn a_working_directory_outside_of_the_root_is_refused() {
    for number in 3..12 {
        let bundle = Bundle::new(&["cat", "/etc/hostname"]).with(|config| {
            config["process"]["cwd"] = format!("/proc/self/fd/{number}").into();
        });
        let error = bundle.run().failed();
        assert!(error.contains("working directory"), "{number}: {error}");
    }
}

#[test]
fn what_masks_is_the_null_device() {
    let bundle = Bundle::new(&["sh", "-c", "cat /proc/keys; ls -A /sys; echo end"]).with(|config| {
        config["linux"]["maskedPaths"] = json!(["/proc/keys", "/sys", "/not/there"]);
        config["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
    });
    fs::create_dir(bundle.path("rootfs/sys")).unwrap();
    fs::write(bundle.path("rootfs/sys/file"), "").unwrap();
    assert_eq!(bundle.run().ok(), "end");
    let bundle = bundle.with(|config| {
        config["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|mount| mount["destination"] == "/proc");
    });
    // What was made for the first run is the image's now.
    fs::remove_file(bundle.path("rootfs/dev/null")).unwrap_or_default();
    symlink("/etc", bundle.path("rootfs/dev/null")).unwrap();
    let error = bundle.run().failed();
    assert!(error.contains("/dev/null"), "{error}");
}
