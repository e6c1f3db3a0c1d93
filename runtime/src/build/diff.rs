//! What a step has changed: overlayfs' writable layer as the entries of an OCI layer.
//!
//! ```text
//! character device 0:0           -> .wh.NAME          the name is gone
//! trusted.overlay.opaque = "y"   -> .wh..wh..opq      what was in the directory is gone
//! everything else                -> itself
//! ```
//! What is there only because something was mounted on it (an empty /etc/resolv.conf) is left out.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::tarball::{Attributes, Tarball};
use crate::snapshots::{View, merged};
use crate::sys::xattr;

/// A walk through a writable layer.
pub(super) struct Diff<'a> {
    /// The layers below.
    pub(super) below: &'a View,
    pub(super) upper: &'a Path,
    /// Where something was mounted, relative to the root.
    pub(super) mounted: &'a BTreeSet<PathBuf>,
    /// Where a file of several names was met first.
    pub(super) links: HashMap<(u64, u64), PathBuf>,
}

impl Diff<'_> {
    /// Writes all that has changed.
    pub(super) fn write(&mut self, tarball: &mut Tarball<'_>) -> io::Result<()> {
        self.directory(Path::new(""), tarball)?;
        Ok(())
    }

    /// What is in a directory. True if something of it counts.
    fn directory(&mut self, path: &Path, tarball: &mut Tarball<'_>) -> io::Result<bool> {
        let mut counts = false;
        for name in names(&self.upper.join(path))? {
            counts |= self.entry(&path.join(name), tarball)?;
        }
        Ok(counts)
    }

    fn entry(&mut self, path: &Path, tarball: &mut Tarball<'_>) -> io::Result<bool> {
        let source = self.upper.join(path);
        let metadata = fs::symlink_metadata(&source)?;
        let attributes = Attributes::of(&metadata);
        let kind = metadata.file_type();
        if kind.is_char_device() && metadata.rdev() == 0 {
            // A stack that never had it needs no whiteout.
            if self.below.look_up(path).is_some() {
                tarball.whiteout(path)?;
            }
            return Ok(true);
        }
        if kind.is_dir() {
            return self.changed_directory(path, &source, &metadata, tarball);
        }
        if metadata.len() == 0 && self.mounted.contains(path) {
            return Ok(false);
        }
        if metadata.nlink() > 1 {
            let file = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&file) {
                tarball.hard_link(path, first, &attributes)?;
                return Ok(true);
            }
            self.links.insert(file, path.to_owned());
        }
        if xattr::get(&merged::c_path(&source), c"trusted.overlay.metacopy").is_ok_and(|value| value.is_some()) {
            return Err(io::Error::other(format!(
                "/{}: the kernel's overlayfs has copied only its attributes (metacopy=on): write N to /sys/module/overlay/parameters/metacopy and build again",
                path.display()
            )));
        }
        tarball.copy(path, &source, &metadata, &attributes)?;
        Ok(true)
    }

    fn changed_directory(
        &mut self,
        path: &Path,
        source: &Path,
        metadata: &Metadata,
        tarball: &mut Tarball<'_>,
    ) -> io::Result<bool> {
        let attributes = Attributes::of(metadata);
        if xattr::get(&merged::c_path(source), c"trusted.overlay.redirect").is_ok_and(|value| value.is_some()) {
            return Err(io::Error::other(format!(
                "/{}: the kernel's overlayfs has moved this directory by a note only (redirect_dir=on): write N to /sys/module/overlay/parameters/redirect_dir and build again",
                path.display()
            )));
        }
        let opaque = merged::is_opaque(source);
        let below = self.below.look_up(path);
        let same = below.as_ref().is_some_and(|seen| {
            let below = Attributes::of(&seen.metadata);
            seen.metadata.is_dir()
                && (below.uid, below.gid, below.mode) == (attributes.uid, attributes.gid, attributes.mode)
        });
        let only_mounts = self.only_mounts(path)?;
        if !opaque && only_mounts && (same || below.is_none()) {
            return Ok(false);
        }
        tarball.copy(path, source, metadata, &attributes)?;
        if opaque && below.is_some() {
            tarball.opaque(path)?;
        }
        self.directory(path, tarball)?;
        Ok(true)
    }

    /// Whether all that is in a directory, and the directory itself, is there for mounts: at least one, and nothing else.
    fn only_mounts(&self, path: &Path) -> io::Result<bool> {
        if self.mounted.contains(path) {
            return Ok(names(&self.upper.join(path))?.is_empty());
        }
        let names = names(&self.upper.join(path))?;
        for name in &names {
            let path = path.join(name);
            let metadata = fs::symlink_metadata(self.upper.join(&path))?;
            let is_one = if metadata.is_dir() {
                self.only_mounts(&path)?
            } else {
                metadata.is_file() && metadata.len() == 0 && self.mounted.contains(&path)
            };
            if !is_one {
                return Ok(false);
            }
        }
        Ok(!names.is_empty())
    }
}

