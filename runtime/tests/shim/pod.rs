//! A pod for a test: its directories, its shim, containers of a busybox root. Dropped, nothing of it is left.

use std::future::Future;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use minik_runtime::shim::{Events, Exit, NamespaceSource, OciRuntime, PidMode, SandboxSpec, Shim, ShimEvent, Started};
use oci_spec::runtime::Spec;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 25] = [
    "sh", "cat", "echo", "sleep", "ls", "id", "hostname", "ps", "mount", "stty", "tr", "head", "dd", "false", "nc",
    "env", "pwd", "touch", "mknod", "true", "readlink", "kill", "stat", "yes", "grep",
];

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Who launches the containers of the tests that run now; the shim itself unless an OCI runtime is named.
static LAUNCHER: Mutex<Option<&'static str>> = Mutex::new(None);

pub(crate) fn launch_with(oci_runtime: Option<&'static str>) {
    *LAUNCHER.lock().unwrap() = oci_runtime;
}

pub(crate) fn launcher() -> Option<&'static str> {
    *LAUNCHER.lock().unwrap()
}

fn oci_runtime(root: &Path) -> Option<OciRuntime> {
    let name = launcher()?;
    if name == "minirunc" {
        // This program is that one, too, under a link of this name.
        let program = root.with_file_name(name);
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &program).unwrap();
        return Some(OciRuntime {
            program,
            args: Vec::new(),
            root: root.to_owned(),
        });
    }
    let program = ["/usr/bin", "/usr/sbin"].map(|directory| Path::new(directory).join(name));
    let program = program.into_iter().find(|path| path.exists());
    Some(OciRuntime {
        program: program.unwrap_or_else(|| panic!("these tests need {name}: apt-get install {name}")),
        args: Vec::new(),
        root: root.to_owned(),
    })
}

/// Before any thread is started: the tests' ports and addresses are nobody else's.
pub(crate) fn enter_own_network() {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
    minik_runtime::sys::interface::bring_up(socket.as_fd(), "lo").expect("loopback");
}

pub(crate) struct Pod {
    pub(crate) runtime: Runtime,
    pub(crate) shim: Shim,
    pub(crate) events: Events,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) cgroup: String,
}

