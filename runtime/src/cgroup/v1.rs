//! cgroup v1, and hybrid: a hierarchy for each controller or few, all with the same tree, and perhaps a v2 one besides
//! (Documentation/admin-guide/cgroup-v1 of the kernel).

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use super::hierarchy::Hierarchy;
use super::stats::{number, table, working_set};
use super::v2::V2;
use super::{CgroupError, CgroupPath, Driver, Stats, create_levels, limits, processes_of, read, remove_tree, write};
use crate::launch::parent::CgroupEntry;
use crate::launch::plan::CgroupMount;

/// v1 hierarchies, with the v2 one of a hybrid host.
#[derive(Debug)]
pub(super) struct V1 {
    hierarchies: Vec<Hierarchy>,
    unified: Option<V2>,
    notes: Vec<String>,
}

impl V1 {
    pub(super) fn new(hierarchies: Vec<Hierarchy>, unified: Option<V2>, notes: Vec<String>) -> Self {
        Self {
            hierarchies,
            unified,
            notes,
        }
    }

    fn with(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies
            .iter()
            .find(|hierarchy| hierarchy.controllers.iter().any(|known| known == controller))
    }

    fn directory(&self, controller: &str, path: &CgroupPath) -> Option<PathBuf> {
        self.with(controller).map(|hierarchy| path.below(&hierarchy.mount))
    }

    /// All directories of a cgroup.
    fn directories(&self, path: &CgroupPath) -> impl Iterator<Item = PathBuf> {
        let unified = self.unified.iter().map(V2::mount);
        self.hierarchies
            .iter()
            .map(|hierarchy| hierarchy.mount.as_path())
            .chain(unified)
            .map(|mount| path.below(mount))
    }

    /// The directory whose list of processes is asked: pids is nowhere missing where containers run, and any does.
    fn leading(&self, path: &CgroupPath) -> PathBuf {
        let hierarchy = self
            .with("pids")
            .or(self.hierarchies.first())
            .expect("a v1 driver has a v1 hierarchy");
        path.below(&hierarchy.mount)
    }

    fn set(&self, path: &CgroupPath, setting: &limits::Setting) -> Result<bool, CgroupError> {
        let Some(directory) = self.directory(&setting.controller, path) else {
            return Ok(false);
        };
        let file = directory.join(&setting.file);
        if !file.exists() {
            return Ok(false);
        }
        write(&file, &setting.value).map(|()| true)
    }

    /// Memory and memory with swap bound each other, so which one goes first depends on the direction.
    fn set_memory(&self, path: &CgroupPath, settings: &[limits::Setting]) -> Result<Vec<bool>, CgroupError> {
        let forwards: Result<Vec<bool>, _> = settings.iter().map(|setting| self.set(path, setting)).collect();
        if forwards.is_ok() {
            return forwards;
        }
        let mut backwards = settings
            .iter()
            .rev()
            .map(|setting| self.set(path, setting))
            .collect::<Result<Vec<bool>, _>>()?;
        backwards.reverse();
        Ok(backwards)
    }
}

