//! Running a program: bounded in time, with all that it printed in the failure's message.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A command about to be run; at most a minute unless said otherwise.
#[derive(Debug)]
pub struct Run {
    command: Command,
    shown: String,
}

/// What a command printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; 124 when its time was up.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
    shown: String,
}

impl Run {
    /// A run of `program`.
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self::bounded(60, program)
    }

    /// A run of `program` that is ended after so many seconds.
    pub fn bounded(seconds: u32, program: impl AsRef<Path>) -> Self {
        let program = program.as_ref();
        let mut command = Command::new("timeout");
        command
            .arg("--kill-after=5")
            .arg(seconds.to_string())
            .arg(program)
            .stdin(Stdio::null());
        Self {
            command,
            shown: program.display().to_string(),
        }
    }

    /// With these arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        for argument in arguments {
            let _ = write!(self.shown, " {}", argument.as_ref().display());
            self.command.arg(argument);
        }
        self
    }

    /// With this in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// With this as its standard input.
    ///
    /// # Panics
    /// When a temporary file can't be written.
    #[must_use]
    pub fn stdin(mut self, text: &str) -> Self {
        use std::io::{Seek, Write};
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(text.as_bytes())
            .and_then(|()| file.rewind())
            .expect("the temporary file is written");
        self.command.stdin(file);
        self
    }

    /// Runs it, however it ends.
    ///
    /// # Panics
    /// When `timeout` (coreutils) isn't there.
    #[must_use]
    pub fn output(mut self) -> Output {
        let output = self.command.output().expect("coreutils' timeout runs");
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            shown: self.shown,
        }
    }

    /// Runs it and expects success; gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn ok(self) -> String {
        let output = self.output();
        assert_eq!(output.code, 0, "{output}");
        output.stdout
    }

    /// Runs it and expects it to fail; gives what it complained about.
    ///
    /// # Panics
    /// When it succeeds.
    #[must_use]
    pub fn fails(self) -> String {
        let output = self.output();
        assert_ne!(output.code, 0, "it was to fail: {output}");
        output.stderr
    }

    /// Starts it beside the test; what it prints is read line by line.
    ///
    /// # Panics
    /// When it doesn't start.
    #[must_use]
    pub fn start(mut self) -> Running {
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .spawn()
            .expect("coreutils' timeout runs");
        let stdout = child.stdout.take().expect("it is piped");
        Running {
            child,
            lines: BufReader::new(stdout).lines(),
            shown: self.shown,
        }
    }
}

/// A command that runs beside the test; it is ended when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    shown: String,
}

impl Running {
    /// The next line that it prints; waits for it.
    ///
    /// # Panics
    /// When it ends before.
    pub fn line(&mut self) -> String {
        let line = self.lines.next().unwrap_or_else(|| panic!("`{}` ended", self.shown));
        line.expect("it prints text")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // `timeout` passes SIGTERM on; both have ended already if this fails.
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ended with {}\nstdout:\n{}\nstderr:\n{}",
            self.shown, self.code, self.stdout, self.stderr
        )
    }
}
