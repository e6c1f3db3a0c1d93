//! A layer's tar archive as it is written: owners by number, times no later than SOURCE_DATE_EPOCH, attributes in PAX records.

use std::ffi::{CString, OsStr};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use tar::{Builder, EntryType, Header};

use crate::snapshots::merged;

/// The archive, and how many entries it has.
pub(super) struct Tarball<'a> {
    builder: Builder<&'a mut dyn Write>,
    /// No time is later, in seconds since 1970.
    epoch: Option<i64>,
    pub(super) entries: u64,
}

/// Owner, mode and time of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    pub(super) mtime: i64,
}

impl Attributes {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
            mtime: metadata.mtime(),
        }
    }
}

impl<'a> Tarball<'a> {
    pub(super) fn new(out: &'a mut dyn Write, epoch: Option<i64>) -> Self {
        Self {
            builder: Builder::new(out),
            epoch,
            entries: 0,
        }
    }

    pub(super) fn directory(&mut self, path: &Path, attributes: &Attributes) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, attributes);
        // A directory's name ends with a slash.
        let mut name = PathBuf::from(path);
        name.push("");
        self.put(&mut header, &name, io::empty())
    }

    /// What stands at `source`, a directory without what is in it, with other owners where the caller has some.
    pub(super) fn copy(&mut self, path: &Path, source: &Path, metadata: &Metadata, as_: &Attributes) -> io::Result<()> {
        let kind = metadata.file_type();
        self.extended(source)?;
        if kind.is_dir() {
            return self.directory(path, as_);
        }
        if kind.is_symlink() {
            let mut header = self.header(EntryType::Symlink, as_);
            self.entries += 1;
            return self.builder.append_link(&mut header, path, std::fs::read_link(source)?);
        }
        if kind.is_file() {
            let mut header = self.header(EntryType::Regular, as_);
            header.set_size(metadata.len());
            // As long as the header says, whatever happens to the file.
            let content = File::open(source)?.take(metadata.len());
            return self.put(&mut header, path, content);
        }
        let kind = match metadata.mode() & libc::S_IFMT {
            libc::S_IFCHR => EntryType::Char,
            libc::S_IFBLK => EntryType::Block,
            libc::S_IFIFO => EntryType::Fifo,
            // A socket is nothing without its process.
            _ => return Ok(()),
        };
        let mut header = self.header(kind, as_);
        let number = |number: u64| u32::try_from(number).map_err(io::Error::other);
        header.set_device_major(number(major(metadata.rdev()))?)?;
        header.set_device_minor(number(minor(metadata.rdev()))?)?;
        self.put(&mut header, path, io::empty())
    }

    pub(super) fn file(&mut self, path: &Path, content: &[u8], attributes: &Attributes) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, attributes);
        header.set_size(content.len() as u64);
        self.put(&mut header, path, content)
    }

    pub(super) fn hard_link(&mut self, path: &Path, target: &Path, attributes: &Attributes) -> io::Result<()> {
        let mut header = self.header(EntryType::Link, attributes);
        self.entries += 1;
        self.builder.append_link(&mut header, path, target)
    }

    /// Takes away what layers below have at this path: OCI image specification, layer.md, "Whiteouts".
    pub(super) fn whiteout(&mut self, path: &Path) -> io::Result<()> {
        let mut name = OsStr::new(".wh.").to_owned();
        name.push(path.file_name().unwrap_or_default());
        self.mark(&path.with_file_name(name))
    }

    /// Hides what layers below have in this directory.
    pub(super) fn opaque(&mut self, path: &Path) -> io::Result<()> {
        self.mark(&path.join(".wh..wh..opq"))
    }

    /// True if there is anything in it.
    pub(super) fn finish(mut self) -> io::Result<bool> {
        self.builder.finish()?;
        Ok(self.entries > 0)
    }

    fn mark(&mut self, path: &Path) -> io::Result<()> {
        let nobody = Attributes {
            uid: 0,
            gid: 0,
            mode: 0o644,
            mtime: 0,
        };
        self.file(path, b"", &nobody)
    }

    fn put(&mut self, header: &mut Header, path: &Path, content: impl Read) -> io::Result<()> {
        self.entries += 1;
        self.builder.append_data(header, path, content)
    }

    fn header(&self, kind: EntryType, attributes: &Attributes) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_uid(attributes.uid.into());
        header.set_gid(attributes.gid.into());
        header.set_mode(attributes.mode);
        let mtime = self.epoch.map_or(attributes.mtime, |epoch| attributes.mtime.min(epoch));
        header.set_mtime(u64::try_from(mtime).unwrap_or_default());
        header
    }

    /// The attributes of the entry that comes next.
    fn extended(&mut self, source: &Path) -> io::Result<()> {
        let mut attributes: Vec<(CString, Vec<u8>)> = match merged::attributes(source) {
            Ok(attributes) => attributes,
            // A file system without any.
            Err(error) if error.raw_os_error() == Some(libc::ENOTSUP) => return Ok(()),
            Err(error) => return Err(error),
        };
        if attributes.is_empty() {
            return Ok(());
        }
        attributes.sort();
        let records: Vec<u8> = attributes
            .iter()
            .flat_map(|(name, value)| record(name.as_bytes(), value))
            .collect();
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(records.len() as u64);
        header.set_mode(0o644);
        self.builder.append_data(
            &mut header,
            OsStr::from_bytes(b"PaxHeaders.0/attributes"),
            records.as_slice(),
        )
    }
}

/// `LENGTH SCHILY.xattr.NAME=VALUE\n`, the length being that of all of it.
fn record(name: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" SCHILY.xattr.", name, b"=", value, b"\n"].concat();
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length = length.to_string().len() + rest.len();
    }
    [length.to_string().as_bytes(), &rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_records_length_counts_itself() {
        assert_eq!(record(b"user.a", b"1"), b"25 SCHILY.xattr.user.a=1\n");
        for length in [1, 70, 71, 72, 73, 74, 75, 960, 970, 980] {
            let record = record(b"user.a", &vec![b'x'; length]);
            let said: usize = String::from_utf8_lossy(&record)
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok())
                .expect("a number");
            assert_eq!(said, record.len());
        }
    }

    #[test]
    fn the_same_content_gives_the_same_bytes_and_no_late_time() {
        let write = || {
            let mut bytes = Vec::new();
            let mut tarball = Tarball::new(&mut bytes, Some(100));
            let late = Attributes {
                uid: 3_000_000,
                gid: 7,
                mode: 0o640,
                mtime: 5_000,
            };
            tarball.directory(Path::new("etc"), &late).expect("written");
            tarball
                .file(Path::new(&format!("etc/{}", "n".repeat(120))), b"x", &late)
                .expect("written");
            tarball.whiteout(Path::new("etc/gone")).expect("written");
            tarball.opaque(Path::new("etc")).expect("written");
            assert_eq!(tarball.entries, 4);
            tarball.finish().expect("written");
            bytes
        };
        let bytes = write();
        assert_eq!(bytes, write());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut names = Vec::new();
        for entry in archive.entries().expect("an archive") {
            let entry = entry.expect("an entry");
            assert!(entry.header().mtime().expect("a time") <= 100);
            names.push(entry.path().expect("a path").display().to_string());
        }
        assert_eq!(names[0], "etc/");
        assert_eq!(names[2..], ["etc/.wh.gone", "etc/.wh..wh..opq"]);
    }
}
