//! Clients that others have written do one scenario (`tests/clients/README.md`) on one node, and see the same.

mod kube_rs;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use minik_tests::{Run, World, executable};

use crate::node;

/// What each client is to see.
const EXPECTED: &str = include_str!("../../clients/expected.txt");

#[test]
fn clients_of_others_see_the_same() {
    let installed = installed();
    let world = node();
    let kubectls = executable::kubectls();
    let newest = kubectls
        .last()
        .expect("tests/setup.sh installs the distribution's kubectl");
    let mut different = Vec::new();
    let driver = scenario("kubectl/scenario.py");
    for (namespace, kubectl) in [("clients-oldest", &kubectls[0]), ("clients-newest", newest)] {
        let arguments = [driver.as_os_str(), namespace.as_ref(), kubectl.as_os_str()];
        different.extend(driven(&world, namespace, bounded("python3"), &arguments));
    }
    let driver = scenario("python/scenario.py");
    let arguments = [driver.as_os_str(), "clients-python".as_ref()];
    let python_client = bounded("python3").env("PYTHONPATH", installed.join("python"));
    different.extend(driven(&world, "Python", python_client, &arguments));
    let driver = installed.join("javascript/scenario.mjs");
    let arguments = [driver.as_os_str(), "clients-javascript".as_ref()];
    different.extend(driven(&world, "JavaScript", bounded("node"), &arguments));
    let said = kube_rs::scenario(&world, "clients-rust");
    different.extend(difference("kube-rs", &said).map(|difference| format!("{difference}\n{said}")));
    assert!(different.is_empty(), "{}\n{}", different.join("\n"), world.logs());
}

/// The folder that the clients are installed in.
fn installed() -> PathBuf {
    executable::set_up();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let script = scenario("setup.sh");
    let status = Command::new("bash")
        .args([&script, &folder])
        .stdin(Stdio::null())
        .status()
        .expect("bash runs");
    assert!(status.success(), "{} failed", script.display());
    folder
}

/// A file of the scenario's.
fn scenario(name: &str) -> PathBuf {
    executable::repository().join("tests/clients").join(name)
}

fn bounded(interpreter: &str) -> Run {
    Run::bounded(180, interpreter)
}

/// Runs a driver that is a script, and compares what it prints.
fn driven(world: &World, client: &str, interpreter: Run, arguments: &[&OsStr]) -> Option<String> {
    let output = world.in_world(interpreter).args(arguments).output();
    let failed = (output.code != 0).then(|| format!("{client}: it has failed"));
    let different = difference(client, &output.stdout).or(failed);
    different.map(|different| format!("{different}\n{output}"))
}

/// How what a client saw differs from what is expected: nothing when it doesn't.
fn difference(client: &str, said: &str) -> Option<String> {
    let mut said = said.lines().map(str::trim_end);
    for expected in EXPECTED.lines() {
        let line = said.next();
        if line != Some(expected) {
            return Some(format!("{client}: expected `{expected}`, not {line:?}"));
        }
    }
    said.next().map(|more| format!("{client}: it goes on with {more}"))
}
