//! Starts, ends, execs, errors.

use std::path::Path;

use minik_runtime::shim::{ExecStdio, Exit, FaultKind, PidMode, ShimError, ShimEvent};
use oci_spec::runtime::Process;
use serde_json::json;

use super::Test;
use super::pod::{Pod, launcher};

pub(crate) const TESTS: &[Test] = &[
    ("a_container_of_the_kubelets_runs", a_container_of_the_kubelets_runs),
    (
        "a_container_is_in_its_own_namespaces_and_cgroup",
        a_container_is_in_its_own_namespaces_and_cgroup,
    ),
    (
        "exit_codes_and_signals_are_told_apart",
        exit_codes_and_signals_are_told_apart,
    ),
    ("an_exec_joins_the_container", an_exec_joins_the_container),
    ("an_exec_has_a_terminal", an_exec_has_a_terminal),
    (
        "a_failed_start_says_which_file_is_missing",
        a_failed_start_says_which_file_is_missing,
    ),
    ("out_of_memory_is_told", out_of_memory_is_told),
    ("containers_share_a_pid_namespace", containers_share_a_pid_namespace),
    (
        "a_killed_shim_takes_its_containers_along",
        a_killed_shim_takes_its_containers_along,
    ),
    ("a_new_daemon_finds_the_shim", a_new_daemon_finds_the_shim),
    ("shutdown_leaves_nothing", shutdown_leaves_nothing),
];

fn namespace(pid: i32, name: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    link.to_string_lossy().into_owned()
}

/// In every hierarchy; crun isn't shown the v2 one of a hybrid host.
fn assert_in_cgroup(pid: i32, path: &str) {
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let hybrid = launcher() == Some("crun") && cgroups.lines().count() > 1;
    let mut lines = cgroups.lines().filter(|line| !(hybrid && line.starts_with("0::")));
    assert!(lines.all(|line| line.ends_with(path)), "{cgroups}");
}

fn a_container_is_in_its_own_namespaces_and_cgroup() {
    let mut pod = Pod::new();
    let started = pod.start("c1", &["sleep", "1000"], |_| {});
    let (pid, shim, own) = (started.pid, pod.shim_pid(), std::process::id().cast_signed());
    for name in ["pid", "mnt", "cgroup"] {
        assert_ne!(
            namespace(pid, name),
            namespace(shim, name),
            "{name} is the container's own"
        );
    }
    for name in ["net", "ipc", "uts"] {
        assert_eq!(namespace(pid, name), namespace(shim, name), "{name} is the pod's");
        assert_ne!(namespace(pid, name), namespace(own, name), "{name} is not the host's");
    }
    assert_in_cgroup(pid, &format!("{}/c1", pod.cgroup));
    // An OCI runtime's `start` lets the process go on to execve, and doesn't wait for it.
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(launcher().is_some() || command == "sleep\x001000\x00", "{command:?}");
    assert_eq!(
        std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj"))
            .unwrap()
            .trim(),
        "100"
    );

    pod.wait(pod.shim.kill("c1", libc::SIGKILL, false)).unwrap();
    let exit = pod.ended("c1");
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, Some(9), false));
    assert_eq!(Exit::read(&pod.bundle("c1")).unwrap(), Some(exit));
    assert_eq!(pod.wait(pod.shim.state()).unwrap()[0].exit, Some(exit));
    let killed = pod.wait(pod.shim.kill("c1", libc::SIGKILL, false)).unwrap_err();
    assert_eq!(killed.fault(), Some(FaultKind::FailedPrecondition));
}

fn exit_codes_and_signals_are_told_apart() {
    let mut pod = Pod::new();
    let (exit, _) = pod.run("seven", "exit 7", |_| {});
    assert_eq!((exit.code, exit.signal), (7, None));
    pod.start(
        "stopped",
        &[
            "sh",
            "-c",
            "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done",
        ],
        |_| {},
    );
    pod.wait(pod.shim.kill("stopped", libc::SIGTERM, false)).unwrap();
    // The trap may not be set yet, and process 1 of a pid namespace ignores what it doesn't handle.
    while pod
        .wait(pod.shim.state())
        .unwrap()
        .iter()
        .any(|state| state.id == "stopped" && state.exit.is_none())
    {
        let _ = pod.wait(pod.shim.kill("stopped", libc::SIGTERM, false));
    }
    assert_eq!(pod.ended("stopped").code, 3);
}

