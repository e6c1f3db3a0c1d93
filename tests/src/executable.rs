//! The executables that are tested or tested with: our own, built from this tree, and the real kubectls of this machine.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// Path of `minikctl`: the one that `MINIKCTL` names, else one built from this tree in the profile that the tests run in
/// (quick when it is up to date).
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn minikctl() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| match env::var_os("MINIKCTL") {
        Some(named) => PathBuf::from(named),
        None => built("minikctl", &["build", "--package", "minikctl"]),
    })
}

/// Path of the runtime's own tests, likewise: they can be run on another machine.
///
/// # Panics
/// When they can't be built.
#[must_use]
pub fn runtime_tests() -> PathBuf {
    built(
        "minik_runtime",
        &["test", "--package", "minik-runtime", "--lib", "--no-run"],
    )
}

/// Has cargo build `target` by these arguments, and tells where it is.
fn built(target: &str, arguments: &[&str]) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["--message-format", "json", "--quiet"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo
        .current_dir(repository())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs: it has started this test");
    assert!(output.status.success(), "building {target} failed");
    let messages = String::from_utf8(output.stdout).expect("cargo writes JSON");
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            let ours = message["target"]["name"] == target;
            message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
        });
    executable.expect("cargo tells where it put the executable")
}

/// The folder that holds the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ lies in the repository").to_owned()
}

/// Installs what the tests need from the distribution's packages, once for all tests of this process.
///
/// # Panics
/// When that fails; the script has said what is missing.
pub fn set_up() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let script = repository().join("tests/setup.sh");
        let status = Command::new("bash")
            .arg(&script)
            .stdin(Stdio::null())
            .status()
            .expect("bash runs");
        assert!(status.success(), "{} failed", script.display());
    });
}

/// The real kubectls here: the one on PATH and `kubectl.1.27` and the like beside the file that it links to, oldest first.
/// Empty where there is none.
#[must_use]
pub fn kubectls() -> Vec<PathBuf> {
    let Some(paths) = env::var_os("PATH") else {
        return Vec::new();
    };
    let found = env::split_paths(&paths)
        .map(|folder| folder.join("kubectl"))
        .find(|path| path.exists());
    let Some(folder) = found.and_then(|path| path.canonicalize().ok()?.parent().map(PathBuf::from)) else {
        return Vec::new();
    };
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let named = entries.map(|entry| entry.path()).filter(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("kubectl.1."))
    });
    let mut all: Vec<PathBuf> = named.collect();
    all.sort();
    if all.is_empty() {
        all.push(folder.join("kubectl"));
    }
    all
}
