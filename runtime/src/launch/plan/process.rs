//! The process part of config.json, as the system calls want it; an exec uses it alone.

use std::ffi::CString;

use oci_spec::runtime::{LinuxSeccomp, Process};

use super::capabilities::Capabilities;
use super::seccomp::{self, Filter};
use super::{CAPABILITIES, PlanError, scheduling};
use crate::sys::priority::Scheduling;

/// Where commands are looked for when the environment doesn't say (as containerd's default for Linux).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who runs what.
#[derive(Debug)]
pub struct ProcessPlan {
    /// Arguments; never empty.
    pub argv: Vec<CString>,
    /// Environment, `KEY=value`.
    pub env: Vec<CString>,
    /// Files to try, in this order.
    pub candidates: Vec<CString>,
    /// Working directory.
    pub cwd: CString,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// File mode creation mask.
    pub umask: u32,
    /// Capability sets.
    pub capabilities: Capabilities,
    /// Highest capability number to consider.
    pub last_capability: u32,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Preference of the out-of-memory killer.
    pub oom_score_adj: Option<i32>,
    /// Whether execve can never give more rights.
    pub no_new_privs: bool,
    /// Seccomp filters, to be installed in this order.
    pub seccomp: Vec<Filter>,
    /// Scheduling policy.
    pub scheduler: Option<Scheduling>,
    /// Priority on the disk, as ioprio_set(2) wants it.
    pub io_priority: Option<i32>,
    /// Execution domain, as personality(2) wants it; the container's, which [`process`] doesn't see.
    pub personality: Option<u32>,
    /// CPUs before and after it has joined its cgroup; an exec's alone.
    pub affinity: (Option<Vec<usize>>, Option<Vec<usize>>),
    /// Profile or label to take on at execve, for AppArmor and SELinux.
    pub labels: (Option<String>, Option<String>),
    /// A pseudo-terminal of this width and height, when wanted.
    pub terminal: Option<(u16, u16)>,
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rlimit {
    /// Name as in config.json.
    pub name: String,
    /// Number.
    pub resource: nix::sys::resource::Resource,
    /// Soft and hard limit.
    pub limits: (u64, u64),
}

/// Decides a process.
///
/// # Errors
/// The first field that cannot be carried out.
pub fn process(process: &Process, profile: Option<&LinuxSeccomp>) -> Result<ProcessPlan, PlanError> {
    let args = process.args().as_deref().unwrap_or_default();
    let command = args.first().ok_or(PlanError::Missing("process.args"))?;
    let env = process.env().as_deref().unwrap_or_default();
    let user = process.user();
    let size = process
        .console_size()
        .map(|size| (clamp(size.width()), clamp(size.height())));
    Ok(ProcessPlan {
        argv: strings("process.args", args)?,
        env: strings("process.env", env)?,
        candidates: candidates(command, env)?,
        cwd: c_string("process.cwd", process.cwd().as_os_str().as_encoded_bytes())?,
        uid: user.uid(),
        gid: user.gid(),
        groups: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask().unwrap_or(0o022),
        capabilities: process
            .capabilities()
            .as_ref()
            .map(Capabilities::of)
            .unwrap_or_default(),
        last_capability: u32::try_from(CAPABILITIES.len() - 1).expect("there are 41 capabilities"),
        rlimits: process
            .rlimits()
            .iter()
            .flatten()
            .map(rlimit)
            .collect::<Result<_, _>>()?,
        oom_score_adj: process.oom_score_adj(),
        no_new_privs: process.no_new_privileges().unwrap_or(false),
        seccomp: profile.map(seccomp::compile).transpose()?.unwrap_or_default(),
        scheduler: process.scheduler().as_ref().map(scheduling::scheduling).transpose()?,
        io_priority: process.io_priority().as_ref().map(scheduling::io_priority),
        personality: None,
        affinity: scheduling::affinity(process.exec_cpu_affinity().as_ref())?,
        labels: (given(process.apparmor_profile()), given(process.selinux_label())),
        terminal: process.terminal().unwrap_or(false).then(|| size.unwrap_or((80, 24))),
    })
}

/// A command with a slash is a path; else it is looked for in each directory of `PATH` (execvp(3)).
pub(super) fn candidates(command: &str, env: &[String]) -> Result<Vec<CString>, PlanError> {
    if command.contains('/') {
        return Ok(vec![c_string("process.args[0]", command.as_bytes())?]);
    }
    let path = env
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    let join = |dir: &str| {
        let dir = if dir.is_empty() { "." } else { dir };
        c_string(
            "process.args[0]",
            format!("{}/{command}", dir.trim_end_matches('/')).as_bytes(),
        )
    };
    path.split(':').map(join).collect()
}

pub(super) fn c_string(field: &'static str, bytes: &[u8]) -> Result<CString, PlanError> {
    CString::new(bytes).map_err(|_| PlanError::Nul {
        field,
        value: String::from_utf8_lossy(bytes).into_owned(),
    })
}

fn strings(field: &'static str, values: &[String]) -> Result<Vec<CString>, PlanError> {
    values.iter().map(|value| c_string(field, value.as_bytes())).collect()
}

fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn clamp(size: u64) -> u16 {
    u16::try_from(size).unwrap_or(u16::MAX)
}

fn rlimit(limit: &oci_spec::runtime::PosixRlimit) -> Result<Rlimit, PlanError> {
    use nix::sys::resource::Resource;
    let name = limit.typ().to_string();
    let resource = match name.as_str() {
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => Resource::RLIMIT_NICE,
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_RSS" => Resource::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        _ => {
            return Err(PlanError::Unsupported {
                field: "process.rlimits",
                value: name,
                why: "the names of getrlimit(2) are known",
            });
        }
    };
    Ok(Rlimit {
        name,
        resource,
        limits: (limit.soft(), limit.hard()),
    })
}
