//! Requests, one method each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::Pid;
use oci_spec::runtime::Process;

use super::containers::{Bundle, Container, Key, Launching, Phase, Pipes};
use super::descendants;
use super::log::Stream;
use super::poller::{READ, Token};
use super::protocol::{Envelope, Fault, FaultKind, Request, Response, Streams};
use super::relay::connect;
use super::server::{Server, Source, Who};
use super::streams::{Attached, Streams as ContainerStreams};
use crate::launch::parent::{CgroupEntry, ExecTarget};
use crate::launch::{self, Stdio};
use crate::oci::annotation;
use crate::sys::{pidfd, terminal};

/// A response to give now; none when it comes later.
type Outcome = Result<Option<Response>, Fault>;

impl Server {
    pub(super) fn serve(&mut self, from: Token, envelope: Envelope) {
        let trace = envelope.traceparent;
        let outcome = match envelope.request {
            Request::Start {
                container_id,
                bundle,
                streams,
            } => self.start(from, container_id, &bundle, streams),
            Request::Exec {
                container_id,
                exec_id,
                process,
                streams,
            } => self.exec(from, &container_id, exec_id, &process, streams),
            Request::Kill {
                container_id,
                exec_id,
                signal,
                all,
            } => self.kill(from, &container_id, exec_id.as_deref(), signal, all),
            Request::Resize {
                container_id,
                width,
                height,
            } => self.resize(&container_id, width, height),
            Request::Attach { container_id, streams } => self.attach(from, &container_id, streams),
            Request::ReopenLog { container_id } => self.reopen_log(&container_id),
            Request::Forget { container_id } => self.forget(&container_id),
            Request::State => Ok(Some(self.state())),
            Request::Subscribe => self.subscribe(from),
            Request::ConnectPort { port } => self.connect_port(from, port),
            Request::Shutdown => {
                self.begin_stop(Some(from));
                Ok(None)
            }
        };
        match outcome {
            Ok(Some(response)) => self.answer(from, &response, None),
            Ok(None) => {}
            Err(fault) => {
                eprintln!("shim: {fault} (trace {})", trace.as_deref().unwrap_or("none"));
                self.answer(from, &Response::Fault(fault), None);
            }
        }
    }

    fn start(&mut self, from: Token, id: String, path: &Path, streams: Streams) -> Outcome {
        let attached = self.take_streams(from, streams)?;
        if self.stopping.is_some() {
            return Err(Fault::new(
                FaultKind::FailedPrecondition,
                "the sandbox is being stopped",
            ));
        }
        match self
            .containers
            .iter()
            .find(|(_, container)| container.id == id)
            .map(|(key, c)| (*key, c.exit()))
        {
            Some((_, None)) => {
                return Err(Fault::new(
                    FaultKind::AlreadyExists,
                    format!("container {id} is running"),
                ));
            }
            Some((key, Some(_))) => drop(self.containers.remove(&key)),
            None => {}
        }
        let bundle = Bundle::read(path)?;
        if self.foreign.is_some() {
            return self.create_by_runtime(from, id, path, &bundle).map(|()| None);
        }
        let plan = bundle.plan(path, &self.cgroups.mounts())?;
        let (entry, mut notes) = self.cgroup_of(&bundle)?;
        let launched = self.clone_container(from, id, path, (&bundle, &plan), &entry);
        match launched {
            Ok(token) => {
                let launching = self.launches.get_mut(&token).expect("it was put there");
                launching.notes.append(&mut notes);
                if streams != Streams::default() {
                    launching.attached = Some(attached);
                }
                // A terminal is there only when the process is.
                if plan.process.terminal.is_none() {
                    self.join_launch(token);
                }
                Ok(None)
            }
            Err(fault) => {
                if let Some(path) = &bundle.cgroup {
                    let _ = self.cgroups.remove(path);
                }
                Err(fault)
            }
        }
    }

