//! Writes entries down: one method a kind, then owner, attributes, mode and times in the order the kernel needs.

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, makedev, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, linkat, symlinkat};

use super::entries::{Entry, Kind, Run};
use super::error::{UnpackError, applying, shown};
use super::path::EntryPath;
use super::root::{Directory, Root, is_directory};
use super::{LinkBelow, Unpacked};
use crate::sys::xattr;

/// Whiteout names of the OCI image specification (layer.md), from aufs.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE_WHITEOUT: &[u8] = b".wh..wh..opq";
/// Other names that aufs kept in its branches; old images still carry them.
const AUFS_METADATA: &[u8] = b".wh..wh.";

pub(super) struct Applier {
    root: Root,
    buffer: Vec<u8>,
    /// Creating something in a directory changes its time, so directories get theirs at the end.
    directory_times: HashMap<EntryPath, (i64, i64)>,
    unpacked: Unpacked,
}

impl Applier {
    pub(super) fn new(root: &Path) -> Result<Self, UnpackError> {
        Ok(Self {
            root: Root::open(root)?,
            buffer: vec![0; 128 * 1024],
            directory_times: HashMap::new(),
            unpacked: Unpacked::default(),
        })
    }

    pub(super) fn apply(&mut self, entry: &Entry, content: &mut impl Read) -> Result<(), UnpackError> {
        let path = EntryPath::parse(&entry.path)?;
        let Some((parent, name)) = path.split() else {
            return self.root_entry(entry, &path);
        };
        let parent = self.root.directory(&parent)?;
        if name == OPAQUE_WHITEOUT {
            return parent.make_opaque();
        }
        if name.starts_with(AUFS_METADATA) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.whiteout(&parent, hidden, &entry.path);
        }
        match &entry.kind {
            Kind::Directory => self.directory(&parent, name, entry)?,
            Kind::HardLink => return self.hard_link(&parent, name, entry),
            _ => self.leaf(&parent, name, entry, content)?,
        }
        self.unpacked.inodes += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Unpacked, UnpackError> {
        for (path, time) in std::mem::take(&mut self.directory_times) {
            // Something later may have taken the directory's place.
            if let Some(fd) = self.root.open_plain(&path)? {
                let directory = Directory { fd, path };
                set_times(&directory, b".", time)?;
            }
        }
        let into_path = |path: EntryPath| PathBuf::from(OsStr::from_bytes(path.as_bytes()));
        self.unpacked.implicit = self.root.into_implicit().into_iter().map(into_path).collect();
        Ok(self.unpacked)
    }

    fn root_entry(&mut self, entry: &Entry, path: &EntryPath) -> Result<(), UnpackError> {
        if entry.kind != Kind::Directory {
            return Err(UnpackError::Escapes {
                path: shown(&entry.path),
            });
        }
        let root = self.root.directory(path)?;
        self.root.root_is_explicit();
        set_owner_and_mode(&root, b".", entry)?;
        self.directory_times.insert(path.clone(), entry.mtime);
        Ok(())
    }

    fn directory(&mut self, parent: &Directory, name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        let path = parent.path.join(name);
        self.root.hold(&path)?;
        self.root.make(parent, name)?;
        set_owner_and_mode(parent, name, entry)?;
        self.directory_times.insert(path, entry.mtime);
        Ok(())
    }

    /// Everything that is neither directory nor hard link.
    fn leaf(
        &mut self,
        parent: &Directory,
        name: &[u8],
        entry: &Entry,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        match self.create(parent, name, entry, content) {
            // A later entry of the same name wins.
            Err(UnpackError::Apply { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                self.root.remove(parent, name)?;
                self.create(parent, name, entry, content)?;
            }
            other => other?,
        }
        set_owner_and_mode(parent, name, entry)?;
        set_times(parent, name, entry.mtime)
    }

    /// Fails with "already exists" before it reads any content.
    fn create(
        &mut self,
        parent: &Directory,
        name: &[u8],
        entry: &Entry,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let owner_only = Mode::from_bits_truncate(0o600);
        let node = |kind, device| {
            mknodat(&parent.fd, name, kind, owner_only, device).map_err(applying("make device", &entry.path))
        };
        match &entry.kind {
            Kind::File { size_bytes, runs } => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let fd = openat(&parent.fd, name, flags, owner_only).map_err(applying("create", &entry.path))?;
                self.write(File::from(fd), *size_bytes, runs.as_deref(), entry, content)
            }
            Kind::Symlink => {
                symlinkat(entry.link.as_slice(), &parent.fd, name).map_err(applying("make symbolic link", &entry.path))
            }
            Kind::CharDevice { major, minor } => node(SFlag::S_IFCHR, makedev((*major).into(), (*minor).into())),
            Kind::BlockDevice { major, minor } => node(SFlag::S_IFBLK, makedev((*major).into(), (*minor).into())),
            Kind::Fifo => node(SFlag::S_IFIFO, 0),
            Kind::Directory | Kind::HardLink => unreachable!("apply has sent these elsewhere"),
        }
    }