fn process(args: &[&str], terminal: bool) -> Process {
    let process = json!({
        "terminal": terminal, "consoleSize": {"width": 91, "height": 17},
        "user": {"uid": 101, "gid": 102, "additionalGids": [7]}, "args": args, "env": ["PATH=/bin"], "cwd": "/tmp",
        "capabilities": {"bounding": [], "effective": [], "permitted": []}, "noNewPrivileges": true
    });
    serde_json::from_value(process).unwrap()
}

fn an_exec_joins_the_container() {
    let pod = Pod::new();
    let started = pod.start("c1", &["sleep", "1000"], |_| {});
    let (mut reader, writer) = std::io::pipe().unwrap();
    let stdio = ExecStdio::Pipes {
        stdin: None,
        stdout: Some(writer.into()),
        stderr: None,
    };
    let script = "id; pwd; hostname; cat /proc/1/comm; readlink /proc/self/ns/pid; exit 5";
    let mut exec = pod
        .wait(pod.shim.exec("c1", process(&["sh", "-c", script], false), stdio))
        .unwrap();
    let exit = pod.wait(exec.exit()).unwrap();
    assert_eq!(exit.code, 5);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "uid=101(web) gid=102 groups=7");
    assert_eq!(lines[1..4], ["/tmp", "pod-of-test", "sleep"]);
    assert_eq!(lines[4], namespace(started.pid, "pid"));

    let stdio = || ExecStdio::Pipes {
        stdin: None,
        stdout: None,
        stderr: None,
    };
    let mut exec = pod
        .wait(pod.shim.exec("c1", process(&["sleep", "1000"], false), stdio()))
        .unwrap();
    assert_in_cgroup(exec.pid, "/c1");
    pod.wait(pod.shim.kill_exec("c1", &exec.id, libc::SIGKILL, false))
        .unwrap();
    assert_eq!(pod.wait(exec.exit()).unwrap().signal, Some(9));

    let error = pod
        .wait(pod.shim.exec("c1", process(&["no-such"], false), stdio()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("not found in $PATH"), "{error}");
    assert!(launcher().is_some() || error.contains("$PATH (/bin)"), "{error}");
    let error = pod
        .wait(pod.shim.exec("none", process(&["ls"], false), stdio()))
        .unwrap_err();
    assert_eq!(error.fault(), Some(FaultKind::NotFound));
}

fn an_exec_has_a_terminal() {
    let pod = Pod::new();
    pod.start("c1", &["sleep", "1000"], |_| {});
    let script = "stty size; readlink /proc/self/fd/0; exit 4";
    let mut exec = pod
        .wait(
            pod.shim
                .exec("c1", process(&["sh", "-c", script], true), ExecStdio::Terminal),
        )
        .unwrap();
    let exit = pod.wait(exec.exit()).unwrap();
    assert_eq!(exit.code, 4);
    exec.resize(100, 40).unwrap();
    let (mut text, mut chunk) = (Vec::new(), [0; 256]);
    // Its end is EIO, since nobody holds the other side any more.
    while let Ok(length @ 1..) = nix::unistd::read(exec.pty.as_ref().unwrap(), &mut chunk) {
        text.extend(&chunk[..length]);
    }
    let text = String::from_utf8_lossy(&text);
    assert!(text.ends_with("/dev/pts/0\r\n"), "{text}");
    // crun sets the size of an exec's terminal when the process runs already.
    assert!(launcher() == Some("crun") || text.starts_with("17 91\r\n"), "{text}");
}

fn failure(error: ShimError) -> minik_runtime::launch::Failure {
    match error {
        ShimError::Fault(fault) => fault
            .failure
            .unwrap_or_else(|| panic!("no step failed: {}", fault.message)),
        other => panic!("{other}"),
    }
}

