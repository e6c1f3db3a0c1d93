//! The programs of a node and the command line of each: pure.

use std::ffi::OsString;
use std::net::IpAddr;

use crate::node::instance::Instance;
use crate::node::pki;

/// A process of the node. The order is that of starting; [`Program::needs`] says what really has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Program {
    Runtime,
    Apiserver,
    Scheduler,
    Controllers,
    Kubelet,
}

impl Program {
    pub(in crate::node) const ALL: [Self; 5] = [
        Self::Runtime,
        Self::Apiserver,
        Self::Scheduler,
        Self::Controllers,
        Self::Kubelet,
    ];

    /// Those that an instance runs, in their order: another's container runtime isn't ours to start.
    pub(in crate::node) fn of(instance: &Instance) -> impl Iterator<Item = Self> {
        let own_runtime = instance.runtime_endpoint.is_none();
        Self::ALL
            .into_iter()
            .filter(move |program| own_runtime || *program != Self::Runtime)
    }

    /// The subcommand, and the name in `ps`, in logs and on the screen.
    pub(in crate::node) fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Apiserver => "apiserver",
            Self::Scheduler => "scheduler",
            Self::Controllers => "controllers",
            Self::Kubelet => "kubelet",
        }
    }

    /// Who has to be ready before this one is started.
    pub(super) fn needs(self) -> &'static [Self] {
        match self {
            Self::Runtime | Self::Apiserver => &[],
            Self::Scheduler | Self::Controllers => &[Self::Apiserver],
            Self::Kubelet => &[Self::Apiserver, Self::Runtime],
        }
    }

    /// Who has to be gone before this one is stopped: clients before their servers.
    pub(super) fn stops_after(self) -> &'static [Self] {
        match self {
            Self::Scheduler | Self::Controllers | Self::Kubelet => &[],
            Self::Runtime => &[Self::Kubelet],
            Self::Apiserver => &[Self::Kubelet, Self::Scheduler, Self::Controllers],
        }
    }

    /// What it is started with, the subcommand first.
    pub(in crate::node) fn arguments(self, instance: &Instance, node_ip: IpAddr) -> Vec<OsString> {
        let line = Line::new(self.name());
        match self {
            Self::Runtime => runtime(line, instance),
            Self::Apiserver => apiserver(line, instance),
            Self::Scheduler => line.flag("--kubeconfig", instance.pki_dir().join("scheduler.kubeconfig")),
            Self::Controllers => controllers(line, instance),
            Self::Kubelet => kubelet(line, instance, node_ip),
        }
        .0
    }
}

fn runtime(line: Line, instance: &Instance) -> Line {
    let line = line
        .flag("--root", instance.data_dir.join("runtime"))
        .flag("--state", instance.run_dir.join("runtime"))
        .flag("--listen", instance.runtime_socket())
        .flag("--instance", &instance.name)
        .flag("--pod-cidr", instance.pod_cidr.to_string())
        .flag("--service-cidr", instance.service_cidr.to_string())
        .flag("--interface-prefix", &instance.interface_prefix)
        .flag("--cgroup-parent", &instance.cgroup_parent);
    let each =
        |line: Line, name: &str, values: &[String]| values.iter().fold(line, |line, value| line.flag(name, value));
    let line = each(line, "--registry-mirror", &instance.registry_mirrors);
    let line = each(line, "--runtime-handler", &instance.runtime_handlers);
    each(line, "--oci-runtime", instance.oci_runtime.as_slice())
}

