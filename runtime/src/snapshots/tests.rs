//! Stacks of layers made here, joined, mounted by overlayfs and looked at.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use super::*;
use crate::images::unpack::{UnpackError, unpack};

fn store() -> (TempDir, Snapshots) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let snapshots = open(directory.path());
    (directory, snapshots)
}

fn open(directory: &Path) -> Snapshots {
    let trash = Trash::open(&directory.join("trash")).expect("a trash");
    Snapshots::open(&directory.join("snapshots"), Arc::new(trash)).expect("opened")
}

/// Packs a directory, publishes it upon `parent`.
fn layer(snapshots: &Snapshots, parent: Option<&ChainId>, fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> ChainId {
    try_layer(snapshots, parent, fill).expect("a layer that fits")
}

fn try_layer(
    snapshots: &Snapshots,
    parent: Option<&ChainId>,
    fill: impl FnOnce(&mut tar::Builder<Vec<u8>>),
) -> Result<ChainId, SnapshotError> {
    let mut builder = tar::Builder::new(Vec::new());
    fill(&mut builder);
    let bytes = builder.into_inner().expect("into memory");
    let diff_id = Digest::of(&bytes);
    let chain = ChainId::extend(parent, &diff_id);
    let draft = snapshots.begin()?;
    let (unpacked, _) = unpack(bytes.as_slice(), &draft.content()).expect("unpacked");
    snapshots.publish(draft, &chain, parent, &diff_id, &unpacked)?;
    Ok(chain)
}

fn add(builder: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, link: &str, content: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o751);
    header.set_uid(5);
    header.set_gid(6);
    header.set_mtime(1_000_000_000);
    header.set_size(content.len() as u64);
    if link.is_empty() {
        builder
            .append_data(&mut header, name, content.as_bytes())
            .expect("into memory");
    } else {
        builder.append_link(&mut header, name, link).expect("into memory");
    }
}

fn file(builder: &mut tar::Builder<Vec<u8>>, name: &str, content: &str) {
    add(builder, tar::EntryType::Regular, name, "", content);
}

fn directory(builder: &mut tar::Builder<Vec<u8>>, name: &str) {
    add(builder, tar::EntryType::Directory, name, "", "");
}

/// Mounts as a container's launch does, and unmounts at the end.
struct Mounted(TempDir);

impl Mounted {
    fn new(rootfs: &Rootfs) -> Self {
        let target = tempfile::tempdir().expect("a temporary directory");
        let lower: Vec<_> = rootfs.lower.iter().map(|path| path.display().to_string()).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            rootfs.upper.display(),
            rootfs.work.display()
        );
        mount(
            Some("overlay"),
            target.path(),
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .expect("needs root and overlayfs");
        Self(target)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.0.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_stack_is_mounted_and_whiteouts_hide() {
    let (_keep, snapshots) = store();
    let base = layer(&snapshots, None, |b| {
        directory(b, "./");
        directory(b, "etc/");
        file(b, "etc/a", "base a");
        file(b, "etc/b", "base b");
        directory(b, "var/");
        file(b, "var/x", "base x");
    });
    let top = layer(&snapshots, Some(&base), |b| {
        file(b, "etc/.wh.a", "");
        file(b, "etc/b", "top b");
        directory(b, "var/");
        file(b, "var/.wh..wh..opq", "");
        file(b, "var/y", "top y");
    });
    let rootfs = snapshots.prepare("c1", Some(&top)).expect("prepared");
    assert_eq!(rootfs.lower.len(), 2);
    let mounted = Mounted::new(&rootfs);
    let root = mounted.0.path();
    assert!(!root.join("etc/a").exists() && !root.join("var/x").exists());
    assert_eq!(
        (mounted.text("etc/b"), mounted.text("var/y")),
        ("top b".to_owned(), "top y".to_owned())
    );
    // Neither etc of the upper layer nor its root has an entry: both keep what the lower layer says.
    for path in ["etc", ""] {
        let metadata = fs::metadata(root.join(path)).expect("it is there");
        assert_eq!(
            (metadata.mode() & 0o7777, metadata.uid(), metadata.gid()),
            (0o751, 5, 6),
            "{path}"
        );
    }
    fs::write(root.join("etc/new"), "written").expect("writable");
    assert!(rootfs.upper.join("etc/new").exists());
    assert!(snapshots.usage("c1").expect("measured").inodes >= 3);
}

#[test]
fn a_directory_that_is_a_link_below_is_followed() {
    let (_keep, snapshots) = store();
    let base = layer(&snapshots, None, |b| {
        directory(b, "usr/lib/");
        file(b, "usr/lib/a", "a");
        add(b, tar::EntryType::Symlink, "lib", "usr/lib", "");
        add(b, tar::EntryType::Symlink, "deep", "/lib/../lib", "");
    });
    let top = layer(&snapshots, Some(&base), |b| {
        file(b, "lib/b", "b");
        file(b, "lib/d/c", "c");
        file(b, "deep/e", "e");
        file(b, "deep/d/f", "f");
    });
    let mounted = Mounted::new(&snapshots.prepare("c1", Some(&top)).expect("prepared"));
    assert!(
        fs::symlink_metadata(mounted.0.path().join("lib"))
            .expect("it is there")
            .is_symlink()
    );
    for (path, content) in [
        ("lib/a", "a"),
        ("usr/lib/b", "b"),
        ("lib/d/c", "c"),
        ("lib/e", "e"),
        ("usr/lib/d/f", "f"),
    ] {
        assert_eq!(mounted.text(path), content, "{path}");
    }
    let metadata = fs::metadata(mounted.0.path().join("usr/lib")).expect("it is there");
    assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o751, 5));
}

