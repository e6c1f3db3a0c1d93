//! The shim's loop: one epoll over everything that it owns.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::epoll::{EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use super::connection::{Closed, Connection};
use super::containers::{Container, Key, Launching};
use super::foreign::Foreign;
use super::poller::{Poller, READ, Token};
use super::ports::Ports;
use super::protocol::{Response, ShimEvent};
use super::spec::SandboxSpec;
use super::streams::Changes;
use super::{ShimConfig, namespaces};
use crate::cgroup::{self, CgroupPath, Driver};
use crate::sys::clone::Cloned;

/// Why a shim could not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetUpError {
    #[error("read {path}: {source}")]
    Spec { path: PathBuf, source: std::io::Error },
    #[error("{0} is served by a running shim")]
    Served(PathBuf),
    #[error("{act}: {source}")]
    System { act: &'static str, source: std::io::Error },
    #[error(transparent)]
    Namespace(#[from] namespaces::NamespaceError),
    #[error(transparent)]
    Cgroup(#[from] cgroup::CgroupError),
    #[error(transparent)]
    Port(#[from] super::ports::PortError),
}

/// What a registration belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Signals,
    Listener,
    Connection,
    Launch,
    Streams(Key),
    Ports,
}

/// Who a child process is.
#[derive(Debug, Clone)]
pub(super) enum Who {
    Container(Key),
    Exec {
        container: Key,
        id: String,
        connection: Token,
    },
    Pause,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) directory: PathBuf,
    pub(super) poller: Poller,
    pub(super) sources: HashMap<Token, Source>,
    pub(super) connections: HashMap<Token, Connection>,
    pub(super) containers: BTreeMap<Key, Container>,
    /// Never used before, so that nothing left of an earlier container can be taken for a later one's.
    pub(super) next_key: Key,
    pub(super) launches: HashMap<Token, Launching>,
    pub(super) processes: HashMap<Pid, Who>,
    pub(super) cgroups: Box<dyn Driver>,
    /// Set when an OCI runtime of others launches the containers.
    pub(super) foreign: Option<Foreign>,
    pub(super) pod_cgroup: Option<CgroupPath>,
    pub(super) ports: Ports,
    /// Connections that wait for the end, once it is asked for.
    pub(super) stopping: Option<Vec<Token>>,
    pub(super) pause: Option<Cloned>,
    pub(super) signals: SignalFd,
    listener: UnixListener,
}

impl Server {
    /// Everything that can fail before the pod is there; the listening sockets of the host come before its network
    /// namespace is left.
    pub(super) fn set_up(config: &ShimConfig) -> Result<Self, SetUpError> {
        let directory = &config.sandbox_dir;
        if std::os::unix::net::UnixStream::connect(directory.join("shim.sock")).is_ok() {
            return Err(SetUpError::Served(directory.clone()));
        }
        let spec = read_spec(directory)?;
        let pod_cgroup = spec.cgroup_parent.as_deref().map(CgroupPath::parse).transpose()?;
        let cgroups = cgroup::detect()?;
        let held = pod_cgroup.clone();
        Self::bring_up(directory, &spec, cgroups, pod_cgroup).inspect_err(|_| give_back(directory, held.as_ref()))
    }

    fn bring_up(
        directory: &Path,
        spec: &SandboxSpec,
        cgroups: Box<dyn Driver>,
        pod_cgroup: Option<CgroupPath>,
    ) -> Result<Self, SetUpError> {
        let failed = |act| move |source: std::io::Error| SetUpError::System { act, source };
        // Executed through a descriptor, it would else be called by the descriptor's number.
        let _ = nix::sys::prctl::set_name(c"shim");
        // A session of its own: the terminal that the daemon was started from doesn't reach it. Fails when it leads one.
        let _ = nix::unistd::setsid();
        let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
        nix::sys::prctl::set_child_subreaper(true).map_err(|errno| failed("become subreaper")(errno.into()))?;
        let mask = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM]);
        mask.thread_block()
            .map_err(|errno| failed("block signals")(errno.into()))?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&mask, flags).map_err(|errno| failed("watch signals")(errno.into()))?;
        let mut poller = Poller::new().map_err(|errno| failed("make epoll")(errno.into()))?;
        let ports = Ports::bind(&spec.port_mappings, &mut poller)?;
        if let Some(path) = &pod_cgroup {
            cgroups.create(path)?;
            let notes = spec
                .resources
                .as_ref()
                .map(|resources| cgroups.apply(path, resources))
                .transpose()?;
            notes
                .into_iter()
                .flatten()
                .for_each(|note| eprintln!("shim: pod cgroup: {note}"));
        }
        let pause = namespaces::set_up(spec, directory)?;
        let path = directory.join("shim.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).map_err(failed("listen on shim.sock"))?;
        listener.set_nonblocking(true).map_err(failed("listen on shim.sock"))?;
        std::fs::write(directory.join("shim.pid"), identity()).map_err(failed("write shim.pid"))?;
        let mut sources: HashMap<Token, Source> = ports.tokens().map(|token| (token, Source::Ports)).collect();
        for (fd, source) in [(signals.as_fd(), Source::Signals), (listener.as_fd(), Source::Listener)] {
            let token = poller.token();
            poller
                .add(fd, token, READ)
                .map_err(|errno| failed("watch descriptors")(errno.into()))?;
            sources.insert(token, source);
        }
        Ok(Self {
            processes: pause.iter().map(|pause| (pause.pid, Who::Pause)).collect(),
            directory: directory.to_owned(),
            poller,
            sources,
            connections: HashMap::new(),
            containers: BTreeMap::new(),
            next_key: 0,
            launches: HashMap::new(),
            foreign: spec
                .oci_runtime
                .clone()
                .map(|runtime| Foreign::new(runtime, cgroups.hybrid_mount())),
            cgroups,
            pod_cgroup,
            ports,
            stopping: None,
            pause,
            listener,
            signals,
        })
    }

    pub(super) fn run(mut self) -> ExitCode {
        loop {
            let timeout = self.ports.timeout().map_or(EpollTimeout::NONE, EpollTimeout::from);
            let events = match self.poller.wait(timeout) {
                Ok(events) => events,
                Err(errno) => {
                    eprintln!("shim: epoll: {errno}");
                    return ExitCode::FAILURE;
                }
            };
            let launching = self.is_launching();
            for (token, flags) in events {
                // An earlier event of this round may have ended what this one is about.
                if let Some(source) = self.sources.get(&token).copied() {
                    self.dispatch(source, token, flags);
                }
            }
            self.forget_ports();
            if launching && !self.is_launching() {
                // From here on it waits, for weeks maybe, and there is a shim for each pod.
                if let Err(error) = crate::sys::memory::forget_code() {
                    eprintln!("shim: give memory back: {error}");
                }
            }
            let over = || self.containers.values().all(|container| container.exit().is_some());
            if self.stopping.is_some() && !self.is_launching() && over() {
                self.stop();
                return ExitCode::SUCCESS;
            }
        }
    }

    /// Whether processes are on their way, ours or those of an OCI runtime.
    fn is_launching(&self) -> bool {
        !self.launches.is_empty() || self.foreign.as_ref().is_some_and(Foreign::is_busy)
    }

    fn dispatch(&mut self, source: Source, token: Token, flags: EpollFlags) {
        match source {
            Source::Signals => self.signalled(),
            Source::Listener => self.accept(),
            Source::Connection => self.converse(token, flags),
            Source::Launch => self.launch_progress(token),
            Source::Streams(key) => {
                let changes = self
                    .containers
                    .get_mut(&key)
                    .map(|c| c.streams.handle(&self.poller, token, flags));
                self.apply(key, changes.unwrap_or_default());
            }
            Source::Ports => {
                let added = self.ports.handle(&mut self.poller, token, flags);
                self.sources
                    .extend(added.into_iter().map(|token| (token, Source::Ports)));
            }
        }
    }

    fn forget_ports(&mut self) {
        for token in self.ports.closed() {
            self.sources.remove(&token);
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            match Connection::new(stream, &mut self.poller) {
                Ok(connection) => {
                    self.sources.insert(connection.token(), Source::Connection);
                    self.connections.insert(connection.token(), connection);
                }
                Err(errno) => eprintln!("shim: accept: {errno}"),
            }
        }
    }

    fn converse(&mut self, token: Token, flags: EpollFlags) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        let mut result = if flags.contains(EpollFlags::EPOLLOUT) {
            connection.flush(&self.poller)
        } else {
            Ok(())
        };
        let readable = flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        if result.is_ok() && readable {
            result = match connection.receive() {
                Ok(request) => self.serve_all(token, request),
                Err(closed) => Err(closed),
            };
        }
        if let Err(closed) = result {
            self.close(token, &closed);
        }
    }

    fn serve_all(&mut self, token: Token, first: Option<super::protocol::Envelope>) -> Result<(), Closed> {
        let mut next = first;
        while let Some(envelope) = next {
            self.serve(token, envelope);
            let Some(connection) = self.connections.get_mut(&token) else {
                return Ok(());
            };
            next = connection.next()?;
        }
        Ok(())
    }

    pub(super) fn close(&mut self, token: Token, why: &Closed) {
        if !matches!(why, Closed::Ended) {
            eprintln!("shim: connection: {why}");
        }
        self.connections.remove(&token);
        self.sources.remove(&token);
        let changes: Vec<Changes> = self.containers.values_mut().map(|c| c.streams.detach(token)).collect();
        for change in changes {
            self.sources.retain(|token, _| !change.closed.contains(token));
        }
    }

    /// Answers a connection, if it is still there.
    pub(super) fn answer(&mut self, token: Token, response: &Response, fd: Option<std::os::fd::OwnedFd>) {
        let sent = self
            .connections
            .get_mut(&token)
            .map(|connection| connection.send(&self.poller, response, fd));
        if let Some(Err(closed)) = sent {
            self.close(token, &closed);
        }
    }

    pub(super) fn tell(&mut self, event: &ShimEvent) {
        let subscribed = self.connections.values().filter(|connection| connection.subscribed);
        for token in subscribed.map(Connection::token).collect::<Vec<_>>() {
            self.answer(token, &Response::Event(event.clone()), None);
        }
    }

    /// Carries out what a container's streams have changed.
    pub(super) fn apply(&mut self, key: Key, changes: Changes) {
        for token in changes.closed {
            self.sources.remove(&token);
        }
        for token in changes.left {
            // An attached client is told the container's end if it has one, else that it was let go.
            let exit = self.containers.get(&key).and_then(Container::exit);
            let response = exit.map_or(Response::Done, Response::Exited);
            self.answer(token, &response, None);
            let finished = self
                .connections
                .get_mut(&token)
                .map(|connection| connection.finish(&self.poller));
            if let Some(Err(closed)) = finished {
                self.close(token, &closed);
            }
        }
    }
}

/// What a shim that doesn't come up has made so far; a cgroup with processes in it is somebody's and stays.
fn give_back(directory: &Path, cgroup: Option<&CgroupPath>) {
    namespaces::clean(directory);
    if let Some(path) = cgroup
        && let Ok(cgroups) = cgroup::detect()
        && let Err(error) = cgroups.remove(path)
    {
        eprintln!("shim: {error}");
    }
}

fn read_spec(directory: &Path) -> Result<SandboxSpec, SetUpError> {
    let path = directory.join("sandbox.json");
    let read = std::fs::read(&path).and_then(|bytes| serde_json::from_slice(&bytes).map_err(Into::into));
    read.map_err(|source| SetUpError::Spec { path, source })
}

/// `<pid> <start time>`: a pid alone may be another process's by the time it is read (proc_pid_stat(5), field 22).
fn identity() -> String {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let start = after_name.split_whitespace().nth(19).unwrap_or("0");
    format!("{} {start}\n", std::process::id())
}
