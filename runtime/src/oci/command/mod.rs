//! The OCI runtime on the command line, in runc's language: `minikctl oci VERB …`, or a link named `minirunc`.
//!
//! ```text
//!   create ──> created ──start──> running ──> stopped ──delete──> gone
//!      record.rs: a directory a container          pause, resume: frozen in between
//!      launching.rs: what the child reports, answered; the work itself is crate::launch
//! ```
//!
//! containerd, podman and CRI-O start it for each step of a container's life and read its exit code, its standard output and
//! its log. There is no daemon, no thread and no asynchronous runtime. The container's parent is whoever started the command
//! (or what reaps for it), since the command ends before the container does.

mod create;
mod delete;
mod error;
mod events;
mod exec;
mod features;
mod flags;
mod foreground;
mod kill;
mod launching;
mod list;
mod log;
mod pause;
mod process;
mod ps;
mod record;
mod sealed;
mod signals;
mod spec;
mod start;
mod update;
mod usage;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use error::CommandError;
use flags::{Flag, Given, switch, value};
use log::Log;
use record::{Place, Record};

use crate::cgroup::{self, Driver};
use crate::oci::State;
use crate::sys::descriptors;

/// What `--version` tells.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const GLOBAL: [Flag; 10] = [
    switch("debug", "", "log more"),
    value("log", "", "file to log to, besides errors on standard error"),
    value("log-format", "", "text (the default) or json"),
    value(
        "root",
        "",
        "directory of the containers' state (default /run/minirunc, or below $XDG_RUNTIME_DIR)",
    ),
    value("criu", "", "accepted and not used: there are no checkpoints"),
    switch(
        "systemd-cgroup",
        "",
        "have systemd make the cgroups (refused: no systemd bus is spoken)",
    ),
    value(
        "rootless",
        "",
        "go on where cgroups are refused: true, false or auto (the default)",
    ),
    switch("version", "v", "print the version"),
    switch("help", "h", "print this"),
    value("cgroup-manager", "", "cgroupfs (the default); as crun has it"),
];

/// What all verbs need.
#[derive(Debug)]
struct Context {
    root: PathBuf,
    log: Log,
    /// Whether a cgroup that can't be made is left out.
    lenient_cgroups: bool,
}

type Outcome = Result<u8, CommandError>;

/// A verb: its name, options, how many arguments it takes, and what it does.
struct Verb {
    name: &'static str,
    about: &'static str,
    flags: &'static [Flag],
    /// Least and most.
    arguments: (usize, usize),
    wanted: &'static str,
    run: fn(&Context, &Given) -> Outcome,
    /// The code of a failure: a command that ran could have ended with 1.
    failure: u8,
}

const VERBS: [Verb; 16] = [
    create::CREATE,
    start::START,
    create::RUN,
    exec::EXEC,
    list::STATE,
    list::LIST,
    ps::PS,
    kill::KILL,
    delete::DELETE,
    pause::PAUSE,
    pause::RESUME,
    update::UPDATE,
    events::EVENTS,
    spec::SPEC,
    features::FEATURES,
    features::CHECKPOINT,
];

/// Whether the command line means the OCI runtime: the program's name is `minirunc`, or its first argument is `oci`. Gives
/// what follows.
#[must_use]
pub fn meant(mut line: Vec<String>) -> Option<Vec<String>> {
    let name = line.first()?.rsplit('/').next().unwrap_or_default();
    if name == "minirunc" {
        Some(line.split_off(1))
    } else if line.get(1).is_some_and(|word| word == "oci") {
        Some(line.split_off(2))
    } else {
        None
    }
}

/// Runs one command.
#[must_use]
pub fn main(line: &[String]) -> ExitCode {
    ExitCode::from(run(line))
}

