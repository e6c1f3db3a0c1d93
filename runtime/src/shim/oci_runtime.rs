//! An OCI runtime of others, by its command line: what runc, crun and all that take their options understand. Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The program that launches a pod's containers in place of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OciRuntime {
    /// Its executable.
    pub program: PathBuf,
    /// Options that stand before all others.
    pub args: Vec<String>,
    /// Where it keeps the state of its containers (`--root`).
    pub root: PathBuf,
}

/// What it is asked to do with a container.
#[derive(Debug)]
pub(super) enum Verb<'a> {
    Create { bundle: &'a Path, console: bool },
    Start,
    Exec { console: bool },
    Kill { signal: i32 },
    Delete,
}

impl Verb<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Start => "start",
            Self::Exec { .. } => "exec",
            Self::Kill { .. } => "kill",
            Self::Delete => "delete",
        }
    }
}

/// Files that one command reads and writes; all begin with the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths(pub(super) PathBuf);

impl Paths {
    /// Where it says what went wrong, a line of JSON each.
    pub(super) fn log(&self) -> PathBuf {
        self.0.with_extension("log")
    }

    /// Where it writes the new process's id.
    pub(super) fn pid(&self) -> PathBuf {
        self.0.with_extension("pid")
    }

    /// The process to run, for `exec`.
    pub(super) fn process(&self) -> PathBuf {
        self.0.with_extension("json")
    }

    /// The socket that the terminal's master is sent to.
    pub(super) fn console(&self) -> PathBuf {
        self.0.with_extension("sock")
    }
}

impl OciRuntime {
    /// crun refuses hybrid hosts whose v2 hierarchy has controllers, though it uses none of them there.
    pub(super) fn is_crun(&self) -> bool {
        let name = self.program.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("crun")
    }

    /// The arguments of a command.
    pub(super) fn arguments(&self, verb: &Verb<'_>, container_id: &str, paths: &Paths) -> Vec<OsString> {
        let mut line: Vec<OsString> = self.args.iter().map(OsString::from).collect();
        let mut push = |words: &[&dyn AsRef<std::ffi::OsStr>]| {
            line.extend(words.iter().map(|word| word.as_ref().to_owned()));
        };
        push(&[&"--root", &self.root, &"--log", &paths.log(), &"--log-format", &"json"]);
        push(&[&verb.name()]);
        match verb {
            Verb::Create { bundle, console } => {
                push(&[&"--bundle", bundle, &"--pid-file", &paths.pid()]);
                if *console {
                    push(&[&"--console-socket", &paths.console()]);
                }
            }
            Verb::Exec { console } => {
                push(&[&"--process", &paths.process(), &"--detach", &"--pid-file", &paths.pid()]);
                if *console {
                    push(&[&"--console-socket", &paths.console()]);
                }
            }
            Verb::Delete => push(&[&"--force"]),
            Verb::Start | Verb::Kill { .. } => {}
        }
        push(&[&container_id]);
        if let Verb::Kill { signal } = verb {
            push(&[&signal.to_string()]);
        }
        line
    }
}

/// The error in a runtime's log: the last one, since the first ones are often only steps on the way to it.
pub(super) fn logged_error(log: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        level: String,
        msg: String,
    }
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines
        .rfind(|line| matches!(line.level.as_str(), "error" | "fatal"))
        .map(|line| line.msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verb: &Verb<'_>) -> String {
        let runtime = OciRuntime {
            program: "/usr/sbin/runc".into(),
            args: vec!["--debug".to_owned()],
            root: "/run/oci/runc".into(),
        };
        let words = runtime.arguments(verb, "5a", &Paths("/s/7".into()));
        words.join(" ".as_ref()).into_string().expect("text")
    }

    #[test]
    fn command_lines_are_those_of_runc() {
        let global = "--debug --root /run/oci/runc --log /s/7.log --log-format json";
        let bundle = Path::new("/b");
        for (verb, expected) in [
            (
                Verb::Create { bundle, console: true },
                "create --bundle /b --pid-file /s/7.pid --console-socket /s/7.sock 5a",
            ),
            (
                Verb::Create { bundle, console: false },
                "create --bundle /b --pid-file /s/7.pid 5a",
            ),
            (Verb::Start, "start 5a"),
            (
                Verb::Exec { console: false },
                "exec --process /s/7.json --detach --pid-file /s/7.pid 5a",
            ),
            (Verb::Kill { signal: 15 }, "kill 5a 15"),
            (Verb::Delete, "delete --force 5a"),
        ] {
            assert_eq!(line(&verb), format!("{global} {expected}"));
        }
    }

    #[test]
    fn the_last_error_is_the_one_that_counts() {
        let log = "{\"level\":\"warning\",\"msg\":\"a\"}\n{\"level\":\"error\",\"msg\":\"b\"}\nnot json\n\
                   {\"level\":\"error\",\"msg\":\"c\"}\n{\"level\":\"info\",\"msg\":\"d\"}\n";
        assert_eq!(logged_error(log).as_deref(), Some("c"));
        assert_eq!(logged_error("no json at all"), None);
    }
}