#[test]
fn a_hard_link_to_a_lower_file_is_one_with_it() {
    let (_keep, snapshots) = store();
    let base = layer(&snapshots, None, |b| {
        file(b, "bin/tool", "tool");
        add(b, tar::EntryType::Symlink, "sbin", "bin", "");
    });
    let top = layer(&snapshots, Some(&base), |b| {
        add(b, tar::EntryType::Link, "bin/alias", "bin/tool", "");
        add(b, tar::EntryType::Link, "other", "sbin/tool", "");
    });
    let mounted = Mounted::new(&snapshots.prepare("c1", Some(&top)).expect("prepared"));
    let inode = |path: &str| fs::metadata(mounted.0.path().join(path)).expect("it is there").ino();
    assert_eq!(mounted.text("other"), "tool");
    assert_eq!(
        (inode("bin/tool"), inode("bin/tool")),
        (inode("bin/alias"), inode("other"))
    );
    let error = try_layer(&snapshots, Some(&base), |b| {
        add(b, tar::EntryType::Link, "x", "bin/none", "")
    });
    assert!(
        matches!(error, Err(SnapshotError::Rebase(UnpackError::LinkWithoutTarget { .. }))),
        "{error:?}"
    );
}

#[test]
fn a_link_below_that_leads_out_stays_inside() {
    let (_keep, snapshots) = store();
    let outside = tempfile::tempdir().expect("a temporary directory");
    let path = outside.path().to_str().expect("a plain path");
    let base = layer(&snapshots, None, |b| {
        add(b, tar::EntryType::Symlink, "door", path, "");
        add(b, tar::EntryType::Symlink, "up", "../../../..", "");
    });
    let top = layer(&snapshots, Some(&base), |b| {
        file(b, "door/x", "x");
        file(b, "up/y", "y");
    });
    assert_eq!(fs::read_dir(path).expect("readable").count(), 0);
    let rootfs = snapshots.prepare("c1", Some(&top)).expect("prepared");
    assert_eq!(
        fs::read_to_string(rootfs.lower[0].join(&path[1..]).join("x")).expect("inside"),
        "x"
    );
    assert_eq!(fs::read_to_string(rootfs.lower[0].join("y")).expect("inside"), "y");
}

#[test]
fn what_is_unfinished_vanishes_at_open_and_the_rest_stays() {
    let (keep, snapshots) = store();
    let base = layer(&snapshots, None, |b| file(b, "a", "a"));
    let rootfs = snapshots.prepare("c1", Some(&base)).expect("prepared");
    let draft = snapshots.begin().expect("begun");
    fs::write(draft.content().join("half"), "").expect("written");
    let unfinished = draft.content();
    std::mem::forget(draft); // As after a kill.
    let torn = snapshots.prepare("c2", None).expect("prepared");
    fs::write(torn.upper.with_file_name("snapshot.json"), "").expect("as after a power cut");
    drop(snapshots);

    let snapshots = open(keep.path());
    assert!(!unfinished.exists() && !torn.upper.exists());
    assert!(snapshots.has(&base));
    assert_eq!(snapshots.rootfs("c1").expect("still there"), rootfs);
    assert!(matches!(snapshots.rootfs("c2"), Err(SnapshotError::Unknown { .. })));
    assert!(matches!(
        snapshots.prepare("c1", None),
        Err(SnapshotError::Taken { .. })
    ));
    let next = snapshots.prepare("c3", None).expect("prepared");
    assert_ne!(next.upper, rootfs.upper);
    drop(Mounted::new(&next));
}

#[test]
fn a_dropped_draft_leaves_nothing() {
    let (keep, snapshots) = store();
    drop(snapshots.begin().expect("begun"));
    assert_eq!(
        fs::read_dir(keep.path().join("snapshots")).expect("readable").count(),
        0
    );
}

