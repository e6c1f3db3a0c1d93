//! How the runtime is started: its command line, with defaults for a start by hand.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::handlers;
use crate::images::registry::Mirror;
use crate::network::Cidr;

/// Options of `minikctl runtime`.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Directory for images, snapshots and records; kept over restarts of the machine
    #[arg(long, default_value = "/var/lib/minik/runtime")]
    pub root: PathBuf,

    /// Directory for what runs: namespaces, bundles, shims' sockets; best on a tmpfs
    #[arg(long, default_value = "/run/minik/runtime")]
    pub state: PathBuf,

    /// UNIX socket to serve the CRI on; only root can connect
    #[arg(long, default_value = "/run/minik/runtime.sock")]
    pub listen: PathBuf,

    /// Name of the node on this machine; the firewall table is named after it
    #[arg(long, env = "MINIK_INSTANCE", default_value = "default")]
    pub instance: String,

    /// Addresses of pods; the first one is the node's
    #[arg(long, default_value = "10.244.0.0/16")]
    pub pod_cidr: Cidr,

    /// Addresses of services; made unreachable where no service is
    #[arg(long, default_value = "10.96.0.0/16")]
    pub service_cidr: Cidr,

    /// What names of pods' interfaces on the node begin with, at most 7 letters
    #[arg(long, default_value = "minik", value_parser = interface_prefix)]
    pub interface_prefix: String,

    /// Cgroup for pods that name none themselves
    #[arg(long, default_value = "/minik")]
    pub cgroup_parent: PathBuf,

    /// HOST=URL: pull images of a registry from a mirror first; can be repeated
    #[arg(long = "registry-mirror", value_name = "HOST=URL")]
    pub registry_mirrors: Vec<Mirror>,

    /// File with registry logins, in docker's format [default: ~/.docker/config.json]
    #[arg(long, value_name = "FILE")]
    pub docker_config: Option<PathBuf>,

    /// Where exec, attach and port-forward are served; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub streaming_address: SocketAddr,

    /// OCI runtime that launches containers in place of this program: a name or path, with arguments; such as runc or crun
    #[arg(long, value_name = "COMMAND")]
    pub oci_runtime: Option<handlers::Command>,

    /// NAME=COMMAND: one more OCI runtime, for pods whose RuntimeClass has this handler; can be repeated [minik, and runc
    /// and crun where they are installed, are handlers of themselves]
    #[arg(long = "runtime-handler", value_name = "NAME=COMMAND")]
    pub runtime_handlers: Vec<handlers::Named>,

    /// Program whose `shim` subcommand is started for each pod [default: this program]
    #[arg(long, value_name = "FILE", default_value_os_t = this_program(), hide_default_value = true)]
    pub executable: PathBuf,
}

/// A file that was replaced since (an upgrade) can still be started through the kernel's link.
fn this_program() -> PathBuf {
    let path = std::env::current_exe().ok().filter(|path| path.exists());
    path.unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

/// Interfaces' names have 15 bytes, of which the sandbox's id takes 8.
fn interface_prefix(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.is_empty() || text.len() > 7 || !text.bytes().all(allowed) {
        return Err("1 to 7 letters, digits, - or _".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn a_start_by_hand_needs_no_options() {
        let config = Command::try_parse_from(["runtime"]).expect("defaults for all").config;
        assert_eq!(config.pod_cidr.to_string(), "10.244.0.0/16");
        assert!(config.streaming_address.ip().is_loopback());
    }

    #[test]
    fn bad_values_are_refused_with_what_is_expected() {
        for (option, value) in [
            ("--interface-prefix", "toolongname"),
            ("--pod-cidr", "10.0.0.0"),
            ("--pod-cidr", "x/8"),
        ] {
            assert!(
                Command::try_parse_from(["runtime", option, value]).is_err(),
                "{option} {value}"
            );
        }
    }
}