    fn cgroup_of(&self, bundle: &Bundle) -> Result<(CgroupEntry, Vec<String>), Fault> {
        let Some(path) = &bundle.cgroup else {
            return Ok((CgroupEntry::default(), Vec::new()));
        };
        self.cgroups.create(path).map_err(Fault::system)?;
        let resources = bundle
            .spec
            .linux()
            .as_ref()
            .and_then(|linux| linux.resources().as_ref());
        let notes = resources
            .map(|resources| self.cgroups.apply(path, resources))
            .transpose()
            .map_err(Fault::system)?;
        let entry = self.cgroups.entry(path).map_err(Fault::system)?;
        Ok((entry, notes.unwrap_or_default()))
    }

    fn clone_container(
        &mut self,
        from: Token,
        id: String,
        path: &Path,
        (bundle, plan): (&Bundle, &launch::Plan),
        entry: &CgroupEntry,
    ) -> Result<Token, Fault> {
        let (streams, tokens, stdio) = self.open_streams(bundle)?;
        let key = self.next_key;
        self.next_key += 1;
        let launch = launch::start(plan, stdio, entry)?;
        let pid = launch.cloned.pid;
        let (namespaces, pid_namespace) = bundle.exec_namespaces(plan);
        let container = Container {
            id,
            bundle: path.to_owned(),
            pid,
            pidfd: launch.cloned.pidfd,
            cgroup: bundle.cgroup.clone(),
            seccomp: bundle.seccomp(),
            namespaces,
            pid_namespace,
            users: plan.users.as_ref().map(|(_, users)| *users),
            terminal: None,
            streams,
            phase: Phase::Launching,
        };
        self.containers.insert(key, container);
        self.sources
            .extend(tokens.into_iter().map(|token| (token, Source::Streams(key))));
        self.processes.insert(pid, Who::Container(key));
        self.watch_launch(Launching::new(launch.status, from, Some(key), pid))
    }

    /// Opens the log, and pipes for a container without a terminal: what is to be read of them, and their other ends.
    pub(super) fn open_streams(&mut self, bundle: &Bundle) -> Result<(ContainerStreams, Vec<Token>, Stdio), Fault> {
        let mut streams = ContainerStreams::new(bundle.log()?, bundle.flag(annotation::STDIN_ONCE));
        let mut tokens = Vec::new();
        let stdio = if bundle.terminal() {
            Stdio::default()
        } else {
            let pipes = Pipes::new(bundle.flag(annotation::STDIN)).map_err(Fault::system)?;
            let poller = &mut self.poller;
            tokens.push(
                streams
                    .add_output(poller, pipes.stdout, Stream::Stdout)
                    .map_err(Fault::system)?,
            );
            tokens.push(
                streams
                    .add_output(poller, pipes.stderr, Stream::Stderr)
                    .map_err(Fault::system)?,
            );
            if let Some(stdin) = pipes.stdin {
                tokens.push(streams.set_input(poller, stdin).map_err(Fault::system)?);
            }
            pipes.theirs
        };
        Ok((streams, tokens, stdio))
    }

    fn watch_launch(&mut self, launching: Launching) -> Result<Token, Fault> {
        let token = self.poller.token();
        self.poller.add(&launching.status, token, READ).map_err(Fault::system)?;
        self.sources.insert(token, Source::Launch);
        self.launches.insert(token, launching);
        Ok(token)
    }

    fn exec(&mut self, from: Token, id: &str, exec_id: String, process: &Process, streams: Streams) -> Outcome {
        let attached = self.take_streams(from, streams)?;
        let stdio = Stdio {
            stdin: attached.stdin,
            stdout: attached.stdout,
            stderr: attached.stderr,
        };
        let (key, container) = self.running(id)?;
        if self.foreign.is_some() {
            let executed = self.exec_by_runtime(key, exec_id, process, stdio, from);
            return executed.map(|()| None);
        }
        let plan = launch::plan::process(process, container.seccomp.as_ref())
            .map_err(|error| Fault::new(FaultKind::Invalid, error.to_string()))?;
        let entry = container
            .cgroup
            .as_ref()
            .map(|path| self.cgroups.entry(path))
            .transpose()
            .map_err(Fault::system)?;
        let target = ExecTarget {
            init: container.pidfd.as_fd(),
            namespaces: container.namespaces,
            pid_namespace: container.pid_namespace,
            users: container.users.as_ref(),
        };
        let launch = launch::exec(&plan, &target, stdio, &entry.unwrap_or_default())?;
        let pid = launch.cloned.pid;
        let who = Who::Exec {
            container: key,
            id: exec_id,
            connection: from,
        };
        self.processes.insert(pid, who);
        self.watch_launch(Launching::new(launch.status, from, None, pid))
            .map(|_| None)
    }

