//! The directory that a layer is unpacked into, and the only way to reach anything in it.
//!
//! Every directory is opened by openat2(2) beneath the root without following symbolic links, or name by name; a link on the
//! way (`lib/x` where this layer has `lib -> usr/lib`) is resolved here as chroot would, so none leads out. What an entry
//! creates is then a single name in an opened directory. Nobody else writes into the directory meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat};

use super::error::{UnpackError, applying, shown};
use super::limits;
use super::path::EntryPath;
use crate::snapshots::removal;
use crate::sys::xattr;

/// overlayfs' mark on a directory that hides what is below it (Documentation/filesystems/overlayfs.rst).
const OPAQUE: &std::ffi::CStr = c"trusted.overlay.opaque";

const DIRECTORY: OFlag = OFlag::O_PATH
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// A directory in the layer, opened, and where it really is.
pub(super) struct Directory {
    pub(super) fd: OwnedFd,
    pub(super) path: EntryPath,
}

impl Directory {
    /// A path of /proc that names `name` in this directory, for the system calls that have no directory argument.
    /// An empty name stands for the directory itself.
    pub(super) fn by_proc(&self, name: &[u8]) -> CString {
        let mut path = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        path.extend_from_slice(if name.is_empty() { b"." } else { name });
        CString::new(path).expect("entry paths have no NUL")
    }

    pub(super) fn stat(&self, name: &[u8]) -> Result<Option<FileStat>, Errno> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hides what layers below have at this directory's path.
    pub(super) fn make_opaque(&self) -> Result<(), UnpackError> {
        xattr::set(&self.by_proc(b""), OPAQUE, b"y").map_err(applying("mark as opaque", self.path.as_bytes()))
    }
}

/// What a walk does where a directory is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    GiveUp,
}

/// Where the layer goes.
pub(super) struct Root {
    fd: OwnedFd,
    /// Entries of a directory follow each other, so the last parent is nearly always the next one too.
    last: Option<(EntryPath, Rc<Directory>)>,
    /// Directories that had to be there but have no entry (yet): their owner and mode are those of the layers below.
    implicit: BTreeSet<EntryPath>,
    /// What the paths that are remembered take.
    held_bytes: usize,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, UnpackError> {
        let fd = open(path, DIRECTORY, Mode::empty()).map_err(applying("open the layer's root", b"/"))?;
        Ok(Self {
            fd,
            last: None,
            implicit: BTreeSet::from([EntryPath::parse(b"").expect("the root's path")]),
            held_bytes: 0,
        })
    }

