//! Containers that an OCI runtime of others launches (see [`OciRuntime`]), in place of [`crate::launch`].
//!
//! ```text
//!   Start ── create ──> start ──> running ──(reaped)──> delete ──> ended
//!               │          │
//!               └──────────┴──(fails)──> delete ──> forgotten, its starter told why
//!   Exec ─── exec ──> running ──(reaped)──> its starter told how
//! ```
//!
//! All else stays the shim's: namespaces, pipes and terminals, logs, and the end of processes. A runtime's commands end as
//! soon as the process is there; that then becomes this process's child, which is the subreaper (prctl(2)).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use nix::unistd::Pid;
use oci_spec::runtime::Process;

use super::Exit;
use super::containers::{Bundle, Container, Key, Phase};
use super::exit::now_nanos;
use super::invocation::{Call, Files, Invocation, Step};
use super::oci_runtime::{OciRuntime, Paths, Verb};
use super::poller::Token;
use super::protocol::{Fault, FaultKind, Response, ShimEvent};
use super::server::{Server, Source, Who};
use crate::launch::{Stdio, rootfs_mount};
use crate::sys::pidfd;

/// What the shim knows of the runtime and its commands.
#[derive(Debug)]
pub(super) struct Foreign {
    runtime: OciRuntime,
    /// The v2 hierarchy of a hybrid host, when this runtime must not see it.
    hidden: Option<PathBuf>,
    commands: HashMap<Pid, Invocation>,
    /// Processes that ended before the command that started them, which tells who they are.
    unclaimed: HashMap<Pid, Exit>,
    next: u32,
}

impl Foreign {
    pub(super) fn new(runtime: OciRuntime, hybrid: Option<&Path>) -> Self {
        Self {
            hidden: hybrid.filter(|_| runtime.is_crun()).map(Path::to_owned),
            runtime,
            commands: HashMap::new(),
            unclaimed: HashMap::new(),
            next: 0,
        }
    }

    /// Whether commands are under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.commands.is_empty()
    }

    fn files(&mut self, directory: &Path) -> Files {
        self.next += 1;
        Files(Paths(directory.join(self.next.to_string())))
    }

    fn call(&mut self, files: Files, verb: Verb<'_>, id: &str, stdio: Stdio, step: Step) -> Result<Pid, Fault> {
        let call = Call {
            runtime: &self.runtime,
            verb,
            container_id: id,
            files,
            stdio,
            hidden: self.hidden.clone(),
        };
        let (pid, invocation) = call.start(step)?;
        self.commands.insert(pid, invocation);
        Ok(pid)
    }
}

impl Server {
    /// Starts a command without streams.
    fn call(&mut self, verb: Verb<'_>, id: &str, step: Step) -> Result<Pid, Fault> {
        let foreign = self.foreign.as_mut().expect("only a runtime's containers come here");
        let files = foreign.files(&self.directory);
        foreign.call(files, verb, id, Stdio::default(), step)
    }

    pub(super) fn create_by_runtime(
        &mut self,
        from: Token,
        id: String,
        path: &Path,
        bundle: &Bundle,
    ) -> Result<(), Fault> {
        rootfs_mount::mount(&bundle.spec, path).map_err(Fault::system)?;
        let created = self.begin_create(from, id, path, bundle);
        created.inspect_err(|_| rootfs_mount::unmount(path))
    }

    fn begin_create(&mut self, from: Token, id: String, path: &Path, bundle: &Bundle) -> Result<(), Fault> {
        let (streams, tokens, stdio) = self.open_streams(bundle)?;
        let key = self.next_key;
        self.next_key += 1;
        let verb = Verb::Create {
            bundle: path,
            console: bundle.terminal(),
        };
        let foreign = self.foreign.as_mut().expect("only a runtime's containers come here");
        let files = foreign.files(&self.directory);
        let step = Step::Create { key, waiter: from };
        let pid = foreign.call(files, verb, &id, stdio, step)?;
        let container = Container {
            id,
            bundle: path.to_owned(),
            // Until it is created, the command stands for it: who kills a container that starts kills this.
            pid,
            pidfd: pidfd::open(pid).map_err(Fault::system)?,
            cgroup: bundle.cgroup.clone(),
            seccomp: None,
            namespaces: CloneFlags::empty(),
            pid_namespace: false,
            users: None,
            terminal: None,
            streams,
            phase: Phase::Launching,
        };
        self.containers.insert(key, container);
        self.sources
            .extend(tokens.into_iter().map(|token| (token, Source::Streams(key))));
        Ok(())
    }

