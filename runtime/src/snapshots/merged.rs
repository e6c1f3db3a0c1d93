//! What a stack of layers shows at a path, found without mounting it: overlayfs' rules, read-only.
//!
//! Every directory on the way is looked at by its own name, so no symbolic link is ever followed on disk; `resolve` follows
//! them in the merged view, as a process in the container would.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::sys::xattr;

/// Symbolic links followed before giving up: the kernel's own limit.
const SYMBOLIC_LINKS: usize = 40;

/// What is at a path: where it is on disk (of a directory, its topmost part).
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) path: PathBuf,
    pub(crate) metadata: Metadata,
}

/// Looks a path of plain names up; `lower` is topmost first.
pub(super) fn look_up(lower: &[PathBuf], path: &Path) -> Option<Seen> {
    let mut parts: Vec<PathBuf> = lower.to_vec();
    let mut seen = Seen {
        path: parts.first()?.clone(),
        metadata: fs::symlink_metadata(parts.first()?).ok()?,
    };
    for name in path.components() {
        if !seen.metadata.is_dir() {
            return None;
        }
        (seen, parts) = child(&parts, name.as_os_str())?;
    }
    Some(seen)
}

/// Reads a regular file as a process in the container would see it, at most `limit` bytes of it; none if it isn't there or
/// isn't a regular file.
pub(super) fn read(lower: &[PathBuf], path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let seen = resolve(lower, path).and_then(|path| look_up(lower, &path));
    let Some(seen) = seen.filter(|seen| seen.metadata.is_file()) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    File::open(seen.path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// One name in a merged directory: what is seen, and the parts of it if it is a directory.
fn child(parts: &[PathBuf], name: &OsStr) -> Option<(Seen, Vec<PathBuf>)> {
    let mut seen = None;
    let mut next = Vec::new();
    for part in parts {
        let path = part.join(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if is_whiteout(&metadata) || (!metadata.is_dir() && seen.is_some()) {
            break;
        }
        let goes_on = metadata.is_dir() && !is_opaque(&path);
        next.push(path.clone());
        seen.get_or_insert(Seen { path, metadata });
        if !goes_on {
            break;
        }
    }
    seen.map(|seen| (seen, next))
}

/// Names in a directory, sorted; none if there is no directory at this path of plain names.
pub(super) fn list(lower: &[PathBuf], path: &Path) -> io::Result<BTreeSet<OsString>> {
    let mut parts: Vec<PathBuf> = lower.to_vec();
    for name in path.components() {
        match child(&parts, name.as_os_str()) {
            Some((seen, below)) if seen.metadata.is_dir() => parts = below,
            _ => return Ok(BTreeSet::new()),
        }
    }
    let (mut names, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for part in &parts {
        let mut gone_here = Vec::new();
        for entry in fs::read_dir(part)? {
            let (name, metadata) = entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?)))?;
            if is_whiteout(&metadata) {
                gone_here.push(name);
            } else if !gone.contains(&name) {
                names.insert(name);
            }
        }
        gone.extend(gone_here);
    }
    Ok(names)
}

/// Where a path leads when symbolic links are followed, the last one too, all inside the stack. What doesn't exist stays as
/// written. None when there are too many links.
pub(super) fn resolve(lower: &[PathBuf], path: &Path) -> Option<PathBuf> {
    let mut names: VecDeque<OsString> = path.components().map(|c| c.as_os_str().to_owned()).collect();
    let mut real = PathBuf::new();
    let mut links_left = SYMBOLIC_LINKS;
    while let Some(name) = names.pop_front() {
        real.push(&name);
        let Some(target) = look_up(lower, &real)
            .filter(|seen| seen.metadata.is_symlink())
            .and_then(|seen| fs::read_link(seen.path).ok())
        else {
            continue;
        };
        links_left = links_left.checked_sub(1)?;
        real.pop();
        for component in target.components().rev() {
            match component {
                Component::Normal(name) => names.push_front(name.to_owned()),
                Component::ParentDir => names.push_front("..".into()),
                Component::RootDir => names.push_front("/".into()),
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        // `..` and `/` only come from links, and always stand at a link's front after normal names are resolved.
        while let Some(front) = names.front() {
            if front == ".." {
                real.pop();
            } else if front == "/" {
                real = PathBuf::new();
            } else {
                break;
            }
            names.pop_front();
        }
    }
    Some(real)
}

/// Attributes of a directory or file that are part of its content, not of overlayfs' bookkeeping.
pub(crate) fn attributes(path: &Path) -> std::io::Result<Vec<(CString, Vec<u8>)>> {
    let path = c_path(path);
    let mut attributes = Vec::new();
    for name in xattr::list(&path)?.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.") || name.starts_with(b"security.selinux") {
            continue;
        }
        let name = CString::new(name).expect("cut at NUL");
        if let Some(value) = xattr::get(&path, &name)? {
            attributes.push((name, value));
        }
    }
    Ok(attributes)
}

pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().to_owned().into_vec()).expect("paths from the kernel have no NUL")
}

fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

pub(crate) fn is_opaque(path: &Path) -> bool {
    let value = xattr::get(&c_path(path), c"trusted.overlay.opaque");
    value.is_ok_and(|value| value.is_some_and(|value| OsStr::from_bytes(&value) == "y"))
}