/// A new cpuset has no CPUs and takes no process before it is given some (cgroup-v1/cpusets.rst).
fn fill_cpuset(directory: &Path) -> Result<(), CgroupError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = directory.join(file);
        if read(&own)?.trim().is_empty() {
            let parent = directory.parent().expect("a cgroup is below its hierarchy's mount");
            write(&own, read(&parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

impl Driver for V1 {
    fn version(&self) -> &'static str {
        if self.unified.is_some() { "hybrid" } else { "v1" }
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn create(&self, path: &CgroupPath) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            let cpuset = hierarchy.controllers.iter().any(|controller| controller == "cpuset");
            create_levels(&hierarchy.mount, path, |directory| {
                if cpuset { fill_cpuset(directory) } else { Ok(()) }
            })?;
        }
        self.unified.as_ref().map_or(Ok(()), |unified| unified.create(path))
    }

    fn apply(&self, path: &CgroupPath, resources: &LinuxResources) -> Result<Vec<String>, CgroupError> {
        let unified = self.unified.as_ref();
        let (memory, others): (Vec<_>, Vec<_>) = limits::v1(resources)
            .into_iter()
            .partition(|setting| setting.controller == "memory");
        let mut done = self.set_memory(path, &memory)?;
        let mut settings = memory;
        for setting in others {
            done.push(self.set(path, &setting)?);
            settings.push(setting);
        }
        // The v2 side knows the same limits under its own names, for the controllers that it holds.
        let mut taken: Vec<String> = Vec::new();
        for setting in unified.map(|_| limits::v2(resources)).into_iter().flatten() {
            if let Some(unified) = unified.filter(|unified| unified.has(&setting.controller)) {
                unified.set(path, &setting)?;
                taken.push(setting.controller);
            }
        }
        let missing = settings
            .iter()
            .zip(done)
            .filter(|(setting, done)| !done && !taken.contains(&setting.controller));
        let note = |setting: &limits::Setting| {
            let controller = &setting.controller;
            format!(
                "{} {} is not enforced: no such file in the {controller} cgroup here",
                setting.file, setting.value
            )
        };
        Ok(missing.map(|(setting, _)| note(setting)).collect())
    }

    fn entry(&self, path: &CgroupPath) -> Result<CgroupEntry, CgroupError> {
        let v1 = self
            .hierarchies
            .iter()
            .map(|hierarchy| path.below(&hierarchy.mount).join("tasks"));
        // Writing to `cgroup.procs` of the unified hierarchy waits for an RCU grace period (10 ms here); being born in it, or
        // writing to `tasks` of the others from a process with one thread, does not.
        let unified = self.unified.as_ref().map(|unified| unified.entry(path)).transpose()?;
        Ok(CgroupEntry {
            born_in: unified.and_then(|entry| entry.born_in),
            files: v1.collect(),
        })
    }

    fn add(&self, path: &CgroupPath, pid: Pid) -> Result<(), CgroupError> {
        self.directories(path)
            .try_for_each(|directory| write(&directory.join("cgroup.procs"), &pid.to_string()))
    }

    fn stats(&self, path: &CgroupPath) -> Result<Stats, CgroupError> {
        read(&self.leading(path).join("cgroup.procs"))?;
        let file =
            |controller: &str, name: &str| self.directory(controller, path).map(|directory| directory.join(name));
        let figure = |controller: &str, name: &str| file(controller, name).and_then(|file| number(&file));
        let memory = file("memory", "memory.stat")
            .map(|file| table(&file))
            .unwrap_or_default();
        let value = |key: &str| memory.get(key).copied().unwrap_or(0);
        let usage = figure("memory", "memory.usage_in_bytes").unwrap_or(0);
        let with_swap = figure("memory", "memory.memsw.usage_in_bytes");
        // "No limit" is the largest multiple of a page.
        let limit = figure("memory", "memory.limit_in_bytes").filter(|limit| *limit < i64::MAX as u64 - 0xffff);
        Ok(Stats {
            cpu_usage_nanos: figure("cpuacct", "cpuacct.usage").unwrap_or(0),
            memory_usage_bytes: usage,
            memory_working_set_bytes: working_set(usage, value("total_inactive_file")),
            memory_rss_bytes: value("total_rss"),
            page_faults: (value("total_pgfault"), value("total_pgmajfault")),
            memory_limit_bytes: limit,
            swap_usage_bytes: with_swap.map(|both| both.saturating_sub(usage)),
            tasks: figure("pids", "pids.current").unwrap_or(0),
        })
    }

    fn oom_kills(&self, path: &CgroupPath) -> u64 {
        let control = self
            .directory("memory", path)
            .map(|directory| table(&directory.join("memory.oom_control")));
        control
            .and_then(|control| control.get("oom_kill").copied())
            .unwrap_or(0)
    }

    fn processes(&self, path: &CgroupPath) -> Result<Vec<Pid>, CgroupError> {
        processes_of(&self.leading(path))
    }

    fn kill(&self, path: &CgroupPath) -> Result<(), CgroupError> {
        let directory = self.leading(path);
        if !directory.exists() {
            return Ok(());
        }
        // A process may fork while the list is read; its child is in the next one. Killed ones leave the list when reaped,
        // which the caller does, so this ends when a list holds nothing new.
        let mut killed: Vec<Pid> = Vec::new();
        loop {
            let new: Vec<Pid> = processes_of(&directory)?
                .into_iter()
                .filter(|pid| !killed.contains(pid))
                .collect();
            if new.is_empty() {
                return Ok(());
            }
            for pid in new {
                let _ = kill(pid, Signal::SIGKILL);
                killed.push(pid);
            }
        }
    }

    fn freeze(&self, path: &CgroupPath, frozen: bool) -> Result<(), CgroupError> {
        match (self.directory("freezer", path), &self.unified) {
            (None, Some(unified)) => unified.freeze(path, frozen),
            (directory, _) => {
                let state = if frozen { "FROZEN" } else { "THAWED" };
                let directory = directory.unwrap_or_else(|| self.leading(path));
                write(&directory.join("freezer.state"), state)
            }
        }
    }

    fn remove(&self, path: &CgroupPath) -> Result<(), CgroupError> {
        let mut result = Ok(());
        for directory in self.directories(path) {
            result = result.and(remove_tree(&directory));
        }
        result
    }

    fn frozen(&self, path: &CgroupPath) -> Option<bool> {
        match self.directory("freezer", path) {
            // FREEZING until the last process has stopped.
            Some(directory) => Some(read(&directory.join("freezer.state")).ok()?.trim() == "FROZEN"),
            None => self.unified.as_ref()?.frozen(path),
        }
    }

    fn places(&self, path: &CgroupPath) -> Vec<(String, PathBuf)> {
        let name = |mount: &Path| mount.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let v1 = self
            .hierarchies
            .iter()
            .map(|hierarchy| (name(&hierarchy.mount), path.below(&hierarchy.mount)));
        let v2 = self
            .unified
            .iter()
            .map(|unified| ("unified".to_owned(), path.below(unified.mount())));
        v1.chain(v2).collect()
    }

    fn controls_devices(&self) -> bool {
        self.with("devices").is_some()
    }

    fn hybrid_mount(&self) -> Option<&Path> {
        let unified = self.unified.as_ref().filter(|unified| unified.has_controllers());
        unified.map(V2::mount)
    }

    fn mounts(&self) -> Vec<CgroupMount> {
        let v1 = self.hierarchies.iter().filter_map(|hierarchy| {
            let mut options = hierarchy.controllers.clone();
            if let Some(name) = &hierarchy.name {
                if options.is_empty() {
                    options.push("none".to_owned());
                }
                options.push(format!("name={name}"));
            }
            Some(CgroupMount {
                directory: hierarchy.mount.file_name()?.to_string_lossy().into_owned(),
                filesystem: "cgroup",
                options,
                bound: None,
            })
        });
        let v2 = self.unified.iter().map(|_| CgroupMount {
            directory: "unified".to_owned(),
            filesystem: "cgroup2",
            options: Vec::new(),
            bound: None,
        });
        v1.chain(v2).collect()
    }
}
