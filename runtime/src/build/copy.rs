//! COPY and ADD: which files are meant, where they go, and the layer that they become.
//!
//! Context folder and stages are both stacks of layers (`View`), looked at without a mount: links lead nowhere but beneath their
//! root, in the sources and in the destination alike. Nothing is written but the archive of the new layer.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::tarball::{Attributes, Tarball};
use crate::images::digest::Hasher;
use crate::snapshots::View;
use crate::snapshots::merged::Seen;

/// Deepest folder that is copied: a path has at most 4096 bytes.
const DEPTH: usize = 2048;

/// A file or folder that is meant by a source.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Where it really is, relative to the root of its stack.
    pub(super) path: PathBuf,
    /// What it was called.
    pub(super) name: PathBuf,
    seen: Seen,
}

impl Chosen {
    pub(super) fn is_dir(&self) -> bool {
        self.seen.metadata.is_dir()
    }

    /// On this machine's disk; of a folder, its topmost part.
    pub(super) fn on_disk(&self) -> &Path {
        &self.seen.path
    }
}

/// What a source means: a path, or a pattern with `*`, `?` and `[…]` in its names.
pub(super) fn choose(from: &View, source: &str) -> io::Result<Vec<Chosen>> {
    let mut paths = vec![PathBuf::new()];
    for component in super::config::cleaned(Path::new(source)).components() {
        let Component::Normal(name) = component else { continue };
        if !name.as_bytes().iter().any(|byte| b"*?[".contains(byte)) {
            paths.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        let mut matching = Vec::new();
        for path in paths {
            let Some(real) = from.resolve(&path) else { continue };
            let names = from.list(&real)?.into_iter();
            let names = names.filter(|known| matches(name.as_bytes(), known.as_bytes()));
            matching.extend(names.map(|known| path.join(known)));
        }
        paths = matching;
    }
    let found = paths.into_iter().filter_map(|name| {
        let path = from.resolve(&name)?;
        let seen = from.look_up(&path)?;
        Some(Chosen { path, name, seen })
    });
    Ok(found.collect())
}

/// Go's filepath.Match on one name: `*` any, `?` one, `[a-z]` or `[^a-z]` one of these, `\` the next as it is.
#[must_use]
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches(rest, name) || name.split_first().is_some_and(|(_, shorter)| matches(pattern, shorter))
        }
        (Some((b'?', rest)), Some((_, name))) => matches(rest, name),
        (Some((b'[', rest)), Some((first, name))) => match set(rest) {
            Some((ranges, negated, rest)) => {
                let within = ranges.iter().any(|(low, high)| (low..=high).contains(&first));
                within != negated && matches(rest, name)
            }
            None => false,
        },
        (Some((b'\\', rest)), Some((first, name))) if !rest.is_empty() => {
            rest[0] == *first && matches(&rest[1..], name)
        }
        (Some((wanted, rest)), Some((first, name))) => wanted == first && matches(rest, name),
        _ => false,
    }
}

type Set<'a> = (Vec<(u8, u8)>, bool, &'a [u8]);

fn set(pattern: &[u8]) -> Option<Set<'_>> {
    let negated = pattern.first() == Some(&b'^');
    let mut rest = &pattern[usize::from(negated)..];
    let mut ranges = Vec::new();
    loop {
        match rest {
            [b']', after @ ..] if !ranges.is_empty() => return Some((ranges, negated, after)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                ranges.push((*low, *high));
                rest = after;
            }
            [one, after @ ..] => {
                ranges.push((*one, *one));
                rest = after;
            }
            [] => return None,
        }
    }
}

/// Hashes names, kinds, modes and contents of what was chosen, by which a step is known again. Times and owners don't count.
pub(super) fn digest(from: &View, chosen: &Chosen, hasher: &mut Hasher) -> io::Result<()> {
    hash(from, &chosen.path, Path::new(""), &chosen.seen, hasher)
}

fn hash(from: &View, path: &Path, shown: &Path, seen: &Seen, hasher: &mut Hasher) -> io::Result<()> {
    let mode = seen.metadata.mode();
    hasher.update(
        format!(
            "{:?} {mode:o} {}\n",
            shown,
            seen.metadata.len() * u64::from(!seen.metadata.is_dir())
        )
        .as_bytes(),
    );
    if seen.metadata.is_symlink() {
        hasher.update(fs::read_link(&seen.path)?.as_os_str().as_bytes());
    } else if seen.metadata.is_file() {
        let mut file = fs::File::open(&seen.path)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
        }
    } else if seen.metadata.is_dir() {
        for name in from.list(path)? {
            let path = path.join(&name);
            if let Some(seen) = from.look_up(&path) {
                hash(from, &path, &shown.join(&name), &seen, hasher)?;
            }
        }
    }
    Ok(())
}