fn a_failed_start_says_which_file_is_missing() {
    let pod = Pod::new();
    let failed = failure(pod.try_start("c1", &["sleeep", "1"], |_| {}).unwrap_err());
    assert_eq!((failed.step.as_str(), failed.errno), ("execve", libc::ENOENT));
    assert!(failed.reason.contains("did you mean /bin/sleep?"), "{failed}");
    // The same id again: the failed one has left nothing.
    let failed = failure(pod.try_start("c1", &["script"], |_| {}).unwrap_err());
    assert!(
        failed.reason.contains("its interpreter /bin/missing-shell is not"),
        "{failed}"
    );
    let missing = json!({"destination": "/data", "type": "bind", "source": "/no/such", "options": ["rbind"]});
    let failed = failure(
        pod.try_start("c1", &["sh"], |config| {
            config["mounts"].as_array_mut().unwrap().push(missing)
        })
        .unwrap_err(),
    );
    assert_eq!(
        (failed.step.as_str(), failed.thing.as_str()),
        ("open mount source", "/no/such")
    );
    assert_eq!(pod.wait(pod.shim.state()).unwrap(), []);
    let cgroup = Path::new("/sys/fs/cgroup/pids")
        .join(pod.cgroup.trim_start_matches('/'))
        .join("c1");
    assert!(!cgroup.exists(), "a failed start leaves no cgroup");
    pod.start("c1", &["sleep", "1000"], |_| {});
}

fn out_of_memory_is_told() {
    let mut pod = Pod::new();
    let limit = |config: &mut serde_json::Value| {
        config["linux"]["resources"] = json!({"memory": {"limit": 16_777_216, "swap": 16_777_216}});
    };
    let (exit, _) = pod.run("c1", "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}", limit);
    assert!(exit.oom_killed, "{exit:?}");
}

fn containers_share_a_pid_namespace() {
    let mut pod = Pod::with(|spec| spec.pid = PidMode::Pod);
    let holder = pod.sandbox().join("ns/pid");
    let shared = |config: &mut serde_json::Value| {
        config["linux"]["namespaces"].as_array_mut().unwrap()[0] = json!({"type": "pid", "path": holder});
    };
    let first = pod.start("c1", &["sleep", "1000"], shared);
    let (exit, text) = pod.run("c2", "cat /proc/1/comm; ps", shared);
    assert_eq!(exit.code, 0);
    assert!(text.contains("sleep 1000") && text.starts_with("pause\n"), "{text}");
    assert_ne!(namespace(first.pid, "pid"), namespace(pod.shim_pid(), "pid"));
}

fn a_killed_shim_takes_its_containers_along() {
    let mut pod = Pod::new();
    let started = pod.start("c1", &["sleep", "1000"], |_| {});
    let container = minik_runtime::sys::pidfd::open(nix::unistd::Pid::from_raw(started.pid)).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pod.shim_pid()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    // A pidfd becomes readable at the end of its process.
    let mut ended = [nix::poll::PollFd::new(
        std::os::fd::AsFd::as_fd(&container),
        nix::poll::PollFlags::POLLIN,
    )];
    // The test's own runtime is told of the same end, by a signal.
    let mut wait = std::iter::repeat_with(|| nix::poll::poll(&mut ended, 5000_u16));
    let ready = wait.find(|ready| *ready != Err(nix::errno::Errno::EINTR));
    assert_eq!(ready, Some(Ok(1)), "the container dies with its shim");
    let mut gone = None;
    while gone != Some(ShimEvent::Gone) {
        let events = &mut pod.events;
        gone = pod.runtime.block_on(events.next());
        assert!(gone.is_some(), "the client is told");
    }
}

fn a_new_daemon_finds_the_shim() {
    let pod = Pod::new();
    let started = pod.start("c1", &["sleep", "1000"], |_| {});
    let again = pod.wait(minik_runtime::shim::Shim::connect(&pod.sandbox())).unwrap();
    let (state, _) = pod.wait(again.events()).unwrap();
    assert_eq!((state.len(), state[0].pid, state[0].exit), (1, started.pid, None));
}

