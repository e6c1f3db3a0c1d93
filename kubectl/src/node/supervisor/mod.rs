//! The supervisor: the one process that `up` leaves behind, parent of all programs of a node.
//!
//! ```text
//!   up ──spawns──> supervisor ──spawns──> runtime ─┐ READY
//!    │                 │                           ├──> kubelet
//!    └──Follow─────────┤ ──────spawns──> apiserver ┴──> scheduler
//!       supervisor.sock│
//! status, down ────────┘
//! ```
//!
//! [`command`] knows the programs and what they are started with, [`lifecycle`] decides what happens to one of them (pure),
//! [`child`] is the process, [`logs`] its output on disk, [`control`] the socket. This file owns the state: one task takes
//! events one by one. It restarts what dies; it knows nothing of pods, which live on below their shims whatever ends here.
//! If the supervisor itself is killed the programs end with it, and the next `up` starts all of them over the same pods.

mod child;
pub(super) mod command;
pub(super) mod control;
mod lifecycle;
mod logs;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::files::{self, Durability, FileError};
use super::instance::Instance;
use child::Child;
use command::Program;
use control::{Message, Phase, ProgramStatus, What};
use lifecycle::{Action, Event, Lifecycle};

/// A program that ignores SIGTERM for this long is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// Another one holds the lock.
    #[error("the node is supervised already, by process {pid}")]
    Running {
        /// Its number, as it wrote it.
        pid: String,
    },
    /// The lock can't be taken.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory or file can't be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// Programs of a killed supervisor don't end.
    #[error("programs of an earlier supervisor still run; find them by: fuser -v {}", path.display())]
    Leftovers {
        /// What they hold.
        path: PathBuf,
    },
    /// The socket for `status` and `down` can't be bound.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signals can't be received.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
}

/// What comes in from the tasks around the supervisor's own.
pub(super) enum Input {
    /// Something happened to a program; with which of its runs, since an old run's end may arrive late.
    Program(Program, u64, Event),
    /// A client asks.
    Client(control::Request, mpsc::UnboundedSender<Message>),
}

/// One program and its process.
struct Supervised {
    program: Program,
    lifecycle: Lifecycle,
    /// Counts the processes started, so that events of an earlier one are told apart.
    run: u64,
    child: Option<Child>,
    /// What happened last, for those who begin to follow: what it was before would only mislead them.
    latest: Option<Phase>,
}

struct Supervisor {
    instance: Instance,
    started_at: Instant,
    programs: Vec<Supervised>,
    followers: Vec<mpsc::UnboundedSender<Message>>,
    stopping: bool,
    inputs: mpsc::UnboundedSender<Input>,
}

