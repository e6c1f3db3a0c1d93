//! cgroup v2: one hierarchy, controllers handed down level by level (Documentation/admin-guide/cgroup-v2.rst).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use super::stats::{number, table, working_set};
use super::{
    CgroupError, CgroupPath, Driver, Stats, create_levels, devices, limits, processes_of, read, remove_tree, write,
};
use crate::launch::parent::CgroupEntry;
use crate::launch::plan::CgroupMount;

/// A v2 hierarchy.
#[derive(Debug)]
pub(super) struct V2 {
    mount: PathBuf,
    controllers: Vec<String>,
    notes: Vec<String>,
}

impl V2 {
    pub(super) fn new(mount: PathBuf, notes: Vec<String>) -> Self {
        let text = std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
        Self {
            controllers: text.split_whitespace().map(str::to_owned).collect(),
            mount,
            notes,
        }
    }

    pub(super) fn mount(&self) -> &Path {
        &self.mount
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }

    pub(super) fn has_controllers(&self) -> bool {
        !self.controllers.is_empty()
    }

    pub(super) fn set(&self, path: &CgroupPath, setting: &limits::Setting) -> Result<(), CgroupError> {
        write(&path.below(&self.mount).join(&setting.file), &setting.value)
    }

    /// Hands all controllers down to the children of a directory, one by one: one that is refused stops no other.
    fn hand_down(&self, directory: &Path) {
        for controller in &self.controllers {
            let _ = write(&directory.join("cgroup.subtree_control"), &format!("+{controller}"));
        }
    }
}

impl Driver for V2 {
    fn version(&self) -> &'static str {
        "v2"
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn create(&self, path: &CgroupPath) -> Result<(), CgroupError> {
        self.hand_down(&self.mount);
        let leaf = path.below(&self.mount);
        create_levels(&self.mount, path, |directory| {
            // A cgroup that hands controllers down can't hold processes itself, so the leaf doesn't.
            if directory != leaf {
                self.hand_down(directory);
            }
            Ok(())
        })
    }

    fn apply(&self, path: &CgroupPath, resources: &LinuxResources) -> Result<Vec<String>, CgroupError> {
        let mut notes = Vec::new();
        for setting in limits::v2(resources) {
            let file = path.below(&self.mount).join(&setting.file);
            if file.exists() {
                write(&file, &setting.value)?;
            } else if setting.value != "0" && setting.value != "max" {
                let controller = &setting.controller;
                notes.push(format!(
                    "{} {} is not enforced: no {controller} controller here",
                    setting.file, setting.value
                ));
            }
        }
        if let Some(rules) = resources.devices().as_deref().filter(|rules| !rules.is_empty())
            && let Err(errno) = devices::attach(&path.below(&self.mount), rules)
        {
            notes.push(format!(
                "device rules are not enforced: {} (the kernel needs CONFIG_CGROUP_BPF)",
                errno.desc()
            ));
        }
        Ok(notes)
    }

    fn entry(&self, path: &CgroupPath) -> Result<CgroupEntry, CgroupError> {
        let directory = path.below(&self.mount);
        let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
        let opened: nix::Result<OwnedFd> = nix::fcntl::open(&directory, flags, Mode::empty());
        let born_in = opened.map_err(|errno| CgroupError::Read {
            path: directory,
            source: errno.into(),
        })?;
        Ok(CgroupEntry {
            born_in: Some(born_in),
            files: Vec::new(),
        })
    }

    fn add(&self, path: &CgroupPath, pid: Pid) -> Result<(), CgroupError> {
        write(&path.below(&self.mount).join("cgroup.procs"), &pid.to_string())
    }

    fn stats(&self, path: &CgroupPath) -> Result<Stats, CgroupError> {
        let directory = path.below(&self.mount);
        read(&directory.join("cgroup.procs"))?;
        let cpu = table(&directory.join("cpu.stat"));
        let memory = table(&directory.join("memory.stat"));
        let value = |key: &str| memory.get(key).copied().unwrap_or(0);
        let usage = number(&directory.join("memory.current")).unwrap_or(0);
        Ok(Stats {
            cpu_usage_nanos: cpu.get("usage_usec").copied().unwrap_or(0) * 1000,
            memory_usage_bytes: usage,
            memory_working_set_bytes: working_set(usage, value("inactive_file")),
            memory_rss_bytes: value("anon"),
            page_faults: (value("pgfault"), value("pgmajfault")),
            memory_limit_bytes: number(&directory.join("memory.max")),
            swap_usage_bytes: number(&directory.join("memory.swap.current")),
            tasks: number(&directory.join("pids.current")).unwrap_or(0),
        })
    }

    fn oom_kills(&self, path: &CgroupPath) -> u64 {
        table(&path.below(&self.mount).join("memory.events"))
            .get("oom_kill")
            .copied()
            .unwrap_or(0)
    }

    fn processes(&self, path: &CgroupPath) -> Result<Vec<Pid>, CgroupError> {
        processes_of(&path.below(&self.mount))
    }

    fn kill(&self, path: &CgroupPath) -> Result<(), CgroupError> {
        let directory = path.below(&self.mount);
        // Linux 5.14; it misses no process, however fast it forks.
        if write(&directory.join("cgroup.kill"), "1").is_ok() || !directory.exists() {
            return Ok(());
        }
        for pid in processes_of(&directory)? {
            let _ = kill(pid, Signal::SIGKILL);
        }
        Ok(())
    }

    fn freeze(&self, path: &CgroupPath, frozen: bool) -> Result<(), CgroupError> {
        let value = if frozen { "1" } else { "0" };
        write(&path.below(&self.mount).join("cgroup.freeze"), value)
    }

    fn remove(&self, path: &CgroupPath) -> Result<(), CgroupError> {
        remove_tree(&path.below(&self.mount))
    }

    fn frozen(&self, path: &CgroupPath) -> Option<bool> {
        let events = table(&path.below(&self.mount).join("cgroup.events"));
        events.get("frozen").map(|frozen| *frozen == 1)
    }

    fn places(&self, path: &CgroupPath) -> Vec<(String, PathBuf)> {
        vec![(String::new(), path.below(&self.mount))]
    }

    fn controls_devices(&self) -> bool {
        devices::available()
    }

    fn mounts(&self) -> Vec<CgroupMount> {
        vec![CgroupMount {
            directory: String::new(),
            filesystem: "cgroup2",
            options: Vec::new(),
            bound: None,
        }]
    }
}
