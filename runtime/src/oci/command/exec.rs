//! `exec`: one more process in a container.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use oci_spec::runtime::{Process, Spec};
use serde_json::{Value, json};

use super::flags::{Given, switch, value, values};
use super::foreground::Front;
use super::launching::{Answers, follow};
use super::record::Record;
use super::{CommandError, Context, Outcome, Verb, create, preserve, process, sealed};
use crate::cgroup::{self, CgroupPath, Driver};
use crate::launch::parent::{CgroupEntry, ExecTarget};
use crate::launch::plan::{TIME_NAMESPACE, personality};
use crate::launch::{self, Manner, ProcessPlan};
use crate::oci::Status;
use crate::sys::pidfd;
use crate::user_namespace::{IdRange, UserNamespace};

pub(super) const EXEC: Verb = Verb {
    name: "exec",
    about: "run one more command in a container",
    flags: &[
        value("console-socket", "", "socket that gets the terminal's master"),
        value("cwd", "", "working directory"),
        values("env", "e", "NAME=VALUE, besides the container's environment"),
        switch("tty", "t", "allocate a terminal"),
        value("user", "u", "UID or UID:GID"),
        values("additional-gids", "g", "additional groups"),
        value("process", "p", "file with the process of the specification"),
        switch("detach", "d", "don't wait"),
        value("pid-file", "", "file to write the process id to"),
        value("process-label", "", "SELinux label"),
        value("apparmor", "", "AppArmor profile"),
        switch("no-new-privs", "", "execve gives no more rights"),
        values("cap", "c", "capability to add"),
        value(
            "preserve-fds",
            "",
            "descriptors to pass on besides the streams and $LISTEN_FDS",
        ),
        value("cgroup", "", "cgroup below the container's own to run in"),
        switch(
            "ignore-paused",
            "",
            "also in a frozen container, where it waits until that goes on",
        ),
    ],
    arguments: (1, usize::MAX),
    wanted: "the container's id, and a command or --process",
    run: exec,
    failure: 255,
};

fn exec(context: &Context, given: &Given) -> Outcome {
    sealed::ensure()?;
    let preserved = preserve(given)?;
    let (place, record) = context.container(given)?;
    let cgroups = cgroup::mounted().ok();
    match record.status(cgroups.as_deref()) {
        Status::Running | Status::Created => {}
        Status::Paused if given.is("ignore-paused") => {}
        status => return Err(CommandError::Exec(status.word())),
    }
    let spec = place.spec()?;
    let asked = asked(&spec, given)?;
    let plan = plan(&spec, &asked)?;
    let detached = given.is("detach");
    let socket = given.get("console-socket");
    create::check_console(plan.terminal.is_some(), socket.is_some(), !detached)?;
    let front = if detached { None } else { Some(Front::prepare(false)?) };
    let init = pidfd::open(Pid::from_raw(record.pid)).map_err(CommandError::system("find the container's process"))?;
    if !record.alive() {
        return Err(CommandError::Exec(Status::Stopped.word()));
    }
    let (namespaces, pid_namespace) = differing(record.pid).map_err(CommandError::file("read", "namespaces"))?;
    // An ordinary user's command is allowed nothing before it is root of the container's user namespace; then it goes on as
    // any root does.
    let namespaces = if context.lenient_cgroups && namespaces.contains(CloneFlags::CLONE_NEWUSER) {
        setns(&init, CloneFlags::CLONE_NEWUSER).map_err(CommandError::system("enter the user namespace"))?;
        namespaces.difference(CloneFlags::CLONE_NEWUSER)
    } else {
        namespaces
    };
    let users = mapped(&spec).filter(|_| namespaces.contains(CloneFlags::CLONE_NEWUSER));
    let target = ExecTarget {
        init: init.as_fd(),
        namespaces,
        pid_namespace,
        users: users.as_ref(),
    };
    let entry = entry(cgroups.as_deref(), &record, given.get("cgroup"))?;
    let manner = Manner {
        outlives_parent: true,
        preserved,
        ..Manner::default()
    };
    let launch = launch::exec_as(
        &plan,
        &target,
        process::streams(plan.terminal.is_some())?,
        &entry,
        &manner,
    )?;
    let mut state = record.state(Status::Running, spec.annotations().clone().unwrap_or_default());
    state.pid = launch.cloned.pid.as_raw();
    let mut answers = Answers {
        log: &context.log,
        console: socket.map(Path::new),
        agent: create::agent(&spec),
        state,
        hooks: &mut || Ok(()),
    };
    let pid = launch.cloned.pid.as_raw();
    let terminal = follow(launch.status.as_fd(), &mut answers)
        .and_then(|(_, terminal)| create::write_pid(given.get("pid-file"), pid).map(|()| terminal))
        .inspect_err(|_| {
            let _ = pidfd::send_signal(launch.cloned.pidfd.as_fd(), Signal::SIGKILL as i32);
        })?;
    front.map_or(Ok(0), |front| front.stay(&launch.cloned, terminal))
}

