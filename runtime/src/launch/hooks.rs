//! Hooks: programs of the bundle's author that run at set moments and are told the container's state on their standard
//! input (runtime-spec, config.md, "POSIX-platform hooks").
//!
//! A hook that fails fails what it was to prepare, with what it wrote as the reason. What it writes goes to memory and not
//! to a pipe, so that it never waits for a reader.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::Pid;
use oci_spec::runtime::Hook;

use crate::oci::State;
use crate::sys::pidfd;

/// How much of a failed hook's output is told, from its end.
const TOLD: u64 = 2048;

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It can't be started.
    #[error("hook {path}: {source}")]
    Start {
        /// The program.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// It ended with an error.
    #[error("hook {path}: {status}{output}")]
    Failed {
        /// The program.
        path: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        output: String,
    },
    /// It took too long and was killed.
    #[error("hook {path}: not done within its timeout of {seconds} s, and killed")]
    TimedOut {
        /// The program.
        path: String,
        /// The limit.
        seconds: u64,
    },
}

/// Runs hooks one after the other.
///
/// # Errors
/// Those of the first that fails; the ones after it don't run.
pub fn run(hooks: &[Hook], state: &State) -> Result<(), HookError> {
    hooks.iter().try_for_each(|hook| run_one(hook, state))
}

fn run_one(hook: &Hook, state: &State) -> Result<(), HookError> {
    let path = hook.path().display().to_string();
    let failed = |source: io::Error| HookError::Start {
        path: path.clone(),
        source,
    };
    let mut output = memory().map_err(failed)?;
    let mut child = start(hook, state, &output).map_err(failed)?;
    let limit = hook
        .timeout()
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0);
    if let Some(seconds) = limit
        && !ends_within(&child, Duration::from_secs(seconds)).map_err(failed)?
    {
        child.kill().and_then(|()| child.wait()).map_err(failed)?;
        return Err(HookError::TimedOut { path, seconds });
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    debug_assert!(status.code().is_some() || status.signal().is_some(), "it has ended");
    let output = match tail(&mut output).map_err(failed)? {
        text if text.is_empty() => text,
        text => format!(": {text}"),
    };
    Err(HookError::Failed { path, status, output })
}

fn start(hook: &Hook, state: &State, output: &File) -> io::Result<Child> {
    let mut input = memory()?;
    serde_json::to_writer(&mut input, state).map_err(io::Error::from)?;
    input.rewind()?;
    let mut command = Command::new(hook.path());
    if let Some([name, rest @ ..]) = hook.args().as_deref() {
        command.arg0(name).args(rest);
    }
    // Without a list of its own a hook has the runtime's environment, as runc has it.
    if let Some(env) = hook.env() {
        command
            .env_clear()
            .envs(env.iter().filter_map(|entry| entry.split_once('=')));
    }
    command
        .stdin(input)
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output.try_clone()?))
        .spawn()
}

fn memory() -> io::Result<File> {
    Ok(File::from(memfd_create(c"hook", MFdFlags::MFD_CLOEXEC)?))
}

/// A pidfd becomes readable when its process ends.
fn ends_within(child: &Child, limit: Duration) -> io::Result<bool> {
    let process = pidfd::open(Pid::from_raw(child.id().cast_signed()))?;
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    let mut status = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    loop {
        match nix::poll::poll(&mut status, limit) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return Ok(other? > 0),
        }
    }
}

fn tail(output: &mut File) -> io::Result<String> {
    let length = output.seek(io::SeekFrom::End(0))?;
    output.seek(io::SeekFrom::Start(length.saturating_sub(TOLD)))?;
    let mut bytes = Vec::new();
    output.take(TOLD).read_to_end(&mut bytes)?;
    output.flush()?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(json: &str) -> Hook {
        serde_json::from_str(json).expect("a hook")
    }

    fn ran(json: &str) -> Result<(), String> {
        let state = State {
            id: "of-this-test".to_owned(),
            ..State::default()
        };
        run(&[hook(json)], &state).map_err(|error| error.to_string())
    }

    #[test]
    fn a_hook_hears_the_state_and_sees_only_its_environment() {
        let json = r#"{"path":"/bin/sh","args":["sh","-c","grep -q of-this-test && test \"$A\" = 1 && test -z \"$HOME\""],
            "env":["A=1","PATH=/usr/bin:/bin"]}"#;
        assert_eq!(ran(json), Ok(()));
    }

    #[test]
    fn a_failed_hook_says_what_it_wrote() {
        let error = ran(r#"{"path":"/bin/sh","args":["sh","-c","echo out; echo no bridge >&2; exit 3"]}"#);
        let error = error.expect_err("exit code 3");
        assert_eq!(error, "hook /bin/sh: exit status: 3: out\nno bridge");
        let error = ran(r#"{"path":"/nonexistent"}"#).expect_err("it isn't there");
        assert!(error.starts_with("hook /nonexistent: No such file"), "{error}");
    }

    #[test]
    fn a_hook_that_takes_too_long_is_killed() {
        let error = ran(r#"{"path":"/bin/sleep","args":["sleep","1000"],"timeout":1}"#).expect_err("a time limit");
        assert_eq!(error, "hook /bin/sleep: not done within its timeout of 1 s, and killed");
    }
}
