//! Layers made here, honest and hostile, unpacked as root into a temporary directory.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::sys::xattr;

/// A layer in the making; names are written raw, so that hostile ones are possible.
struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn header(kind: EntryType, name: &str, link: &str, size: usize) -> Header {
        let mut header = Header::new_gnu();
        let gnu = header.as_gnu_mut().expect("a GNU header");
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_device_major(0).expect("a number");
        header.set_device_minor(0).expect("a number");
        header
    }

    fn raw(mut self, mut header: Header, content: &[u8]) -> Self {
        header.set_cksum();
        self.0.append(&header, content).expect("into memory");
        self
    }

    fn with(self, kind: EntryType, name: &str, link: &str, change: impl FnOnce(&mut Header)) -> Self {
        let mut header = Self::header(kind, name, link, 0);
        change(&mut header);
        self.raw(header, b"")
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.raw(
            Self::header(EntryType::Regular, name, "", content.len()),
            content.as_bytes(),
        )
    }

    fn directory(self, name: &str, mode: u32) -> Self {
        self.with(EntryType::Directory, name, "", |header| header.set_mode(mode))
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.with(EntryType::Symlink, name, target, |_| {})
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.with(EntryType::Link, name, target, |_| {})
    }

    fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0
            .append_pax_extensions(records.iter().copied())
            .expect("into memory");
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("into memory")
    }

    fn unpack(self) -> Result<(tempfile::TempDir, Unpacked), UnpackError> {
        unpack_bytes(&self.bytes())
    }
}

fn unpack_bytes(bytes: &[u8]) -> Result<(tempfile::TempDir, Unpacked), UnpackError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // The layer's root is one level down, so that what escapes from it is found beside it.
    let root = directory.path().join("root");
    fs::create_dir(&root).expect("a directory");
    let result = unpack(bytes, &root);
    let beside: Vec<_> = fs::read_dir(directory.path()).expect("readable").collect();
    assert_eq!(beside.len(), 1, "something was written beside the root: {beside:?}");
    Ok((directory, result?.0))
}

fn at(directory: &tempfile::TempDir, path: &str) -> PathBuf {
    directory.path().join("root").join(path)
}