    pub(super) fn exec_by_runtime(
        &mut self,
        key: Key,
        exec_id: String,
        process: &Process,
        stdio: Stdio,
        waiter: Token,
    ) -> Result<(), Fault> {
        let id = self.containers.get(&key).map(|container| container.id.clone());
        let id = id.expect("the caller has found it");
        let foreign = self.foreign.as_mut().expect("only a runtime's containers come here");
        let files = foreign.files(&self.directory);
        let text = serde_json::to_vec(process).map_err(Fault::system)?;
        std::fs::write(files.0.process(), text).map_err(Fault::system)?;
        let verb = Verb::Exec {
            console: process.terminal().unwrap_or(false),
        };
        let step = Step::Exec { key, exec_id, waiter };
        foreign.call(files, verb, &id, stdio, step).map(drop)
    }

    pub(super) fn kill_by_runtime(&mut self, id: &str, signal: i32, waiter: Token) -> Result<(), Fault> {
        self.call(Verb::Kill { signal }, id, Step::Kill { waiter }).map(drop)
    }

    /// Takes the end of a command, and that of a container or of a process that no command has told of yet. False when it
    /// is nobody's here.
    pub(super) fn reaped_by_runtime(&mut self, pid: Pid, exit: Exit) -> bool {
        let Some(foreign) = &mut self.foreign else {
            return false;
        };
        if let Some(invocation) = foreign.commands.remove(&pid) {
            self.command_ended(invocation, exit);
            if let Some(foreign) = self.foreign.as_mut().filter(|foreign| !foreign.is_busy()) {
                foreign.unclaimed.clear();
            }
            return true;
        }
        let busy = foreign.is_busy();
        match self.processes.get(&pid) {
            Some(Who::Container(key)) if self.is_running(*key) => {
                let key = *key;
                self.processes.remove(&pid);
                self.delete(key, exit);
            }
            Some(Who::Container(_)) | None if busy => {
                let foreign = self.foreign.as_mut().expect("it was there a moment ago");
                foreign.unclaimed.insert(pid, exit);
            }
            Some(Who::Exec { .. } | Who::Pause | Who::Container(_)) | None => return false,
        }
        true
    }

    fn is_running(&self, key: Key) -> bool {
        let container = self.containers.get(&key);
        container.is_some_and(|container| matches!(container.phase, Phase::Running(_)))
    }

    fn command_ended(&mut self, mut invocation: Invocation, exit: Exit) {
        let outcome = invocation.outcome(&exit);
        // The next step is taken out; what is left tells about the command.
        let step = std::mem::replace(&mut invocation.step, Step::Kill { waiter: 0 });
        match step {
            Step::Create { key, waiter } => {
                let created = outcome.and_then(|()| self.created(key, waiter, &invocation));
                created.unwrap_or_else(|fault| self.discard(key, waiter, fault));
            }
            Step::Start { key, waiter } => match outcome {
                Ok(()) => self.started(key, waiter),
                Err(fault) => self.discard(key, waiter, fault),
            },
            Step::Exec { key, exec_id, waiter } => {
                let executed = outcome.and_then(|()| self.executed(key, exec_id, waiter, &invocation));
                if let Err(fault) = executed {
                    self.answer(waiter, &Response::Fault(fault), None);
                }
            }
            Step::Kill { waiter } => {
                let response = outcome.map_or_else(Response::Fault, |()| Response::Done);
                self.answer(waiter, &response, None);
            }
            Step::Delete { key, exit } => {
                if let Err(fault) = outcome {
                    eprintln!("shim: {fault}");
                }
                self.deleted(key, exit);
            }
            Step::Discard { key, waiter, fault } => {
                if let Err(fault) = outcome {
                    eprintln!("shim: {fault}");
                }
                self.discarded(key, waiter, fault);
            }
        }
    }

