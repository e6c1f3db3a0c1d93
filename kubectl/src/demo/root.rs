//! Becoming root: the demo starts a node, which needs it, so it starts itself again through sudo.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::cli::Global;

/// What the runtime needs of the user's environment to get at a registry.
const KEPT: &str = "HTTP_PROXY,HTTPS_PROXY,NO_PROXY,http_proxy,https_proxy,no_proxy,SSL_CERT_FILE,NO_COLOR";

/// Returns when this process is root; replaces it by one that is, otherwise.
///
/// # Errors
/// When there is no sudo.
pub fn become_root(global: &Global) -> anyhow::Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    writeln!(
        anstream::stderr(),
        "A node makes namespaces, mounts and cgroups, which needs root: starting again through sudo."
    )?;
    let executable = env::current_exe().context("can't find this executable")?;
    let arguments = arguments(global, env::args_os().skip(1).collect(), env::var_os("KUBECONFIG"));
    let failed = Command::new("sudo")
        .arg(format!("--preserve-env={KEPT}"))
        .arg(executable)
        .args(arguments)
        .exec();
    match failed.kind() {
        io::ErrorKind::NotFound => anyhow::bail!("there is no sudo here: run `minikctl demo` as root"),
        _ => Err(failed).context("can't start sudo"),
    }
}

/// The arguments for the second start, with what sudo drops from the environment said as flags. Pure.
fn arguments(global: &Global, mut given: Vec<OsString>, kubeconfig: Option<OsString>) -> Vec<OsString> {
    let said = |given: &[OsString], flag: &str| {
        given
            .iter()
            .any(|argument| argument.to_string_lossy().starts_with(flag))
    };
    if let Some(instance) = &global.instance
        && !said(&given, "--instance")
    {
        given.push(format!("--instance={instance}").into());
    }
    if let Some(kubeconfig) = kubeconfig.filter(|list| !list.is_empty())
        && !said(&given, "--kubeconfig")
        && let Some(first) = env::split_paths(&kubeconfig).next()
    {
        given.push("--kubeconfig".into());
        given.push(first.into());
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sudo_drops_is_said_as_flags() {
        let global = Global {
            instance: Some("x".to_owned()),
            ..Global::default()
        };
        assert_eq!(
            arguments(&global, vec!["demo".into()], Some("/a:/b".into())),
            ["demo", "--instance=x", "--kubeconfig", "/a"]
        );
        assert_eq!(
            arguments(&global, vec!["demo".into(), "--instance".into(), "x".into()], None),
            ["demo", "--instance", "x"]
        );
    }
}