fn apiserver(line: Line, instance: &Instance) -> Line {
    let pki = instance.pki_dir();
    let (certificate, key) = pki::paths(&pki, "apiserver");
    let (client_certificate, client_key) = pki::paths(&pki, "apiserver-kubelet-client");
    let (authority, _) = pki::paths(&pki, pki::AUTHORITY);
    let (proxy_authority, _) = pki::paths(&pki, pki::PROXY_AUTHORITY);
    let (proxy_certificate, proxy_key) = pki::paths(&pki, "front-proxy-client");
    line.flag("--data-dir", instance.data_dir.join("apiserver"))
        .flag("--bind-address", "127.0.0.1")
        .flag("--bind-address", "::1")
        .flag("--port", instance.api_port.to_string())
        .flag("--tls-cert-file", certificate)
        .flag("--tls-private-key-file", key)
        .flag("--client-ca-file", &authority)
        .flag("--kubelet-client-certificate", client_certificate)
        .flag("--kubelet-client-key", client_key)
        .flag("--kubelet-certificate-authority", &authority)
        .flag("--proxy-client-cert-file", proxy_certificate)
        .flag("--proxy-client-key-file", proxy_key)
        .flag("--requestheader-client-ca-file", proxy_authority)
        .flag("--requestheader-allowed-names", pki::PROXY_NAME)
        .flag("--service-cidr", instance.service_cidr.to_string())
}

fn controllers(line: Line, instance: &Instance) -> Line {
    let (authority, key) = pki::paths(&instance.pki_dir(), pki::AUTHORITY);
    line.flag("--kubeconfig", instance.pki_dir().join("controllers.kubeconfig"))
        .flag("--cluster-signing-cert-file", authority)
        .flag("--cluster-signing-key-file", key)
}

fn kubelet(line: Line, instance: &Instance, node_ip: IpAddr) -> Line {
    let pki = instance.pki_dir();
    let (certificate, key) = pki::paths(&pki, "kubelet");
    let (authority, _) = pki::paths(&pki, pki::AUTHORITY);
    line.flag("--kubeconfig", pki.join("node.kubeconfig"))
        .flag("--container-runtime-endpoint", instance.runtime_url())
        .flag("--root-dir", instance.data_dir.join("kubelet"))
        .flag("--node-name", &instance.node_name)
        .flag("--node-ip", node_ip.to_string())
        .flag("--port", instance.kubelet_port.to_string())
        .flag("--tls-cert-file", certificate)
        .flag("--tls-private-key-file", key)
        .flag("--client-ca-file", authority)
        .flag("--cgroup-parent", &instance.cgroup_parent)
        .flag("--pod-cidr", instance.pod_cidr.to_string())
}

/// A command line under construction.
struct Line(Vec<OsString>);

impl Line {
    fn new(subcommand: &str) -> Self {
        Self(vec![subcommand.into()])
    }

    fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.0.extend([name.into(), value.into()]);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::instance::Overrides;

    #[test]
    fn another_container_runtime_takes_the_place_of_ours() {
        let mut instance = Instance::resolve("command-test", &Overrides::default()).expect("a name like others");
        assert_eq!(Program::of(&instance).count(), Program::ALL.len());
        instance.runtime_endpoint = Some("unix:///run/containerd/containerd.sock".to_owned());
        assert!(!Program::of(&instance).any(|program| program == Program::Runtime));
        let arguments = Program::Kubelet.arguments(&instance, IpAddr::from([127, 0, 0, 1]));
        assert!(arguments.contains(&"unix:///run/containerd/containerd.sock".into()));
    }

    #[test]
    fn oci_runtimes_are_handed_on() {
        let mut instance = Instance::resolve("command-test", &Overrides::default()).expect("a name like others");
        instance.oci_runtime = Some("crun --debug".to_owned());
        instance.runtime_handlers = vec!["a=runc".to_owned(), "b=crun".to_owned()];
        let arguments = Program::Runtime.arguments(&instance, IpAddr::from([127, 0, 0, 1]));
        let values = |name: &str| {
            let pairs = arguments.windows(2).filter(|pair| pair[0] == name);
            pairs
                .map(|pair| pair[1].to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(values("--oci-runtime"), ["crun --debug"]);
        assert_eq!(values("--runtime-handler"), ["a=runc", "b=crun"]);
    }

    #[test]
    fn nobody_waits_in_a_circle() {
        for waits in [Program::needs, Program::stops_after] {
            let mut done: Vec<Program> = Vec::new();
            while done.len() < Program::ALL.len() {
                let next = Program::ALL.into_iter().find(|program| {
                    !done.contains(program) && waits(*program).iter().all(|other| done.contains(other))
                });
                done.push(next.expect("somebody can always go on"));
            }
        }
    }
}
