//! The distribution's packages: the tool that unpacks them, and where they come from.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::StandInError;

/// Sees to it that mmdebstrap is here: installs it where apt can.
pub(super) fn prepare(tell: &dyn Fn(&str)) -> Result<(), StandInError> {
    if is_on_path("mmdebstrap") {
        return Ok(());
    }
    if !is_on_path("apt-get") || !nix::unistd::geteuid().is_root() {
        return Err(StandInError::NoMmdebstrap);
    }
    tell("installing mmdebstrap with apt-get");
    let install = || apt_get(&["install", "-y", "--no-install-recommends", "mmdebstrap"]);
    // On a fresh machine the package lists are missing or old.
    install().or_else(|_| apt_get(&["update"]).and_then(|()| install()))
}

fn apt_get(arguments: &[&str]) -> Result<(), StandInError> {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| StandInError::Run {
            program: "apt-get",
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(StandInError::Install(
        words.lines().last().unwrap_or("no reason given").to_owned(),
    ))
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// This distribution's name of its release: `bookworm`, `noble`.
pub(super) fn codename() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map_or("stable", |name| name.trim_matches('"')).to_owned()
}

/// The files in /etc/apt that name the distribution's own mirror; third parties' are not asked.
pub(super) fn sources() -> Vec<PathBuf> {
    let known = [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list.d/ubuntu.sources",
        "/etc/apt/sources.list",
    ];
    let says_something = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    };
    known.iter().map(PathBuf::from).filter(says_something).collect()
}
