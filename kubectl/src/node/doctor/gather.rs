//! Looks at the machine: files of /proc and /etc, limits, and the trials.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

use super::facts::{Cgroup, Disk, Facts, Limits, Wsl, parse_route};
use super::{trials, wsl};
use crate::node::instance::Instance;
use crate::node::ports::{self, LOOPBACK, Taken};

/// What decides whether a node can run at all: cheap enough for every `up`.
pub(super) fn kernel(instance: &Instance) -> Facts {
    let mut facts = Facts {
        root: nix::unistd::geteuid().is_root(),
        kernel_release: text("/proc/sys/kernel/osrelease"),
        init: text("/proc/1/comm"),
        wsl: wsl_facts(instance, None),
        cgroup: cgroup(),
        disk: disk(&instance.data_dir),
        ip_forward: Some(text("/proc/sys/net/ipv4/ip_forward") == "1"),
        clock_seconds: jiff::Timestamp::now().as_second(),
        ..Facts::default()
    };
    if facts.root {
        trials::run(instance, &mut facts);
        facts.cgroup.trial = Some(trials::cgroup());
    }
    facts
}

/// All facts of this machine. `running`: the node runs, so its own ports and routes are no conflict.
pub(super) fn everything(instance: &Instance, running: bool) -> Facts {
    let taken = |port| {
        (!ports::is_free(port, &LOOPBACK)).then(|| Taken {
            port,
            holder: ports::holder(port),
        })
    };
    Facts {
        wsl: wsl_facts(instance, Some(wslinfo)),
        seccomp: fs::read_to_string("/proc/self/status")
            .ok()
            .map(|status| status.contains("Seccomp_filters:") || status.contains("Seccomp:")),
        limits: limits(),
        memory_available_bytes: memory_available(),
        ports_taken: if running {
            Vec::new()
        } else {
            taken(instance.api_port).into_iter().collect()
        },
        api_port: instance.api_port,
        routes: routes(&instance.interface_prefix),
        pod_cidr: Some(instance.pod_cidr),
        service_cidr: Some(instance.service_cidr),
        nameservers: nameservers(),
        ..kernel(instance)
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn number(path: &str) -> Option<u64> {
    text(path).parse().ok()
}

fn wsl_facts(instance: &Instance, wslinfo: Option<fn() -> Option<String>>) -> Option<Wsl> {
    let interop = Path::new("/run/WSL").is_dir();
    let version = wsl::version(&text("/proc/sys/kernel/osrelease"), &text("/proc/version"), interop)?;
    Some(Wsl {
        version,
        networking: wslinfo
            .map(|ask| wsl::networking(ask().as_deref(), wslconfig().as_deref()))
            .unwrap_or_default(),
        systemd_configured: wsl::systemd_configured(&text("/etc/wsl.conf")),
        data_on_windows: wsl::is_windows_drive(&existing(&instance.data_dir)),
    })
}

/// Newer WSL has a tool that knows the mode in force.
fn wslinfo() -> Option<String> {
    let output = Command::new("/usr/bin/wslinfo")
        .arg("--networking-mode")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Windows' users' `.wslconfig`; of several the newest, since WSL doesn't say here whose it is.
fn wslconfig() -> Option<String> {
    let homes = fs::read_dir("/mnt/c/Users").ok()?.flatten();
    let files = homes.map(|home| home.path().join(".wslconfig"));
    let newest = files
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .max()?;
    fs::read_to_string(newest.1).ok()
}

fn cgroup() -> Cgroup {
    let mut cgroup = Cgroup::default();
    for line in text("/proc/self/mounts").lines() {
        let columns: Vec<&str> = line.split(' ').collect();
        let [_, point, kind, options, ..] = columns[..] else {
            continue;
        };
        match kind {
            "cgroup2" => {
                let controllers = text(&format!("{point}/cgroup.controllers"));
                cgroup.v2 = Some(controllers.split_whitespace().map(str::to_owned).collect());
            }
            "cgroup" => {
                let known: BTreeSet<String> = controllers_v1();
                cgroup.v1.extend(
                    options
                        .split(',')
                        .filter(|option| known.contains(*option))
                        .map(str::to_owned),
                );
            }
            _ => {}
        }
    }
    cgroup
}

/// First column of `/proc/cgroups`.
fn controllers_v1() -> BTreeSet<String> {
    let table = text("/proc/cgroups");
    table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

fn limits() -> Limits {
    Limits {
        inotify_instances: number("/proc/sys/fs/inotify/max_user_instances"),
        inotify_watches: number("/proc/sys/fs/inotify/max_user_watches"),
        open_files_system: number("/proc/sys/fs/file-max"),
        open_files_hard: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(_, hard)| hard),
        pids: number("/proc/sys/kernel/pid_max"),
    }
}

fn disk(dir: &Path) -> Option<Disk> {
    let path = existing(dir);
    let stat = statvfs(&path).ok()?;
    let block = stat.fragment_size();
    Some(Disk {
        path: path.display().to_string(),
        free_bytes: stat.blocks_available() * block,
        total_bytes: stat.blocks() * block,
        free_inodes: (stat.files() > 0).then(|| stat.files_available()),
    })
}

/// The directory, or the nearest above it that is there already.
pub(super) fn existing(dir: &Path) -> PathBuf {
    dir.ancestors()
        .find(|dir| dir.is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned()
}

fn memory_available() -> Option<u64> {
    let table = text("/proc/meminfo");
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib << 10)
}

fn routes(own_prefix: &str) -> Vec<(crate::node::cidr::Cidr, String)> {
    let table = text("/proc/net/route");
    let routes = table.lines().skip(1).filter_map(parse_route);
    // Unreachable routes have no interface ("*"): ours are of that kind.
    routes
        .filter(|(_, interface)| interface != "*" && interface != "lo" && !interface.starts_with(own_prefix))
        .collect()
}

fn nameservers() -> Option<Vec<String>> {
    let conf = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    Some(servers.map(|server| server.trim().to_owned()).collect())
}

/// Kinds of namespaces that pods need, by the names of `/proc/self/ns`.
pub(super) fn namespace_names() -> BTreeMap<&'static str, nix::sched::CloneFlags> {
    use nix::sched::CloneFlags;
    BTreeMap::from([
        ("cgroup", CloneFlags::CLONE_NEWCGROUP),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("mnt", CloneFlags::CLONE_NEWNS),
        ("net", CloneFlags::CLONE_NEWNET),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("uts", CloneFlags::CLONE_NEWUTS),
    ])
}
