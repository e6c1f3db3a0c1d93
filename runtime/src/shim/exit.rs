//! How a process ended, and the file that tells it to daemons to come.

use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::wait::WaitStatus;
use serde::{Deserialize, Serialize};

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code; 128 and the signal's number when a signal ended it, as shells count.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the kernel killed something in the container because its memory limit was reached.
    pub oom_killed: bool,
    /// When, in nanoseconds since 1970.
    pub finished_at_nanos: i64,
}

impl Exit {
    /// Of a wait status that is an end.
    pub(super) fn of(status: WaitStatus, finished_at_nanos: i64) -> Option<Self> {
        let (code, signal) = match status {
            WaitStatus::Exited(_, code) => (code, None),
            WaitStatus::Signaled(_, signal, _) => (128 + signal as i32, Some(signal as i32)),
            _ => return None,
        };
        Some(Self {
            code,
            signal,
            oom_killed: false,
            finished_at_nanos,
        })
    }

    /// Reads `exit.json` of a bundle; none when the container hasn't ended under a shim's eyes.
    ///
    /// # Errors
    /// The file is there and can't be read.
    pub fn read(bundle: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(bundle.join("exit.json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes `exit.json` whole or not at all: a daemon may read it at any moment.
    pub(super) fn write(&self, bundle: &Path) -> io::Result<()> {
        let temporary = bundle.join(".exit.json.new");
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        drop(file);
        std::fs::rename(&temporary, bundle.join("exit.json"))
    }
}

/// Now, in nanoseconds since 1970.
pub(super) fn now_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