/// The container's users, by the mapping in config.json.
fn mapped(spec: &Spec) -> Option<UserNamespace> {
    let linux = spec.linux().as_ref()?;
    let uids = IdRange::of_oci(linux.uid_mappings().as_deref()?)?;
    let gids = IdRange::of_oci(linux.gid_mappings().as_deref()?)?;
    Some(UserNamespace { uids, gids })
}

fn plan(spec: &Spec, process: &Process) -> Result<ProcessPlan, CommandError> {
    let linux = spec.linux().as_ref();
    let mut plan = launch::plan::process(process, linux.and_then(|linux| linux.seccomp().as_ref()))?;
    plan.personality = linux
        .and_then(|linux| linux.personality().as_ref())
        .map(personality)
        .transpose()?;
    Ok(plan)
}

/// The process of the file, or the container's own with what the options change.
fn asked(spec: &Spec, given: &Given) -> Result<Process, CommandError> {
    if let Some(path) = given.get("process").map(PathBuf::from) {
        let text = fs::read(&path).map_err(CommandError::file("read", &path))?;
        return serde_json::from_slice(&text).map_err(|error| CommandError::Config {
            path,
            reason: error.to_string(),
        });
    }
    let own = spec
        .process()
        .as_ref()
        .map(serde_json::to_value)
        .and_then(Result::ok)
        .unwrap_or_default();
    let changed = change(own, given)?;
    serde_json::from_value(changed).map_err(|error| CommandError::Config {
        path: "the options of exec".into(),
        reason: error.to_string(),
    })
}

/// As JSON, where each field can be set by its name.
fn change(mut process: Value, given: &Given) -> Result<Value, CommandError> {
    let command = &given.rest[1..];
    if command.is_empty() {
        return Err(CommandError::Arguments {
            program: super::usage::PROGRAM,
            verb: EXEC.name,
            wanted: EXEC.wanted,
        });
    }
    process["args"] = json!(command);
    process["terminal"] = json!(given.is("tty"));
    for (flag, field) in [
        ("cwd", "cwd"),
        ("apparmor", "apparmorProfile"),
        ("process-label", "selinuxLabel"),
    ] {
        if let Some(value) = given.get(flag) {
            process[field] = json!(value);
        }
    }
    if given.is("no-new-privs") {
        process["noNewPrivileges"] = json!(true);
    }
    if let Some(user) = given.get("user") {
        let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
        let number = |text: &str| {
            text.parse::<u32>().map_err(|_| CommandError::Number {
                flag: "user",
                value: user.to_owned(),
            })
        };
        process["user"] = json!({"uid": number(uid)?, "gid": number(gid)?});
    }
    append(&mut process["env"], given.all("env").iter().map(|entry| json!(entry)));
    let groups = given
        .all("additional-gids")
        .iter()
        .filter_map(|group| group.parse::<u32>().ok());
    append(&mut process["user"]["additionalGids"], groups.map(|group| json!(group)));
    for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
        if !given.all("cap").is_empty() {
            append(
                &mut process["capabilities"][set],
                given.all("cap").iter().map(|name| json!(name)),
            );
        }
    }
    Ok(process)
}

fn append(list: &mut Value, more: impl Iterator<Item = Value>) {
    let mut all = list.as_array().cloned().unwrap_or_default();
    all.extend(more);
    if !all.is_empty() {
        *list = Value::Array(all);
    }
}

/// The namespaces of the container's first process that are not ours: all of them but the pid namespace, and whether that
/// is among them.
fn differing(pid: i32) -> io::Result<(CloneFlags, bool)> {
    let all = [
        ("user", CloneFlags::CLONE_NEWUSER),
        ("mnt", CloneFlags::CLONE_NEWNS),
        ("net", CloneFlags::CLONE_NEWNET),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("cgroup", CloneFlags::CLONE_NEWCGROUP),
        ("time", TIME_NAMESPACE),
    ];
    let differs = |name: &str| -> io::Result<bool> {
        let of = |who: &str| fs::read_link(format!("/proc/{who}/ns/{name}"));
        match of("self") {
            // A kernel without this kind has none to enter.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            own => Ok(own? != of(&pid.to_string())?),
        }
    };
    let mut flags = CloneFlags::empty();
    for (name, flag) in all {
        flags.set(flag, differs(name)?);
    }
    Ok((flags, differs("pid")?))
}

/// The container's cgroup, or one below it: `NAME` or, as runc has it for v1, `CONTROLLER:NAME`.
fn entry(driver: Option<&dyn Driver>, record: &Record, below: Option<&str>) -> Result<CgroupEntry, CommandError> {
    let (Some(driver), Some(path)) = (driver, record.cgroup()) else {
        return Ok(CgroupEntry::default());
    };
    let below = below.map(|text| text.rsplit_once(':').map_or(text, |(_, name)| name));
    let path = match below.map(|name| name.trim_matches('/')).filter(|name| !name.is_empty()) {
        Some(name) => CgroupPath::parse(&path.as_path().join(name))?,
        None => path,
    };
    Ok(driver.entry(&path)?)
}
