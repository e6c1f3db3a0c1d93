//! The shim on the real kernel: sandboxes and containers of a busybox root, seen from outside.
//!
//! Needs root, /bin/busybox, runc and crun (`apt-get install busybox-static runc crun`): what holds for any launcher is
//! tested with each. Runs in a network namespace of its own, makes only
//! cgroups below `/minik-shim-test-<pid>`, and leaves nothing behind. `cargo test -p minik-runtime --test shim NAME` runs
//! those whose name contains NAME; `bench` runs the measurements, which are not part of the tests.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test program that prints its results"
)]

mod bench;
mod containers;
mod hardening;
mod pod;
mod ports;
mod runtimes;
mod streams;

use std::process::ExitCode;

use minik_runtime::shim::{self, ShimConfig};

/// A test: its name and what it does.
type Test = (&'static str, fn());

/// The OCI runtime that a test is run with; none means the shim's own launch.
type Launcher = Option<&'static str>;

/// Installs busybox, runc and crun where they aren't here: by now, since the tests' own network reaches nothing.
fn set_up() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/setup.sh");
    let status = std::process::Command::new("bash").arg(script).status().unwrap();
    assert!(status.success(), "{script} failed");
}

fn main() -> ExitCode {
    if let Some(line) = minik_runtime::oci::command::meant(std::env::args().collect()) {
        return minik_runtime::oci::command::main(&line);
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, flag, directory] = &args[..]
        && (command.as_str(), flag.as_str()) == ("shim", "--sandbox")
    {
        return shim::main(&ShimConfig {
            sandbox_dir: directory.into(),
        });
    }
    assert!(
        nix::unistd::geteuid().is_root(),
        "these tests make namespaces and cgroups: run them as root"
    );
    set_up();
    pod::enter_own_network();
    if args.iter().any(|arg| arg == "bench") {
        bench::run();
        return ExitCode::SUCCESS;
    }
    let wanted = args.iter().find(|arg| !arg.starts_with('-'));
    let exact = args.iter().any(|arg| arg == "--exact");
    let selected = |name: &str| {
        wanted.is_none_or(|wanted| {
            if exact {
                name == wanted
            } else {
                name.contains(wanted.as_str())
            }
        })
    };
    let tests = [containers::TESTS, streams::TESTS, hardening::TESTS, ports::TESTS].concat();
    let mut tests: Vec<(String, Launcher, fn())> = tests
        .iter()
        .map(|(name, test)| ((*name).to_owned(), None, *test))
        .collect();
    tests.extend(runtimes::tests());
    tests.retain(|(name, ..)| selected(name));
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, ..)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let mut failed: Vec<&str> = Vec::new();
    for (name, launcher, test) in &tests {
        pod::launch_with(*launcher);
        if !passes(name, *test) {
            failed.push(name);
        }
    }
    println!(
        "\ntest result: {} passed; {} failed {failed:?}",
        tests.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn passes(name: &str, test: fn()) -> bool {
    let passed = std::panic::catch_unwind(test).is_ok();
    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    passed
}
