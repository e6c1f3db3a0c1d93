//! What an instance has left behind: processes, mounts, cgroups, network links, nftables tables, found by looking at the
//! kernel, not by asking the node.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Run;

/// One line for each thing that names the instance or lies in its folder.
#[must_use]
pub fn of(instance: &str, folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let mut found = processes(instance, &folder);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&folder))
            .map(|line| format!("mount {line}")),
    );
    let mut cgroups = Vec::new();
    walk(
        Path::new("/sys/fs/cgroup"),
        &format!("minik-{instance}"),
        4,
        &mut cgroups,
    );
    found.extend(cgroups.into_iter().map(|path| format!("cgroup {}", path.display())));
    let links = Run::new("ip").args(["-brief", "link"]).ok();
    found.extend(
        links
            .lines()
            .filter(|line| !line.starts_with("lo "))
            .map(|line| format!("link {line}")),
    );
    let routes = Run::new("ip").args(["route", "show", "table", "main"]).ok();
    found.extend(routes.lines().map(|line| format!("route {line}")));
    found
}

fn processes(instance: &str, folder: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let named = pids.filter_map(|pid| {
        let text = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let shown = String::from_utf8_lossy(&text("cmdline")).replace('\0', " ");
        let ours = shown.contains(folder) || shown.contains(&format!("--instance {instance} "));
        (ours && pid != std::process::id()).then(|| format!("process {pid}: {shown}"))
    });
    named.collect()
}

fn walk(folder: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name() == name {
            found.push(path.clone());
        }
        if depth > 0 {
            walk(&path, name, depth - 1, found);
        }
    }
}