    /// The container's process waits for `start`.
    fn created(&mut self, key: Key, waiter: Token, invocation: &Invocation) -> Result<(), Fault> {
        let pid = invocation.process()?;
        if self.stopping.is_some() {
            return Err(Fault::new(
                FaultKind::FailedPrecondition,
                "the sandbox is being stopped",
            ));
        }
        let pidfd = pidfd::open(pid).map_err(|errno| invocation.fault(&format!("its process {pid}: {errno}")))?;
        let master = invocation.terminal()?;
        let container = self.containers.get_mut(&key).expect("it stays until its start ends");
        (container.pid, container.pidfd) = (pid, pidfd);
        let id = container.id.clone();
        self.processes.insert(pid, Who::Container(key));
        if let Some(master) = master {
            self.adopt_terminal(key, master).map_err(Fault::system)?;
        }
        self.call(Verb::Start, &id, Step::Start { key, waiter }).map(drop)
    }

    fn started(&mut self, key: Key, waiter: Token) {
        let started_at_nanos = now_nanos();
        let container = self.containers.get_mut(&key).expect("it stays until its start ends");
        container.phase = Phase::Running(started_at_nanos);
        let (pid, container_id) = (container.pid, container.id.clone());
        let response = Response::Started {
            pid: pid.as_raw(),
            started_at_nanos,
            notes: Vec::new(),
        };
        self.answer(waiter, &response, None);
        let pid_number = pid.as_raw();
        self.tell(&ShimEvent::Started {
            container_id,
            pid: pid_number,
        });
        if let Some(exit) = self.claim(pid) {
            self.processes.remove(&pid);
            self.delete(key, exit);
        }
    }

    fn executed(&mut self, key: Key, id: String, waiter: Token, invocation: &Invocation) -> Result<(), Fault> {
        let pid = invocation.process()?;
        let master = invocation.terminal()?;
        let response = Response::Started {
            pid: pid.as_raw(),
            started_at_nanos: now_nanos(),
            notes: Vec::new(),
        };
        self.answer(waiter, &response, master);
        match self.claim(pid) {
            Some(exit) => self.answer(waiter, &Response::Exited(exit), None),
            None => {
                let who = Who::Exec {
                    container: key,
                    id,
                    connection: waiter,
                };
                self.processes.insert(pid, who);
            }
        }
        Ok(())
    }

    fn claim(&mut self, pid: Pid) -> Option<Exit> {
        self.foreign.as_mut()?.unclaimed.remove(&pid)
    }

    /// The container has ended; the runtime forgets it before anybody is told, so that its bundle can be removed then.
    fn delete(&mut self, key: Key, mut exit: Exit) {
        let Some(container) = self.containers.get(&key) else {
            return;
        };
        // The runtime takes the cgroup away, and its figures with it.
        let cgroup = container.cgroup.as_ref();
        exit.oom_killed = cgroup.is_some_and(|path| self.cgroups.oom_kills(path) > 0);
        let id = container.id.clone();
        if let Err(fault) = self.call(Verb::Delete, &id, Step::Delete { key, exit }) {
            eprintln!("shim: {fault}");
            self.deleted(key, exit);
        }
    }

    fn deleted(&mut self, key: Key, exit: Exit) {
        if let Some(container) = self.containers.get(&key) {
            rootfs_mount::unmount(&container.bundle);
        }
        self.container_ended(key, exit);
    }

    /// Takes back what a start that failed has left.
    fn discard(&mut self, key: Key, waiter: Token, fault: Fault) {
        self.processes
            .retain(|_, who| !matches!(who, Who::Container(of) if *of == key));
        let id = self.containers.get(&key).map(|container| container.id.clone());
        let step = Step::Discard {
            key,
            waiter,
            fault: fault.clone(),
        };
        match self.call(Verb::Delete, &id.unwrap_or_default(), step) {
            Ok(_) => {}
            Err(deleting) => {
                eprintln!("shim: {deleting}");
                self.discarded(key, waiter, fault);
            }
        }
    }

    fn discarded(&mut self, key: Key, waiter: Token, fault: Fault) {
        if let Some(container) = self.containers.get(&key) {
            rootfs_mount::unmount(&container.bundle);
        }
        self.forget_launch(key);
        eprintln!("shim: {fault}");
        self.answer(waiter, &Response::Fault(fault), None);
    }

    /// Whether this signal goes through the runtime: SIGKILL to all is the kernel's own business.
    pub(super) fn signals_by_runtime(&self, container: &Container) -> bool {
        self.foreign.is_some() && matches!(container.phase, Phase::Running(_))
    }
}