fn shutdown_leaves_nothing() {
    let pod = Pod::new();
    let started = pod.start("c1", &["sleep", "1000"], |_| {});
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let directory = pod.directory.path().to_string_lossy().into_owned();
    assert_eq!(
        mounts().matches(&directory).count(),
        4,
        "three namespaces and shared memory: no rootfs on the host"
    );
    pod.wait(pod.shim.shutdown()).unwrap();
    assert!(!Path::new("/proc").join(started.pid.to_string()).exists());
    assert_eq!(mounts().matches(&directory).count(), 0);
    let cgroups = minik_runtime::cgroup::detect().unwrap();
    let path = minik_runtime::cgroup::CgroupPath::parse(Path::new(&pod.cgroup)).unwrap();
    assert!(cgroups.processes(&path).is_err(), "the pod's cgroup is gone");
    assert!(!pod.sandbox().join("shim.sock").exists());
}

/// The whole way: what CRI asks for, as a config.json, on this kernel.
fn a_container_of_the_kubelets_runs() {
    use minik_api::cri;
    use minik_runtime::oci::{self, HostCapabilities, Rootfs, SpecInputs, Users};
    let mut pod = Pod::new();
    for (name, text) in [
        ("hosts", "10.0.0.9 pod"),
        ("hostname", "pod"),
        ("resolv.conf", "nameserver 10.0.0.1"),
    ] {
        std::fs::write(pod.sandbox().join(name), format!("{text}\n")).unwrap();
    }
    let image = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"Entrypoint": ["sh", "-c"], "Env": ["PATH=/bin"], "User": "web"}});
    let image = serde_json::from_value(image).unwrap();
    let cgroups = minik_runtime::cgroup::detect().unwrap();
    let host = HostCapabilities::detect(cgroups.as_ref()).unwrap();
    for privileged in [false, true] {
        let id = if privileged { "privileged" } else { "ordinary" };
        let bundle = pod.prepare(id, &["unused"], |_| {});
        let rootfs = Rootfs {
            lower: vec![pod.directory.path().join("layer")],
            upper: bundle.join("upper"),
            work: bundle.join("work"),
        };
        let passwd = minik_runtime::launch::rootfs_file::read(&rootfs, "/etc/passwd").unwrap();
        let script = "id -u; cat /etc/hosts; mkdir /dev/shm/x && echo shm; grep -c Seccomp:.*2 /proc/self/status; \
                      test -e /dev/loop-control && echo devices";
        let mut container = cri::ContainerConfig {
            args: vec![script.to_owned()],
            linux: Some(cri::LinuxContainerConfig::default()),
            ..Default::default()
        };
        let linux = container.linux.as_mut().unwrap();
        linux.resources = Some(cri::LinuxContainerResources {
            memory_limit_in_bytes: 64 << 20,
            cpu_shares: 128,
            oom_score_adj: 900,
            ..Default::default()
        });
        linux.security_context = Some(cri::LinuxContainerSecurityContext {
            privileged,
            // Without a word about it a container is unconfined.
            seccomp: Some(cri::SecurityProfile {
                profile_type: cri::security_profile::ProfileType::RuntimeDefault.into(),
                ..Default::default()
            }),
            namespace_options: Some(cri::NamespaceOption {
                pid: cri::NamespaceMode::Container.into(),
                ..Default::default()
            }),
            ..Default::default()
        });
        let (log, cgroup) = (bundle.join("0.log"), format!("{}/{id}", pod.cgroup));
        let spec = oci::spec(&SpecInputs {
            container_id: id,
            sandbox_id: "sandbox",
            container: &container,
            sandbox: &cri::PodSandboxConfig::default(),
            image: &image,
            rootfs: &rootfs,
            users: Users {
                passwd: &passwd,
                group: "",
            },
            sandbox_dir: &pod.sandbox(),
            cgroup_path: Path::new(&cgroup),
            image_volumes: &[],
            log_path: Some(&log),
            target_pid: None,
            devices: &[],
            localhost_profile: None,
            host: &host,
        })
        .unwrap();
        spec.save(bundle.join("config.json")).unwrap();
        let started = pod
            .wait(pod.shim.start(id, &bundle))
            .unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(started.notes, Vec::<String>::new());
        pod.ended(id);
        let expected = if privileged {
            "101\n10.0.0.9 pod\n0"
        } else {
            "101\n10.0.0.9 pod\nshm\n1"
        };
        let devices = if privileged && Path::new("/dev/loop-control").exists() {
            "\ndevices"
        } else {
            ""
        };
        assert_eq!(pod.stdout(id), format!("{expected}{devices}"));
    }
}
