//! A real podman of a test's own: the distribution's, with images, containers and state that nobody else has.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Run;

/// Podman's folders, and the OCI runtime that it is to use.
#[derive(Debug)]
pub struct Podman {
    folder: TempDir,
    oci_runtime: PathBuf,
}

impl Podman {
    /// With an image of this archive.
    ///
    /// # Panics
    /// When podman isn't there or can't load the image.
    #[must_use]
    pub fn new(oci_runtime: &Path, archive: &Path) -> Self {
        let folder = TempDir::with_prefix("podman-").expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let engine = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        let shown = |name: &str| at(name).display().to_string();
        let (graph, run) = (shown("graph"), shown("run"));
        let storage = format!("[storage]\ndriver = \"overlay\"\ngraphroot = \"{graph}\"\nrunroot = \"{run}\"\n");
        for (name, text) in [
            ("containers.conf", engine),
            ("storage.conf", &storage),
            ("policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#),
        ] {
            fs::write(at(name), text).expect("a configuration is written");
        }
        let podman = Self {
            oci_runtime: oci_runtime.to_owned(),
            folder,
        };
        let policy = podman.folder.path().join("policy.json");
        let _ = podman
            .run(["load", "--quiet", "--signature-policy"])
            .args([policy.as_os_str(), "--input".as_ref(), archive.as_os_str()])
            .ok();
        podman
    }

    /// A command of podman.
    #[must_use]
    pub fn run<const N: usize>(&self, arguments: [&str; N]) -> Run {
        let at = |name: &str| self.folder.path().join(name);
        Run::new("podman")
            .env("CONTAINERS_CONF", at("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", at("storage.conf"))
            .env("HOME", self.folder.path())
            .args(["--tmpdir".as_ref(), at("tmp").as_os_str()])
            .args(["--runtime".as_ref(), self.oci_runtime.as_os_str()])
            .args(arguments)
    }

    /// The same for `podman run` and what follows: without a network, and with limits that any host allows.
    #[must_use]
    pub fn run_container<const N: usize>(&self, arguments: [&str; N]) -> Run {
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"];
        self.run(["run", "--pull", "never", "--network", "none"])
            .args(limits)
            .args(arguments)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Only a test that failed leaves containers; the overlay's own mount goes with the last of them.
        let _ = self.run(["rm", "--all", "--force", "--time", "0"]).output();
        let graph = self.folder.path().join("graph/overlay");
        let _ = nix::mount::umount2(&graph, nix::mount::MntFlags::MNT_DETACH);
    }
}
