//! `create` and `run`: from a bundle to a process that waits, or runs.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::wait::waitpid;
use oci_spec::runtime::Spec;

use super::flags::{Flag, Given, switch, value};
use super::launching::{Answers, follow};
use super::record::{Place, Record, process as process_of, read_spec};
use super::{CommandError, Context, Outcome, Verb, delete, foreground, preserve, process, sealed, start, users};
use crate::cgroup::{self, CgroupPath, Driver};
use crate::launch::hooks;
use crate::launch::parent::CgroupEntry;
use crate::launch::{self, Launch, Manner};
use crate::oci::Status;
use crate::sys::pidfd;

const BUNDLE: Flag = value(
    "bundle",
    "b",
    "directory with config.json and the root (default: where you are)",
);
const CONSOLE: Flag = value("console-socket", "", "socket that gets the terminal's master");
const PID_FILE: Flag = value("pid-file", "", "file to write the process id to");
const NO_PIVOT: Flag = switch(
    "no-pivot",
    "",
    "move the root mount, where pivot_root is refused (a root on a ramdisk)",
);
const NO_KEYRING: Flag = switch("no-new-keyring", "", "keep the caller's session keyring");
const PRESERVE: Flag = value(
    "preserve-fds",
    "",
    "descriptors to pass on besides the streams and $LISTEN_FDS",
);

pub(super) const CREATE: Verb = Verb {
    name: "create",
    about: "make a container; its command waits to be started",
    flags: &[BUNDLE, CONSOLE, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE],
    arguments: (1, 1),
    wanted: "exactly 1 argument: the container's id",
    run: create,
    failure: 1,
};

pub(super) const RUN: Verb = Verb {
    name: "run",
    about: "make a container, start it, and wait for its end",
    flags: &[
        BUNDLE,
        CONSOLE,
        PID_FILE,
        NO_PIVOT,
        NO_KEYRING,
        PRESERVE,
        switch("detach", "d", "don't wait"),
        switch("keep", "", "keep the container's state when it has ended"),
        switch("no-subreaper", "", "leave orphans of the container to others"),
    ],
    arguments: (1, 1),
    wanted: "exactly 1 argument: the container's id",
    run,
    failure: 1,
};

fn create(context: &Context, given: &Given) -> Outcome {
    let making = Making::prepare(context, given, false)?;
    making.make(true).map(|_| 0)
}

fn run(context: &Context, given: &Given) -> Outcome {
    let detached = given.is("detach");
    let making = Making::prepare(context, given, !detached)?;
    let front = if detached {
        None
    } else {
        Some(foreground::Front::prepare(!given.is("no-subreaper"))?)
    };
    let place = making.place.clone();
    let (launch, terminal) = making.make(false)?;
    let record = place.load()?;
    start::after_start(context, &place, &record)?;
    let Some(front) = front else { return Ok(0) };
    let code = front.stay(&launch.cloned, terminal)?;
    if !given.is("keep") {
        delete::clear(context, &place, &record)?;
    }
    Ok(code)
}

/// All that is known before the process is.
struct Making<'a> {
    context: &'a Context,
    given: &'a Given,
    place: Place,
    bundle: PathBuf,
    spec: Spec,
    text: Vec<u8>,
    cgroup: CgroupPath,
    cgroups: Option<Box<dyn Driver>>,
    preserved: u32,
}

impl<'a> Making<'a> {
    fn prepare(context: &'a Context, given: &'a Given, in_front: bool) -> Result<Self, CommandError> {
        sealed::ensure()?;
        let preserved = preserve(given)?;
        let place = context.place(given)?;
        if place.exists() {
            return Err(CommandError::Exists(place.id().to_owned()));
        }
        let bundle = Path::new(given.get("bundle").unwrap_or("."));
        let bundle = fs::canonicalize(bundle).map_err(CommandError::file("find bundle", bundle))?;
        let (spec, text) = read_spec(&bundle.join("config.json"))?;
        let terminal = spec.process().as_ref().and_then(oci_spec::runtime::Process::terminal);
        check_console(
            terminal.unwrap_or(false),
            given.get("console-socket").is_some(),
            in_front,
        )?;
        let cgroup = process::cgroup_path(&spec, place.id())?;
        Ok(Self {
            context,
            given,
            place,
            bundle,
            spec,
            text,
            cgroup,
            cgroups: cgroup::mounted().ok(),
            preserved,
        })
    }

    /// Makes the container; what was made of one that fails is taken away again.
    fn make(mut self, waits: bool) -> Result<(Launch, Option<OwnedFd>), CommandError> {
        self.place.make()?;
        let made = self.try_to_make(waits);
        if made.is_err() {
            if let Some(driver) = &self.cgroups {
                let _ = driver.kill(&self.cgroup).and_then(|()| driver.remove(&self.cgroup));
            }
            self.place.remove()?;
        }
        made
    }