impl Pod {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut SandboxSpec)) -> Self {
        Self::try_with(change).unwrap_or_else(|error| panic!("the shim comes up: {error}"))
    }

    pub(crate) fn try_with(change: impl FnOnce(&mut SandboxSpec)) -> Result<Self, minik_runtime::shim::ShimError> {
        assert!(
            Path::new(BUSYBOX).exists(),
            "these tests need {BUSYBOX}: apt-get install busybox-static"
        );
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/minik-shim-test-{}/pod{number}", std::process::id());
        let directory = tempfile::tempdir().unwrap();
        make_layer(&directory.path().join("layer"));
        let mut spec = SandboxSpec {
            id: format!("sandbox{number}"),
            hostname: "pod-of-test".to_owned(),
            net: NamespaceSource::New,
            ipc: NamespaceSource::New,
            uts: NamespaceSource::New,
            pid: PidMode::Container,
            port_mappings: Vec::new(),
            sysctls: [("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned())].into(),
            cgroup_parent: Some(cgroup.clone().into()),
            resources: None,
            users: None,
            log_directory: None,
            oci_runtime: oci_runtime(&directory.path().join("oci")),
        };
        change(&mut spec);
        let sandbox = directory.path().join("sandbox");
        std::fs::create_dir(&sandbox).unwrap();
        std::fs::write(sandbox.join("sandbox.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let executable = std::env::current_exe().unwrap();
        let limit = Duration::from_secs(20);
        let (shim, events) = runtime.block_on(async {
            let shim = tokio::time::timeout(limit, Shim::spawn(&executable, &sandbox))
                .await
                .expect("in time")?;
            let (_, events) = shim.events().await?;
            Ok::<_, minik_runtime::shim::ShimError>((shim, events))
        })?;
        Ok(Self {
            runtime,
            shim,
            events,
            directory,
            cgroup,
        })
    }

    /// Waits for a future, and not for ever.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let limit = Duration::from_secs(20);
        self.runtime
            .block_on(async { tokio::time::timeout(limit, future).await.expect("in time") })
    }

    pub(crate) fn sandbox(&self) -> PathBuf {
        self.directory.path().join("sandbox")
    }

    pub(crate) fn bundle(&self, id: &str) -> PathBuf {
        self.directory.path().join(id)
    }

    pub(crate) fn log(&self, id: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.bundle(id).join("0.log")).unwrap();
        text.lines()
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect()
    }

    /// What the container has printed on stdout.
    pub(crate) fn stdout(&self, id: &str) -> String {
        let lines = self.log(id);
        lines
            .iter()
            .filter_map(|line| line.strip_prefix("stdout F "))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Writes a bundle whose config.json `change` may alter.
    pub(crate) fn prepare(&self, id: &str, command: &[&str], change: impl FnOnce(&mut Value)) -> PathBuf {
        let bundle = self.bundle(id);
        for part in ["rootfs", "upper", "work"] {
            std::fs::create_dir_all(bundle.join(part)).unwrap();
        }
        let mut config = config(self, id, command, &bundle);
        change(&mut config);
        let _: Spec = serde_json::from_value(config.clone()).expect("a valid config.json");
        std::fs::write(bundle.join("config.json"), serde_json::to_vec_pretty(&config).unwrap()).unwrap();
        bundle
    }

    pub(crate) fn try_start(
        &self,
        id: &str,
        command: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> Result<Started, minik_runtime::shim::ShimError> {
        let bundle = self.prepare(id, command, change);
        self.wait(self.shim.start(id, &bundle))
    }

    pub(crate) fn start(&self, id: &str, command: &[&str], change: impl FnOnce(&mut Value)) -> Started {
        self.try_start(id, command, change)
            .unwrap_or_else(|error| panic!("{id} starts: {error}"))
    }

    /// Waits for the end of a container.
    pub(crate) fn ended(&mut self, id: &str) -> Exit {
        let events = &mut self.events;
        let limit = Duration::from_secs(20);
        let next = async {
            loop {
                match events.next().await {
                    Some(ShimEvent::Exited { container_id, exit }) if container_id == id => return exit,
                    Some(ShimEvent::Gone) | None => panic!("the shim has ended: {:?}", self.directory),
                    Some(_) => {}
                }
            }
        };
        self.runtime
            .block_on(async { tokio::time::timeout(limit, next).await.expect("it ends in time") })
    }

    /// Runs a shell script to its end; returns its exit and what it has printed on stdout.
    pub(crate) fn run(&mut self, id: &str, script: &str, change: impl FnOnce(&mut Value)) -> (Exit, String) {
        self.start(id, &["sh", "-c", script], change);
        let exit = self.ended(id);
        (exit, self.stdout(id))
    }

    pub(crate) fn shim_pid(&self) -> i32 {
        let text = std::fs::read_to_string(self.sandbox().join("shim.pid")).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self
            .runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(5), self.shim.shutdown()).await });
        minik_runtime::shim::clean(&self.sandbox());
        if let Ok(driver) = minik_runtime::cgroup::detect() {
            let parent = Path::new(&self.cgroup).parent().unwrap().to_owned();
            if let Ok(path) = minik_runtime::cgroup::CgroupPath::parse(&parent) {
                let _ = driver.kill(&path);
                let _ = driver.remove(&path);
            }
        }
        if std::thread::panicking() {
            eprintln!(
                "shim.log: {}",
                std::fs::read_to_string(self.sandbox().join("shim.log")).unwrap_or_default()
            );
        }
    }
}

fn make_layer(layer: &Path) {
    std::fs::create_dir_all(layer.join("bin")).unwrap();
    std::fs::create_dir_all(layer.join("etc")).unwrap();
    std::fs::create_dir_all(layer.join("tmp")).unwrap();
    std::fs::copy(BUSYBOX, layer.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", layer.join("bin").join(applet)).unwrap();
    }
    std::fs::write(layer.join("bin/script"), "#!/bin/missing-shell\n").unwrap();
    std::fs::write(
        layer.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:web:/:/bin/sh\n",
    )
    .unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(layer.join("bin/script"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a CRI runtime writes for an ordinary container.
fn config(pod: &Pod, id: &str, command: &[&str], bundle: &Path) -> Value {
    let ns = |name: &str| pod.sandbox().join("ns").join(name);
    let layer = pod.directory.path().join("layer");
    let rootfs = json!({"lower": [layer], "upper": bundle.join("upper"), "work": bundle.join("work")});
    let capabilities = json!([
        "CAP_CHOWN",
        "CAP_KILL",
        "CAP_SETUID",
        "CAP_SETGID",
        "CAP_NET_BIND_SERVICE"
    ]);
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": command,
            "env": ["PATH=/usr/bin:/bin", "GREETING=hello"],
            "cwd": "/",
            "noNewPrivileges": true,
            "oomScoreAdj": 100,
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities}
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "bind", "source": pod.sandbox().join("shm"), "options": ["rbind", "rw"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
        ],
        "annotations": {
            "minik.dev/rootfs": rootfs.to_string(),
            "minik.dev/log-path": bundle.join("0.log")
        },
        "linux": {
            "cgroupsPath": format!("{}/{id}", pod.cgroup),
            "namespaces": [
                {"type": "pid"}, {"type": "mount"}, {"type": "cgroup"},
                {"type": "network", "path": ns("net")}, {"type": "ipc", "path": ns("ipc")},
                {"type": "uts", "path": ns("uts")}
            ],
            "resources": {"pids": {"limit": 50}},
            "maskedPaths": ["/proc/version", "/proc/acpi", "/sys/firmware", "/proc/not-there"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}
