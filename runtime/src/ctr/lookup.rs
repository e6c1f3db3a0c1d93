//! From namespace and name to a container: one of ours without a pod, or one that a pod consists of.

use std::path::PathBuf;
use std::sync::Arc;

use minik_api::containers as rpc;
use tonic::Status;

use super::is_cri;
use super::record::{CtrRecord, Task};
use crate::daemon::Daemon;
use crate::images::namespaces::{self, CRI, InvalidNamespace};
use crate::shim::Shim;
use crate::state::{ContainerPhase, ContainerRecord, Entry};

/// What a container without a pod says of itself, as a container of containerd says `io.containerd.runc.v2`.
const RUNTIME: &str = "minik.dev.shim";

/// What joining, signalling and measuring need of a task that runs.
pub(super) struct Running {
    /// The container's id towards its shim.
    pub(super) id: String,
    pub(super) shim: Arc<Shim>,
    pub(super) pid: i32,
    pub(super) cgroup: PathBuf,
    pub(super) stop_signal: i32,
    pub(super) terminal: bool,
}

/// The namespace that a client means: its default where it names none.
pub(super) fn namespace(name: &str) -> Result<&str, Status> {
    match name {
        "" => Ok(CRI),
        name if namespaces::is_identifier(name) => Ok(name),
        name => Err(Status::invalid_argument(InvalidNamespace(name.to_owned()).to_string())),
    }
}

/// A container that was made by hand.
pub(super) fn own(daemon: &Daemon, namespace: &str, name: &str) -> Result<Arc<Entry<CtrRecord>>, Status> {
    find(daemon, namespace, name).ok_or_else(|| not_found(namespace, name))
}

pub(super) fn find(daemon: &Daemon, namespace: &str, name: &str) -> Option<Arc<Entry<CtrRecord>>> {
    let all = daemon.ctr.records.all();
    all.into_iter()
        .find(|entry| entry.peek(|record| record.namespace == namespace && record.name == name))
}

/// containerd's words.
pub(super) fn not_found(namespace: &str, name: &str) -> Status {
    Status::not_found(format!("container {name:?} in namespace {namespace:?}: not found"))
}

/// A task that runs, of either kind.
pub(super) fn running(daemon: &Daemon, namespace: &str, name: &str) -> Result<Running, Status> {
    let (running, sandbox) = if is_cri(namespace) {
        of_pod(daemon, name)?
    } else {
        let record = own(daemon, namespace, name)?.get();
        let Some(Task::Running { pid, .. }) = record.task else {
            return Err(not_running(namespace, name, record.task.is_some()));
        };
        let terminal = record.terminal();
        (
            (record.id.clone(), pid, record.cgroup, record.stop_signal, terminal),
            record.id,
        )
    };
    let shim = daemon
        .shim(&sandbox)
        .ok_or_else(|| not_running(namespace, name, true))?;
    let (id, pid, cgroup, stop_signal, terminal) = running;
    Ok(Running {
        id,
        shim,
        pid,
        cgroup,
        stop_signal,
        terminal,
    })
}

type Facts = (String, i32, PathBuf, i32, bool);

fn of_pod(daemon: &Daemon, name: &str) -> Result<(Facts, String), Status> {
    let entry = daemon.containers.find(name).map_err(|_| not_found(CRI, name))?;
    let record = entry.get();
    let ContainerPhase::Running { pid, .. } = record.phase else {
        return Err(not_running(CRI, name, true));
    };
    let facts = (record.id, pid, record.cgroup, record.stop_signal, record.config.tty);
    Ok((facts, record.sandbox_id))
}

/// containerd's words for a task that isn't there, and for one that has ended.
fn not_running(namespace: &str, name: &str, has_task: bool) -> Status {
    if has_task {
        Status::not_found(format!(
            "task {name:?} in namespace {namespace:?}: process already finished: not found"
        ))
    } else {
        Status::not_found(format!("no running task found: task {name} not found: not found"))
    }
}

/// The containers of a namespace, by name; one of them with its config.json, all without: a message has room for a few
/// hundred.
pub(super) fn list(daemon: &Daemon, namespace: &str, only: &str) -> Vec<rpc::Container> {
    let wanted = |name: &str| only.is_empty() || name == only;
    let mut all: Vec<rpc::Container> = if is_cri(namespace) {
        let pods = daemon.containers.all();
        let listed = |record: &ContainerRecord| wanted(&record.id).then(|| describe_pods(record));
        pods.iter().filter_map(|entry| entry.peek(listed)).collect()
    } else {
        let own = daemon.ctr.records.all();
        let listed =
            |record: &CtrRecord| (record.namespace == namespace && wanted(&record.name)).then(|| describe(record));
        own.iter().filter_map(|entry| entry.peek(listed)).collect()
    };
    match all.as_mut_slice() {
        [one] if is_cri(namespace) && !only.is_empty() => {
            one.spec = std::fs::read(daemon.bundle(&one.id).join("config.json")).unwrap_or_default();
        }
        several if only.is_empty() => several.iter_mut().for_each(|container| container.spec = Vec::new()),
        _ => {}
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

pub(super) fn describe(record: &CtrRecord) -> rpc::Container {
    rpc::Container {
        namespace: record.namespace.clone(),
        id: record.name.clone(),
        image: record.image.clone(),
        labels: record.labels.clone().into_iter().collect(),
        runtime: RUNTIME.to_owned(),
        snapshot_key: record.name.clone(),
        created_at: record.created_at_nanos,
        updated_at: record.updated_at_nanos,
        spec: serde_json::to_vec(&record.spec).expect("a spec has only strings for keys"),
        task: record.task.as_ref().map(task),
    }
}

fn task(task: &Task) -> rpc::Task {
    use rpc::task::Status;
    let (pid, status, code) = match *task {
        Task::Starting => (0, Status::Created, 0),
        Task::Running { pid, paused: false } => (pid, Status::Running, 0),
        Task::Running { pid, paused: true } => (pid, Status::Paused, 0),
        Task::Stopped { pid, code } => (pid, Status::Stopped, code),
    };
    rpc::Task {
        pid: pid.unsigned_abs(),
        status: status.into(),
        exit_code: code.unsigned_abs(),
    }
}

/// A pod's container; one that was never started has no task.
fn describe_pods(record: &ContainerRecord) -> rpc::Container {
    use rpc::task::Status;
    let task = match &record.phase {
        ContainerPhase::Created => None,
        ContainerPhase::Running { pid, .. } => Some((*pid, Status::Running, 0)),
        ContainerPhase::Exited(exit) => Some((0, Status::Stopped, exit.code)),
    };
    rpc::Container {
        namespace: CRI.to_owned(),
        id: record.id.clone(),
        image: record.image_name.clone(),
        labels: record.config.labels.clone(),
        runtime: RUNTIME.to_owned(),
        snapshot_key: record.id.clone(),
        created_at: record.created_at_nanos,
        updated_at: record.created_at_nanos,
        spec: Vec::new(),
        task: task.map(|(pid, status, code)| rpc::Task {
            pid: pid.unsigned_abs(),
            status: status.into(),
            exit_code: code.unsigned_abs(),
        }),
    }
}