/// A copy from one stack to a new layer upon another.
pub(super) struct Copying<'a> {
    pub(super) to: &'a View,
    /// In the place of the sources' own; those of the context are root's.
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<u32>,
    /// Seconds since 1970, for directories that had to be made.
    pub(super) now: i64,
    /// Directories that the archive has already.
    pub(super) made: BTreeSet<PathBuf>,
}

impl Copying<'_> {
    /// Where a path of the new image really is, relative to the root.
    pub(super) fn target(&self, path: &Path) -> io::Result<PathBuf> {
        let relative: PathBuf = path
            .components()
            .filter(|c| matches!(c, Component::Normal(_)))
            .collect();
        let target = self.to.resolve(&relative);
        target.ok_or_else(|| io::Error::other(format!("{}: too many symbolic links", path.display())))
    }

    pub(super) fn is_directory(&self, target: &Path) -> bool {
        self.made.contains(target) || self.to.look_up(target).is_some_and(|seen| seen.metadata.is_dir())
    }

    /// Makes a directory and all that is missing above it.
    pub(super) fn make(&mut self, target: &Path, tarball: &mut Tarball<'_>) -> io::Result<()> {
        let (uid, gid) = self.owner.unwrap_or((0, 0));
        let attributes = Attributes {
            uid,
            gid,
            mode: 0o755,
            mtime: self.now,
        };
        let mut path = PathBuf::new();
        for name in target.components() {
            path.push(name);
            if self.is_directory(&path) {
                continue;
            }
            if self.to.look_up(&path).is_some() {
                return Err(io::Error::other(format!("/{} is no directory", path.display())));
            }
            tarball.directory(&path, &attributes)?;
            self.made.insert(path.clone());
        }
        Ok(())
    }

    /// A file whose content stands in the Dockerfile.
    pub(super) fn text(&mut self, target: &Path, content: &[u8], tarball: &mut Tarball<'_>) -> io::Result<()> {
        self.make(target.parent().unwrap_or(Path::new("")), tarball)?;
        let (uid, gid) = self.owner.unwrap_or((0, 0));
        let attributes = Attributes {
            uid,
            gid,
            mode: self.mode.unwrap_or(0o644),
            mtime: self.now,
        };
        tarball.file(target, content, &attributes)
    }

    /// Copies what was chosen: of a directory what is in it, of a file itself, under the name `target`.
    pub(super) fn copy(
        &mut self,
        from: &View,
        chosen: &Chosen,
        target: &Path,
        tarball: &mut Tarball<'_>,
    ) -> io::Result<()> {
        if chosen.is_dir() {
            self.make_like(target, Some(&chosen.seen), tarball)?;
            return self.content(from, &chosen.path, target, tarball, 0);
        }
        if self.is_directory(target) {
            let (name, target) = (chosen.name.display(), target.display());
            return Err(io::Error::other(format!(
                "{name} is a file, /{target} a directory: end the destination with / to copy into it"
            )));
        }
        self.make(target.parent().unwrap_or(Path::new("")), tarball)?;
        self.put(&chosen.seen, target, tarball)
    }

    fn content(
        &mut self,
        from: &View,
        path: &Path,
        target: &Path,
        tarball: &mut Tarball<'_>,
        depth: usize,
    ) -> io::Result<()> {
        if depth > DEPTH {
            return Err(io::Error::other(format!(
                "{}: folders are nested too deep",
                path.display()
            )));
        }
        for name in from.list(path)? {
            let path = path.join(&name);
            let Some(seen) = from.look_up(&path) else { continue };
            let mut target = target.join(&name);
            if !seen.metadata.is_dir() {
                if self.is_directory(&target) {
                    return Err(io::Error::other(format!(
                        "{}: the image has a directory of this name",
                        path.display()
                    )));
                }
                self.put(&seen, &target, tarball)?;
                continue;
            }
            // A link to a directory, as /bin is one, stays what it is: what is copied goes where it leads.
            if let Some(real) = self.to.resolve(&target).filter(|real| self.is_directory(real)) {
                target = real;
            }
            self.make_like(&target, Some(&seen), tarball)?;
            self.content(from, &path, &target, tarball, depth + 1)?;
        }
        Ok(())
    }

    /// A directory with the attributes of the one that is copied, if it is new.
    fn make_like(&mut self, target: &Path, like: Option<&Seen>, tarball: &mut Tarball<'_>) -> io::Result<()> {
        self.make(target.parent().unwrap_or(Path::new("")), tarball)?;
        if target.as_os_str().is_empty() || self.is_directory(target) {
            return Ok(());
        }
        match like {
            Some(seen) if self.to.look_up(target).is_none() => {
                self.put(seen, target, tarball)?;
                self.made.insert(target.to_owned());
                Ok(())
            }
            _ => self.make(target, tarball),
        }
    }

    fn put(&self, seen: &Seen, target: &Path, tarball: &mut Tarball<'_>) -> io::Result<()> {
        let mut attributes = Attributes::of(&seen.metadata);
        if let Some((uid, gid)) = self.owner {
            (attributes.uid, attributes.gid) = (uid, gid);
        }
        if let Some(mode) = self.mode.filter(|_| !seen.metadata.is_symlink()) {
            attributes.mode = mode;
        }
        tarball.copy(target, &seen.path, &seen.metadata, &attributes)
    }
}

