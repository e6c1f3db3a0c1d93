//! A task's life: a shim of its own with a namespace for each kind, the process, its end, and all given back.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::sys::signal::Signal;
use oci_spec::runtime::Spec;
use serde_json::json;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::record::{CtrRecord, Task};
use super::spec;
use crate::cgroup::CgroupPath;
use crate::cri::{Answer, shim_failed, with_code};
use crate::daemon::Daemon;
use crate::sandbox;
use crate::shim::{Events, Exit, NamespaceSource, PidMode, SandboxSpec, Shim, ShimError, ShimEvent};
use crate::state::{Entry, StateError};

/// A killed process ends at once, unless the kernel holds it in a call that can't be interrupted.
const KILL_PATIENCE: Duration = Duration::from_secs(60);
/// Of a task whose end nobody saw, as containerd has it.
const UNKNOWN_CODE: i32 = 255;

/// Ends of pipes that become a client's, attached before anything is written.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: Option<OwnedFd>,
}

/// A task that has executed its command.
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) shim: Arc<Shim>,
    /// How it ended, for a client that is attached; none when it was let go.
    pub(super) ended: BoxFuture<'static, Option<Exit>>,
}

/// Starts a container's task. Nothing is left of one that couldn't be.
pub(super) async fn start(daemon: &Arc<Daemon>, entry: &Arc<Entry<CtrRecord>>, ends: Option<Ends>) -> Answer<Started> {
    let _turn = entry.operate().await;
    let record = entry.get();
    if record.task.is_some() {
        return Err(Status::already_exists(format!("task {}: already exists", record.name)));
    }
    set(entry, Some(Task::Starting)).map_err(|error| with_code(Code::Unknown)(&error))?;
    let launched = launch(daemon, &record, ends).await;
    let (started, events) = match launched {
        Ok(launched) => launched,
        Err(status) => {
            give_back(daemon, &record).await;
            let _ = set(entry, None);
            return Err(status);
        }
    };
    let running = Task::Running {
        pid: started.pid,
        paused: false,
    };
    // Memory has it in any case; after a restart the shim tells it again.
    if let Err(error) = set(entry, Some(running)) {
        tracing::error!(%error, "record a task's start");
    }
    let body = json!({"container_id": record.name, "pid": started.pid});
    daemon.ctr.events.tell(&record.namespace, "/tasks/create", body.clone());
    daemon.ctr.events.tell(&record.namespace, "/tasks/start", body);
    tokio::spawn(follow(Arc::clone(daemon), Arc::clone(entry), events));
    Ok(started)
}

async fn launch(daemon: &Arc<Daemon>, record: &CtrRecord, ends: Option<Ends>) -> Answer<(Started, Events)> {
    let directory = daemon.sandbox_directory(&record.id);
    let bundle = daemon.bundle(&record.id);
    let with_input = ends.as_ref().is_some_and(|ends| ends.stdin.is_some());
    let config = spec::of_start(&record.spec, with_input);
    sandbox::prepare(&directory, &sandbox_spec(record))
        .and_then(|()| write_bundle(&bundle, &config))
        .map_err(|error| Status::unknown(format!("prepare the task's directory {}: {error}", directory.display())))?;
    let failed = |error: ShimError| shim_failed(&error, "start task", &record.name);
    let shim = Shim::spawn(&daemon.config.executable, &directory)
        .await
        .map_err(failed)?;
    let shim = daemon.add_shim(&record.id, shim);
    let (_, events) = shim.events().await.map_err(failed)?;
    let (started, ended) = match ends {
        Some(ends) => {
            let started = shim.start_attached(&record.id, &bundle, ends.stdin, Some(ends.stdout), ends.stderr);
            let (started, ended) = started.await.map_err(failed)?;
            (started, ended.boxed())
        }
        None => {
            let started = shim.start(&record.id, &bundle).await.map_err(failed)?;
            (started, std::future::ready(None).boxed())
        }
    };
    let started = Started {
        pid: started.pid,
        shim,
        ended,
    };
    Ok((started, events))
}

fn sandbox_spec(record: &CtrRecord) -> SandboxSpec {
    let node = || {
        nix::unistd::gethostname()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    SandboxSpec {
        id: record.id.clone(),
        hostname: if record.hostname.is_empty() {
            node()
        } else {
            record.hostname.clone()
        },
        net: if record.net_host {
            NamespaceSource::Host
        } else {
            NamespaceSource::New
        },
        ipc: NamespaceSource::New,
        uts: NamespaceSource::New,
        pid: PidMode::Container,
        port_mappings: Vec::new(),
        sysctls: Default::default(),
        // The task's own is the container's.
        cgroup_parent: None,
        resources: None,
        users: None,
        log_directory: None,
        oci_runtime: None,
    }
}

fn write_bundle(bundle: &Path, config: &Spec) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(bundle.join("rootfs"))?;
    fs::write(bundle.join("config.json"), serde_json::to_vec_pretty(config)?)
}

