//! `minikctl up`: from nothing to a node that is Ready, or to "it is up already".
//!
//! It prepares what the programs need (ports, certificates, kubeconfigs), leaves a supervisor behind, and follows it until
//! the node says Ready: `prepare`, `follow`. Everything is awaited by events: the supervisor's socket and a watch on the node.

mod follow;
mod prepare;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::cluster::ClusterError;
use super::files::FileError;
use super::instance::{Instance, RememberError};
use super::invoker::Invoker;
use super::kubeconfig::KubeconfigError;
use super::pki::PkiError;
use super::ports::Taken;
use super::privilege::{self, NotRoot};
use super::progress::Progress;
use super::supervisor::control::{self, Connection, Request, Status};
use super::supervisor::{self, SupervisorError};
use follow::follow;
use prepare::{check_host, choose_ports, merge_kubeconfig, prepare};

/// A node that isn't Ready by then has a reason that waiting doesn't cure.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// What `up` is asked for.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Which node.
    pub instance: Instance,
    /// Make its context the current one even if there is another.
    pub use_context: bool,
    /// Stay, and be the supervisor.
    pub foreground: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// Whether the node ran before.
    pub already: bool,
    /// The kubeconfig that has the context.
    pub kubeconfig: PathBuf,
    /// Whether that context is the current one.
    pub current: bool,
}

