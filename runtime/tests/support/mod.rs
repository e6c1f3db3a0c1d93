//! A runtime of a test's own: the real process in a network namespace, with its own directories, names and cgroup, and what
//! is needed to see from outside what it did.

#![allow(dead_code, reason = "each test file uses what it needs")]

pub(crate) mod archive;

use std::fs;
use std::future::Future;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use minik_api::cri::image_service_client::ImageServiceClient;
use minik_api::cri::runtime_service_client::RuntimeServiceClient;
use minik_api::cri::*;
use minik_api::images::ImportChunk;
use minik_api::images::images_client::ImagesClient;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// Longest wait for anything. A test that needs more has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const IMAGE: &str = "docker.io/library/busybox:test";

static NODES: AtomicU32 = AtomicU32::new(0);

/// Runs a test in a thread with a network namespace of its own.
pub(crate) fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root: run them with sudo");
        let control = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
        minik_runtime::sys::interface::bring_up(control.as_fd(), "lo").expect("set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a tokio runtime");
        runtime.block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) struct Node {
    directory: tempfile::TempDir,
    name: String,
    process: Option<Child>,
    pub(crate) runtime: RuntimeServiceClient<Channel>,
    pub(crate) images: ImageServiceClient<Channel>,
}

impl Node {
    /// Starts a runtime with the busybox image in it.
    pub(crate) async fn start() -> Node {
        let directory = tempfile::tempdir().expect("a directory");
        let name = format!("t{}-{}", std::process::id(), NODES.fetch_add(1, Ordering::Relaxed));
        let channel = channel(directory.path());
        let (runtime, images) = (
            RuntimeServiceClient::new(channel.clone()),
            ImageServiceClient::new(channel.clone()),
        );
        let mut node = Node {
            directory,
            name,
            process: None,
            runtime,
            images,
        };
        node.serve();
        node.import(archive::busybox(IMAGE)).await;
        node
    }

    /// Brings an image in.
    pub(crate) async fn import(&self, archive: Vec<u8>) {
        let chunks: Vec<ImportChunk> = archive
            .chunks(1 << 20)
            .map(|data| ImportChunk {
                data: data.to_vec(),
                ..ImportChunk::default()
            })
            .collect();
        let mut client = ImagesClient::new(channel(self.directory.path()));
        let import = client.import(tokio_stream::iter(chunks)).await;
        let mut progress = import.expect("import the image").into_inner();
        while progress.message().await.expect("import the image").is_some() {}
    }

    /// Starts the process, and returns when it serves.
    pub(crate) fn serve(&mut self) {
        let notify = self.path("notify");
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("a socket to be told on");
        ready.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut command = self.command("runtime");
        let process = command
            .env("NOTIFY_SOCKET", &notify)
            .spawn()
            .expect("start the runtime");
        self.process = Some(process);
        let mut text = [0; 64];
        let length = ready.recv(&mut text).expect("the runtime says that it is ready");
        assert_eq!(&text[..length], b"READY=1");
        let channel = channel(self.directory.path());
        (self.runtime, self.images) = (
            RuntimeServiceClient::new(channel.clone()),
            ImageServiceClient::new(channel),
        );
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("the runtime runs");
        process.kill().expect("kill the runtime");
        process.wait().expect("wait for the runtime");
    }

