//! Which node a command is about: an instance's name, and everything that derives from it.
//!
//! Several nodes live side by side on one machine, so each has directories, ports, ranges, interface names and a cgroup of
//! its own. All of them derive from the name by [`derive`]; what a user sets instead ([`Overrides`]) is remembered in
//! `instance.json` below the data directory, so that later commands agree without being told again. Nothing here is started.

mod derive;
mod remember;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(super) use derive::port_candidates;
pub use remember::RememberError;

use super::cidr::Cidr;

/// The instance that commands are about when nobody says otherwise.
pub const DEFAULT_NAME: &str = "default";

/// How users name this program's own part where another can take its place.
const OWN: &str = "minik";

/// Everything that tells one node from another on the same machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its name, a DNS label of at most [`derive::NAME_LENGTH_MAX`] characters.
    pub name: String,
    /// Which of the derived ranges and ports are its own; 0 is the default instance's.
    pub slot: u16,
    /// Name of the kubeconfig's context, cluster and user.
    pub context: String,
    /// What outlives `down`: certificates, the store, images, logs.
    pub data_dir: PathBuf,
    /// What ends with the processes: sockets, locks, the state of sandboxes.
    pub run_dir: PathBuf,
    /// The user's kubeconfig that `up` merges into; none: the invoking user's own.
    pub kubeconfig: Option<PathBuf>,
    /// Port of the API server on 127.0.0.1 and ::1.
    pub api_port: u16,
    /// Whether the user named `api_port`: then no other is tried when it is taken.
    pub api_port_fixed: bool,
    /// Port of the kubelet's server.
    pub kubelet_port: u16,
    /// Where pods' addresses come from.
    pub pod_cidr: Cidr,
    /// Where services' addresses come from; the first is the API server's.
    pub service_cidr: Cidr,
    /// Begins the name of each network interface of this instance; same length for all instances.
    pub interface_prefix: String,
    /// The cgroup, from the root of each hierarchy, that holds this instance's pods.
    pub cgroup_parent: String,
    /// Mirrors of registries, `HOST=URL`, in the order in which they are tried.
    pub registry_mirrors: Vec<String>,
    /// Logins for registries: the file of the user who typed `up`.
    pub docker_config: Option<PathBuf>,
    /// The OCI runtime that launches containers in place of ours, with its arguments.
    #[serde(default)]
    pub oci_runtime: Option<String>,
    /// Further OCI runtimes, `NAME=COMMAND`, for pods whose runtime class names them.
    #[serde(default)]
    pub runtime_handlers: Vec<String>,
    /// The container runtime in place of ours: then ours isn't started.
    #[serde(default)]
    pub runtime_endpoint: Option<String>,
    /// The node's name: the machine's host name as Kubernetes writes it.
    pub node_name: String,
}

/// What a user sets instead of what derives from the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Instance")]
pub struct Overrides {
    /// Keep certificates, the store, images and logs here [default: /var/lib/minik/NAME]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Keep sockets and the state of running pods here [default: /run/minik/NAME]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Let the API server listen on this port, and on no other if it is taken [default: 6443, or the next free]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub api_port: Option<u16>,
    /// Give pods addresses from this range [default: 10.244.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pub pod_cidr: Option<Cidr>,
    /// Give services addresses from this range [default: 10.96.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pub service_cidr: Option<Cidr>,
    /// Try this mirror of a registry first, e.g. docker.io=http://127.0.0.1:5000 (repeatable)
    #[arg(long, value_name = "HOST=URL", value_parser = mirror)]
    pub registry_mirror: Vec<String>,
    /// Launch containers by this OCI runtime, e.g. runc or crun, with its arguments; minik for our own again
    #[arg(long, value_name = "COMMAND")]
    pub oci_runtime: Option<String>,
    /// Launch pods whose RuntimeClass has the handler NAME by this OCI runtime, e.g. gvisor=/usr/bin/runsc (repeatable)
    #[arg(long, value_name = "NAME=COMMAND", value_parser = handler)]
    pub runtime_handler: Vec<String>,
    /// Run pods by another container runtime, e.g. unix:///run/containerd/containerd.sock; minik for our own again
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub runtime_endpoint: Option<String>,
    /// Merge the context into this kubeconfig (set from the global --kubeconfig)
    #[arg(skip)]
    pub kubeconfig: Option<PathBuf>,
}

/// Why there is no such instance.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The name can't be a part of paths, host names and cgroups.
    #[error("{name:?} can't name an instance: {reason}")]
    Name {
        /// What was given.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A relative directory would mean another place for each command.
    #[error("--{option} {}: has to be an absolute path", path.display())]
    RelativeDirectory {
        /// The option without its dashes.
        option: &'static str,
        /// What was given.
        path: PathBuf,
    },
    /// UNIX socket addresses hold 107 bytes, and the longest name below the run directory needs 60 of them.
    #[error("--run-dir {}: too long; sockets below it have to fit 107 bytes, so use at most {max} characters", path.display())]
    RunDirectoryTooLong {
        /// What was given.
        path: PathBuf,
        /// How long it may be.
        max: usize,
    },
    /// Pods and services can't share addresses.
    #[error(
        "the pod range {pods} and the service range {services} overlap: choose others by --pod-cidr or --service-cidr"
    )]
    RangesOverlap {
        /// The pods' range.
        pods: Cidr,
        /// The services' range.
        services: Cidr,
    },
    /// What an earlier command remembered can't be used.
    #[error(transparent)]
    Remember(#[from] RememberError),
}