/// What a source is called in its destination directory.
pub(super) fn base_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Case {
        folder: tempfile::TempDir,
    }

    impl Case {
        /// A context with links that lead out, and an image whose /bin is a link.
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let at = |name: &str| folder.path().join(name);
            for name in ["context/src/bin", "context/deep/er", "image/usr/bin", "image/srv"] {
                fs::create_dir_all(at(name)).expect("made");
            }
            for name in [
                "context/a.txt",
                "context/b.txt",
                "context/src/bin/tool",
                "context/deep/er/x",
            ] {
                fs::write(at(name), name).expect("written");
            }
            symlink("/etc/passwd", at("context/out")).expect("linked");
            symlink("../../../../etc", at("context/up")).expect("linked");
            symlink("usr/bin", at("image/bin")).expect("linked");
            Self { folder }
        }

        fn view(&self, name: &str) -> View {
            View {
                lower: vec![self.folder.path().join(name)],
            }
        }

        fn copied(&self, source: &str, to: &str) -> io::Result<Vec<String>> {
            let (from, image) = (self.view("context"), self.view("image"));
            let mut bytes = Vec::new();
            let mut tarball = Tarball::new(&mut bytes, None);
            let mut copying = Copying {
                to: &image,
                owner: Some((0, 0)),
                mode: None,
                now: 0,
                made: BTreeSet::new(),
            };
            for chosen in choose(&from, source)? {
                let mut target = copying.target(Path::new(to))?;
                if to.ends_with('/') && !chosen.is_dir() {
                    target.push(base_name(&chosen.name));
                }
                copying.copy(&from, &chosen, &target, &mut tarball)?;
            }
            tarball.finish()?;
            let mut archive = tar::Archive::new(bytes.as_slice());
            let entries = archive.entries()?;
            entries.map(|entry| Ok(entry?.path()?.display().to_string())).collect()
        }
    }

    #[test]
    fn files_folders_and_patterns_go_where_they_are_told() {
        let case = Case::new();
        let copied = |source, to| case.copied(source, to).expect("copied");
        assert_eq!(copied("a.txt", "/srv/"), ["srv/a.txt"]);
        assert_eq!(copied("a.txt", "/new/name"), ["new/", "new/name"]);
        assert_eq!(copied("*.txt", "/srv/"), ["srv/a.txt", "srv/b.txt"]);
        assert_eq!(copied("/deep/", "/app"), ["app/", "app/er/", "app/er/x"]);
        assert_eq!(copied("../../a.txt", "/x"), ["x"]);
        // The link /bin stays.
        assert_eq!(copied("src", "/"), ["usr/bin/tool"]);
        assert_eq!(copied("a.txt", "/bin/"), ["usr/bin/a.txt"]);
    }

    #[test]
    fn links_lead_nowhere_but_beneath_their_root() {
        let case = Case::new();
        assert_eq!(case.copied("out", "/x").expect("nothing"), Vec::<String>::new());
        assert_eq!(case.copied("up/passwd", "/x").expect("nothing"), Vec::<String>::new());
    }

    #[test]
    fn a_file_does_not_replace_a_directory() {
        let case = Case::new();
        let refused = case.copied("a.txt", "/srv").expect_err("refused");
        assert!(refused.to_string().contains("end the destination with /"), "{refused}");
    }

    #[test]
    fn a_digest_knows_content_and_mode_but_no_time() {
        let case = Case::new();
        let view = case.view("context");
        let of = || {
            let mut hasher = Hasher::default();
            for chosen in choose(&view, "deep").expect("chosen") {
                digest(&view, &chosen, &mut hasher).expect("hashed");
            }
            hasher.finish()
        };
        let first = of();
        let file = case.folder.path().join("context/deep/er/x");
        fs::write(&file, "context/deep/er/x").expect("written");
        assert_eq!(of(), first);
        fs::write(&file, "another").expect("written");
        assert_ne!(of(), first);
    }

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*.go", "x.go", true),
            ("*.go", "x.rs", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[", "[", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }
}