fn text(directory: &tempfile::TempDir, path: &str) -> String {
    fs::read_to_string(at(directory, path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    xattr::get(&path, &CString::new(name).expect("no NUL")).expect("readable")
}

fn is_whiteout(path: &Path) -> bool {
    let metadata = fs::symlink_metadata(path).expect("it is there");
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

#[test]
fn owners_modes_times_and_kinds_are_those_of_the_layer() {
    let (root, unpacked) = Layer::new()
        .directory("./", 0o751)
        .directory("bin/", 0o1777)
        .raw(
            {
                let mut header = Layer::header(EntryType::Regular, "bin/su", "", 4);
                header.set_mode(0o4755);
                header.set_uid(12);
                header.set_gid(3_000_000);
                header
            },
            b"code",
        )
        .symlink("bin/sh", "/bin/dash")
        .hard_link("bin/su2", "bin/su")
        .with(EntryType::Char, "null", "", |h| {
            h.set_device_major(1).expect("a number");
            h.set_device_minor(3).expect("a number");
        })
        .with(EntryType::Fifo, "fifo", "", |_| {})
        .unpack()
        .expect("an honest layer");
    let su = fs::metadata(at(&root, "bin/su")).expect("it is there");
    assert_eq!(
        (su.mode() & 0o7777, su.uid(), su.gid(), su.nlink()),
        (0o4755, 12, 3_000_000, 2)
    );
    assert_eq!(su.mtime(), 1_000_000_000);
    let bin = fs::metadata(at(&root, "bin")).expect("it is there");
    assert_eq!((bin.mode() & 0o7777, bin.mtime()), (0o1777, 1_000_000_000));
    assert_eq!(fs::metadata(at(&root, "")).expect("it is there").mode() & 0o7777, 0o751);
    let sh = fs::symlink_metadata(at(&root, "bin/sh")).expect("it is there");
    assert_eq!((sh.is_symlink(), sh.mtime()), (true, 1_000_000_000));
    assert_eq!(
        fs::metadata(at(&root, "null")).expect("it is there").rdev(),
        (1 << 8) | 3
    );
    assert!(
        fs::metadata(at(&root, "fifo"))
            .expect("it is there")
            .file_type()
            .is_fifo()
    );
    assert_eq!((unpacked.bytes, unpacked.inodes), (4, 5));
    assert_eq!((unpacked.implicit, unpacked.links_below), (vec![], vec![]));
}

#[test]
fn hostile_paths_leave_nothing_outside() {
    for name in [
        "../outside",
        "a/../../outside",
        "/../outside",
        ".wh...",
        "a/.wh..",
        ".wh.",
    ] {
        let error = Layer::new().file(name, "x").unpack().map(|_| ()).expect_err(name);
        assert!(matches!(error, UnpackError::Escapes { .. }), "{name}: {error}");
    }
    let error = Layer::new()
        .file("a", "x")
        .hard_link("b", "../../../etc/passwd")
        .unpack()
        .map(|_| ());
    assert!(matches!(error, Err(UnpackError::Escapes { .. })), "{error:?}");
    // An absolute path is one inside the layer, as docker takes it.
    let (root, _) = Layer::new().file("/etc/passwd", "x").unpack().expect("unpacked");
    assert_eq!(text(&root, "etc/passwd"), "x");
}

#[test]
fn links_that_lead_out_are_followed_inside_the_root() {
    let outside = tempfile::tempdir().expect("a temporary directory");
    let target = outside.path().to_str().expect("a plain path").to_owned();
    let (root, _) = Layer::new()
        .symlink("absolute", &target)
        .file("absolute/file", "x")
        .symlink("dots", "../../../../../../dots-target")
        .file("dots/file", "y")
        .symlink("usr-lib", "usr/lib")
        .directory("usr/lib/", 0o755)
        .file("usr-lib/so", "z")
        .unpack()
        .expect("unpacked inside");
    assert_eq!(fs::read_dir(outside.path()).expect("readable").count(), 0);
    assert_eq!(text(&root, &format!("{}/file", target.trim_start_matches('/'))), "x");
    assert_eq!(text(&root, "dots-target/file"), "y");
    assert_eq!(text(&root, "usr/lib/so"), "z");
    let circle = Layer::new()
        .symlink("a", "b")
        .symlink("b", "a")
        .file("a/c", "")
        .unpack()
        .map(|_| ());
    assert!(matches!(circle, Err(UnpackError::Apply { .. })), "{circle:?}");
}

#[test]
fn a_hard_link_reaches_no_file_outside_through_a_link() {
    let outside = tempfile::tempdir().expect("a temporary directory");
    fs::write(outside.path().join("secret"), "secret").expect("written");
    let target = outside.path().to_str().expect("a plain path");
    let (root, unpacked) = Layer::new()
        .symlink("door", target)
        .hard_link("stolen", "door/secret")
        .unpack()
        .expect("the target is taken as one of a lower layer");
    assert!(!at(&root, "stolen").exists());
    assert_eq!(unpacked.links_below.len(), 1);
}

#[test]
fn a_file_is_not_written_through_a_link_of_its_name() {
    let outside = tempfile::NamedTempFile::new().expect("a temporary file");
    let target = outside.path().to_str().expect("a plain path");
    let (root, _) = Layer::new()
        .symlink("a", target)
        .file("a", "new")
        .unpack()
        .expect("unpacked");
    assert_eq!(text(&root, "a"), "new");
    assert_eq!(fs::read(outside.path()).expect("readable"), b"");
}

#[test]
fn whiteouts_hide_lower_names_and_never_the_layers_own() {
    let (root, _) = Layer::new()
        .file(".wh.gone", "")
        .file("dir/.wh..wh..opq", "")
        .file("dir/new", "x")
        .file("own", "x")
        .file(".wh.own", "")
        .directory("both/", 0o755)
        .file(".wh.both", "")
        .file(".wh.later", "")
        .file("later/x", "x")
        .file(".wh..wh.plnk", "")
        .unpack()
        .expect("unpacked");
    assert!(is_whiteout(&at(&root, "gone")));
    assert_eq!(
        attribute(&at(&root, "dir"), "trusted.overlay.opaque").as_deref(),
        Some(&b"y"[..])
    );
    assert_eq!(text(&root, "own"), "x");
    for directory in ["both", "later"] {
        assert!(at(&root, directory).is_dir(), "{directory}");
        assert_eq!(
            attribute(&at(&root, directory), "trusted.overlay.opaque").as_deref(),
            Some(&b"y"[..])
        );
    }
    assert!(!at(&root, ".wh..wh.plnk").exists());
}

#[test]
fn what_needs_the_layers_below_is_handed_back() {
    let (root, unpacked) = Layer::new()
        .file("usr/share/doc/x", "x")
        .directory("usr/share/", 0o755)
        .hard_link("etc/y", "etc/x")
        .unpack()
        .expect("unpacked");
    assert_eq!(
        unpacked.implicit,
        ["", "etc", "usr", "usr/share/doc"].map(PathBuf::from)
    );
    let (link, target) = (PathBuf::from("etc/y"), PathBuf::from("etc/x"));
    assert_eq!(unpacked.links_below, [LinkBelow { link, target }]);
    assert!(!at(&root, "etc/y").exists());
}

#[test]
fn later_entries_win() {
    let (root, _) = Layer::new()
        .file("a", "old")
        .file("a", "new")
        .file("d/e/f", "")
        .file("d", "now a file")
        .file("f", "")
        .directory("f/", 0o700)
        .unpack()
        .expect("unpacked");
    assert_eq!(text(&root, "a"), "new");
    assert_eq!(text(&root, "d"), "now a file");
    assert!(at(&root, "f").is_dir());
}

#[test]
fn extended_attributes_long_names_and_exact_times_come_by_pax() {
    let long = format!("long/{}", "n".repeat(250));
    let capability = [1, 0, 0, 2, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (root, _) = Layer::new()
        .pax(&[
            ("path", long.as_bytes()),
            ("mtime", b"12.5"),
            ("uid", b"4000000000"),
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.note", b"a\nb"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ])
        .file("short", "x")
        .unpack()
        .expect("unpacked");
    let path = at(&root, &long);
    let metadata = fs::metadata(&path).expect("it is there");
    assert_eq!(
        (metadata.mtime(), metadata.mtime_nsec(), metadata.uid()),
        (12, 500_000_000, 4_000_000_000)
    );
    assert_eq!(
        attribute(&path, "security.capability").as_deref(),
        Some(&capability[..])
    );
    assert_eq!(attribute(&path, "user.note").as_deref(), Some(&b"a\nb"[..]));
    assert_eq!(attribute(&path, "trusted.overlay.redirect"), None);
}

#[test]
fn gnu_long_names_and_links() {
    let (name, target) = (format!("{}/x", "d".repeat(200)), "t".repeat(300));
    let mut builder = Builder::new(Vec::new());
    let mut header = Layer::header(EntryType::Symlink, "", "", 0);
    builder.append_link(&mut header, &name, &target).expect("into memory");
    let (root, _) = unpack_bytes(&builder.into_inner().expect("into memory")).expect("unpacked");
    assert_eq!(fs::read_link(at(&root, &name)).expect("a link"), Path::new(&target));
}

#[test]
fn sparse_files_of_every_format_keep_their_holes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("sparse");
    let file = fs::File::create(&path).expect("a file");
    for offset in [0u64, 1 << 20, 3 << 20, 5 << 20, 7 << 20, 9 << 20] {
        std::os::unix::fs::FileExt::write_all_at(&file, b"data", offset).expect("written");
    }
    file.set_len(20 << 20).expect("longer");
    for format in [
        &["--format=gnu"][..],
        &["--sparse-version=0.0"],
        &["--sparse-version=0.1"],
        &["--sparse-version=1.0"],
    ] {
        let output = std::process::Command::new("tar")
            .args(["--sparse", "-C"])
            .arg(directory.path())
            .args(format)
            .args(["-cf", "-", "sparse"])
            .output()
            .expect("GNU tar, package tar, must be installed");
        assert!(output.status.success(), "{output:?}");
        let (root, _) = unpack_bytes(&output.stdout).unwrap_or_else(|error| panic!("{format:?}: {error}"));
        assert!(
            fs::read(at(&root, "sparse")).expect("readable") == fs::read(&path).expect("readable"),
            "{format:?}"
        );
        let blocks = fs::metadata(at(&root, "sparse")).expect("it is there").blocks();
        assert!(blocks * 512 < 1 << 20, "{format:?}: {blocks} blocks are no holes");
    }
}

#[test]
fn limits_end_hostile_layers() {
    let mut huge_header = Layer::header(EntryType::XHeader, "pax", "", 0);
    huge_header.set_size(1 << 40);
    let error = Layer::new().raw(huge_header, b"").unpack().map(|_| ());
    assert!(matches!(error, Err(UnpackError::Limit { .. })), "{error:?}");
    let deep = "d/".repeat(3000);
    let error = Layer::new()
        .pax(&[("path", deep.as_bytes())])
        .file("short", "x")
        .unpack()
        .map(|_| ());
    assert!(matches!(error, Err(UnpackError::Limit { .. })), "{error:?}");
}

#[test]
fn what_an_entry_brings_along_is_limited_however_it_is_cut() {
    let value = vec![b'x'; 60_000];
    let mut layer = Layer::new();
    for _ in 0..20 {
        layer = layer.pax(&[("SCHILY.xattr.user.x", &value)]);
    }
    let error = layer.file("a", "").unpack().map(|_| ());
    assert!(matches!(error, Err(UnpackError::Limit { .. })), "{error:?}");
    // The next entry has its own measure.
    let records: &[(&str, &[u8])] = &[("SCHILY.xattr.trusted.x", &value)];
    let mut layer = Layer::new();
    for name in ["a", "b", "c"] {
        for _ in 0..10 {
            layer = layer.pax(records);
        }
        layer = layer.file(name, "");
    }
    layer.unpack().expect("unpacked");
}

#[test]
fn a_map_of_a_sparse_file_without_end_is_not_read_to_the_end() {
    let records: &[(&str, &[u8])] = &[("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"10")];
    let error = Layer::new()
        .pax(records)
        .file("a", &"1".repeat(4096))
        .unpack()
        .map(|_| ());
    assert!(matches!(error, Err(UnpackError::Format { .. })), "{error:?}");
}

#[test]
fn links_make_no_path_longer_than_an_entry_could() {
    let deep = vec!["n".repeat(255); 15].join("/");
    let behind = format!("s/{deep}/f");
    let error = Layer::new()
        .pax(&[("linkpath", deep.as_bytes())])
        .symlink("s", "")
        .pax(&[("path", behind.as_bytes())])
        .file("x", "")
        .unpack()
        .map(|_| ());
    assert!(matches!(error, Err(UnpackError::Limit { .. })), "{error:?}");
}

#[test]
fn dots_in_links_lead_to_the_parent_of_where_the_link_really_is() {
    let (root, _) = Layer::new()
        .symlink("a/b/up", "../c/../../d")
        .directory("a/c/", 0o755)
        .file("a/b/up/f", "x")
        .unpack()
        .expect("unpacked");
    assert_eq!(text(&root, "d/f"), "x");
}

#[test]
fn odd_numbers_and_names_are_errors_or_taken_as_they_are() {
    for (key, value) in [
        ("size", &b"18446744073709551615"[..]),
        ("size", b"9223372036854775807"),
        ("size", b"-1"),
        ("uid", b"4294967296"),
        ("mtime", b"-9223372036854775808.5"),
        ("path", b"a\0b"),
        ("path", b"../\xff"),
    ] {
        let unpacked = Layer::new().pax(&[(key, value)]).file("a", "x").unpack();
        assert!(unpacked.is_err(), "{key}={}", String::from_utf8_lossy(value));
    }
    let mut huge = Layer::header(EntryType::Regular, "a", "", 0);
    huge.as_mut_bytes()[124..136].copy_from_slice(&[0xff; 12]);
    assert!(Layer::new().raw(huge, b"").unpack().is_err(), "a negative size");
    let (root, unpacked) = Layer::new()
        .pax(&[("path", b"\xff\xfe")])
        .file("short", "x")
        .hard_link("itself", "itself")
        .unpack()
        .expect("unpacked");
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    assert_eq!(fs::read(at(&root, "").join(name)).expect("readable"), b"x");
    assert_eq!(unpacked.links_below, []);
}

#[test]
fn what_is_cut_or_garbled_is_an_error() {
    let whole = Layer::new().file("a", &"x".repeat(2000)).file("b", "y").bytes();
    for length in [100, 512, 1000, 2559, 2561, 3000] {
        let error = unpack_bytes(&whole[..length]).map(|_| ());
        assert!(
            matches!(error, Err(UnpackError::Read(_))) || length == 2560,
            "{length}: {error:?}"
        );
    }
    let mut garbled = whole;
    garbled[3] ^= 1;
    assert!(matches!(
        unpack_bytes(&garbled).map(|_| ()),
        Err(UnpackError::Format { .. })
    ));
    let multi_volume = Layer::new()
        .with(EntryType::new(b'M'), "a", "", |_| {})
        .unpack()
        .map(|_| ());
    assert!(
        matches!(multi_volume, Err(UnpackError::Kind { kind: 'M', .. })),
        "{multi_volume:?}"
    );
    assert!(matches!(
        Layer::new().file("a", "").file("a/b", "").unpack(),
        Err(UnpackError::ParentIsNoDirectory { .. })
    ));
}

#[test]
fn the_whole_stream_is_read_even_past_the_archives_end() {
    let mut bytes = Layer::new().file("a", "x").bytes();
    bytes.write_all(&[0; 10_240]).expect("into memory");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (_, rest) = unpack(bytes.as_slice(), directory.path()).expect("unpacked");
    assert!(rest.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any order of hostile names, links and kinds leaves nothing beside the root; `unpack_bytes` looks.
    #[test]
    fn no_sequence_of_entries_escapes(steps in proptest::collection::vec((0usize..6, 0usize..8, 0usize..8), 1..25)) {
        const NAMES: [&str; 8] = ["a", "b", "a/b", "b/a", "a/b/c", "./a/", ".wh.a", "b/.wh..wh..opq"];
        const TARGETS: [&str; 8] = ["a", "../..", "/", "../../escape", "b", "/tmp/../..", "a/b", "."];
        let mut layer = Layer::new();
        for (kind, name, target) in steps {
            let (name, target) = (NAMES[name], TARGETS[target]);
            layer = match kind {
                0 | 1 => layer.file(name, "content"),
                2 => layer.directory(name, 0o755),
                3 | 4 => layer.symlink(name, target),
                _ => layer.hard_link(name, target),
            };
        }
        // Some sequences are refused, which is right too.
        let _ = layer.unpack();
    }

    #[test]
    fn garbage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..3000), fix in any::<bool>()) {
        if fix && bytes.len() >= 512 {
            let mut header = Header::from_byte_slice(&bytes[..512]).clone();
            header.set_cksum();
            bytes[..512].copy_from_slice(header.as_bytes());
        }
        let _ = unpack_bytes(&bytes);
    }
}
