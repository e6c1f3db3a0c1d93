//! The parent's half: opens what the child needs, clones, and hands the status socket to the caller, who never waits.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::Mode;

use super::child::{self, Prepared};
use super::plan::{Plan, ProcessPlan};
use super::report::{Failure, InStep};
use crate::sys::clone::{CloneArgs, Cloned, clone_child};
use crate::sys::pidfd;
use crate::user_namespace::UserNamespace;

/// Standard streams of a process without a terminal; a missing one is /dev/null.
#[derive(Debug, Default)]
pub struct Stdio {
    /// To read from.
    pub stdin: Option<OwnedFd>,
    /// To write to.
    pub stdout: Option<OwnedFd>,
    /// To write errors to.
    pub stderr: Option<OwnedFd>,
}

/// How a process gets into its cgroup.
#[derive(Debug, Default)]
pub struct CgroupEntry {
    /// It is born in this one (v2 alone).
    pub born_in: Option<OwnedFd>,
    /// It writes `0` into these files itself (v1 and hybrid).
    pub files: Vec<PathBuf>,
}

/// What is different when the process isn't a shim's: the OCI command line ends long before its container does.
#[derive(Debug, Default)]
pub struct Manner {
    /// It lives on when its parent ends.
    pub outlives_parent: bool,
    /// A listening socket: whoever connects to it has the container's command executed, and hears how that went.
    pub door: Option<OwnedFd>,
    /// How many descriptors from 3 on the command inherits.
    pub preserved: u32,
    /// Move the root mount instead of exchanging it by pivot_root(2), which refuses a root on the initial ramdisk.
    pub no_pivot: bool,
    /// Name of a new session keyring; none keeps the caller's.
    pub keyring: Option<CString>,
    /// What the state of the container is, as hooks are told, but for its pid and status.
    pub state: crate::oci::State,
}

/// A process on its way.
#[derive(Debug)]
pub struct Launch {
    /// The process.
    pub cloned: Cloned,
    /// Where it reports; see [`super::report::receive`].
    pub status: OwnedFd,
}

/// The container that an exec enters.
#[derive(Debug)]
pub struct ExecTarget<'a> {
    /// Its first process, as a pidfd.
    pub init: BorrowedFd<'a>,
    /// Which namespaces to take from it, all but the pid namespace.
    pub namespaces: CloneFlags,
    /// The pid namespace to be born in, when it is not the shim's own.
    pub pid_namespace: bool,
    /// The users of its user namespace, when it is not the shim's own.
    pub users: Option<&'a UserNamespace>,
}

/// Starts a container's first process. Returns as soon as it exists.
///
/// # Errors
/// A namespace that cannot be opened, or the clone itself.
pub fn start(plan: &Plan, stdio: Stdio, cgroup: &CgroupEntry) -> Result<Launch, Failure> {
    start_as(plan, stdio, cgroup, &Manner::default())
}

/// The same, as `manner` says.
///
/// # Errors
/// A namespace that cannot be opened, or the clone itself.
pub fn start_as(plan: &Plan, stdio: Stdio, cgroup: &CgroupEntry, manner: &Manner) -> Result<Launch, Failure> {
    let (ours, theirs) = status_socket()?;
    let mut join = Vec::with_capacity(plan.join.len());
    let mut pid_namespace = None;
    for (kind, path) in &plan.join {
        let fd = open(path).step("open namespace", path)?;
        if is_own(*kind, &fd) {
            continue;
        }
        if *kind == CloneFlags::CLONE_NEWPID {
            pid_namespace = Some(fd);
        } else {
            join.push((*kind, fd));
        }
    }
    let users = plan
        .users
        .as_ref()
        .map(|(path, _)| open(path).step("open namespace", path));
    let prepared = Prepared {
        manner,
        join,
        users: users.transpose()?,
        cgroup_files: &cgroup.files,
        stdio,
        status: theirs.as_fd(),
        shim: pidfd::open(nix::unistd::getpid()).step("open", "own pidfd")?,
    };
    let namespaces = plan.namespaces.bits().cast_unsigned();
    let cloned = clone_into(
        namespaces.into(),
        pid_namespace.as_ref().map(AsFd::as_fd),
        cgroup,
        || child::start(plan, &prepared),
    )?;
    Ok(Launch { cloned, status: ours })
}