/// Sorted: the same content gives the same archive.
fn names(directory: &Path) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        names.insert(entry?.file_name());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::{Mode, SFlag, mknod};

    use super::*;

    struct Case {
        _folder: tempfile::TempDir,
        upper: PathBuf,
        lower: PathBuf,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let (upper, lower) = (folder.path().join("upper"), folder.path().join("lower"));
            for path in [&upper, &lower] {
                fs::create_dir_all(path.join("etc")).expect("made");
            }
            Self {
                _folder: folder,
                upper,
                lower,
            }
        }

        fn entries(&self, mounted: &[&str]) -> Vec<(String, tar::EntryType)> {
            let below = View {
                lower: vec![self.lower.clone()],
            };
            let mounted = mounted.iter().map(PathBuf::from).collect();
            let mut diff = Diff {
                below: &below,
                upper: &self.upper,
                mounted: &mounted,
                links: HashMap::new(),
            };
            let mut bytes = Vec::new();
            let mut tarball = Tarball::new(&mut bytes, None);
            diff.write(&mut tarball).expect("a diff");
            tarball.finish().expect("an archive");
            let mut archive = tar::Archive::new(bytes.as_slice());
            let entries = archive.entries().expect("an archive");
            let named = entries.map(|entry| {
                let entry = entry.expect("an entry");
                let name = entry.path().expect("a path").display().to_string();
                (name, entry.header().entry_type())
            });
            named.collect()
        }
    }

    #[test]
    fn each_kind_of_change_becomes_an_entry() {
        let case = Case::new();
        let at = |name: &str| case.upper.join(name);
        fs::write(case.lower.join("gone"), "x").expect("written");
        fs::create_dir(case.lower.join("new")).expect("made");
        mknod(&at("gone"), SFlag::S_IFCHR, Mode::empty(), 0).expect("root, to make a whiteout");
        mknod(&at("never"), SFlag::S_IFCHR, Mode::empty(), 0).expect("root, to make a whiteout");
        fs::create_dir(at("new")).expect("made");
        xattr::set(&merged::c_path(&at("new")), c"trusted.overlay.opaque", b"y").expect("root, to mark a directory");
        fs::write(at("etc/a"), "a").expect("written");
        fs::hard_link(at("etc/a"), at("etc/b")).expect("linked");
        symlink("a", at("etc/c")).expect("linked");
        let entries = case.entries(&[]);
        let entries: Vec<(&str, tar::EntryType)> = entries.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        use tar::EntryType::{Directory, Link, Regular, Symlink};
        assert_eq!(
            entries,
            [
                ("etc/", Directory),
                ("etc/a", Regular),
                ("etc/b", Link),
                ("etc/c", Symlink),
                (".wh.gone", Regular),
                ("new/", Directory),
                ("new/.wh..wh..opq", Regular),
            ]
        );
    }

    #[test]
    fn what_was_only_mounted_on_is_left_out() {
        let case = Case::new();
        fs::write(case.upper.join("etc/hosts"), "").expect("written");
        fs::create_dir_all(case.upper.join("run/secrets/x")).expect("made");
        assert_eq!(case.entries(&["etc/hosts", "run/secrets/x"]), []);
        fs::write(case.upper.join("run/own"), "").expect("written");
        let names: Vec<String> = case
            .entries(&["etc/hosts", "run/secrets/x"])
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["run/", "run/own"]);
    }

    #[test]
    fn a_directory_that_was_moved_by_a_note_is_refused() {
        let case = Case::new();
        fs::create_dir(case.upper.join("moved")).expect("made");
        let moved = merged::c_path(&case.upper.join("moved"));
        xattr::set(&moved, c"trusted.overlay.redirect", b"/etc").expect("root, to mark a directory");
        let below = View {
            lower: vec![case.lower.clone()],
        };
        let mut diff = Diff {
            below: &below,
            upper: &case.upper,
            mounted: &BTreeSet::new(),
            links: HashMap::new(),
        };
        let mut bytes = Vec::new();
        let refused = diff.write(&mut Tarball::new(&mut bytes, None)).expect_err("refused");
        assert!(refused.to_string().contains("redirect_dir"), "{refused}");
    }
}