    fn kill(&mut self, from: Token, id: &str, exec_id: Option<&str>, signal: i32, all: bool) -> Outcome {
        let failed = |errno: Errno| match errno {
            Errno::ESRCH => Fault::new(FaultKind::NotFound, format!("{id}: the process has ended")),
            Errno::EINVAL => Fault::new(FaultKind::Invalid, format!("{signal} is no signal")),
            other => Fault::system(format!("signal {signal} to {id}: {other}")),
        };
        if let Some(exec_id) = exec_id {
            let pid = self.exec_process(id, exec_id)?;
            if signal == libc::SIGKILL && all {
                descendants::kill(pid);
                return Ok(done(()));
            }
            // Unreaped, so the pid is still this process's.
            return pidfd::open(pid)
                .and_then(|fd| pidfd::send_signal(fd.as_fd(), signal))
                .map_err(failed)
                .map(done);
        }
        let container = self.alive(id)?;
        if !all && self.signals_by_runtime(container) {
            return self.kill_by_runtime(id, signal, from).map(|()| None);
        }
        match (&container.cgroup, all) {
            (Some(path), true) if signal == libc::SIGKILL => self.cgroups.kill(path).map_err(Fault::system)?,
            (Some(path), true) => {
                for pid in self.cgroups.processes(path).map_err(Fault::system)? {
                    let _ = pidfd::open(pid).and_then(|fd| pidfd::send_signal(fd.as_fd(), signal));
                }
            }
            _ => pidfd::send_signal(container.pidfd.as_fd(), signal).map_err(failed)?,
        }
        Ok(done(()))
    }

    fn exec_process(&self, container_id: &str, exec_id: &str) -> Result<Pid, Fault> {
        let wanted = |who: &Who| match who {
            Who::Exec { container, id, .. } => {
                id == exec_id && self.containers.get(container).is_some_and(|c| c.id == container_id)
            }
            Who::Container(_) | Who::Pause => false,
        };
        let found = self.processes.iter().find(|(_, who)| wanted(who)).map(|(pid, _)| *pid);
        found.ok_or_else(|| {
            Fault::new(
                FaultKind::NotFound,
                format!("no exec {exec_id} in container {container_id}"),
            )
        })
    }

    fn resize(&mut self, id: &str, width: u16, height: u16) -> Outcome {
        let (_, container) = self.running(id)?;
        let none = || Fault::new(FaultKind::FailedPrecondition, format!("container {id} has no terminal"));
        let master = container.terminal.as_ref().ok_or_else(none)?;
        terminal::resize(master.as_fd(), width, height)
            .map_err(Fault::system)
            .map(done)
    }

    fn attach(&mut self, from: Token, id: &str, streams: Streams) -> Outcome {
        let attached = self.take_streams(from, streams)?;
        let (key, _) = self.running(id)?;
        self.join(key, from, attached).map_err(Fault::system).map(done)
    }

    /// Joins whoever asked for a start with the container's streams.
    fn join_launch(&mut self, token: Token) {
        let launching = self.launches.get_mut(&token);
        let waiting = launching.and_then(|launching| {
            let attached = launching.attached.take()?;
            Some((launching.container?, launching.waiter, attached))
        });
        if let Some((key, from, attached)) = waiting
            && let Err(errno) = self.join(key, from, attached)
        {
            eprintln!("shim: attach a starting container's client: {errno}");
        }
    }

