//! Does what a pod will need, in namespaces of a thread's own: they and all that was made in them end with the thread.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;

use minik_runtime::network::{Network, NetworkPlan};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::facts::{Facts, Trial};
use super::gather::{existing, namespace_names};
use crate::node::instance::Instance;

/// Tries namespaces, mounts, overlayfs, veth and NAT, and notes what came of it.
pub(super) fn run(instance: &Instance, facts: &mut Facts) {
    let directory = existing(&instance.data_dir);
    facts.overlay_on = directory.display().to_string();
    let plan = NetworkPlan {
        pod_cidr: range(instance.pod_cidr),
        service_cidr: range(instance.service_cidr),
        interface_prefix: instance.interface_prefix.clone(),
        table: "minik-doctor".to_owned(),
    };
    match in_a_thread(|| in_namespaces(&directory)) {
        Ok(outcome) => {
            facts.namespaces = outcome.namespaces;
            facts.mount = outcome.mount;
            facts.overlay = outcome.overlay;
        }
        Err(reason) => facts.mount = Some(Err(reason)),
    }
    if let Some(Some(Ok(()))) = facts.namespaces.get("net") {
        let network = in_a_thread(|| pod_network(&plan, &mut facts.nat));
        facts.veth = Some(network.and_then(|trial| trial));
    }
}

/// Runs a trial in a thread that ends with it. The one of the network has its own, since a thread that has left its process
/// namespace can't start another (clone(2), EINVAL), as [`Network::attach`] does.
fn in_a_thread<T: Send>(trial: impl FnOnce() -> T + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("doctor".to_owned())
            .spawn_scoped(scope, trial);
        let thread = thread.map_err(|error| format!("no thread for the trial: {error}"))?;
        thread.join().map_err(|_| "the trial ended unexpectedly".to_owned())
    })
}

#[derive(Default)]
struct Outcome {
    namespaces: std::collections::BTreeMap<&'static str, Trial>,
    mount: Trial,
    overlay: Trial,
}

fn in_namespaces(directory: &Path) -> Outcome {
    let mut outcome = Outcome::default();
    for (name, flag) in namespace_names() {
        outcome
            .namespaces
            .insert(name, Some(unshare(flag).map_err(|errno| errno.to_string())));
    }
    if let Some(Some(Ok(()))) = outcome.namespaces.get("mnt") {
        // Or the trial's mounts would show up in the machine's own namespace.
        let private = mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        );
        outcome.mount = Some(private.map_err(|errno| errno.to_string()));
    }
    if matches!(outcome.mount, Some(Ok(()))) {
        outcome.overlay = Some(overlay(directory));
    }
    outcome
}

/// Mounts an overlay whose layers lie where images will be unpacked, and writes through it.
fn overlay(directory: &Path) -> Result<(), String> {
    let root = Scratch::new(directory).map_err(|error| format!("nothing can be written there: {error}"))?;
    let join = |name: &str| root.0.join(name);
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(join(name)).map_err(|error| error.to_string())?;
    }
    fs::write(join("lower/file"), "below").map_err(|error| error.to_string())?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        join("lower").display(),
        join("upper").display(),
        join("work").display()
    );
    let merged = join("merged");
    let mounted = mount(
        Some("overlay"),
        &merged,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    );
    mounted.map_err(|errno| format!("mount: {errno}"))?;
    let written = fs::write(merged.join("file"), "above").map_err(|error| format!("write: {error}"));
    let unmounted = nix::mount::umount2(&merged, nix::mount::MntFlags::MNT_DETACH);
    written.and(unmounted.map_err(|errno| format!("unmount: {errno}")))
}

/// Sets up what the runtime will set up: a cable from a node to a pod, and NAT on the node's end, in two network namespaces of
/// this thread's own.
fn pod_network(plan: &NetworkPlan, nat: &mut Trial) -> Result<(), String> {
    let leave = || unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| format!("a network namespace: {errno}"));
    leave()?;
    let pod = File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string())?;
    leave()?;
    let scratch = Scratch::new(&std::env::temp_dir()).map_err(|error| error.to_string())?;
    let network = Network::open(plan.clone(), &scratch.0.join("network.json")).map_err(|error| chain(&error))?;
    *nat = Some(network.masquerade().map_err(|error| chain(error)));
    let address = network.allocate().map_err(|error| chain(&error))?;
    let pod = PathBuf::from(format!("/proc/self/fd/{}", pod.as_raw_fd()));
    let attached = network.attach(&network.interface("doctor"), address, &pod);
    attached.map_err(|error| chain(&error))
}

/// Makes and removes a cgroup in each hierarchy.
pub(super) fn cgroup() -> Result<(), String> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
    for line in mounts.lines() {
        let columns: Vec<&str> = line.split(' ').collect();
        if let [_, point, "cgroup" | "cgroup2", ..] = columns[..] {
            let trial = Path::new(point).join(format!("minik-doctor-{}", std::process::id()));
            let made = fs::create_dir(&trial).and_then(|()| fs::remove_dir(&trial));
            made.map_err(|error| format!("{}: {error}", trial.display()))?;
        }
    }
    Ok(())
}

fn range(cidr: crate::node::cidr::Cidr) -> minik_runtime::network::Cidr {
    cidr.to_string().parse().expect("both read the same notation")
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A directory that goes when this does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!(".minik-doctor-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