    fn try_to_make(&mut self, waits: bool) -> Result<(Launch, Option<OwnedFd>), CommandError> {
        let entry = self.enter_cgroup()?;
        // Held until the container is in it, which it is when it reports.
        let held = users::prepare(&mut self.spec)?;
        let mounts = match &self.cgroups {
            Some(driver) => process::cgroup_mounts(&self.spec, driver.as_ref(), &self.cgroup),
            None => Vec::new(),
        };
        let mut plan = launch::plan::plan(&self.spec, &self.bundle, &mounts)?;
        held.iter().for_each(|held| held.furnish(&mut plan, &self.spec));
        self.place.keep_spec(&self.text)?;
        let mut record = self.record(&plan.rootfs.target);
        let annotations = self.spec.annotations().clone().unwrap_or_default();
        let manner = Manner {
            outlives_parent: true,
            door: waits.then(|| door(&self.place)).transpose()?,
            preserved: self.preserved,
            no_pivot: self.given.is("no-pivot"),
            keyring: self.keyring(),
            state: record.state(Status::Creating, annotations.clone()),
        };
        let streams = process::streams(plan.process.terminal.is_some())?;
        let launch = launch::start_as(&plan, streams, &entry, &manner)?;
        record.pid = launch.cloned.pid.as_raw();
        record.began = process_of(launch.cloned.pid).map_or(0, |(began, _)| began);
        record.started = !waits;
        let state = record.state(Status::Creating, annotations);
        let mut hooks = || run_outer_hooks(&self.spec, &state);
        let mut answers = Answers {
            log: &self.context.log,
            console: self.given.get("console-socket").map(Path::new),
            agent: agent(&self.spec),
            state: state.clone(),
            hooks: &mut hooks,
        };
        let finished = follow(launch.status.as_fd(), &mut answers).and_then(|(_, terminal)| {
            self.place.save(&record)?;
            write_pid(self.given.get("pid-file"), record.pid)?;
            Ok(terminal)
        });
        match finished {
            Ok(terminal) => Ok((launch, terminal)),
            Err(error) => {
                let _ = pidfd::send_signal(launch.cloned.pidfd.as_fd(), Signal::SIGKILL as i32);
                let _ = waitpid(launch.cloned.pid, None);
                Err(error)
            }
        }
    }

    /// Makes the cgroup with its limits.
    fn enter_cgroup(&mut self) -> Result<CgroupEntry, CommandError> {
        let Some(driver) = &self.cgroups else {
            if self.context.lenient_cgroups {
                return Ok(CgroupEntry::default());
            }
            self.cgroups = Some(self.context.cgroups()?);
            return self.enter_cgroup();
        };
        let made = driver.create(&self.cgroup).and_then(|()| {
            let notes = driver.apply(&self.cgroup, &process::resources(&self.spec))?;
            Ok((notes, driver.entry(&self.cgroup)?))
        });
        match made {
            Ok((notes, entry)) => {
                notes.iter().for_each(|note| self.context.log.debug(note));
                Ok(entry)
            }
            Err(error) if self.context.lenient_cgroups => {
                self.context.log.debug(&format!("no cgroup, as rootless: {error}"));
                self.cgroups = None;
                Ok(CgroupEntry::default())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn record(&self, rootfs: &Path) -> Record {
        Record {
            id: self.place.id().to_owned(),
            bundle: self.bundle.clone(),
            rootfs: rootfs.to_owned(),
            created: jiff::Timestamp::now().to_string(),
            owner: nix::unistd::getuid().as_raw(),
            pid: 0,
            began: 0,
            started: false,
            cgroup: self.cgroups.is_some().then(|| self.cgroup.as_path()),
        }
    }

    fn keyring(&self) -> Option<std::ffi::CString> {
        let wanted = !self.given.is("no-new-keyring");
        wanted.then(|| std::ffi::CString::new(format!("_ses.{}", self.place.id())).expect("an id has no NUL byte"))
    }
}

/// Who gets the master of a terminal has to be known, and nobody asks for one that isn't there.
pub(super) fn check_console(terminal: bool, socket: bool, in_front: bool) -> Result<(), CommandError> {
    match (terminal, socket) {
        (true, false) if !in_front => Err(CommandError::Terminal(
            "cannot allocate tty if runc will detach without setting console socket",
        )),
        (false, true) => Err(CommandError::Terminal(
            "cannot use console socket if runc will not detach or allocate tty",
        )),
        _ => Ok(()),
    }
}

/// The socket at which a made container waits to be started. It is bound through the directory's descriptor: the whole path
/// may be longer than an address.
fn door(place: &Place) -> Result<OwnedFd, CommandError> {
    let make = || -> nix::Result<OwnedFd> {
        let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
        let directory = nix::fcntl::open(place.path(), flags, nix::sys::stat::Mode::empty())?;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &door_address(&directory)?)?;
        listen(&socket, Backlog::new(1)?)?;
        Ok(socket)
    };
    make().map_err(|errno| CommandError::file("make", place.door())(errno.into()))
}

pub(super) fn door_address(directory: &OwnedFd) -> nix::Result<UnixAddr> {
    let number = std::os::fd::AsRawFd::as_raw_fd(directory);
    UnixAddr::new(Path::new(&format!("/proc/self/fd/{number}/door.sock")))
}

#[allow(deprecated, reason = "the specification still wants prestart hooks run")]
fn run_outer_hooks(spec: &Spec, state: &crate::oci::State) -> Result<(), CommandError> {
    let Some(all) = spec.hooks() else { return Ok(()) };
    for of_moment in [all.prestart(), all.create_runtime()] {
        hooks::run(of_moment.as_deref().unwrap_or_default(), state)?;
    }
    Ok(())
}

/// The agent that is asked about system calls.
pub(super) fn agent(spec: &Spec) -> Option<(PathBuf, String)> {
    let profile = spec.linux().as_ref()?.seccomp().as_ref()?;
    let metadata = profile.listener_metadata().clone().unwrap_or_default();
    Some((profile.listener_path().clone()?, metadata))
}

/// Written whole: who waits for the file reads it at once.
pub(super) fn write_pid(path: Option<&str>, pid: i32) -> Result<(), CommandError> {
    let Some(path) = path.filter(|path| !path.is_empty()).map(Path::new) else {
        return Ok(());
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}"));
    fs::write(&new, pid.to_string())
        .and_then(|()| fs::rename(&new, path))
        .map_err(CommandError::file("write", path))
}
