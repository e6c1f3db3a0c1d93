//! A bundle for a test, and the commands on it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 24] = [
    "sh", "cat", "echo", "sleep", "ls", "id", "hostname", "mount", "stat", "true", "false", "env", "pwd", "touch",
    "grep", "uname", "mkdir", "dd", "kill", "readlink", "ifconfig", "tr", "nice", "date",
];

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A bundle with a container of the same name as its directory's.
pub(crate) struct Bundle {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) config: Value,
    pub(crate) id: String,
    pub(crate) cgroup: String,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }
    }
}

impl Ended {
    /// What it printed, if it ended well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// What it complained about, if it failed.
    pub(crate) fn failed(self) -> String {
        assert_ne!(self.code, 0, "{self:?}");
        self.stderr
    }
}

impl Bundle {
    /// With a command.
    pub(crate) fn new(args: &[&str]) -> Self {
        assert!(
            nix::unistd::geteuid().is_root() && Path::new(BUSYBOX).exists(),
            "these tests need root and {BUSYBOX}: apt-get install busybox-static"
        );
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = directory.path().join("rootfs");
        for name in ["bin", "etc", "tmp", "out"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/minik-oci-test-{}-{number}", std::process::id());
        let config = config(args, &cgroup);
        Self {
            directory,
            config,
            id: format!("c{number}"),
            cgroup,
        }
    }

    /// With a script.
    pub(crate) fn script(script: &str) -> Self {
        Self::new(&["sh", "-c", script])
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command, with its bundle written as it is now.
    pub(crate) fn command(&self, line: &[&str]) -> Command {
        self.write();
        let mut command = Command::new(executable());
        command
            .args(["oci", "--root"])
            .arg(self.path("state"))
            .args(line)
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// Writes config.json as it is now.
    pub(crate) fn write(&self) {
        let text = serde_json::to_vec(&self.config).unwrap();
        fs::write(self.path("config.json"), text).unwrap();
    }

    /// A verb with options on this container.
    pub(crate) fn on(&self, verb: &str, options: &[&str]) -> Ended {
        let line = [&[verb], options, &[self.id.as_str()]].concat();
        self.command(&line).output().unwrap().into()
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Ended {
        self.on("run", &[])
    }

    /// Makes and starts it. Its streams are nobody's: who reads ours would wait for its end.
    pub(crate) fn start(&self) {
        self.make().ok();
        self.on("start", &[]).ok();
    }

    /// Makes it, with its streams to a file.
    pub(crate) fn make(&self) -> Ended {
        let output = fs::File::create(self.path("output")).unwrap();
        let mut command = self.command(&["create", &self.id]);
        let status = command
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .status()
            .unwrap();
        Ended {
            code: status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr: fs::read_to_string(self.path("output")).unwrap().trim().to_owned(),
        }
    }

    pub(crate) fn exec(&self, line: &[&str]) -> Ended {
        let line = [&["exec", &self.id], line].concat();
        self.command(&line).output().unwrap().into()
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.on("state", &[]).ok()).unwrap()
    }

    pub(crate) fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.state()["pid"].as_i64().unwrap().try_into().unwrap()
    }

    /// Waits until the first process has ended; the caller has made it end.
    pub(crate) fn wait_for_end(&self) {
        let pid = self.state()["pid"].as_i64().unwrap();
        if pid == 0 {
            return;
        }
        let Ok(process) = minik_runtime::sys::pidfd::open(nix::unistd::Pid::from_raw(pid.try_into().unwrap())) else {
            return;
        };
        use std::os::fd::AsFd;
        let mut ended = [nix::poll::PollFd::new(process.as_fd(), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut ended, 60_000_u16).unwrap(), 1, "it ends");
    }

    /// The container's directories in all hierarchies.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).unwrap().flatten().map(|entry| entry.path());
        let all = std::iter::once(root.to_owned()).chain(hierarchies);
        all.map(|hierarchy| hierarchy.join(&self.cgroup[1..]))
            .filter(|path| path.exists())
            .collect()
    }

    /// A control file of v1 or v2, whichever is there.
    pub(crate) fn control(&self, names: &[&str]) -> String {
        let files = self
            .cgroups()
            .into_iter()
            .flat_map(|directory| names.iter().map(move |name| directory.join(name)));
        let text = files.into_iter().find_map(|file| fs::read_to_string(file).ok());
        text.unwrap_or_else(|| panic!("none of {names:?} in {:?}", self.cgroups()))
            .trim()
            .to_owned()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.on("delete", &["--force"]);
        if !std::thread::panicking() {
            assert_eq!(self.cgroups(), Vec::<PathBuf>::new());
        }
    }
}

fn config(args: &[&str], cgroup: &str) -> Value {
    let namespaces = ["pid", "mount", "network", "ipc", "uts", "cgroup"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.3.0",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/", "env": ["PATH=/bin"],
            "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]}
        },
        "root": {"path": "rootfs"},
        "hostname": "of-test",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}
        ],
        "linux": {
            "cgroupsPath": cgroup, "namespaces": namespaces,
            "resources": {"devices": [{"allow": false, "access": "rwm"}]}
        }
    })
}

/// The example is built by `cargo test` along with the tests.
pub(crate) fn executable() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let path = target.join("examples/runtime");
    assert!(path.exists(), "cargo build -p minik-runtime --example runtime");
    path
}
