//! Reads a log file to its end and, if asked, goes on as it grows: woken by inotify, never by a clock.
//!
//! A rotated log is read to its end before the new file is opened. Following ends when the container has: its shim closes the
//! log then, which inotify tells, and the pod's status changes, which the API server tells.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;

use super::Shared;
use super::log_line::{Printer, Wanted};
use super::tail;

const BLOCK: usize = 64 * 1024;

/// Which log, and what of it.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) container_id: String,
    pub(crate) follow: bool,
    pub(crate) tail_lines: Option<usize>,
    pub(crate) wanted: Wanted,
}

/// Sends the log in chunks until its end, or until the client goes away.
pub(crate) async fn read(shared: Arc<Shared>, source: Source, chunks: Sender<io::Result<Bytes>>) {
    if let Err(error) = try_read(&shared, source, &chunks).await {
        // A client that is gone needs no error.
        let _ = chunks.send(Err(error)).await;
    }
}

async fn try_read(shared: &Shared, source: Source, chunks: &Sender<io::Result<Bytes>>) -> io::Result<()> {
    let mut known = shared.known.clone();
    let changes = match source.follow {
        true => Some(changes(&source.path)?),
        false => None,
    };
    let mut reader = Reader::open(&source)?;
    loop {
        // What happened before this look is seen by it, so nothing is missed while we wait.
        known.mark_unchanged();
        let is_over = match source.follow {
            true => !is_running(shared, &source.container_id).await,
            false => true,
        };
        if !reader.drain(chunks).await? {
            return Ok(());
        }
        if reader.reopen(&source.path)? {
            continue;
        }
        let Some(changes) = changes.as_ref().filter(|_| !is_over) else {
            return Ok(());
        };
        tokio::select! {
            ready = changes.readable() => {
                let mut ready = ready?;
                // Which change it was doesn't matter: the file is looked at again.
                drain_events(&changes.get_ref().0);
                ready.clear_ready();
            }
            changed = known.changed() => if changed.is_err() { return Ok(()) },
            () = chunks.closed() => return Ok(()),
        }
    }
}

async fn is_running(shared: &Shared, container_id: &str) -> bool {
    let status = shared.context.runtime.container_status(container_id).await;
    status.is_ok_and(|status| status.state() == minik_api::cri::ContainerState::ContainerRunning)
}

#[expect(
    deprecated,
    reason = "its successor is unsafe, and unsafe code is the runtime's alone; the descriptor is owned here"
)]
/// Tells of changes of the file, and of files that come and go beside it.
fn changes(path: &Path) -> io::Result<AsyncFd<Watch>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let flags = AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO;
    inotify.add_watch(path.parent().unwrap_or(path), flags)?;
    AsyncFd::new(Watch(inotify))
}

/// What tokio waits on has to know its file descriptor's number.
struct Watch(Inotify);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

fn drain_events(inotify: &Inotify) {
    while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
}

/// A file, how far it is read, and the beginning of a line whose end isn't there yet.
struct Reader {
    file: File,
    at: u64,
    rest: Vec<u8>,
    printer: Printer,
}

impl Reader {
    fn open(source: &Source) -> io::Result<Self> {
        let file = File::open(&source.path)?;
        let at = source.tail_lines.map_or(Ok(0), |lines| tail::offset(&file, lines))?;
        Ok(Self {
            file,
            at,
            rest: Vec::new(),
            printer: Printer::new(source.wanted.clone()),
        })
    }

    /// Sends everything up to the present end; false if the client has enough.
    async fn drain(&mut self, chunks: &Sender<io::Result<Bytes>>) -> io::Result<bool> {
        let mut block = vec![0; BLOCK];
        loop {
            let read = self.file.read_at(&mut block, self.at)?;
            if read == 0 {
                return Ok(true);
            }
            self.at += u64::try_from(read).unwrap_or(0);
            self.rest.extend_from_slice(&block[..read]);
            let mut out = Vec::new();
            let mut begin = 0;
            while let Some(length) = self.rest[begin..].iter().position(|byte| *byte == b'\n') {
                self.printer.print(&self.rest[begin..begin + length], &mut out);
                begin += length + 1;
            }
            self.rest.drain(..begin);
            if !out.is_empty() && chunks.send(Ok(Bytes::from(out))).await.is_err() {
                return Ok(false);
            }
            if self.printer.is_full() {
                return Ok(false);
            }
        }
    }

    /// Goes over to the file that has this path now, if it is another one.
    fn reopen(&mut self, path: &Path) -> io::Result<bool> {
        let Ok(now) = fs::metadata(path) else {
            return Ok(false);
        };
        let own = nix::sys::stat::fstat(self.file.as_fd())?;
        if now.ino() == own.st_ino {
            return Ok(false);
        }
        self.file = File::open(path)?;
        self.at = 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_rotated_log_is_read_to_its_end_and_then_the_new_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("0.log");
        fs::write(&path, "t stdout F one\nt stdout F tw").expect("written");
        let source = Source {
            path: path.clone(),
            container_id: String::new(),
            follow: false,
            tail_lines: None,
            wanted: Wanted::default(),
        };
        let (chunks, mut receiver) = tokio::sync::mpsc::channel(8);
        let mut reader = Reader::open(&source).expect("opened");
        assert!(reader.drain(&chunks).await.expect("read"));
        assert!(!reader.reopen(&path).expect("the same file"));
        let mut old = File::options().append(true).open(&path).expect("opened");
        fs::rename(&path, dir.path().join("0.log.1")).expect("rotated");
        old.write_all(b"o\n").expect("written");
        fs::write(&path, "t stdout F three\n").expect("written");
        assert!(reader.drain(&chunks).await.expect("read"));
        assert!(reader.reopen(&path).expect("another file"));
        assert!(reader.drain(&chunks).await.expect("read"));
        drop(chunks);
        let mut all = Vec::new();
        while let Some(chunk) = receiver.recv().await {
            all.extend(chunk.expect("no error"));
        }
        assert_eq!(String::from_utf8(all).expect("text"), "one\ntwo\nthree\n");
    }
}
