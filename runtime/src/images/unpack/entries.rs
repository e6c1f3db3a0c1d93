//! A tar stream as entries: headers, GNU and PAX extensions, sparse maps. Touches no disk.
//!
//! The tar crate reads the fields of a header block. The stream around them is walked here, because the crate holds long
//! names and PAX records of any length in memory, and a hostile layer must not choose how much that is.

use std::io::{self, Read};

use tar::Header;

use super::error::{UnpackError, shown};
use super::limits;
use super::pax::{self, Records};

const BLOCK: u64 = 512;

/// What an entry creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::images) enum Kind {
    /// Its content follows in the stream; `runs` says where it goes if the file has holes.
    File {
        size_bytes: u64,
        runs: Option<Vec<Run>>,
    },
    Directory,
    Symlink,
    HardLink,
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// A stretch of a sparse file that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::images) struct Run {
    pub(in crate::images) offset: u64,
    pub(in crate::images) length: u64,
}

/// One entry, everything but its content.
#[derive(Clone, Debug)]
pub(in crate::images) struct Entry {
    pub(in crate::images) path: Vec<u8>,
    pub(in crate::images) link: Vec<u8>,
    pub(in crate::images) kind: Kind,
    pub(in crate::images) mode: u32,
    pub(in crate::images) uid: u32,
    pub(in crate::images) gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub(in crate::images) mtime: (i64, i64),
    pub(in crate::images) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Walks a tar stream. After each entry its content may be read with `content`; what is left of it is skipped.
pub(in crate::images) struct Entries<R> {
    input: R,
    /// Content of the present entry that was not read yet, and the padding after it.
    content_left: u64,
    padding: u64,
    last_path: String,
    seen: u64,
    /// Of the extended headers of the entry that is being read: there may be any number of them.
    extended_bytes: u64,
}

impl<R: Read> Entries<R> {
    pub(in crate::images) fn new(input: R) -> Self {
        Self {
            input,
            content_left: 0,
            padding: 0,
            last_path: String::new(),
            seen: 0,
            extended_bytes: 0,
        }
    }

    /// The next entry, none at the end of the archive.
    pub(in crate::images) fn next(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut records = Records::default();
        self.extended_bytes = 0;
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            self.count()?;
            let size = header.entry_size().map_err(|_| self.broken("the size"))?;
            match header.entry_type().as_byte() {
                b'L' => records.path = Some(trimmed(self.extended(size)?)),
                b'K' => records.link = Some(trimmed(self.extended(size)?)),
                b'x' => pax::read(&self.extended(size)?, &mut records).map_err(|what| self.broken(what))?,
                // Global records: a comment by `git archive`, never anything a layer needs.
                b'g' => self.begin_content(size),
                _ => return self.entry(&header, size, records).map(Some),
            }
        }
    }