/// Runs the instance's programs until SIGTERM, SIGINT or a client's stop. `listening` is called once the socket accepts.
///
/// # Errors
/// When it can't begin. A program that fails is restarted and reported, it is no error here.
pub(super) async fn run(instance: Instance, listening: impl FnOnce()) -> Result<(), SupervisorError> {
    files::create_dir(&instance.run_dir, 0o700)?;
    files::create_dir(&instance.log_dir(), 0o700)?;
    let _lock = lock(&instance)?;
    files::write_if_changed(&child::programs_lock(&instance), b"", 0o600, Durability::Remade)?;
    let (inputs, mut received) = mpsc::unbounded_channel();
    let socket = instance.supervisor_socket();
    control::listen(&socket, inputs.clone()).map_err(|source| SupervisorError::Listen {
        path: socket.clone(),
        source,
    })?;
    listening();
    let mut terminate = signal(SignalKind::terminate()).map_err(SupervisorError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(SupervisorError::Signals)?;
    let mut supervisor = Supervisor::new(instance, inputs);
    supervisor.advance();
    while !supervisor.finished() {
        let due = supervisor.next_due();
        tokio::select! {
            Some(input) = received.recv() => supervisor.take(input),
            _ = terminate.recv() => supervisor.stop(),
            _ = interrupt.recv() => supervisor.stop(),
            () = tokio::time::sleep_until(due.unwrap_or_else(far_away).into()), if due.is_some() => supervisor.time_passed(),
        }
    }
    tracing::info!("all programs have stopped");
    let _ = std::fs::remove_file(&socket);
    supervisor.tell(&Message::Stopped);
    // Followers' connections are tasks of their own: let them write what they were told.
    tokio::task::yield_now().await;
    Ok(())
}

fn lock(instance: &Instance) -> Result<Flock<std::fs::File>, SupervisorError> {
    let path = instance.run_dir.join("supervisor.lock");
    let fail = |source| SupervisorError::Lock {
        path: path.clone(),
        source,
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path);
    let locked = Flock::lock(file.map_err(fail)?, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno);
    match locked {
        Ok(lock) => {
            std::fs::write(&path, std::process::id().to_string()).map_err(fail)?;
            Ok(lock)
        }
        Err(nix::errno::Errno::EWOULDBLOCK) => Err(SupervisorError::Running {
            pid: std::fs::read_to_string(&path).unwrap_or_default(),
        }),
        Err(errno) => Err(fail(errno.into())),
    }
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}

impl Supervisor {
    fn new(instance: Instance, inputs: mpsc::UnboundedSender<Input>) -> Self {
        let programs = Program::of(&instance).map(|program| Supervised {
            program,
            lifecycle: Lifecycle::default(),
            run: 0,
            child: None,
            latest: None,
        });
        Self {
            programs: programs.collect(),
            instance,
            started_at: Instant::now(),
            followers: Vec::new(),
            stopping: false,
            inputs,
        }
    }

    fn finished(&self) -> bool {
        self.stopping && self.programs.iter().all(|supervised| supervised.lifecycle.is_down())
    }

    fn next_due(&self) -> Option<Instant> {
        self.programs
            .iter()
            .filter_map(|supervised| supervised.lifecycle.due())
            .min()
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Program(program, run, event) => {
                let sender = |supervised: &Supervised| supervised.program == program && supervised.run == run;
                if let Some(index) = self.programs.iter().position(sender) {
                    self.apply(index, event);
                }
            }
            Input::Client(control::Request::Status, answer) => {
                let _ = answer.send(Message::Status(Box::new(self.status())));
            }
            Input::Client(control::Request::Follow, answer) => self.follow(answer),
            Input::Client(control::Request::Stop, answer) => {
                self.follow(answer);
                self.stop();
            }
        }
        self.advance();
    }

    fn time_passed(&mut self) {
        let now = Instant::now();
        for index in 0..self.programs.len() {
            if self.programs[index].lifecycle.due().is_some_and(|due| due <= now) {
                self.apply(index, Event::Due);
            }
        }
        self.advance();
    }

    fn stop(&mut self) {
        if !self.stopping {
            tracing::info!("stopping");
            self.stopping = true;
        }
        self.advance();
    }

    /// Starts what may start now, or stops what may stop now.
    fn advance(&mut self) {
        for index in 0..self.programs.len() {
            let program = self.programs[index].program;
            if self.stopping {
                let before = program
                    .stops_after()
                    .iter()
                    .all(|other| self.of(*other).is_none_or(Lifecycle::is_down));
                if before {
                    self.apply(index, Event::Stop);
                }
            } else if program
                .needs()
                .iter()
                .all(|other| self.of(*other).is_none_or(Lifecycle::is_ready))
            {
                self.apply(index, Event::NeedsReady);
            }
        }
    }

    /// None for a program that this instance doesn't run.
    fn of(&self, program: Program) -> Option<&Lifecycle> {
        let found = self.programs.iter().find(|supervised| supervised.program == program);
        found.map(|supervised| &supervised.lifecycle)
    }

    fn apply(&mut self, index: usize, event: Event) {
        let action = self.programs[index].lifecycle.on(event, Instant::now());
        match action {
            Action::None => {}
            Action::Start => self.start(index),
            Action::Announce(what) => self.announce(index, what),
            Action::Signal(signal) => self.signal(index, signal),
        }
    }

    fn start(&mut self, index: usize) {
        let supervised = &mut self.programs[index];
        supervised.run += 1;
        let program = supervised.program;
        match Child::start(&self.instance, program, supervised.run, &self.inputs) {
            Ok(child) => {
                let pid = child.pid();
                supervised.child = Some(child);
                tracing::info!(program = program.name(), pid, "started");
                self.announce(index, What::Started { pid });
            }
            Err(error) => {
                tracing::error!(program = program.name(), error = %error, "cannot start");
                self.apply(index, Event::Exited(error.to_string()));
            }
        }
    }

    fn signal(&mut self, index: usize, signal: Signal) {
        if let Some(child) = &self.programs[index].child {
            child.signal(signal);
        }
    }

    fn announce(&mut self, index: usize, what: What) {
        let program = self.programs[index].program;
        match &what {
            What::Failed {
                reason, retry_millis, ..
            } => {
                tracing::warn!(program = program.name(), reason, retry_millis, "ended");
            }
            what => tracing::info!(program = program.name(), ?what, "changed"),
        }
        let phase = Phase {
            program: program.name().to_owned(),
            at_millis: millis(self.started_at.elapsed()),
            what,
        };
        self.programs[index].latest = Some(phase.clone());
        self.tell(&Message::Phase(phase));
    }

    fn follow(&mut self, answer: mpsc::UnboundedSender<Message>) {
        for phase in self.programs.iter().filter_map(|supervised| supervised.latest.as_ref()) {
            let _ = answer.send(Message::Phase(phase.clone()));
        }
        self.followers.push(answer);
    }

    fn tell(&mut self, message: &Message) {
        self.followers.retain(|follower| follower.send(message.clone()).is_ok());
    }

    fn status(&self) -> control::Status {
        control::Status {
            pid: std::process::id(),
            uptime_millis: millis(self.started_at.elapsed()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.clone(),
            programs: self.programs.iter().map(Supervised::status).collect(),
        }
    }
}

impl Supervised {
    fn status(&self) -> ProgramStatus {
        let now = Instant::now();
        ProgramStatus {
            name: self.program.name().to_owned(),
            state: self.lifecycle.word().to_owned(),
            pid: self
                .child
                .as_ref()
                .filter(|_| self.lifecycle.has_process())
                .map(Child::pid),
            uptime_millis: self.lifecycle.since().map(|since| millis(now - since)),
            restarts: self.lifecycle.restarts(),
            last_failure: self.lifecycle.last_failure().map(str::to_owned),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Waits until programs of a supervisor that was killed have ended: they hold their ports and locks until then.
///
/// # Errors
/// When they don't within a while, or the lock that they hold can't be asked for.
pub(super) async fn leftovers_gone(instance: &Instance) -> Result<(), SupervisorError> {
    let path = child::programs_lock(instance);
    let Ok(file) = std::fs::File::open(&path) else {
        return Ok(());
    };
    let waiting = tokio::task::spawn_blocking(move || Flock::lock(file, FlockArg::LockExclusive).map(drop));
    match tokio::time::timeout(STOP_GRACE, waiting).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err((_, errno)))) => Err(SupervisorError::Lock {
            path,
            source: errno.into(),
        }),
        Ok(Err(_)) | Err(_) => Err(SupervisorError::Leftovers { path }),
    }
}

/// Holds on to the lock that tells that a program of this node runs, until this process ends.
///
/// # Errors
/// When the lock can't be taken.
pub(crate) fn hold_programs_lock() -> io::Result<()> {
    let Some(path) = std::env::var_os(child::LOCK_VARIABLE) else {
        return Ok(());
    };
    let lock =
        Flock::lock(std::fs::File::open(path)?, FlockArg::LockShared).map_err(|(_, errno)| io::Error::from(errno))?;
    // Closed by the kernel, at the very end: that is the point.
    std::mem::forget(lock);
    Ok(())
}

/// The supervisor's own log, for `up` to hand to it.
pub(super) fn open_log(path: &std::path::Path) -> io::Result<std::fs::File> {
    logs::Log::open(path)?.into_file()
}

/// The supervisor as a process of its own: says on stdout when it listens, then runs until it is stopped.
///
/// # Errors
/// As [`run`].
pub(crate) async fn run_detached(instance: Instance) -> Result<(), SupervisorError> {
    run(instance, || {
        use std::io::Write;
        let mut out = io::stdout();
        // `up` may have been interrupted and be gone; the node starts all the same.
        let _ = writeln!(out, "listening").and_then(|()| out.flush());
    })
    .await
}

/// The process number of the supervisor that started this process, if one did.
pub(crate) fn parent_variable() -> Option<i32> {
    std::env::var(child::SUPERVISOR_VARIABLE).ok()?.parse().ok()
}