    pub(super) fn join(&mut self, key: Key, from: Token, attached: Attached) -> Result<(), Errno> {
        let Some(container) = self.containers.get_mut(&key) else {
            return Ok(());
        };
        let tokens = container.streams.attach(&mut self.poller, from, attached)?;
        self.sources
            .extend(tokens.into_iter().map(|token| (token, Source::Streams(key))));
        Ok(())
    }

    fn reopen_log(&mut self, id: &str) -> Outcome {
        let (key, _) = self.running(id)?;
        let container = self.containers.get_mut(&key).expect("it is running");
        container
            .streams
            .log
            .reopen()
            .map_err(|error| Fault::system(format!("reopen log of {id}: {error}")))
            .map(done)
    }

    fn forget(&mut self, id: &str) -> Outcome {
        match self
            .containers
            .iter()
            .find(|(_, container)| container.id == id)
            .map(|(key, c)| (*key, c.exit()))
        {
            Some((_, None)) => Err(Fault::new(
                FaultKind::FailedPrecondition,
                format!("container {id} is running"),
            )),
            Some((key, Some(_))) => {
                self.containers.remove(&key);
                Ok(done(()))
            }
            None => Ok(done(())),
        }
    }

    fn state(&self) -> Response {
        Response::State(self.containers.values().filter_map(Container::state).collect())
    }

    /// The state comes first, so that nothing is missed between asking for it and subscribing.
    fn subscribe(&mut self, from: Token) -> Outcome {
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.subscribed = true;
        }
        Ok(Some(self.state()))
    }

    /// Connects in the pod's network namespace, which is this process's own.
    fn connect_port(&mut self, from: Token, port: u16) -> Outcome {
        let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        let mut last = Errno::ECONNREFUSED;
        for address in addresses {
            match connect(SocketAddr::new(address, port)) {
                Ok(socket) => {
                    self.answer(from, &Response::Done, Some(socket));
                    return Ok(None);
                }
                Err(errno) => last = errno,
            }
        }
        Err(Fault::new(
            FaultKind::FailedPrecondition,
            format!(
                "connect to port {port} in the pod: {} (nothing listens there on localhost)",
                last.desc()
            ),
        ))
    }

    /// A start that hangs, say on a mount, can be killed too.
    fn alive(&self, id: &str) -> Result<&Container, Fault> {
        match self.containers.values().find(|container| container.id == id) {
            Some(container) if matches!(container.phase, Phase::Launching) => Ok(container),
            _ => self.running(id).map(|(_, container)| container),
        }
    }

    fn running(&self, id: &str) -> Result<(Key, &Container), Fault> {
        match self.containers.iter().find(|(_, container)| container.id == id) {
            None => Err(Fault::new(
                FaultKind::NotFound,
                format!("container {id} is not in this sandbox"),
            )),
            Some((_, container)) if !matches!(container.phase, Phase::Running(_)) => Err(Fault::new(
                FaultKind::FailedPrecondition,
                format!("container {id} is not running"),
            )),
            Some((key, container)) => Ok((*key, container)),
        }
    }

    fn take_streams(&mut self, from: Token, streams: Streams) -> Result<Attached, Fault> {
        let Some(connection) = self.connections.get_mut(&from) else {
            return Ok(Attached::default());
        };
        let mut take = |wanted: bool| -> Result<Option<OwnedFd>, Fault> {
            let missing = || {
                Fault::new(
                    FaultKind::Invalid,
                    "a stream is announced but its descriptor did not come",
                )
            };
            if wanted {
                connection.descriptor().ok_or_else(missing).map(Some)
            } else {
                Ok(None)
            }
        };
        Ok(Attached {
            stdin: take(streams.stdin)?,
            stdout: take(streams.stdout)?,
            stderr: take(streams.stderr)?,
        })
    }
}

fn done((): ()) -> Option<Response> {
    Some(Response::Done)
}