#[test]
fn layers_go_when_neither_image_nor_container_needs_them() {
    let (_keep, snapshots) = store();
    let base = layer(&snapshots, None, |b| file(b, "a", "a"));
    let left = layer(&snapshots, Some(&base), |b| file(b, "b", "bb"));
    let right = layer(&snapshots, Some(&base), |b| file(b, "c", "ccc"));
    snapshots.prepare("c1", Some(&left)).expect("prepared");
    let freed = snapshots.retain(&HashSet::from([right.clone()])).expect("kept");
    assert_eq!(freed, Usage::default());
    let freed = snapshots.retain(&HashSet::new()).expect("removed");
    assert_eq!(
        (freed.bytes, snapshots.has(&right), snapshots.has(&left)),
        (3, false, true)
    );
    snapshots.remove("c1").expect("removed");
    snapshots.retain(&HashSet::new()).expect("removed");
    assert!(!snapshots.has(&left) && !snapshots.has(&base));
    assert!(matches!(
        snapshots.prepare("c2", Some(&base)),
        Err(SnapshotError::NoLayer { .. })
    ));
}

#[test]
fn the_writable_layer_has_the_images_root() {
    let (_keep, snapshots) = store();
    let base = layer(&snapshots, None, |b| directory(b, "./"));
    let rootfs = snapshots.prepare("c1", Some(&base)).expect("prepared");
    let metadata = fs::metadata(&rootfs.upper).expect("it is there");
    assert_eq!(
        (metadata.mode() & 0o7777, metadata.uid(), metadata.gid()),
        (0o751, 5, 6)
    );
}

/// A directory of the host with a file in it, and what a hostile layer upon an honest one did to it.
fn hosts_directory_after(
    base: impl FnOnce(&mut tar::Builder<Vec<u8>>),
    top: impl FnOnce(&mut tar::Builder<Vec<u8>>, &str),
) -> (Result<ChainId, SnapshotError>, Vec<String>, u64) {
    let (_directory, snapshots) = store();
    let host = tempfile::tempdir().expect("a temporary directory");
    fs::write(host.path().join("secret"), "secret").expect("written");
    let base = layer(&snapshots, None, base);
    let path = host.path().to_str().expect("a plain path").to_owned();
    let result = try_layer(&snapshots, Some(&base), |b| top(b, &path));
    let names = fs::read_dir(host.path()).expect("readable");
    let names = names.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    let links = fs::metadata(host.path().join("secret")).expect("it is there").nlink();
    (result, names.collect(), links)
}

#[test]
fn a_directory_that_moves_to_where_a_link_below_leads_never_leaves_the_layer() {
    use tar::EntryType::{Regular, Symlink};
    for file in ["cron/evil", "cron/sub/evil"] {
        let (result, names, _) = hosts_directory_after(
            |b| add(b, Symlink, "cron", "etc/cron.d", ""),
            |b, host| {
                add(b, Symlink, "etc", host, "");
                add(b, Regular, file, "", "* * * * * root evil");
            },
        );
        assert_eq!(names, ["secret"], "{file}");
        let error = result.expect_err("a layer that doesn't fit");
        let refused = matches!(&error, SnapshotError::Rebase(UnpackError::ParentIsNoDirectory { .. }));
        assert!(refused, "{error}");
    }
    // The link itself is where the directory would go.
    let (result, names, _) = hosts_directory_after(
        |b| add(b, Symlink, "cron", "etc", ""),
        |b, host| {
            add(b, Symlink, "etc", host, "");
            add(b, Regular, "cron/evil", "", "x");
        },
    );
    assert_eq!((names, result.is_err()), (vec!["secret".to_owned()], true));
}

#[test]
fn a_hard_link_to_a_layer_below_takes_nothing_of_the_host() {
    use tar::EntryType::{Link, Regular, Symlink};
    let (result, _, links) = hosts_directory_after(
        |b| add(b, Regular, "base", "", "base"),
        |b, host| {
            add(b, Symlink, "door", host, "");
            add(b, Link, "stolen", "door/secret", "");
        },
    );
    assert_eq!((links, result.is_err()), (1, true), "the host's file is in no image");
    // The directory of the link is exchanged for one that leads out, after the link has been read.
    let (result, names, _) = hosts_directory_after(
        |b| add(b, Regular, "bin/evil", "", "evil"),
        |b, host| {
            add(b, Link, "d/evil", "bin/evil", "");
            add(b, Symlink, "d", host, "");
        },
    );
    assert_eq!((names, result.is_err()), (vec!["secret".to_owned()], true));
}
