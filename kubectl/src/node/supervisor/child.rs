//! A program's process: started from this very executable, its output kept, its readiness and its end reported.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::sync::mpsc;

use super::Input;
use super::command::Program;
use super::lifecycle::Event;
use super::logs::Log;
use crate::node::host;
use crate::node::instance::Instance;

/// Tells a program whose child it is, so that it ends when its supervisor does; see `commands::programs`.
pub(crate) const SUPERVISOR_VARIABLE: &str = "MINIK_SUPERVISOR_PID";

/// Names the file on which each program keeps a shared lock while it runs.
pub(super) const LOCK_VARIABLE: &str = "MINIK_PROGRAMS_LOCK";

/// That file.
pub(super) fn programs_lock(instance: &Instance) -> PathBuf {
    instance.run_dir.join("programs.lock")
}

/// glibc keeps an arena of at least 64 MB of addresses per thread and gives memory back late; programs that idle most of
/// the time want one or two, trimmed early. The variables are glibc's own (mallopt(3)); other libraries ignore them.
const ALLOCATOR: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "65536")];

/// How much of a program's output is remembered for the message about its end.
const TAIL_BYTES: usize = 2048;

/// How long output is waited for after the end.
const DRAIN: Duration = Duration::from_millis(100);

/// Why a program can't be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("cannot write its log {}: {source}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("cannot listen on {}: {source}", path.display())]
    Notify { path: PathBuf, source: io::Error },
    #[error("cannot execute it: {0}")]
    Execute(io::Error),
}

/// A running program. It is not killed when this is dropped: the supervisor decides that by signals.
pub(super) struct Child {
    pid: u32,
}

impl Child {
    pub(super) fn start(
        instance: &Instance,
        program: Program,
        run: u64,
        inputs: &mpsc::UnboundedSender<Input>,
    ) -> Result<Self, StartError> {
        let log_path = instance.log_dir().join(format!("{}.log", program.name()));
        let log = Log::open(&log_path).map_err(|source| StartError::Log { path: log_path, source })?;
        let notify_path = instance.run_dir.join(format!("{}.notify", program.name()));
        let notify = bind_notify(&notify_path).map_err(|source| StartError::Notify {
            path: notify_path.clone(),
            source,
        })?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("minikctl")
            .args(program.arguments(instance, host::node_ip()))
            .env("NOTIFY_SOCKET", &notify_path)
            .env(SUPERVISOR_VARIABLE, std::process::id().to_string())
            .env(LOCK_VARIABLE, programs_lock(instance))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C is for the supervisor, which stops them in order.
            .process_group(0);
        for (name, value) in ALLOCATOR {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        let mut child = command.spawn().map_err(StartError::Execute)?;
        let pid = child.id().expect("it has not been waited for");
        let output = child.stderr.take().expect("it was asked for");
        let tail = Arc::new(Mutex::new(Vec::new()));
        let output = tokio::spawn(keep_output(output, log, Arc::clone(&tail)));
        let ready = tokio::spawn(wait_ready(notify, program, run, inputs.clone()));
        let inputs = inputs.clone();
        tokio::spawn(async move {
            let status = child.wait().await;
            ready.abort();
            // What it said last is on its way. A shim may have inherited the pipe, which then doesn't end: hence the bound.
            let _ = tokio::time::timeout(DRAIN, output).await;
            let words = tail.lock().map(|tail| last_words(&tail)).unwrap_or_default();
            let _ = inputs.send(Input::Program(program, run, Event::Exited(reason(status, &words))));
        });
        Ok(Self { pid })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid).expect("process numbers fit"));
        // It may have ended in the meantime; its exit is on the way then.
        if let Err(error) = kill(pid, signal) {
            tracing::debug!(pid = self.pid, %signal, %error, "not signalled");
        }
    }
}

fn bind_notify(path: &std::path::Path) -> io::Result<UnixDatagram> {
    let _ = fs::remove_file(path);
    UnixDatagram::bind(path)
}

async fn wait_ready(socket: UnixDatagram, program: Program, run: u64, inputs: mpsc::UnboundedSender<Input>) {
    let mut buffer = [0; 4096];
    while let Ok(length) = socket.recv(&mut buffer).await {
        if buffer[..length]
            .split(|byte| *byte == b'\n')
            .any(|line| line == b"READY=1")
        {
            let _ = inputs.send(Input::Program(program, run, Event::Ready));
        }
    }
}

/// Copies what the program prints to its log, and remembers the end of it.
async fn keep_output(mut output: impl tokio::io::AsyncRead + Unpin, mut log: Log, tail: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 8192];
    loop {
        let length = match output.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        let chunk = &buffer[..length];
        if let Ok(mut tail) = tail.lock() {
            tail.extend_from_slice(chunk);
            let surplus = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..surplus);
        }
        if let Err(error) = log.write(chunk) {
            // A full disk costs log lines, never the program: it must not block on its own stderr.
            tracing::warn!(%error, "cannot keep a program's output");
        }
    }
}

/// The line that most likely tells why it ended: the last one about an error, else the last one.
fn last_words(tail: &[u8]) -> String {
    let text = String::from_utf8_lossy(tail);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let about_error = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["error", "panicked", "cannot"].iter().any(|word| line.contains(word))
    };
    let found = lines.clone().rfind(about_error).or_else(|| lines.next_back());
    found.unwrap_or_default().to_owned()
}

fn reason(status: io::Result<ExitStatus>, last_words: &str) -> String {
    let how = match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(number)) => match Signal::try_from(number) {
                Ok(signal) => format!("killed by {signal}"),
                Err(_) => format!("killed by signal {number}"),
            },
            (None, None) => "ended".to_owned(),
        },
        Err(error) => format!("cannot be waited for: {error}"),
    };
    match last_words {
        "" => how,
        words => format!("{how}; its last words: {words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_with_its_cause() {
        assert_eq!(reason(Ok(ExitStatus::from_raw(1 << 8)), ""), "exit code 1");
        assert_eq!(
            reason(Ok(ExitStatus::from_raw(9)), "loading"),
            "killed by SIGKILL; its last words: loading"
        );
        assert_eq!(reason(Ok(ExitStatus::from_raw(35)), ""), "killed by signal 35");
    }

    #[test]
    fn the_line_that_tells_why_is_found() {
        for (tail, words) in [
            ("", ""),
            ("loading\nready\n\n", "ready"),
            (
                "error: unexpected argument\n\nFor more information, try '--help'.\n",
                "error: unexpected argument",
            ),
            ("INFO start\nERROR disk full\nINFO bye\n", "ERROR disk full"),
        ] {
            assert_eq!(last_words(tail.as_bytes()), words);
        }
    }

    #[tokio::test]
    async fn output_is_kept_and_its_end_remembered() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("x.log");
        let tail = Arc::new(Mutex::new(Vec::new()));
        let log = Log::open(&path).expect("writable");
        let output = format!("first\n{}last\n", "middle\n".repeat(1000));
        keep_output(output.as_bytes(), log, Arc::clone(&tail)).await;
        let tail = tail.lock().expect("nobody panicked").clone();
        assert_eq!(tail.len(), TAIL_BYTES);
        assert_eq!(last_words(&tail), "last");
        assert_eq!(fs::read_to_string(&path).expect("readable"), output);
    }
}
