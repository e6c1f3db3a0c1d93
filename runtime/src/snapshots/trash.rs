//! Removing large trees without anybody waiting: they are renamed into one directory, which a thread of the lowest priority
//! empties. On a disk that is mounted with `discard`, each file takes milliseconds to unlink, and a layer has thousands.
//!
//! What a crash leaves in the directory is removed after the next start. A rename is made durable before anything of the
//! tree goes: after a power cut a tree is whole at its old place, or it is trash.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use super::removal;
use crate::sys::priority;

/// A directory whose content is being removed.
#[derive(Debug)]
pub(crate) struct Trash {
    directory: PathBuf,
    queue: mpsc::Sender<Thrown>,
    pending: Arc<Pending>,
}

/// Something that lies in the trash.
#[derive(Debug)]
struct Thrown {
    path: PathBuf,
    /// The directory it comes from.
    origin: PathBuf,
}

/// How much lies there.
#[derive(Debug, Default)]
struct Pending {
    count: Mutex<usize>,
    changed: Condvar,
}

/// The other end of the trash.
#[derive(Debug)]
struct Emptying {
    queue: mpsc::Receiver<Thrown>,
    pending: Arc<Pending>,
}

impl Trash {
    /// Opens the trash in `directory`, on the same file system as what will be thrown into it, and begins to empty it.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let (trash, emptying) = Self::unattended(directory)?;
        thread::Builder::new()
            .name("trash".to_owned())
            .spawn(move || emptying.run())?;
        Ok(trash)
    }

    fn unattended(directory: &Path) -> io::Result<(Self, Emptying)> {
        fs::create_dir_all(directory)?;
        let (sender, receiver) = mpsc::channel();
        let pending = Arc::<Pending>::default();
        let trash = Self {
            directory: directory.to_owned(),
            queue: sender,
            pending: Arc::clone(&pending),
        };
        for entry in fs::read_dir(directory)? {
            trash.enqueue(entry?.path(), directory.to_owned());
        }
        let emptying = Emptying {
            queue: receiver,
            pending,
        };
        Ok((trash, emptying))
    }

    /// Takes a file or a tree out of its place at once, and removes it later. What isn't there is removed already.
    pub(crate) fn throw(&self, path: &Path) -> io::Result<()> {
        let place = self.directory.join(uuid::Uuid::new_v4().simple().to_string());
        match fs::rename(path, &place) {
            Ok(()) => {
                let origin = path.parent().unwrap_or(Path::new("/")).to_owned();
                self.enqueue(place, origin);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.exists() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until nothing lies here; gives whether there was anything. Blocks.
    pub(crate) fn await_empty(&self) -> bool {
        let mut count = self.pending.count();
        let found = *count > 0;
        while *count > 0 {
            count = self.pending.changed.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
        found
    }

    fn enqueue(&self, path: PathBuf, origin: PathBuf) {
        *self.pending.count() += 1;
        if self.queue.send(Thrown { path, origin }).is_err() {
            self.pending.one_is_gone();
        }
    }
}

impl Pending {
    fn count(&self) -> MutexGuard<'_, usize> {
        // A number is whole, whoever panics.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_is_gone(&self) {
        *self.count() -= 1;
        self.changed.notify_all();
    }
}

impl Emptying {
    /// Ends when the trash is dropped and empty.
    fn run(self) {
        if let Err(error) = priority::lowest_for_this_thread() {
            tracing::debug!(%error, "trash is emptied at normal priority");
        }
        while let Ok(first) = self.queue.recv() {
            let batch: Vec<Thrown> = std::iter::once(first).chain(self.queue.try_iter()).collect();
            let durable = make_durable(&batch);
            for thrown in batch {
                let removed = match &durable {
                    Ok(()) => removal::remove_path(&thrown.path),
                    Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
                };
                if let Err(error) = removed {
                    tracing::warn!(path = %thrown.path.display(), %error, "trash stays until the next start");
                }
                self.pending.one_is_gone();
            }
        }
    }
}

/// One fsync for each directory that things were thrown from.
fn make_durable(batch: &[Thrown]) -> io::Result<()> {
    let origins: BTreeSet<&Path> = batch.iter().map(|thrown| thrown.origin.as_path()).collect();
    for origin in origins {
        match File::open(origin) {
            Ok(directory) => directory.sync_all()?,
            // Whoever removed it has removed the old names with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(path: &Path) {
        fs::create_dir_all(path.join("a/b")).expect("made");
        fs::write(path.join("a/b/c"), "content").expect("written");
    }

    fn left(path: &Path) -> usize {
        fs::read_dir(path).expect("readable").count()
    }

    #[test]
    fn who_throws_only_renames() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (bin, thing) = (folder.path().join("trash"), folder.path().join("thing"));
        let (trash, emptying) = Trash::unattended(&bin).expect("opened");
        tree(&thing);
        fs::write(folder.path().join("blob"), "").expect("written");
        trash.throw(&thing).expect("thrown");
        trash.throw(&folder.path().join("blob")).expect("thrown");
        trash
            .throw(&folder.path().join("none"))
            .expect("what isn't there is removed");
        assert!(!thing.exists());
        assert_eq!(left(&bin), 2, "all of it lies in the trash");

        let worker = thread::spawn(move || emptying.run());
        assert!(trash.await_empty());
        assert_eq!(left(&bin), 0);
        assert!(!trash.await_empty());
        drop(trash);
        worker.join().expect("it ends with the trash");
    }

    #[test]
    fn what_a_crash_left_is_removed_after_the_start() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        tree(&folder.path().join("1"));
        tree(&folder.path().join("2"));
        let trash = Trash::open(folder.path()).expect("opened");
        trash.await_empty();
        assert_eq!(left(folder.path()), 0);
    }
}
