//! The user's terminal while a container's process has it: raw, with its size passed on, and always given back as it was.

use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::pin::pin;

use anyhow::Context as _;
use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _};
use kube::api::{AttachedProcess, TerminalSize};
use nix::sys::termios::{self, SetArg, Termios};
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc as channel;

use crate::failure::Exit;

/// A terminal in raw mode; dropping it gives the terminal back.
pub struct RawTerminal(Termios);

impl RawTerminal {
    /// Sets stdin's terminal to raw mode.
    ///
    /// # Errors
    /// When stdin is no terminal.
    pub fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = termios::tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &self.0);
    }
}

/// Joins this process's stdin, stdout and stderr with a container's process until that ends; its exit code becomes ours.
///
/// # Errors
/// [`Exit`] with the process's code, or why the connection broke.
pub async fn join(mut process: AttachedProcess, stdin: bool, tty: bool) -> anyhow::Result<()> {
    let raw = if tty {
        Some(RawTerminal::enter().context("can't use this terminal")?)
    } else {
        None
    };
    let ended = process.take_status().context("the server offers no exit status")?;
    let (mut from_stdout, mut from_stderr) = (process.stdout(), process.stderr());
    let output = async {
        let out = async {
            if let Some(stdout) = &mut from_stdout {
                tokio::io::copy(stdout, &mut tokio::io::stdout()).await?;
                tokio::io::stdout().flush().await?;
            }
            Ok::<_, io::Error>(())
        };
        let err = async {
            if let Some(stderr) = &mut from_stderr {
                tokio::io::copy(stderr, &mut tokio::io::stderr()).await?;
            }
            Ok::<_, io::Error>(())
        };
        futures::try_join!(out, err).map(|_| ())
    };
    let input = feed(process.stdin().filter(|_| stdin));
    let sizes = follow_size(process.terminal_size().filter(|_| tty));
    let interrupted = interrupted();
    let mut to_the_end = pin!(async {
        let (written, status) = futures::join!(output, ended);
        written.map(|()| status)
    });
    let (mut input, mut sizes, mut interrupted) = (pin!(input), pin!(sizes), pin!(interrupted));
    let (mut input_goes_on, mut sizes_go_on) = (true, true);
    let status = loop {
        tokio::select! {
            // The size goes first: a program may ask for it as soon as it starts.
            biased;
            () = &mut sizes, if sizes_go_on => sizes_go_on = false,
            () = &mut input, if input_goes_on => input_goes_on = false,
            code = &mut interrupted => {
                drop(raw);
                return Err(Exit(code).into());
            }
            status = &mut to_the_end => break status,
        }
    };
    drop(raw);
    let status = status.context("the output could not be written")?;
    conclude(status)
}

/// The connection broke before the process ended.
#[derive(Debug, thiserror::Error)]
#[error("lost connection to the pod: it was deleted, or the node is not running any more")]
pub struct Lost;

/// What a stream's end means for us: the process's exit code becomes ours.
///
/// # Errors
/// [`Exit`] with the process's code, [`Lost`], or what the server says went wrong.
pub fn conclude(status: Option<impl Serialize>) -> anyhow::Result<()> {
    let status = serde_json::to_value(status.ok_or(Lost)?)?;
    match exit_code(&status) {
        Ok(0) => Ok(()),
        Ok(code) => {
            use std::io::Write as _;
            writeln!(anstream::stderr(), "command terminated with exit code {code}")?;
            Err(Exit(code).into())
        }
        Err(problem) => anyhow::bail!("{problem}"),
    }
}

/// The exit code in the Status that ends a stream (remotecommand v4). Pure.
fn exit_code(status: &Value) -> Result<u8, String> {
    if status["status"] == "Success" {
        return Ok(0);
    }
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let code = causes
        .filter(|cause| cause["reason"] == "ExitCode")
        .find_map(|cause| cause["message"].as_str()?.parse::<i32>().ok());
    match code {
        // An exit code has eight bits.
        Some(code) => Ok(u8::try_from(code & 0xff).expect("eight bits are a u8")),
        None => Err(status["message"].as_str().unwrap_or("the command failed").to_owned()),
    }
}

/// Sends what the user types or pipes in, and the end of it.
async fn feed(writer: Option<impl tokio::io::AsyncWrite + Unpin>) {
    let Some(mut writer) = writer else { return };
    let mut receiver = typed();
    while let Some(bytes) = receiver.recv().await {
        // The other end tells why it reads no more by its exit status.
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

/// What comes on stdin, until its end.
///
/// A thread reads, and is left alone when nobody wants more: a read of a terminal can't be called off.
pub fn typed() -> channel::Receiver<Vec<u8>> {
    let (sender, receiver) = channel::channel::<Vec<u8>>(4);
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(length) = io::stdin().lock().read(&mut buffer) {
            if length == 0 || sender.blocking_send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Tells the container's terminal the size of ours, now and at each change.
pub async fn follow_size(sender: Option<mpsc::Sender<TerminalSize>>) {
    let Some(mut sender) = sender else { return };
    let Ok(mut changes) = signal(SignalKind::window_change()) else {
        return;
    };
    loop {
        if let Some((width, height)) = terminal_size::terminal_size() {
            let size = TerminalSize {
                width: width.0,
                height: height.0,
            };
            if sender.send(size).await.is_err() {
                return;
            }
        }
        if changes.recv().await.is_none() {
            return;
        }
    }
}

/// Returns with the exit code of a shell's child when a signal asks this process to end.
async fn interrupted() -> u8 {
    let kinds = [
        (SignalKind::interrupt(), 130),
        (SignalKind::terminate(), 143),
        (SignalKind::hangup(), 129),
        (SignalKind::quit(), 131),
    ];
    let waiting = kinds.into_iter().map(|(kind, code)| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signals) => {
                    signals.recv().await;
                }
                Err(_) => futures::future::pending().await,
            }
            code
        })
    });
    let mut waiting: futures::stream::FuturesUnordered<_> = waiting.collect();
    waiting.next().await.unwrap_or(130)
}

/// Whether stdin is a terminal.
pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exit_codes_come_from_the_status() {
        let failed = |message: &str| {
            json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated",
                   "details": {"causes": [{"reason": "ExitCode", "message": message}]}})
        };
        assert_eq!(exit_code(&json!({"status": "Success"})), Ok(0));
        assert_eq!(exit_code(&failed("3")), Ok(3));
        assert_eq!(exit_code(&failed("137")), Ok(137));
        assert_eq!(
            exit_code(&json!({"status": "Failure", "message": "container not found"})),
            Err("container not found".to_owned())
        );
    }
}
