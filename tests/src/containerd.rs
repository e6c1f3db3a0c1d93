//! A real containerd of a test's own: the distribution's, with folders, socket and pod network that nobody else has.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use crate::Run;

/// Where the distribution, or the plugins' own releases, put them.
const PLUGINS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// A running containerd; it ends when this is dropped.
#[derive(Debug)]
pub struct Containerd {
    process: Child,
    folder: TempDir,
}

impl Containerd {
    /// Starts one in this thread's network namespace; `pause` is the image of its sandboxes, and `oci_runtime` what launches
    /// containers.
    ///
    /// # Panics
    /// When it doesn't serve within half a minute.
    #[must_use]
    pub fn start(pause: &str, oci_runtime: &Path) -> Self {
        let folder = TempDir::with_prefix("ctrd-").expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("net.d")).expect("a folder is made");
        fs::write(at("net.d/10-pods.conflist"), network(folder.path()))
            .expect("the network's configuration is written");
        fs::write(at("config.toml"), config(folder.path(), pause, oci_runtime)).expect("the configuration is written");
        // It says READY=1, as to systemd.
        let ready = UnixDatagram::bind(at("ready")).expect("a socket");
        ready
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("sockets have timeouts");
        let log = fs::File::create(at("log")).expect("a log");
        let process = Command::new("containerd")
            .arg("--config")
            .arg(at("config.toml"))
            .env("NOTIFY_SOCKET", at("ready"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("containerd runs: tests/setup.sh installs it");
        let containerd = Self { process, folder };
        let mut told = [0; 64];
        let length = ready.recv(&mut told).unwrap_or_default();
        assert!(told[..length].starts_with(b"READY=1"), "{}", containerd.log());
        containerd
    }

    /// Where a kubelet reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its own client, in the namespace of Kubernetes.
    #[must_use]
    pub fn ctr<const N: usize>(&self, arguments: [&str; N]) -> Run {
        Run::new("ctr")
            .args(["--address".as_ref(), self.socket().as_os_str()])
            .args(["--namespace", "k8s.io"])
            .args(arguments)
    }

    /// Imports an archive.
    ///
    /// # Panics
    /// When that fails.
    pub fn import(&self, archive: &Path) {
        let _ = self.ctr(["image", "import"]).args([archive]).ok();
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("c.sock")
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // Only a test that failed leaves tasks, whose shims would outlive containerd.
        for task in self.ctr(["task", "ls", "--quiet"]).output().stdout.lines() {
            let _ = self.ctr(["task", "rm", "--force", task]).output();
        }
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

fn config(folder: &Path, pause: &str, oci_runtime: &Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let plugins = PLUGINS
        .into_iter()
        .find(|plugins| Path::new(plugins).join("ptp").exists());
    let plugins = plugins.expect("the CNI plugins are here: tests/setup.sh installs them");
    let (root, state, socket, network, runtime_root) = (at("root"), at("state"), at("c.sock"), at("net.d"), at("oci"));
    let binary = oci_runtime.display();
    format!(
        r#"
version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{network}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{binary}"
      Root = "{runtime_root}"
"#
    )
}

/// Pairs of interfaces and routes between them: needs no kernel module.
fn network(folder: &Path) -> String {
    let ipam = json!({"type": "host-local", "subnet": "10.251.0.0/24", "dataDir": folder.join("addresses"),
        "routes": [{"dst": "0.0.0.0/0"}]});
    json!({"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": ipam}]}).to_string()
}
