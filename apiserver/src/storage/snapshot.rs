//! Snapshots on disk: the whole store as one readable file, for the day on which the log doesn't open any more.
//!
//! ```text
//! {"format":"minik snapshot","version":1,"revision":812,"objects":40,"time":"2026-11-21T08:12:00Z"}
//! 41c6ce57 811 pods/default/nginx {"apiVersion":"v1",…}      one line an object: checksum, revision, key, JSON
//! end 9ae0daaf                                               checksum of everything above
//! ```
//! Written beside its final name and renamed, so that a name always stands for a whole file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backend::{Loaded, Record};
use super::key::{Key, Revision};

/// How many files are kept.
const KEPT: usize = 3;
const SUFFIX: &str = ".snapshot";
const FORMAT: &str = "minik snapshot";
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    revision: u64,
    objects: usize,
    time: Timestamp,
}

/// What a snapshot file holds.
#[derive(Debug)]
pub(crate) struct Restored {
    /// When it was written.
    pub(crate) time: Timestamp,
    /// All of it.
    pub(super) loaded: Loaded,
}

/// Why a file is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can be read, and it is broken.
    #[error("{}, line {line}: {what}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// Writes a snapshot into `directory`, and removes older ones that aren't needed any more.
pub(super) fn write(directory: &Path, loaded: &Loaded, time: Timestamp) -> io::Result<PathBuf> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Wide numbers, so that names sort as revisions do.
    let path = directory.join(format!("{:020}{SUFFIX}", loaded.revision.0));
    let unfinished = path.with_extension("unfinished");
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    let written = write_lines(file, loaded, time).and_then(|()| fs::rename(&unfinished, &path));
    if let Err(error) = written {
        // On a full disk the unfinished file is the first thing that has to go.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    File::open(directory)?.sync_all()?;
    for old in list(directory)?.into_iter().skip(KEPT) {
        fs::remove_file(old)?;
    }
    Ok(path)
}

fn write_lines(file: File, loaded: &Loaded, time: Timestamp) -> io::Result<()> {
    let header = Header {
        format: FORMAT.into(),
        version: VERSION,
        revision: loaded.revision.0,
        objects: loaded.records.len(),
        time,
    };
    let mut out = BufWriter::new(file);
    let mut whole = crc32fast::Hasher::new();
    let mut line = serde_json::to_vec(&header)?;
    line.push(b'\n');
    whole.update(&line);
    out.write_all(&line)?;
    for record in &loaded.records {
        let body = [format!("{} {} ", record.revision, record.key).as_bytes(), &record.json].concat();
        line.clear();
        write!(line, "{:08x} ", crc32fast::hash(&body))?;
        line.extend_from_slice(&body);
        line.push(b'\n');
        whole.update(&line);
        out.write_all(&line)?;
    }
    writeln!(out, "end {:08x}", whole.finalize())?;
    out.flush()?;
    out.get_ref().sync_all()
}

/// The snapshot files in `directory`, newest first; none when it isn't there.
pub(super) fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(SUFFIX) {
            paths.push(path);
        }
    }
    paths.sort_unstable_by(|a, b| b.cmp(a));
    Ok(paths)
}

/// Reads and verifies a snapshot.
pub(super) fn read(path: &Path) -> Result<Restored, ReadError> {
    let bytes = fs::read(path).map_err(|source| ReadError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&bytes).map_err(|(line, what)| ReadError::Broken {
        path: path.to_owned(),
        line,
        what,
    })
}

fn parse(bytes: &[u8]) -> Result<Restored, (usize, &'static str)> {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let last = lines.pop().ok_or((1, "the file is empty"))?;
    let above = &bytes[..bytes.len() - last.len()];
    if last != format!("end {:08x}\n", crc32fast::hash(above)).as_bytes() {
        return Err((lines.len() + 1, "the end is missing or its checksum is wrong"));
    }
    let (first, records) = lines.split_first().ok_or((1, "there is no header"))?;
    let header: Header = serde_json::from_slice(first).map_err(|_| (1, "the header can't be read"))?;
    if (header.format.as_str(), header.version) != (FORMAT, VERSION) {
        return Err((1, "written by another version"));
    }
    let records: Option<Vec<Record>> = records.iter().map(|line| record(line)).collect();
    let records = records.ok_or((2, "a record can't be read"))?;
    if records.len() != header.objects {
        return Err((1, "the number of objects is wrong"));
    }
    Ok(Restored {
        time: header.time,
        loaded: Loaded {
            revision: Revision(header.revision),
            records,
        },
    })
}

fn record(line: &[u8]) -> Option<Record> {
    let line = line.strip_suffix(b"\n")?;
    let mut parts = line.splitn(4, |&byte| byte == b' ');
    let _checksum = parts.next()?;
    let mut text = || parts.next().and_then(|part| str::from_utf8(part).ok());
    let (revision, key) = (text()?.parse().ok()?, Key::parse(text()?)?);
    Some(Record {
        key,
        revision: Revision(revision),
        json: Bytes::copy_from_slice(parts.next()?),
    })
}
