//! `minikctl up`: from nothing to a node that is Ready, or to "it is up already".
//!
//! It prepares what the programs need (ports, certificates, kubeconfigs), leaves a supervisor behind, and follows it until
//! the node says Ready. Everything is awaited by events: the supervisor's socket and a watch on the node.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::cluster::{Cluster, ClusterError, Readiness, admin_entry, readiness};
use super::doctor;
use super::files::{self, Durability, FileError};
use super::host;
use super::instance::{Instance, RememberError};
use super::invoker::Invoker;
use super::kubeconfig::{self, Entry, KubeconfigError, Target};
use super::pki::{self, Names, PkiError};
use super::ports::{self, Taken};
use super::privilege::{self, NotRoot};
use super::progress::Progress;
use super::supervisor::control::{self, Connection, Message, Phase, Request, Status, What};
use super::supervisor::{self, SupervisorError};

/// A node that isn't Ready by then has a reason that waiting doesn't cure.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// A program that failed this often in a row while the node starts is reported instead of awaited.
const FAILURES_MAX: u32 = 5;

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
    #[error(
        "no container runtime listens on {url}: {source}.\n\
         Start it first, or use ours with `sudo minikctl up --runtime-endpoint minik`"
    )]
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

fn check_host(instance: &Instance, progress: &Progress) -> Result<(), UpError> {
    let began = Instant::now();
    progress.doing("checking this machine");
    let fatal = doctor::fatal_failures(instance);
    if !fatal.is_empty() {
        return Err(UpError::Unfit(doctor::explain(&fatal)));
    }
    check_runtime(instance)?;
    progress.done("machine checked", began.elapsed());
    Ok(())
}

/// Another container runtime has to be there before: nobody here starts it.
fn check_runtime(instance: &Instance) -> Result<(), UpError> {
    let Some(url) = &instance.runtime_endpoint else {
        return Ok(());
    };
    let connected = std::os::unix::net::UnixStream::connect(url.trim_start_matches("unix://"));
    connected.map(drop).map_err(|source| UpError::NoRuntime {
        url: url.clone(),
        source,
    })
}

fn choose_ports(instance: &mut Instance, progress: &Progress) -> Result<(), UpError> {
    let api = ports::choose(instance.api_port, instance.api_port_fixed, &ports::LOOPBACK);
    instance.api_port = api.port.ok_or_else(|| UpError::Port {
        program: "API server",
        taken: api.taken.clone(),
        advice: "Stop that process, or choose another port by --api-port PORT.",
    })?;
    let everywhere = [std::net::Ipv4Addr::UNSPECIFIED.into()];
    let kubelet = ports::choose(instance.kubelet_port, false, &everywhere);
    instance.kubelet_port = kubelet.port.ok_or_else(|| UpError::Port {
        program: "kubelet",
        taken: kubelet.taken.clone(),
        advice: "Stop one of those processes.",
    })?;
    for (taken, port) in api.taken.iter().map(|taken| (taken, instance.api_port)) {
        progress.warn(format_args!("{taken}; the API server listens on {port} instead"));
    }
    for taken in &kubelet.taken {
        progress.warn(format_args!(
            "{taken}; the kubelet listens on {} instead",
            instance.kubelet_port
        ));
    }
    Ok(())
}

/// Writes what the programs are started with.
fn prepare(instance: &Instance, progress: &Progress) -> Result<(), UpError> {
    let began = Instant::now();
    progress.doing("preparing certificates");
    instance.remember()?;
    let names = Names {
        node_name: instance.node_name.clone(),
        node_ip: host::node_ip(),
        service_ip: instance.service_address(),
    };
    let dir = instance.pki_dir();
    let issued = pki::ensure(&dir, &names, Timestamp::now())?;
    write_kubeconfigs(instance)?;
    files::create_dir(&instance.log_dir(), 0o700)?;
    match issued.len() {
        0 => progress.done("certificates are good", began.elapsed()),
        count => progress.done(
            format_args!("{count} certificates issued in {}", dir.display()),
            began.elapsed(),
        ),
    }
    Ok(())
}