    /// Ends the process as a user would.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().expect("the runtime runs");
        kill(pid(&process), Signal::SIGTERM).expect("stop the runtime");
        assert!(process.wait().expect("wait for the runtime").success());
    }

    /// Removes all that the instance left on the node; nothing of it may remain.
    pub(crate) fn undo(mut self) {
        if self.process.is_some() {
            self.stop();
        }
        assert!(self.command("undo").status().expect("run undo").success());
        self.assert_nothing_left();
    }

    /// No interface, route, mount, cgroup or process of this instance.
    pub(crate) fn assert_nothing_left(&self) {
        self.assert_no_pods_left();
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new(), "cgroups");
        assert_eq!(routes().lines().count(), 1, "routes: {}", routes());
        assert!(!self.path("state").exists(), "the state directory is gone");
    }

    /// The same for what pods need; what the instance shares may be there.
    pub(crate) fn assert_no_pods_left(&self) {
        assert_eq!(interfaces(), ["lo"], "interfaces");
        let directory = self.directory.path().to_str().expect("a path in UTF-8");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let ours: Vec<&str> = mounts.lines().filter(|line| line.contains(directory)).collect();
        assert_eq!(ours, Vec::<&str>::new(), "mounts");
        let pods = self
            .cgroups()
            .iter()
            .flat_map(|cgroup| directories(cgroup))
            .collect::<Vec<_>>();
        assert_eq!(pods, Vec::<PathBuf>::new(), "cgroups of pods");
        assert_eq!(
            processes(&format!("{directory}/state/sandboxes")),
            Vec::<u32>::new(),
            "shims"
        );
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Of its socket and all that it keeps.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("the runtime runs").id()
    }

    /// The instance's cgroup, in each hierarchy.
    fn cgroups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = std::iter::once(root.to_owned()).chain(directories(root));
        hierarchies
            .map(|hierarchy| hierarchy.join(&self.name))
            .filter(|path| path.exists())
            .collect()
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(executable());
        command.arg(what).stdin(Stdio::null());
        for (option, value) in [("--root", "root"), ("--state", "state"), ("--listen", "cri.sock")] {
            command.arg(option).arg(self.path(value));
        }
        command.args(["--instance", &self.name, "--cgroup-parent", &format!("/{}", self.name)]);
        command
    }

    /// A sandbox config with its own name and log directory.
    pub(crate) fn pod(&self, name: &str) -> PodSandboxConfig {
        let logs = self.path("logs").join(name);
        fs::create_dir_all(&logs).expect("the log directory");
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.to_owned(),
                uid: format!("uid-{name}"),
                namespace: "default".to_owned(),
                attempt: 0,
            }),
            log_directory: logs.display().to_string(),
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(own_namespaces()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    pub(crate) async fn run_pod(&mut self, config: &PodSandboxConfig) -> String {
        self.try_run_pod(config, "").await.expect("RunPodSandbox")
    }

    /// With a runtime handler.
    pub(crate) async fn try_run_pod(
        &mut self,
        config: &PodSandboxConfig,
        handler: &str,
    ) -> Result<String, tonic::Status> {
        let request = RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler: handler.to_owned(),
        };
        let ran = self.runtime.run_pod_sandbox(request).await;
        ran.map(|answer| answer.into_inner().pod_sandbox_id)
    }

    pub(crate) async fn pod_address(&mut self, id: &str) -> String {
        let request = PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: false,
        };
        let status = self
            .runtime
            .pod_sandbox_status(request)
            .await
            .expect("PodSandboxStatus")
            .into_inner();
        status.status.expect("a status").network.expect("a network").ip
    }

    pub(crate) async fn create(&mut self, sandbox: &str, pod: &PodSandboxConfig, config: ContainerConfig) -> String {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(pod.clone()),
        };
        self.runtime
            .create_container(request)
            .await
            .expect("CreateContainer")
            .into_inner()
            .container_id
    }

    pub(crate) async fn start_container(&mut self, id: &str) {
        let request = StartContainerRequest {
            container_id: id.to_owned(),
        };
        self.runtime.start_container(request).await.expect("StartContainer");
    }

    pub(crate) async fn status(&mut self, id: &str) -> ContainerStatus {
        let request = ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: false,
        };
        let response = self.runtime.container_status(request).await.expect("ContainerStatus");
        response.into_inner().status.expect("a status")
    }

    pub(crate) async fn exec(&mut self, id: &str, command: &[&str]) -> ExecSyncResponse {
        let cmd = command.iter().map(|word| (*word).to_owned()).collect();
        let request = ExecSyncRequest {
            container_id: id.to_owned(),
            cmd,
            timeout: 10,
        };
        self.runtime.exec_sync(request).await.expect("ExecSync").into_inner()
    }

    /// Waits for events until the container has ended.
    pub(crate) async fn wait_for_end(&mut self, id: &str) -> ContainerStatus {
        let mut events = self
            .runtime
            .get_container_events(GetEventsRequest {})
            .await
            .expect("events")
            .into_inner();
        // It may have ended before the watch began.
        while self.status(id).await.state() != ContainerState::ContainerExited {
            let event = tokio::time::timeout(PATIENCE, events.message())
                .await
                .expect("an event in time");
            event.expect("events go on").expect("events don't end");
        }
        self.status(id).await
    }

    pub(crate) async fn remove_pod(&mut self, id: &str) {
        let pod_sandbox_id = id.to_owned();
        self.runtime
            .stop_pod_sandbox(StopPodSandboxRequest {
                pod_sandbox_id: pod_sandbox_id.clone(),
            })
            .await
            .expect("stop");
        self.runtime
            .remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id })
            .await
            .expect("remove");
    }
}

impl Drop for Node {
    /// A failed test leaves nothing either.
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
            let _ = self.command("undo").status();
        }
    }
}

/// A container of the busybox image that runs a shell script.
pub(crate) fn shell(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: name.to_owned(),
            attempt: 0,
        }),
        image: Some(ImageSpec {
            image: IMAGE.to_owned(),
            ..Default::default()
        }),
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        log_path: format!("{name}.log"),
        linux: Some(LinuxContainerConfig {
            security_context: Some(LinuxContainerSecurityContext {
                namespace_options: Some(own_namespaces()),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// As the kubelet asks for a plain pod: each container has processes of its own, the rest is the pod's.
fn own_namespaces() -> NamespaceOption {
    NamespaceOption {
        pid: NamespaceMode::Container.into(),
        ..Default::default()
    }
}

fn pid(process: &Child) -> Pid {
    Pid::from_raw(process.id().try_into().expect("a pid"))
}

/// The example is built by `cargo test` along with the tests.
fn executable() -> PathBuf {
    let test = std::env::current_exe().expect("this test's path");
    let target = test
        .parent()
        .and_then(Path::parent)
        .expect("target/<profile>/deps/<test>");
    let path = target.join("examples/runtime");
    assert!(
        path.exists(),
        "{} is missing: cargo build -p minik-runtime --example runtime",
        path.display()
    );
    path
}

pub(crate) fn channel(directory: &Path) -> Channel {
    let path = directory.join("cri.sock");
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
}

fn routes() -> String {
    fs::read_to_string("/proc/thread-self/net/route").expect("routes")
}

fn interfaces() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").expect("interfaces");
    let names = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned());
    names.collect()
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Processes whose command line names something.
fn processes(word: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").expect("processes").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.filter(|pid| String::from_utf8_lossy(&names(pid)).contains(word))
        .collect()
}