impl Instance {
    /// The instance `name` with what was remembered of it and what is set now, in rising order of precedence.
    ///
    /// # Errors
    /// When the name or an override breaks a rule, or an `instance.json` can't be read.
    pub fn resolve(name: &str, overrides: &Overrides) -> Result<Self, InstanceError> {
        let name = derive::checked_name(name)?;
        let base = match remember::recall(name, overrides)? {
            Some(remembered) => remembered,
            None => derive::instance(
                name,
                derive::slot(name, &remember::slots_taken(name)),
                &super::host::node_name(),
            ),
        };
        base.with(overrides)
    }

    /// Keeps what `resolve` has to find again: for good in the data directory, and until the next boot by the name.
    ///
    /// # Errors
    /// Those of writing the files.
    pub fn remember(&self) -> Result<(), RememberError> {
        remember::remember(self)
    }

    /// Forgets what [`Instance::remember`] wrote outside the data directory.
    pub fn forget(&self) {
        remember::forget(self);
    }

    /// Whether `dir` was made for this instance: only such directories are ever removed.
    #[must_use]
    pub fn owns(&self, dir: &std::path::Path) -> bool {
        remember::carries_marker(dir, &self.name)
    }

    /// The CRI socket of this instance's runtime.
    #[must_use]
    pub fn runtime_socket(&self) -> PathBuf {
        self.run_dir.join("runtime.sock")
    }

    /// Where the kubelet reaches the container runtime: ours, or another in its place.
    #[must_use]
    pub fn runtime_url(&self) -> String {
        let own = || format!("unix://{}", self.runtime_socket().display());
        self.runtime_endpoint.clone().unwrap_or_else(own)
    }

    /// Where the supervisor answers.
    #[must_use]
    pub fn supervisor_socket(&self) -> PathBuf {
        self.run_dir.join("supervisor.sock")
    }

    /// Certificates, keys and the programs' kubeconfigs.
    #[must_use]
    pub fn pki_dir(&self) -> PathBuf {
        self.data_dir.join("pki")
    }

    /// The programs' logs.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.data_dir.join("logs")
    }

    /// Where clients reach the API server.
    #[must_use]
    pub fn server_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }

    /// The address of the service `kubernetes`.
    #[must_use]
    pub fn service_address(&self) -> Ipv4Addr {
        self.service_cidr.first_host()
    }

    /// The flag that a user adds to name this instance; empty for the default one.
    #[must_use]
    pub fn flag(&self) -> String {
        match self.name.as_str() {
            DEFAULT_NAME => String::new(),
            name => format!(" --instance {name}"),
        }
    }

    fn with(mut self, overrides: &Overrides) -> Result<Self, InstanceError> {
        if let Some(dir) = &overrides.data_dir {
            self.data_dir = absolute("data-dir", dir)?;
        }
        if let Some(dir) = &overrides.run_dir {
            self.run_dir = absolute("run-dir", dir)?;
        }
        if let Some(port) = overrides.api_port {
            self.api_port = port;
            self.api_port_fixed = true;
        }
        self.pod_cidr = overrides.pod_cidr.unwrap_or(self.pod_cidr);
        self.service_cidr = overrides.service_cidr.unwrap_or(self.service_cidr);
        if !overrides.registry_mirror.is_empty() {
            self.registry_mirrors.clone_from(&overrides.registry_mirror);
        }
        // `minik` is how what was remembered is taken back.
        let other = |asked: &String| Some(asked.clone()).filter(|asked| asked != OWN);
        if let Some(asked) = &overrides.oci_runtime {
            self.oci_runtime = other(asked);
        }
        if let Some(asked) = &overrides.runtime_endpoint {
            self.runtime_endpoint = other(asked);
        }
        if !overrides.runtime_handler.is_empty() {
            self.runtime_handlers.clone_from(&overrides.runtime_handler);
        }
        if overrides.kubeconfig.is_some() {
            self.kubeconfig.clone_from(&overrides.kubeconfig);
        }
        self.checked()
    }

    fn checked(self) -> Result<Self, InstanceError> {
        if self.run_dir.as_os_str().len() > derive::RUN_DIR_LENGTH_MAX {
            return Err(InstanceError::RunDirectoryTooLong {
                path: self.run_dir,
                max: derive::RUN_DIR_LENGTH_MAX,
            });
        }
        if self.pod_cidr.overlaps(self.service_cidr) {
            return Err(InstanceError::RangesOverlap {
                pods: self.pod_cidr,
                services: self.service_cidr,
            });
        }
        Ok(self)
    }
}

fn absolute(option: &'static str, dir: &std::path::Path) -> Result<PathBuf, InstanceError> {
    if dir.is_absolute() {
        return Ok(dir.to_owned());
    }
    Err(InstanceError::RelativeDirectory {
        option,
        path: dir.to_owned(),
    })
}

/// `NAME=COMMAND`; what the command means is the runtime's to say.
fn handler(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, command)) if !name.is_empty() && !command.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("expected NAME=COMMAND, e.g. gvisor=/usr/bin/runsc".to_owned()),
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.starts_with('/') {
        Ok(format!("unix://{path}"))
    } else if text == OWN {
        Ok(text.to_owned())
    } else {
        Err("expected unix:///path/to/socket, e.g. unix:///run/containerd/containerd.sock".to_owned())
    }
}

/// `HOST=URL`; what the URL means is the runtime's to say.
fn mirror(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((host, url)) if !host.is_empty() && (url.starts_with("http://") || url.starts_with("https://")) => {
            Ok(text.to_owned())
        }
        _ => Err("expected HOST=URL, e.g. docker.io=http://127.0.0.1:5000".to_owned()),
    }
}