fn run(line: &[String]) -> u8 {
    let mut context = Context {
        root: PathBuf::new(),
        log: Log::default(),
        lenient_cgroups: false,
    };
    let global = match Given::parse(&GLOBAL, line).and_then(|global| {
        context.take(&global)?;
        Ok(global)
    }) {
        Ok(global) => global,
        Err(error) => return context.failed(&error, 1),
    };
    if global.is("version") {
        return usage::version();
    }
    let Some((name, rest)) = global.rest.split_first().filter(|_| !global.is("help")) else {
        return usage::program();
    };
    if name == "help" {
        return usage::program();
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        return context.failed(&CommandError::Verb(name.clone()), 1);
    };
    if rest
        .first()
        .is_some_and(|word| matches!(word.as_str(), "--help" | "-h" | "-help"))
    {
        return usage::verb(verb);
    }
    let outcome = Given::parse(verb.flags, rest).and_then(|given| {
        let (least, most) = verb.arguments;
        if given.rest.len() < least || given.rest.len() > most {
            return Err(CommandError::Arguments {
                program: usage::PROGRAM,
                verb: verb.name,
                wanted: verb.wanted,
            });
        }
        (verb.run)(&context, &given)
    });
    outcome.unwrap_or_else(|error| context.failed(&error, verb.failure))
}

impl Context {
    fn take(&mut self, global: &Given) -> Result<(), CommandError> {
        self.log = Log {
            path: global.get("log").filter(|path| !path.is_empty()).map(PathBuf::from),
            json: global.get("log-format") == Some("json"),
            debug: global.is("debug"),
        };
        if global.is("systemd-cgroup") || global.get("cgroup-manager") == Some("systemd") {
            return Err(CommandError::Refused(
                "--systemd-cgroup",
                "no systemd bus is spoken here; have the caller use the cgroupfs driver",
            ));
        }
        let unprivileged = !nix::unistd::geteuid().is_root();
        self.lenient_cgroups = match global.get("rootless") {
            None | Some("auto") => unprivileged || in_user_namespace(),
            Some(word) => word == "true",
        };
        let runtime_directory = std::env::var_os("XDG_RUNTIME_DIR").filter(|_| unprivileged);
        let default = runtime_directory.map_or("/run".into(), PathBuf::from).join("minirunc");
        self.root = global.get("root").map_or(default, PathBuf::from);
        Ok(())
    }

    fn failed(&self, error: &CommandError, code: u8) -> u8 {
        self.log.error(&error.to_string());
        code
    }

    fn place(&self, given: &Given) -> Result<Place, CommandError> {
        Place::of(&self.root, given.rest.first().map(String::as_str).unwrap_or_default())
    }

    /// A container that is there.
    fn container(&self, given: &Given) -> Result<(Place, Record), CommandError> {
        let place = self.place(given)?;
        let record = place.load()?;
        Ok((place, record))
    }

    /// The state that hooks and users are told.
    fn state(&self, place: &Place, record: &Record) -> State {
        let cgroups = cgroup::mounted().ok();
        let status = record.status(cgroups.as_deref());
        let annotations = place.spec().ok().and_then(|spec| spec.annotations().clone());
        record.state(status, annotations.unwrap_or_default())
    }

    fn cgroups(&self) -> Result<Box<dyn Driver>, CommandError> {
        Ok(cgroup::mounted()?)
    }
}

/// Root who isn't the host's root.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Prepares the descriptors that the container is to inherit; all others stay here. Gives how many there are from 3 on.
fn preserve(given: &Given) -> Result<u32, CommandError> {
    let asked: u32 = given.number("preserve-fds")?.unwrap_or(0);
    let listen = std::env::var("LISTEN_FDS")
        .ok()
        .and_then(|count| count.parse::<u32>().ok())
        .unwrap_or(0);
    let count = asked.saturating_add(listen).min(4096);
    for number in 3..3 + i32::try_from(count).unwrap_or(0) {
        if !std::path::Path::new(&format!("/proc/self/fd/{number}")).exists() {
            return Err(CommandError::Preserved(number));
        }
    }
    descriptors::close_on_exec_from(3 + count).map_err(CommandError::system("mark descriptors close-on-exec"))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_or_the_first_argument_means_this_runtime() {
        let line = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            meant(line("/usr/bin/minirunc --root /x list")),
            Some(line("--root /x list"))
        );
        assert_eq!(meant(line("minikctl oci list")), Some(line("list")));
        assert_eq!(meant(line("minikctl get oci")), None);
        assert_eq!(meant(line("minikctl")), None);
        assert_eq!(meant(Vec::new()), None);
    }
}