/// One kubeconfig a client of the API server, beside the certificates; `admin`'s is for people who debug.
fn write_kubeconfigs(instance: &Instance) -> Result<(), UpError> {
    let dir = instance.pki_dir();
    let missing = || ClusterError::NoCredentials(dir.clone());
    let authority = pki::load(&dir, pki::AUTHORITY)?.ok_or_else(missing)?;
    for user in ["admin", "scheduler", "controllers", "node"] {
        let credential = pki::load(&dir, user)?.ok_or_else(missing)?;
        let text = kubeconfig::standalone(&Entry {
            name: &instance.context,
            server: &instance.server_url(),
            authority: &authority.certificate,
            certificate: &credential.certificate,
            key: &credential.key,
        });
        files::write_if_changed(
            &dir.join(format!("{user}.kubeconfig")),
            text.as_bytes(),
            0o600,
            Durability::Remade,
        )?;
    }
    Ok(())
}

fn merge_kubeconfig(options: &UpOptions, instance: &Instance) -> Result<(Target, kubeconfig::Merged), UpError> {
    let target = Target::find(options.instance.kubeconfig.as_deref())?;
    let merged = admin_entry(instance, |entry| target.merge(entry, options.use_context))??;
    Ok((target, merged))
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

/// Shows what the supervisor reports until all programs are ready and the node says Ready.
async fn follow(instance: &Instance, progress: &Progress) -> Result<(), UpError> {
    let socket = instance.supervisor_socket();
    let control = |source| UpError::Control {
        socket: socket.clone(),
        source,
    };
    let gone = || control(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended"));
    let mut connection = Connection::open(&socket, Request::Follow)
        .await
        .map_err(control)?
        .ok_or_else(gone)?;
    let mut starting = Starting::of(instance);
    let programs = async {
        progress.doing(starting.waiting_for());
        while !starting.complete() {
            let message = connection.next().await.map_err(control)?.ok_or_else(gone)?;
            if let Message::Phase(phase) = message {
                starting.take(&phase, instance, progress)?;
                progress.doing(starting.waiting_for());
            }
        }
        Ok::<(), UpError>(())
    };
    let deadline = tokio::time::sleep(READY_DEADLINE);
    tokio::select! {
        result = async { programs.await?; await_node(instance, progress).await } => result,
        () = deadline => {
            let reason = match Cluster::open(instance).await?.node().await?.as_ref().map(readiness) {
                Some(Readiness::NotReady(reason)) => reason,
                Some(Readiness::Ready) => "it has become Ready only now".to_owned(),
                None => "it has not registered".to_owned(),
            };
            Err(UpError::NotReady { reason, log: instance.log_dir().join("kubelet.log") })
        }
    }
}

async fn await_node(instance: &Instance, progress: &Progress) -> Result<(), UpError> {
    let began = Instant::now();
    progress.doing(format_args!("waiting for node {} to be Ready", instance.node_name));
    let cluster = Cluster::open(instance).await?;
    let heard = |reason: &str| progress.doing(format_args!("node {} is not Ready: {reason}", instance.node_name));
    cluster.node_ready(heard).await?;
    progress.done(format_args!("node {} is Ready", instance.node_name), began.elapsed());
    Ok(())
}

/// Which programs are ready, as far as phases told.
struct Starting {
    programs: Vec<&'static str>,
    ready: Vec<String>,
}

impl Starting {
    fn of(instance: &Instance) -> Self {
        use supervisor::command::Program;
        Self {
            programs: Program::of(instance).map(Program::name).collect(),
            ready: Vec::new(),
        }
    }

    fn complete(&self) -> bool {
        self.missing().next().is_none()
    }

    fn missing(&self) -> impl Iterator<Item = &'static str> {
        let programs = self.programs.iter().copied();
        programs.filter(|name| !self.ready.iter().any(|ready| ready == name))
    }

    fn waiting_for(&self) -> String {
        let missing: Vec<&str> = self.missing().collect();
        format!("starting {}", missing.join(", "))
    }

    fn take(&mut self, phase: &Phase, instance: &Instance, progress: &Progress) -> Result<(), UpError> {
        let program = &phase.program;
        match &phase.what {
            What::Started { .. } | What::Stopped => {}
            What::Ready { took_millis } => {
                self.ready.push(program.clone());
                progress.done(format_args!("{program} started"), Duration::from_millis(*took_millis));
            }
            What::Failed {
                reason,
                failures,
                retry_millis,
            } => {
                self.ready.retain(|ready| ready != program);
                if *failures >= FAILURES_MAX {
                    return Err(UpError::ProgramFails {
                        program: program.clone(),
                        failures: *failures,
                        reason: reason.clone(),
                        log: instance.log_dir().join(format!("{program}.log")),
                    });
                }
                progress.warn(format_args!(
                    "{program} ended ({reason}); it is started again in {retry_millis} ms"
                ));
            }
        }
        Ok(())
    }
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