    /// Opens a directory, making those that are missing.
    pub(super) fn directory(&mut self, path: &EntryPath) -> Result<Rc<Directory>, UnpackError> {
        if let Some((last, directory)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(directory));
        }
        let directory = Rc::new(match self.open_plain(path)? {
            Some(fd) => Directory { fd, path: path.clone() },
            None => self.walk(path, Missing::Make)?.expect("what is missing was made"),
        });
        self.last = Some((path.clone(), Rc::clone(&directory)));
        Ok(directory)
    }

    /// Opens a directory if this layer has it.
    pub(super) fn find(&mut self, path: &EntryPath) -> Result<Option<Directory>, UnpackError> {
        match self.open_plain(path)? {
            Some(fd) => Ok(Some(Directory { fd, path: path.clone() })),
            None => self.walk(path, Missing::GiveUp),
        }
    }

    /// Opens a directory that is there already, by a path without links.
    pub(super) fn open_plain(&self, path: &EntryPath) -> Result<Option<OwnedFd>, UnpackError> {
        let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
        let how = OpenHow::new().flags(DIRECTORY).resolve(beneath);
        let bytes = if path.as_bytes().is_empty() {
            b"."
        } else {
            path.as_bytes()
        };
        match openat2(&self.fd, bytes, how) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR) => Ok(None),
            Err(error) => Err(applying("open", path.as_bytes())(error)),
        }
    }

    /// Makes a directory for an entry of its own. True if it is new.
    pub(super) fn make(&mut self, parent: &Directory, name: &[u8]) -> Result<bool, UnpackError> {
        let path = parent.path.join(name);
        self.implicit.remove(&path);
        let failed = || applying("make directory", path.as_bytes());
        match mkdirat(&parent.fd, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) => return Ok(true),
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(failed()(error)),
        }
        let present = parent.stat(name).map_err(failed())?;
        if present.is_some_and(|stat| is_directory(&stat)) {
            return Ok(false);
        }
        let hides_lower = present.is_some_and(|stat| is_whiteout(&stat));
        self.remove(parent, name)?;
        mkdirat(&parent.fd, name, Mode::from_bits_truncate(0o755)).map_err(failed())?;
        if hides_lower {
            self.open_in(parent, name)?.make_opaque()?;
        }
        Ok(true)
    }

    /// Removes whatever has this name, with all that is in it.
    pub(super) fn remove(&mut self, parent: &Directory, name: &[u8]) -> Result<(), UnpackError> {
        // The last parent may be what goes away.
        self.last = None;
        let path = parent.path.join(name);
        let is_gone_too = |implicit: &EntryPath| {
            let rest = implicit.as_bytes().strip_prefix(path.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        self.implicit.retain(|implicit| !is_gone_too(implicit));
        removal::remove(parent.fd.as_fd(), name)
            .map_err(applying("remove what an earlier entry made at", path.as_bytes()))
    }

    /// Opens a directory by its name in another.
    pub(super) fn open_in(&self, parent: &Directory, name: &[u8]) -> Result<Directory, UnpackError> {
        let path = parent.path.join(name);
        let fd = openat(&parent.fd, name, DIRECTORY, Mode::empty()).map_err(applying("open", path.as_bytes()))?;
        Ok(Directory { fd, path })
    }

    /// The root itself has an entry.
    pub(super) fn root_is_explicit(&mut self) {
        self.implicit.remove(&EntryPath::parse(b"").expect("the root's path"));
    }

    pub(super) fn into_implicit(self) -> BTreeSet<EntryPath> {
        self.implicit
    }

    /// Name by name: follows this layer's own links without leaving the root, makes what is missing.
    fn walk(&mut self, path: &EntryPath, missing: Missing) -> Result<Option<Directory>, UnpackError> {
        let failed = || applying::<Errno>("open", path.as_bytes());
        let mut here = self.open_root()?;
        let mut names: VecDeque<Vec<u8>> = path.names().map(<[u8]>::to_vec).collect();
        let mut links_left = limits::SYMBOLIC_LINKS;
        while let Some(name) = names.pop_front() {
            if name == b".." {
                // Only links have these. Above the root is the root, as for chroot.
                if let Some((parent, _)) = here.path.split() {
                    let fd = self.open_plain(&parent)?.ok_or_else(|| failed()(Errno::ENOENT))?;
                    here = Directory { fd, path: parent };
                }
                continue;
            }
            match here.stat(&name).map_err(failed())? {
                Some(stat) if is_directory(&stat) => {}
                Some(stat) if SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFLNK => {
                    links_left = links_left.checked_sub(1).ok_or_else(|| failed()(Errno::ELOOP))?;
                    let target = readlinkat(&here.fd, name.as_slice()).map_err(failed())?;
                    let target = std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str());
                    if target.starts_with(b"/") {
                        here = self.open_root()?;
                    }
                    for part in target
                        .split(|b| *b == b'/')
                        .rev()
                        .filter(|part| !matches!(*part, b"" | b"."))
                    {
                        names.push_front(part.to_vec());
                    }
                    continue;
                }
                Some(stat) if !is_whiteout(&stat) => {
                    return Err(UnpackError::ParentIsNoDirectory {
                        path: shown(path.as_bytes()),
                    });
                }
                _ if missing == Missing::GiveUp => return Ok(None),
                // Missing, or a whiteout beneath which this layer has something new.
                _ => self.make_implicit(&here, &name)?,
            }
            // Through links a path can become longer than any that an entry has.
            if here.path.as_bytes().len() + 1 + name.len() > limits::PATH_BYTES {
                return Err(UnpackError::Limit {
                    limit: "the length of a path (4096 bytes)",
                    path: shown(&path.as_bytes()[..path.as_bytes().len().min(200)]),
                });
            }
            here = self.open_in(&here, &name)?;
        }
        Ok(Some(here))
    }

    fn open_root(&self) -> Result<Directory, UnpackError> {
        Ok(Directory {
            fd: self.fd.try_clone().map_err(applying("open", b"/"))?,
            path: EntryPath::parse(b"").expect("the root's path"),
        })
    }

    /// Counts a name that is made, and the memory that it takes until the layer is done: compressed, a layer of millions of
    /// the longest names has a few megabytes.
    pub(super) fn hold(&mut self, path: &EntryPath) -> Result<(), UnpackError> {
        self.held_bytes += path.as_bytes().len();
        if self.held_bytes > limits::HELD_BYTES {
            return Err(UnpackError::Limit {
                limit: "the length of all directories' and links' names together (256 MiB)",
                path: shown(&path.as_bytes()[..path.as_bytes().len().min(200)]),
            });
        }
        Ok(())
    }

    fn make_implicit(&mut self, parent: &Directory, name: &[u8]) -> Result<(), UnpackError> {
        let hides_lower = parent.stat(name).ok().flatten().is_some();
        self.hold(&parent.path.join(name))?;
        self.make(parent, name)?;
        if !hides_lower {
            self.implicit.insert(parent.path.join(name));
        }
        Ok(())
    }
}

pub(super) fn is_directory(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()
}

/// overlayfs' whiteout: a character device 0:0.
pub(super) fn is_whiteout(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits() && stat.st_rdev == 0
}
