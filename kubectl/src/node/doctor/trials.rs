//! Does what a pod will need, in namespaces of a thread's own: they and all that was made in them end with the thread.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use minik_runtime::network::{Network, NetworkPlan};
use nix::mount::{MsFlags, mount};
use nix::sched::unshare;

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
    let outcome = thread::scope(|scope| {
        let trial = thread::Builder::new()
            .name("doctor".to_owned())
            .spawn_scoped(scope, || in_namespaces(&directory, &plan));
        trial.map(thread::ScopedJoinHandle::join)
    });
    match outcome {
        Ok(Ok(outcome)) => {
            facts.namespaces = outcome.namespaces;
            facts.mount = outcome.mount;
            facts.overlay = outcome.overlay;
            facts.veth = outcome.veth;
            facts.nat = outcome.nat;
        }
        Ok(Err(_)) => facts.mount = Some(Err("the trial ended unexpectedly".to_owned())),
        Err(error) => facts.mount = Some(Err(format!("no thread for the trial: {error}"))),
    }
}

#[derive(Default)]
struct Outcome {
    namespaces: std::collections::BTreeMap<&'static str, Trial>,
    mount: Trial,
    overlay: Trial,
    veth: Trial,
    nat: Trial,
}

fn in_namespaces(directory: &Path, plan: &NetworkPlan) -> Outcome {
    let mut outcome = Outcome::default();
    for (name, flag) in namespace_names() {
        outcome
            .namespaces
            .insert(name, Some(unshare(flag).map_err(|errno| errno.to_string())));
    }
    let entered = |name: &str| matches!(outcome.namespaces.get(name), Some(Some(Ok(()))));
    let (mounts, network) = (entered("mnt"), entered("net"));
    if mounts {
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
    if network {
        outcome.veth = Some(veth());
        outcome.nat = Some(nat(plan));
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

/// Makes a pair in this thread's network namespace.
fn veth() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(|error| error.to_string())?;
        let connection = tokio::spawn(connection);
        let pair = rtnetlink::LinkVeth::new("doctor0", "doctor1").build();
        let made = handle
            .link()
            .add(pair)
            .execute()
            .await
            .map_err(|error| error.to_string());
        connection.abort();
        made
    })
}

/// Sets up in this thread's network namespace what the runtime will set up in the machine's.
fn nat(plan: &NetworkPlan) -> Result<(), String> {
    let scratch = Scratch::new(&std::env::temp_dir()).map_err(|error| error.to_string())?;
    let network = Network::open(plan.clone(), &scratch.0.join("network.json")).map_err(|error| chain(&error))?;
    network.masquerade().map_err(|error| chain(error))
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