/// Starts one more process in a running container.
///
/// # Errors
/// The container has ended, or the clone itself.
pub fn exec(
    process: &ProcessPlan,
    target: &ExecTarget<'_>,
    stdio: Stdio,
    cgroup: &CgroupEntry,
) -> Result<Launch, Failure> {
    exec_as(process, target, stdio, cgroup, &Manner::default())
}

/// The same, as `manner` says.
///
/// # Errors
/// The container has ended, or the clone itself.
pub fn exec_as(
    process: &ProcessPlan,
    target: &ExecTarget<'_>,
    stdio: Stdio,
    cgroup: &CgroupEntry,
    manner: &Manner,
) -> Result<Launch, Failure> {
    let (ours, theirs) = status_socket()?;
    let prepared = Prepared {
        manner,
        join: Vec::new(),
        users: None,
        cgroup_files: &cgroup.files,
        stdio,
        status: theirs.as_fd(),
        shim: pidfd::open(nix::unistd::getpid()).step("open", "own pidfd")?,
    };
    let pid_namespace = target.pid_namespace.then_some(target.init);
    let cloned = clone_into(0, pid_namespace, cgroup, || child::exec(process, target, &prepared))?;
    Ok(Launch { cloned, status: ours })
}

/// Clones into another pid namespace by changing, for a moment, the one that this process's children are born in.
fn clone_into(
    namespaces: u64,
    pid_namespace: Option<BorrowedFd<'_>>,
    cgroup: &CgroupEntry,
    run: impl FnOnce() -> i32,
) -> Result<Cloned, Failure> {
    let args = CloneArgs {
        namespaces,
        cgroup: cgroup.born_in.as_ref().map(AsFd::as_fd),
    };
    let Some(namespace) = pid_namespace else {
        return clone_child(&args, run).step("clone", "");
    };
    let own = open(Path::new("/proc/self/ns/pid")).step("open", "/proc/self/ns/pid")?;
    setns(namespace, CloneFlags::CLONE_NEWPID).step("join pid namespace", "")?;
    let cloned = clone_child(&args, run);
    setns(&own, CloneFlags::CLONE_NEWPID).step("leave pid namespace", "")?;
    // A pid namespace whose first process has ended takes no new ones, and says so with ENOMEM (pid_namespaces(7)).
    cloned.step("clone", "")
}

pub(super) fn status_socket() -> Result<(OwnedFd, OwnedFd), Failure> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).step("make status socket", "")?;
    nix::fcntl::fcntl(&pair.0, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).step("make status socket", "")?;
    Ok(pair)
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    nix::fcntl::open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Whether a namespace is the one that the child inherits anyway: then it is not entered, which would also cost rights that
/// setns wants and a plain clone doesn't.
fn is_own(kind: CloneFlags, fd: &OwnedFd) -> bool {
    let name = match kind {
        CloneFlags::CLONE_NEWNET => "net",
        CloneFlags::CLONE_NEWIPC => "ipc",
        CloneFlags::CLONE_NEWUTS => "uts",
        CloneFlags::CLONE_NEWPID => "pid",
        CloneFlags::CLONE_NEWCGROUP => "cgroup",
        _ => return false,
    };
    let identity = |stat: nix::sys::stat::FileStat| (stat.st_dev, stat.st_ino);
    let own = nix::sys::stat::stat(Path::new("/proc/self/ns").join(name).as_path()).map(identity);
    own.is_ok() && own == nix::sys::stat::fstat(fd).map(identity)
}
