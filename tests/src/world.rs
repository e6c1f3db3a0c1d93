//! A node of its own for one test, in a network namespace of its own, so that no packet to a pod leaves the machine and no
//! node of a user is disturbed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, process};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::Uid;
use tempfile::TempDir;

use crate::{Run, executable, leftovers};

/// A network namespace, folders and an instance name of a test's own. When it is dropped the node is taken down, and whatever
/// is still there then fails the test.
#[derive(Debug)]
pub struct World {
    instance: String,
    folder: TempDir,
    options: Vec<String>,
}

impl World {
    /// Enters a fresh network namespace with this thread (and what it starts) and names an instance. Nothing runs yet.
    ///
    /// # Panics
    /// Without root, or when a package that the tests need can't be installed.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            Uid::effective().is_root(),
            "the end-to-end tests start real pods: run them as root"
        );
        executable::set_up();
        let _ = executable::minikctl();
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace for the test");
        let _ = Run::new("ip").args(["link", "set", "lo", "up"]).ok();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let instance = format!("t{}-{number}", process::id());
        // Short, since the paths of sockets are below 108 bytes.
        let folder = TempDir::with_prefix("minik-").expect("a temporary folder");
        Self {
            instance,
            folder,
            options: Vec::new(),
        }
    }

    /// The same, with the node up.
    ///
    /// # Panics
    /// When it doesn't come up.
    #[must_use]
    pub fn up() -> Self {
        let world = Self::new();
        world.start();
        world
    }

    /// More options for `minikctl up`.
    #[must_use]
    pub fn with<const N: usize>(mut self, options: [&str; N]) -> Self {
        self.options.extend(options.map(str::to_owned));
        self
    }

    /// Starts the node.
    ///
    /// # Panics
    /// When it doesn't come up; its logs are shown.
    pub fn start(&self) {
        let output = self.up_command().output();
        if output.code != 0 {
            panic!("{output}\n{}", self.logs());
        }
    }

    /// `minikctl up` for this instance, not yet run.
    #[must_use]
    pub fn up_command(&self) -> Run {
        let (data, run) = (self.data(), self.folder().join("run"));
        self.minikctl(["up", "--data-dir"])
            .args([data.as_os_str(), "--run-dir".as_ref(), run.as_os_str()])
            .args(&self.options)
    }

    /// `minikctl` for this instance.
    #[must_use]
    pub fn minikctl<const N: usize>(&self, arguments: [&str; N]) -> Run {
        self.in_world(Run::new(executable::minikctl())).args(arguments)
    }

    /// One of the real kubectls, with this node's kubeconfig.
    #[must_use]
    pub fn kubectl<const N: usize>(&self, kubectl: &Path, arguments: [&str; N]) -> Run {
        self.in_world(Run::new(kubectl))
            .args(["--context", &self.context()])
            .args(arguments)
    }

    /// Any run, with this world's home, kubeconfig and instance in its environment.
    #[must_use]
    pub fn in_world(&self, run: Run) -> Run {
        run.env("HOME", self.folder())
            .env("KUBECONFIG", self.kubeconfig())
            .env("MINIK_INSTANCE", &self.instance)
            .env("NO_COLOR", "1")
            .env("SUDO_UID", "")
    }

    /// Applies a manifest.
    ///
    /// # Panics
    /// When that fails.
    pub fn apply(&self, manifest: &str) {
        let _ = self.minikctl(["apply", "-f", "-"]).stdin(manifest).ok();
    }

    /// Waits until a condition of an object holds, told by a watch.
    ///
    /// # Panics
    /// When it doesn't within half a minute; what the node says of it is shown.
    pub fn wait(&self, what: &str, condition: &str) {
        let output = self
            .minikctl(["wait", what, "--for", condition, "--timeout", "30s"])
            .output();
        if output.code != 0 {
            let state = self.minikctl(["describe"]).args(what.split('/')).output();
            panic!("{output}\n{state}\n{}", self.logs());
        }
    }

    /// One value of an object, by kubectl's JSONPath.
    ///
    /// # Panics
    /// When it can't be had.
    #[must_use]
    pub fn value(&self, what: &str, path: &str) -> String {
        self.minikctl(["get", what, "-o", &format!("jsonpath={path}")]).ok()
    }

    /// What the programs have logged.
    #[must_use]
    pub fn logs(&self) -> String {
        let entries = self.data().join("logs").read_dir().into_iter().flatten().flatten();
        let mut all = String::new();
        for entry in entries {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            all.push_str(&format!("--- {}\n{}\n", entry.path().display(), tail.join("\n")));
        }
        all
    }

    /// The instance's name.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The name of its kubeconfig context.
    #[must_use]
    pub fn context(&self) -> String {
        format!("minik-{}", self.instance)
    }

    /// A folder that goes with the world.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The node's data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// The kubeconfig that `up` writes.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder().join(".kube/config")
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let down = self.minikctl(["down", "--purge"]).output();
        if std::thread::panicking() {
            return;
        }
        assert_eq!(down.code, 0, "{down}");
        let left = leftovers::of(&self.instance, self.folder());
        assert_eq!(left, Vec::<String>::new(), "left behind after `down --purge`");
    }
}
