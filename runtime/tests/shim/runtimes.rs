//! The boundary between the shim and who launches containers: one suite, passed with runc, with crun and with our own launch behind
//! runc's command line as with our own without.

use std::path::{Path, PathBuf};

use minik_runtime::shim::{ExecStdio, FaultKind, ShimError};
use serde_json::json;

use super::pod::{Pod, launcher};
use super::{Launcher, Test, containers, hardening, streams};

const RUNTIMES: [&str; 3] = ["runc", "crun", "minirunc"];

/// What doesn't hold for runtimes of others: words of our own errors, containers that die with their shim, a root
/// filesystem that the host never sees, and steps that ours takes more care with.
const OWN_ONLY: [&str; 13] = [
    "a_failed_start_says_which_file_is_missing",
    "a_killed_shim_takes_its_containers_along",
    "shutdown_leaves_nothing",
    "processes_are_born_in_a_v2_cgroup",
    "an_old_clone_serves_where_clone3_is_filtered",
    "the_executable_cannot_be_replaced",
    "devices_are_the_containers_own",
    "paths_are_hidden_and_read_only",
    "links_in_an_image_lead_nowhere_else",
    "the_kernels_files_are_where_no_image_puts_them",
    "a_working_directory_outside_is_refused",
    "mounts_propagate_only_when_asked",
    "what_the_host_refuses_is_noted",
];

const TESTS: &[Test] = &[
    ("a_failed_start_is_told", a_failed_start_is_told),
    ("short_lives_are_seen_whole", short_lives_are_seen_whole),
    ("nothing_is_left_after_shutdown", nothing_is_left_after_shutdown),
];

/// All of them, named after the runtime that they are run with.
pub(crate) fn tests() -> Vec<(String, Launcher, fn())> {
    let suite = [containers::TESTS, streams::TESTS, hardening::TESTS, TESTS].concat();
    let suite: Vec<Test> = suite.into_iter().filter(|(name, _)| !OWN_ONLY.contains(name)).collect();
    let with = |runtime: &'static str| {
        let named = move |(name, test): &Test| (format!("{runtime}::{name}"), Some(runtime), *test);
        suite.iter().map(named).collect::<Vec<_>>()
    };
    RUNTIMES.into_iter().flat_map(with).collect()
}

fn state(pod: &Pod) -> PathBuf {
    pod.directory.path().join("oci")
}

/// Containers that the runtime still knows.
fn known(pod: &Pod) -> usize {
    std::fs::read_dir(state(pod)).map(Iterator::count).unwrap_or_default()
}

fn mounted(path: &Path) -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.matches(&*path.to_string_lossy()).count()
}

fn a_failed_start_is_told() {
    let pod = Pod::new();
    let told = |command: &str| match pod.try_start("c1", &[command], |_| {}) {
        Err(ShimError::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let fault = told("sleeep");
    assert_eq!(fault.kind, FaultKind::Launch);
    let begins = format!("OCI runtime {}, create: ", launcher().unwrap());
    assert!(
        fault.message.starts_with(&begins) && fault.message.contains("sleeep"),
        "{fault}"
    );
    assert!(fault.message.contains("not found"), "{fault}");
    assert_eq!(pod.wait(pod.shim.state()).unwrap(), []);
    assert_eq!(
        (known(&pod), mounted(&pod.bundle("c1"))),
        (0, 0),
        "nothing is left of it"
    );
    // So the same id can be used again.
    pod.start("c1", &["sleep", "1000"], |_| {});
    assert_eq!((known(&pod), mounted(&pod.bundle("c1"))), (1, 1));
}

/// The end of a process may come before that of the command that has started it.
fn short_lives_are_seen_whole() {
    let mut pod = Pod::new();
    for round in 0..4 {
        let (exit, text) = pod.run(&format!("short{round}"), "echo x; exit 4", |_| {});
        assert_eq!((exit.code, text.as_str()), (4, "x"), "{round}");
    }
    assert_eq!(known(&pod), 0);
    pod.start("c1", &["sleep", "1000"], |_| {});
    for round in 0..4 {
        let process = json!({"args": ["false"], "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"], "cwd": "/"});
        let stdio = ExecStdio::Pipes {
            stdin: None,
            stdout: None,
            stderr: None,
        };
        let exec = pod.shim.exec("c1", serde_json::from_value(process).unwrap(), stdio);
        let mut exec = pod.wait(exec).unwrap_or_else(|error| panic!("{round}: {error}"));
        assert_eq!(pod.wait(exec.exit()).unwrap().code, 1, "{round}");
    }
}

fn nothing_is_left_after_shutdown() {
    let pod = Pod::new();
    let started = pod.start("c1", &["sleep", "1000"], |_| {});
    pod.wait(pod.shim.shutdown()).unwrap();
    assert!(!Path::new("/proc").join(started.pid.to_string()).exists());
    assert_eq!((known(&pod), mounted(pod.directory.path())), (0, 0));
    let cgroups = minik_runtime::cgroup::detect().unwrap();
    let path = minik_runtime::cgroup::CgroupPath::parse(Path::new(&pod.cgroup)).unwrap();
    assert!(cgroups.processes(&path).is_err(), "the pod's cgroup is gone");
    let mut left = std::fs::read_dir(pod.sandbox()).unwrap();
    let files_of_commands = left.any(|file| {
        file.unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(char::is_numeric)
    });
    assert!(!files_of_commands, "files of the runtime's commands");
}