/// Follows a task's shim until it is gone.
pub(super) async fn follow(daemon: Arc<Daemon>, entry: Arc<Entry<CtrRecord>>, mut events: Events) {
    loop {
        match events.next().await {
            Some(ShimEvent::Started { .. }) => {}
            Some(ShimEvent::Exited { exit, .. }) => {
                // A start that is under way is told first.
                let _turn = entry.operate().await;
                ended(&daemon, &entry, exit.code);
            }
            Some(ShimEvent::Gone) | None => {
                let _turn = entry.operate().await;
                return gone(&daemon, &entry);
            }
        }
    }
}

/// The shim is gone: on purpose if the task was deleted, else its process died with it.
pub(super) fn gone(daemon: &Daemon, entry: &Entry<CtrRecord>) {
    let id = entry.peek(|record| record.id.clone());
    daemon.drop_shim(&id);
    let exit = Exit::read(&daemon.bundle(&id)).ok().flatten();
    ended(daemon, entry, exit.map_or(UNKNOWN_CODE, |exit| exit.code));
}

/// Records an end and tells of it, unless it is known already.
pub(super) fn ended(daemon: &Daemon, entry: &Entry<CtrRecord>, code: i32) {
    let record = entry.get();
    match entry.update(|record| record.end(code)) {
        Ok(false) => {}
        Ok(true) => {
            let body = json!({"container_id": record.name, "id": record.name, "exit_status": code});
            daemon.ctr.events.tell(&record.namespace, "/tasks/exit", body);
        }
        // Memory has it; after a restart the bundle's exit.json tells it again.
        Err(error) => tracing::error!(%error, "record a task's end"),
    }
}

/// Removes a task that has ended; with `force`, one that runs is killed first. Gives its exit code, 0 where there is none.
pub(super) async fn delete(daemon: &Arc<Daemon>, entry: &Arc<Entry<CtrRecord>>, force: bool) -> Answer<i32> {
    if force {
        kill(daemon, entry).await?;
    }
    let _turn = entry.operate().await;
    let record = entry.get();
    let code = match record.task {
        None => return Ok(0),
        Some(Task::Stopped { code, .. }) => code,
        Some(Task::Starting | Task::Running { .. }) => {
            return Err(Status::failed_precondition(format!(
                "task must be stopped before deletion: running: failed precondition: stop {:?} with `task kill` first",
                record.name
            )));
        }
    };
    give_back(daemon, &record).await;
    set(entry, None).map_err(|error| with_code(Code::Unknown)(&error))?;
    let body = json!({"container_id": record.name, "exit_status": code});
    daemon.ctr.events.tell(&record.namespace, "/tasks/delete", body);
    Ok(code)
}

/// Kills all of a task's processes and waits for its end.
pub(super) async fn kill(daemon: &Daemon, entry: &Entry<CtrRecord>) -> Answer<()> {
    let record = entry.get();
    if !record.is_running() {
        return Ok(());
    }
    if let Some(shim) = daemon.shim(&record.id) {
        // It may end in this moment.
        let _ = shim.kill(&record.id, Signal::SIGKILL as i32, true).await;
        thaw(daemon, &record.cgroup);
    }
    let ended = entry.wait_for(|record| !record.is_running());
    timeout(KILL_PATIENCE, ended).await.map_err(|_| {
        Status::deadline_exceeded(format!(
            "task {:?} doesn't end after SIGKILL: its processes wait in the kernel, for a disk or a network file system",
            record.name
        ))
    })
}

/// A process whose clock is stopped doesn't notice that it is killed.
pub(super) fn thaw(daemon: &Daemon, cgroup: &Path) {
    let thawed = CgroupPath::parse(cgroup).and_then(|path| daemon.cgroups.freeze(&path, false));
    if let Err(error) = thawed {
        tracing::debug!(%error, "let a killed task's processes go on");
    }
}

/// Ends the shim and removes what it and the task had on disk.
pub(super) async fn give_back(daemon: &Arc<Daemon>, record: &CtrRecord) {
    let directory = daemon.sandbox_directory(&record.id);
    let shim = match daemon.drop_shim(&record.id) {
        Some(shim) => Some(shim),
        None => Shim::connect(&directory).await.ok().map(Arc::new),
    };
    if let Some(shim) = shim {
        // It may be gone already; what it holds goes with it either way.
        let _ = shim.shutdown().await;
    }
    daemon.ctr.execs().retain(|(id, _), _| *id != record.id);
    let removed =
        sandbox::remove_directory(&directory).and_then(|()| match fs::remove_dir_all(daemon.bundle(&record.id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
    if let Err(error) = removed {
        tracing::warn!(%error, container = %record.name, "remove a task's directory");
    }
}

fn set(entry: &Entry<CtrRecord>, task: Option<Task>) -> Result<bool, StateError> {
    entry.update(|record| {
        record.task = task;
        true
    })
}