/// Why the node is not up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// It needs root.
    #[error(transparent)]
    NotRoot(#[from] NotRoot),
    /// The machine can't run pods.
    #[error("this machine can't run a node:\n{0}")]
    Unfit(String),
    /// No port is left.
    #[error("no port for the {program}: {}.\n{advice}", list(taken))]
    Port {
        /// Whose port.
        program: &'static str,
        /// The ports that were tried.
        taken: Vec<Taken>,
        /// What to do.
        advice: &'static str,
    },
    /// The container runtime that takes the place of ours isn't there.
    #[error("no container runtime listens on {url}: start it first, or say `--runtime-endpoint minik` for ours")]
    NoRuntime {
        /// Its endpoint.
        url: String,
        /// Why not.
        source: io::Error,
    },
    /// The instance can't be remembered.
    #[error(transparent)]
    Remember(#[from] RememberError),
    /// There are no certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file of the node can't be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The user's kubeconfig can't be merged into.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The API server doesn't answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The supervisor can't run.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    /// The supervisor can't be started.
    #[error("cannot start the supervisor")]
    Spawn(#[source] io::Error),
    /// Whoever started this process can't be told.
    #[error("cannot say READY=1 on NOTIFY_SOCKET")]
    Notify(#[source] io::Error),
    /// The supervisor ended at once.
    #[error("the supervisor ended before it served: {words}\nIts log is {}", log.display())]
    SupervisorEnded {
        /// The end of its log.
        words: String,
        /// Its log.
        log: PathBuf,
    },
    /// The supervisor's socket doesn't work.
    #[error("cannot talk to the supervisor on {}", socket.display())]
    Control {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program doesn't get to serve.
    #[error("the {program} failed {failures} times: {reason}\nIts log is {}", log.display())]
    ProgramFails {
        /// Which.
        program: String,
        /// How often in a row.
        failures: u32,
        /// Why, the last time.
        reason: String,
        /// Where it says more.
        log: PathBuf,
    },
    /// Everything runs, but the node doesn't get Ready.
    #[error("the node is not Ready after {} s: {reason}\nThe kubelet's log is {}", READY_DEADLINE.as_secs(), log.display())]
    NotReady {
        /// What it says of itself.
        reason: String,
        /// The kubelet's log.
        log: PathBuf,
    },
}

/// Starts the node and returns when it is Ready; quick when it is already.
///
/// With `foreground` it returns when the node has been stopped.
///
/// # Errors
/// When the node doesn't get Ready; nothing is left running then.
pub async fn up(options: &UpOptions, progress: &Progress) -> Result<Up, UpError> {
    privilege::require_root("up", &options.instance)?;
    let socket = options.instance.supervisor_socket();
    let running = control::status(&socket)
        .await
        .map_err(|source| UpError::Control { socket, source })?;
    if let Some(status) = running {
        return join(options, &status, progress).await;
    }
    supervisor::leftovers_gone(&options.instance).await?;
    let mut instance = options.instance.clone();
    instance.docker_config = Invoker::find().docker_config();
    check_host(&instance, progress)?;
    choose_ports(&mut instance, progress)?;
    prepare(&instance, progress)?;
    if options.foreground {
        let (listening, listens) = tokio::sync::oneshot::channel();
        let supervisor = supervisor::run(instance.clone(), || {
            let _ = listening.send(());
        });
        let follow = async {
            // An error means that the supervisor ended first, which the other branch reports.
            if listens.await.is_ok() {
                let up = finish(options, &instance, progress).await?;
                // systemd waits for this when `up --foreground` is a unit of Type=notify.
                minik_api::notify::ready().map_err(UpError::Notify)?;
                Ok::<_, UpError>(Some(up))
            } else {
                Ok(None)
            }
        };
        let (ended, followed) = tokio::join!(supervisor, follow);
        ended?;
        return Ok(followed?.unwrap_or_else(|| stopped(&instance)));
    }
    spawn_supervisor(&instance).await?;
    finish(options, &instance, progress).await
}

/// The supervisor listens: follows it to Ready, and stops everything again if that fails.
async fn finish(options: &UpOptions, instance: &Instance, progress: &Progress) -> Result<Up, UpError> {
    let result = async {
        let (target, merged) = merge_kubeconfig(options, instance)?;
        follow(instance, progress).await?;
        progress.finish();
        Ok(Up {
            already: false,
            kubeconfig: target.path,
            current: merged.current,
        })
    };
    let result = result.await;
    if result.is_err() {
        stop(instance).await;
    }
    result
}

/// A node that runs already: its programs may still be starting, and the kubeconfig may be another user's.
async fn join(options: &UpOptions, status: &Status, progress: &Progress) -> Result<Up, UpError> {
    // Ports were chosen when it started; what else was asked for has to wait for a restart.
    let instance = &status.instance;
    if differs(instance, &options.instance) {
        progress.warn(format_args!(
            "the node runs with other options than these; `sudo minikctl down{}` first to change them",
            instance.flag()
        ));
    }
    if is_other_executable(status.pid) {
        progress.warn(format_args!(
            "the node runs another build of minikctl; `sudo minikctl down{0}`, then `up` to change to this one",
            instance.flag()
        ));
    }
    let (target, merged) = merge_kubeconfig(options, instance)?;
    let quiet = Progress::quiet();
    let settled = status.programs.iter().all(|program| program.state == "ready");
    follow(instance, if settled { &quiet } else { progress }).await?;
    progress.finish();
    Ok(Up {
        already: true,
        kubeconfig: target.path,
        current: merged.current,
    })
}

fn differs(running: &Instance, wanted: &Instance) -> bool {
    let comparable = |instance: &Instance| Instance {
        api_port: if wanted.api_port_fixed { instance.api_port } else { 0 },
        api_port_fixed: false,
        kubelet_port: 0,
        kubeconfig: None,
        docker_config: None,
        ..instance.clone()
    };
    comparable(running) != comparable(wanted)
}

fn is_other_executable(pid: u32) -> bool {
    let identity = |path: &str| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let (theirs, ours) = (identity(&format!("/proc/{pid}/exe")), identity("/proc/self/exe"));
    theirs.is_some() && theirs != ours
}

/// Starts the supervisor as a process that outlives this one, and waits until its socket accepts.
async fn spawn_supervisor(instance: &Instance) -> Result<(), UpError> {
    let log = instance.log_dir().join("supervisor.log");
    let stderr = supervisor::open_log(&log).map_err(UpError::Spawn)?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("minikctl")
        .args(["supervisor", "--instance", &instance.name, "--data-dir"])
        .arg(&instance.data_dir)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(UpError::Spawn)?;
    let stdout = child.stdout.take().expect("it was asked for");
    let said = BufReader::new(stdout)
        .lines()
        .next_line()
        .await
        .map_err(UpError::Spawn)?;
    if said.is_none() {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let words = text
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("it said nothing")
            .to_owned();
        return Err(UpError::SupervisorEnded { words, log });
    }
    Ok(())
}

/// Ends what was started; errors are no news to somebody who is told about a failure already.
async fn stop(instance: &Instance) {
    if let Ok(Some(mut connection)) = Connection::open(&instance.supervisor_socket(), Request::Stop).await {
        while let Ok(Some(_)) = connection.next().await {}
    }
}

fn stopped(instance: &Instance) -> Up {
    Up {
        already: false,
        kubeconfig: instance.kubeconfig.clone().unwrap_or_default(),
        current: false,
    }
}

fn list(taken: &[Taken]) -> String {
    let texts: Vec<String> = taken.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
