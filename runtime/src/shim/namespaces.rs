//! The pod's namespaces: made or entered by the shim itself, held by bind mounts in the sandbox's directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::spec::{NamespaceSource, PidMode, SandboxSpec};
use crate::launch::holder::Holder;
use crate::launch::plan::sysctl_path;
use crate::sys;
use crate::sys::clone::Cloned;
use crate::user_namespace::UserNamespace;

/// What went wrong with the pod's namespaces.
#[derive(Debug, thiserror::Error)]
pub(super) enum NamespaceError {
    #[error("{act} {thing}: {source}")]
    System {
        act: &'static str,
        thing: String,
        source: io::Error,
    },
    #[error(
        "sysctl {key}: {source}; only parameters of the pod's own namespaces (net.*, kernel.shm*, kernel.msg*, \
             kernel.sem, fs.mqueue.*) can be set, and only those that this kernel has"
    )]
    Sysctl { key: String, source: io::Error },
}

fn failed(act: &'static str, thing: impl AsRef<Path>) -> impl FnOnce(io::Error) -> NamespaceError {
    let thing = thing.as_ref().display().to_string();
    move |source| NamespaceError::System { act, thing, source }
}

/// Makes or enters the namespaces and binds them at `ns/*`; returns the pause process of a shared pid namespace.
pub(super) fn set_up(spec: &SandboxSpec, directory: &Path) -> Result<Option<Cloned>, NamespaceError> {
    let holders = directory.join("ns");
    std::fs::create_dir_all(&holders).map_err(failed("make", &holders))?;
    let sources = [
        (&spec.net, CloneFlags::CLONE_NEWNET, "net"),
        (&spec.ipc, CloneFlags::CLONE_NEWIPC, "ipc"),
        (&spec.uts, CloneFlags::CLONE_NEWUTS, "uts"),
    ];
    let new = sources.iter().filter(|(source, ..)| **source == NamespaceSource::New);
    let flags = new.fold(CloneFlags::empty(), |flags, (_, flag, _)| flags | *flag);
    let holder = match &spec.users {
        Some(users) => Some(with_users(spec, users, flags, &holders)?),
        None => unshare(flags)
            .map(|()| None)
            .map_err(|errno| failed("unshare", "namespaces")(errno.into()))?,
    };
    for (source, flag, name) in sources {
        let path = match (source, &holder) {
            (NamespaceSource::Path(path), _) => Some(path.clone()),
            (NamespaceSource::New, Some(holder)) => Some(holder.proc(&format!("ns/{name}"))),
            _ => None,
        };
        if let Some(path) = path {
            let namespace = File::open(&path).map_err(failed("open namespace", &path))?;
            setns(namespace, flag).map_err(|errno| failed("enter namespace", &path)(errno.into()))?;
        }
        if *source != NamespaceSource::Host {
            bind(&Path::new("/proc/self/ns").join(name), &holders.join(name))?;
        }
    }
    if spec.uts == NamespaceSource::New {
        nix::unistd::sethostname(&spec.hostname)
            .map_err(|errno| failed("set hostname", &spec.hostname)(errno.into()))?;
    }
    if spec.net == NamespaceSource::New {
        loopback_up().map_err(|errno| failed("bring up", "lo")(errno.into()))?;
    }
    if spec.ipc == NamespaceSource::New {
        shared_memory(&directory.join("shm"), spec.users.as_ref())?;
    }
    sysctls(&spec.sysctls)?;
    if spec.pid != PidMode::Pod {
        return Ok(None);
    }
    // Process 1 of a shared pid namespace: it holds it and reaps; all containers die with it.
    let holder = match holder {
        Some(holder) => holder,
        None => Holder::start(CloneFlags::CLONE_NEWPID, None).map_err(failed("clone", "pause process"))?,
    };
    bind(&holder.proc("ns/pid"), &holders.join("pid"))?;
    Ok(Some(holder.keep()))
}

/// Namespaces belong to the user namespace of who makes them, for good: so a process in the pod's makes them all. This
/// process stays root of the host, and may enter them.
fn with_users(
    spec: &SandboxSpec,
    users: &UserNamespace,
    mut flags: CloneFlags,
    holders: &Path,
) -> Result<Holder, NamespaceError> {
    flags.set(CloneFlags::CLONE_NEWPID, spec.pid == PidMode::Pod);
    let holder = Holder::start(flags, Some(users)).map_err(failed("make", "user namespace"))?;
    bind(&holder.proc("ns/user"), &holders.join("user"))?;
    Ok(holder)
}

/// Takes away what [`set_up`] mounted, for a shim that has ended; fine when nothing is there.
pub fn clean(sandbox_dir: &Path) {
    let mounted = ["ns/net", "ns/ipc", "ns/uts", "ns/pid", "ns/user", "shm"];
    for path in mounted.map(|name| sandbox_dir.join(name)) {
        // EINVAL: not a mount point; ENOENT: never made.
        while umount2(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
    }
}

/// The starter has read `R`; what is printed from now on has no reader.
pub(super) fn release_stdout() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    sys::descriptors::install_stdio(null.as_fd(), 1)?;
    Ok(())
}

fn bind(namespace: &Path, holder: &Path) -> Result<(), NamespaceError> {
    File::create(holder).map_err(failed("make", holder))?;
    mount(Some(namespace), holder, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|errno| failed("bind namespace at", holder)(errno.into()))
}

fn loopback_up() -> Result<(), Errno> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    sys::interface::bring_up(socket.as_fd(), "lo")
}

/// POSIX shared memory is files, so containers that share an IPC namespace share this directory as /dev/shm.
fn shared_memory(path: &Path, users: Option<&UserNamespace>) -> Result<(), NamespaceError> {
    std::fs::create_dir_all(path).map_err(failed("make", path))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let (uid, gid) = users.map_or((0, 0), |users| users.root());
    let options = format!("mode=1777,size=65536k,uid={uid},gid={gid}");
    mount(Some("shm"), path, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(|errno| failed("mount tmpfs at", path)(errno.into()))
}

fn sysctls(values: &BTreeMap<String, String>) -> Result<(), NamespaceError> {
    for (key, value) in values {
        let path: PathBuf = Path::new("/").join(sysctl_path(key));
        std::fs::write(path, value).map_err(|source| NamespaceError::Sysctl {
            key: key.clone(),
            source,
        })?;
    }
    Ok(())
}