    /// Content of the present entry.
    pub(in crate::images) fn content(&mut self) -> Content<'_, R> {
        Content(self)
    }

    /// Reads the stream to its end, so that what hashes it sees every byte, and gives it back.
    pub(in crate::images) fn finish(mut self) -> Result<R, UnpackError> {
        io::copy(&mut self.input, &mut io::sink()).map_err(UnpackError::Read)?;
        Ok(self.input)
    }

    fn entry(&mut self, header: &Header, size: u64, records: Records) -> Result<Entry, UnpackError> {
        let path = records.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = match &records.link {
            Some(link) => link.clone(),
            None => header.link_name_bytes().unwrap_or_default().into_owned(),
        };
        self.last_path = shown(&path);
        // Fields left empty are zero, as Go and GNU tar read them.
        let old = header.as_old();
        let field = |result: io::Result<u64>, raw: &[u8], what| match result {
            Err(_) if raw.iter().all(|b| matches!(b, 0 | b' ')) => Ok(0),
            other => other.map_err(|_| self.broken(what)),
        };
        let id = |value: u64, what| u32::try_from(value).map_err(|_| self.broken(what));
        let uid = id(
            records
                .uid
                .map_or_else(|| field(header.uid(), &old.uid, "the owner"), Ok)?,
            "the owner",
        )?;
        let gid = id(
            records
                .gid
                .map_or_else(|| field(header.gid(), &old.gid, "the group"), Ok)?,
            "the group",
        )?;
        let mode = field(header.mode().map(u64::from), &old.mode, "the mode")?;
        let mode = u32::try_from(mode).map_err(|_| self.broken("the mode"))? & 0o7777;
        let mtime = match records.mtime {
            Some(mtime) => mtime,
            // Times before 1970 are negative base-256 numbers, read as unsigned ones.
            None => (
                field(header.mtime(), &old.mtime, "the modification time")?.cast_signed(),
                0,
            ),
        };
        let kind = self.kind(header, size, &path, &records)?;
        Ok(Entry {
            path,
            link,
            kind,
            mode,
            uid,
            gid,
            mtime,
            xattrs: records.xattrs,
        })
    }

    fn kind(&mut self, header: &Header, size: u64, path: &[u8], records: &Records) -> Result<Kind, UnpackError> {
        let device = |result: io::Result<Option<u32>>| match result {
            Ok(number) => Ok(number.unwrap_or(0)),
            Err(_) => Err(self.broken("the device number")),
        };
        Ok(match header.entry_type().as_byte() {
            // Archives older than POSIX know directories only by the slash at the end.
            b'\0' if path.ends_with(b"/") => Kind::Directory,
            b'0' | b'\0' | b'7' | b'S' => return self.file(header, size, records),
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice {
                major: device(header.device_major())?,
                minor: device(header.device_minor())?,
            },
            b'4' => Kind::BlockDevice {
                major: device(header.device_major())?,
                minor: device(header.device_minor())?,
            },
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            kind => {
                return Err(UnpackError::Kind {
                    kind: char::from(kind),
                    path: shown(path),
                });
            }
        })
    }

    fn file(&mut self, header: &Header, size: u64, records: &Records) -> Result<Kind, UnpackError> {
        let stored = records.size.unwrap_or(size);
        let (size_bytes, runs) = if header.entry_type().as_byte() == b'S' {
            let runs = self.gnu_sparse_map(header)?;
            let real = header.as_gnu().and_then(|gnu| gnu.real_size().ok());
            self.begin_content(stored);
            (
                real.ok_or_else(|| self.broken("the real size of a sparse file"))?,
                Some(runs),
            )
        } else if let Some(real) = records.sparse_size {
            self.begin_content(stored);
            let runs = if records.sparse_map_in_content {
                self.pax_sparse_map()?
            } else {
                records.sparse_runs.clone()
            };
            (real, Some(runs))
        } else {
            self.begin_content(stored);
            (stored, None)
        };
        if let Some(runs) = &runs {
            self.check_runs(runs, size_bytes)?;
        }
        Ok(Kind::File { size_bytes, runs })
    }

    fn check_runs(&self, runs: &[Run], size_bytes: u64) -> Result<(), UnpackError> {
        let mut end = 0;
        let mut stored = 0u64;
        for run in runs {
            let run_end = run
                .offset
                .checked_add(run.length)
                .filter(|run_end| *run_end <= size_bytes);
            if run.offset < end || run_end.is_none() {
                return Err(self.broken("the map of a sparse file"));
            }
            end = run_end.unwrap_or(end);
            stored += run.length;
        }
        if stored != self.content_left {
            return Err(self.broken("the size of a sparse file"));
        }
        Ok(())
    }

    /// Old GNU format: four runs in the header, more in extension blocks behind it.
    fn gnu_sparse_map(&mut self, header: &Header) -> Result<Vec<Run>, UnpackError> {
        let gnu = header
            .as_gnu()
            .ok_or_else(|| self.broken("a sparse file without GNU header"))?;
        let mut runs = Vec::new();
        let mut extended = gnu.is_extended();
        let mut take = |list: &[tar::GnuSparseHeader]| -> io::Result<()> {
            for run in list.iter().filter(|run| !run.is_empty()) {
                runs.push(Run {
                    offset: run.offset()?,
                    length: run.length()?,
                });
            }
            if runs.len() > limits::SPARSE_RUNS {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Ok(())
        };
        take(&gnu.sparse).map_err(|_| self.broken("the map of a sparse file"))?;
        while extended {
            let mut block = tar::GnuExtSparseHeader::new();
            self.input.read_exact(block.as_mut_bytes()).map_err(UnpackError::Read)?;
            take(&block.sparse).map_err(|_| self.broken("the map of a sparse file"))?;
            extended = block.is_extended();
        }
        Ok(runs)
    }

    /// PAX format 1.0: the map stands before the data, decimal numbers a line each, padded to a block.
    fn pax_sparse_map(&mut self) -> Result<Vec<Run>, UnpackError> {
        let mut text = Vec::new();
        let mut numbers: Vec<u64> = Vec::new();
        let mut needed = 1;
        while numbers.len() < needed {
            let mut block = [0; BLOCK as usize];
            self.content().read_exact(&mut block).map_err(UnpackError::Read)?;
            text.extend_from_slice(&block);
            while let Some(end) = text.iter().position(|b| *b == b'\n').filter(|_| numbers.len() < needed) {
                let number = pax::decimal(&text[..end]).ok_or_else(|| self.broken("the map of a sparse file"))?;
                text.drain(..=end);
                if numbers.is_empty() {
                    let runs = usize::try_from(number).ok().filter(|runs| *runs <= limits::SPARSE_RUNS);
                    needed = 1 + 2 * runs.ok_or_else(|| self.broken("the map of a sparse file"))?;
                }
                numbers.push(number);
            }
            // No number is as long as a block.
            if text.len() >= block.len() && numbers.len() < needed {
                return Err(self.broken("the map of a sparse file"));
            }
        }
        let run = |pair: &[u64]| Run {
            offset: pair[0],
            length: pair[1],
        };
        Ok(numbers[1..].chunks_exact(2).map(run).collect())
    }

    fn count(&mut self) -> Result<(), UnpackError> {
        self.seen += 1;
        if self.seen > limits::ENTRIES {
            return Err(UnpackError::Limit {
                limit: "the number of entries (2,000,000)",
                path: self.last_path.clone(),
            });
        }
        Ok(())
    }

    fn header(&mut self) -> Result<Option<Header>, UnpackError> {
        let mut block = [0; BLOCK as usize];
        if !fill_or_end(&mut self.input, &mut block).map_err(UnpackError::Read)? || block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // The checksum is the sum of the header's bytes, its own eight taken as blanks.
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, b)| u32::from(if (148..156).contains(&at) { b' ' } else { *b }))
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(self.broken("the checksum"));
        }
        Ok(Some(header))
    }

    fn extended(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        self.extended_bytes = self.extended_bytes.saturating_add(size);
        if self.extended_bytes > limits::EXTENDED_HEADER_BYTES {
            return Err(UnpackError::Limit {
                limit: "the length of an entry's extended headers (1 MiB)",
                path: self.last_path.clone(),
            });
        }
        self.begin_content(size);
        let mut body = Vec::new();
        self.content().read_to_end(&mut body).map_err(UnpackError::Read)?;
        Ok(body)
    }

    fn begin_content(&mut self, size: u64) {
        self.content_left = size;
        self.padding = size.wrapping_neg() % BLOCK;
    }

    fn skip_content(&mut self) -> Result<(), UnpackError> {
        io::copy(&mut self.content(), &mut io::sink()).map_err(UnpackError::Read)?;
        let mut padding = [0; BLOCK as usize];
        let padding_bytes = usize::try_from(self.padding).expect("less than a block");
        self.input
            .read_exact(&mut padding[..padding_bytes])
            .map_err(UnpackError::Read)?;
        self.padding = 0;
        Ok(())
    }

    fn broken(&self, what: &'static str) -> UnpackError {
        UnpackError::Format {
            what,
            after: self.last_path.clone(),
        }
    }
}

/// False at a clean end of the stream: some tools leave out the two empty blocks at an archive's end.
fn fill_or_end(input: &mut impl Read, block: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < block.len() {
        match input.read(&mut block[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// GNU long names end with NUL.
fn trimmed(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}

/// Reads the present entry's content, and an archive that is cut short inside it as an error.
pub(in crate::images) struct Content<'a, R>(&'a mut Entries<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.0.content_left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.0.input.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.content_left -= count as u64;
        Ok(count)
    }
}