    fn write(
        &mut self,
        mut file: File,
        size_bytes: u64,
        runs: Option<&[Run]>,
        entry: &Entry,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let whole = [Run {
            offset: 0,
            length: size_bytes,
        }];
        for run in runs.unwrap_or(&whole) {
            if run.offset > 0 {
                file.seek(SeekFrom::Start(run.offset))
                    .map_err(applying("write", &entry.path))?;
            }
            let mut left = run.length;
            while left > 0 {
                let wanted = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let count = content.read(&mut self.buffer[..wanted]).map_err(UnpackError::Read)?;
                file.write_all(&self.buffer[..count])
                    .map_err(applying("write", &entry.path))?;
                left -= count as u64;
                self.unpacked.bytes += count as u64;
            }
        }
        if runs.is_some() {
            file.set_len(size_bytes).map_err(applying("write", &entry.path))?;
        }
        Ok(())
    }

    fn hard_link(&mut self, parent: &Directory, name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        let target = EntryPath::parse(&entry.link)?;
        let Some((directory, target_name)) = target.split() else {
            return Err(UnpackError::Escapes {
                path: shown(&entry.link),
            });
        };
        let path = parent.path.join(name);
        if path == target {
            return Ok(());
        }
        let fail = || applying("make hard link", &entry.path);
        let source = self.root.find(&directory)?;
        if parent.stat(name).map_err(fail())?.is_some() {
            self.root.remove(parent, name)?;
        }
        let made = match &source {
            Some(directory) => linkat(&directory.fd, target_name, &parent.fd, name, AtFlags::empty()),
            None => Err(Errno::ENOENT),
        };
        match made {
            Err(Errno::ENOENT) => {
                self.root.hold(&path)?;
                self.root.hold(&target)?;
                let into_path = |path: &EntryPath| PathBuf::from(OsStr::from_bytes(path.as_bytes()));
                self.unpacked.links_below.push(LinkBelow {
                    link: into_path(&path),
                    target: into_path(&target),
                });
                Ok(())
            }
            other => other.map_err(fail()),
        }
    }

    fn whiteout(&mut self, parent: &Directory, hidden: &[u8], raw: &[u8]) -> Result<(), UnpackError> {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(UnpackError::Escapes { path: shown(raw) });
        }
        let fail = || applying("make whiteout", raw);
        match parent.stat(hidden).map_err(fail())? {
            None => {
                let nothing = Mode::empty();
                mknodat(&parent.fd, hidden, SFlag::S_IFCHR, nothing, 0).map_err(fail())?;
                self.unpacked.inodes += 1;
                Ok(())
            }
            // A whiteout is about the layers below, never about its own: the directory that is here stays, and hides them.
            Some(stat) if is_directory(&stat) => self.root.open_in(parent, hidden)?.make_opaque(),
            Some(_) => Ok(()),
        }
    }
}

/// Owner first, since changing it takes away setuid and file capabilities.
fn set_owner_and_mode(parent: &Directory, name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    fchownat(&parent.fd, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(applying("set the owner of", &entry.path))?;
    if entry.kind != Kind::Symlink {
        // This follows symbolic links, but the name was just made to be none.
        fchmodat(
            &parent.fd,
            name,
            Mode::from_bits_truncate(entry.mode),
            FchmodatFlags::FollowSymlink,
        )
        .map_err(applying("set the mode of", &entry.path))?;
    }
    for (attribute, value) in entry.xattrs.iter().filter(|(attribute, _)| is_taken_over(attribute)) {
        let attribute = CString::new(attribute.as_slice()).map_err(|_| UnpackError::Format {
            what: "the name of an extended attribute",
            after: shown(&entry.path),
        })?;
        match xattr::set(&parent.by_proc(name), &attribute, value) {
            // The file system has no such attributes: containerd and docker go on without them too.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            other => other.map_err(applying("set an extended attribute of", &entry.path))?,
        }
    }
    Ok(())
}

/// `trusted.overlay.*` and `user.overlay.*` steer overlayfs itself (redirects to other paths): never from a layer. Security
/// labels of the machine that built the image mean nothing here.
fn is_taken_over(attribute: &[u8]) -> bool {
    attribute == b"security.capability"
        || attribute.starts_with(b"system.posix_acl_")
        || (attribute.starts_with(b"user.") && !attribute.starts_with(b"user.overlay."))
}

fn set_times(parent: &Directory, name: &[u8], (seconds, nanos): (i64, i64)) -> Result<(), UnpackError> {
    let time = TimeSpec::new(seconds, nanos);
    utimensat(&parent.fd, name, &time, &time, UtimensatFlags::NoFollowSymlink)
        .map_err(applying("set the time of", parent.path.join(name).as_bytes()))
}
