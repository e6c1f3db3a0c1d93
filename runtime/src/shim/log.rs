//! A container's log file in CRI's format: `<time> <stream> <F|P> <line>`.
//!
//! A line longer than 16 KiB is written in parts, all but the last tagged `P`. A file that can't be written loses lines,
//! it never stops the container.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest part of a line, as containerd's default.
const MAX_LINE: usize = 16 * 1024;

/// One of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// An open log.
#[derive(Debug)]
pub(super) struct Log {
    path: Option<PathBuf>,
    file: Option<File>,
    /// What has come of each stream since its last line feed.
    pending: [Vec<u8>; 2],
}

impl Log {
    /// Without a path, everything is swallowed.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        Ok(Self {
            path: path.map(Path::to_owned),
            file: path.map(open).transpose()?,
            pending: [Vec::new(), Vec::new()],
        })
    }

    /// Opens the path anew, after the kubelet has renamed the file.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = self.path.as_deref().map(open).transpose()?;
        Ok(())
    }

    /// Takes output as it comes.
    pub(super) fn take(&mut self, stream: Stream, mut bytes: &[u8]) {
        if self.file.is_none() {
            return;
        }
        let time = timestamp();
        let mut lines = Vec::with_capacity(bytes.len() + 64);
        let pending = &mut self.pending[stream as usize];
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let room = MAX_LINE - pending.len();
            match end {
                Some(end) if end <= room => {
                    pending.extend(&bytes[..end]);
                    line(&mut lines, &time, stream, 'F', pending);
                    bytes = &bytes[end + 1..];
                }
                _ if bytes.len() <= room => {
                    pending.extend(bytes);
                    break;
                }
                _ => {
                    pending.extend(&bytes[..room]);
                    line(&mut lines, &time, stream, 'P', pending);
                    bytes = &bytes[room..];
                }
            }
        }
        self.write(&lines);
    }

    /// Writes what came without a line feed at the end.
    pub(super) fn finish(&mut self) {
        let mut lines = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let pending = &mut self.pending[stream as usize];
            if !pending.is_empty() {
                line(&mut lines, &timestamp(), stream, 'F', pending);
            }
            *pending = Vec::new();
        }
        self.write(&lines);
    }

    fn write(&mut self, lines: &[u8]) {
        if let Some(file) = self.file.as_mut()
            && let Err(error) = file.write_all(lines)
        {
            eprintln!("shim: log {:?}: {error}: {} bytes are lost", self.path, lines.len());
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

fn line(lines: &mut Vec<u8>, time: &str, stream: Stream, tag: char, content: &mut Vec<u8>) {
    let name = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    lines.extend(format!("{time} {name} {tag} ").bytes());
    lines.append(content);
    lines.push(b'\n');
}

/// RFC 3339 with nanoseconds, in UTC.
fn timestamp() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(pieces: &[(Stream, &[u8])]) -> Vec<(String, String, usize)> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("0.log");
        let mut log = Log::open(Some(&path)).expect("opened");
        for (stream, bytes) in pieces {
            log.take(*stream, bytes);
        }
        log.finish();
        let text = std::fs::read_to_string(&path).expect("read");
        text.lines()
            .map(|line| {
                let parts: Vec<&str> = line.splitn(4, ' ').collect();
                assert_eq!(parts[0].len(), "2026-01-02T15:04:05.123456789Z".len(), "{line}");
                (
                    parts[1].to_owned(),
                    format!("{}:{}", parts[2], &parts[3][..parts[3].len().min(8)]),
                    parts[3].len(),
                )
            })
            .collect()
    }

    fn row(stream: &str, text: &str, length: usize) -> (String, String, usize) {
        (stream.to_owned(), text.to_owned(), length)
    }

    #[test]
    fn lines_are_put_together_for_each_stream() {
        let pieces: [(Stream, &[u8]); 4] = [
            (Stream::Stdout, b"one\nt"),
            (Stream::Stderr, b"err\n"),
            (Stream::Stdout, b"wo\n\nla"),
            (Stream::Stdout, b"st"),
        ];
        let expected = [
            row("stdout", "F:one", 3),
            row("stderr", "F:err", 3),
            row("stdout", "F:two", 3),
            row("stdout", "F:", 0),
            row("stdout", "F:last", 4),
        ];
        assert_eq!(logged(&pieces), expected);
    }

    #[test]
    fn long_lines_come_in_parts() {
        let long = [vec![b'x'; MAX_LINE + 5], b"\n".to_vec()].concat();
        assert_eq!(
            logged(&[(Stream::Stdout, &long)]),
            [row("stdout", "P:xxxxxxxx", MAX_LINE), row("stdout", "F:xxxxx", 5)]
        );
        let exact = [vec![b'x'; MAX_LINE], b"\n".to_vec()].concat();
        assert_eq!(
            logged(&[(Stream::Stdout, &exact)]),
            [row("stdout", "F:xxxxxxxx", MAX_LINE)]
        );
    }
}
