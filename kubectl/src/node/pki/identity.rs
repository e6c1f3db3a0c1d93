//! Who has a certificate, and in which names: pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{AUTHORITY, PROXY_AUTHORITY};

/// As whom the API server passes requests on to others.
pub(in crate::node) const PROXY_NAME: &str = "front-proxy-client";

/// What identities are computed from.
#[derive(Clone, Debug)]
pub(in crate::node) struct Names {
    pub(in crate::node) node_name: String,
    pub(in crate::node) node_ip: IpAddr,
    pub(in crate::node) service_ip: Ipv4Addr,
}

/// Which side of a connection a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Usage {
    Server,
    Client,
}

/// One certificate's contents.
#[derive(Clone, Debug)]
pub(in crate::node) struct Identity {
    /// Who signs it.
    pub(in crate::node) authority: &'static str,
    /// File name without its ending.
    pub(in crate::node) file: &'static str,
    /// The user, to the API server.
    pub(in crate::node) common_name: String,
    /// The user's group, to the API server.
    pub(in crate::node) organization: Option<&'static str>,
    /// Subject alternative names: host names and addresses.
    pub(in crate::node) names: Vec<String>,
    pub(in crate::node) usage: Usage,
}

impl Identity {
    pub(super) fn sorted_names(&self) -> Vec<String> {
        let mut names = self.names.clone();
        names.sort();
        names
    }
}

/// All certificates of an instance besides its authority. Users and groups are those that Kubernetes' own authorizers know.
pub(in crate::node) fn identities(names: &Names) -> Vec<Identity> {
    let node = format!("system:node:{}", names.node_name);
    vec![
        server("apiserver", "kube-apiserver", apiserver_names(names)),
        server("kubelet", &node, kubelet_names(names)),
        client("admin", "minik-admin", Some("system:masters")),
        client("scheduler", "system:kube-scheduler", None),
        client("controllers", "system:kube-controller-manager", None),
        client("node", &node, Some("system:nodes")),
        client(
            "apiserver-kubelet-client",
            "system:apiserver-kubelet-client",
            Some("system:masters"),
        ),
        Identity {
            authority: PROXY_AUTHORITY,
            ..client("front-proxy-client", PROXY_NAME, None)
        },
    ]
}

fn apiserver_names(names: &Names) -> Vec<String> {
    let mut all: Vec<String> = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    .map(str::to_owned)
    .into();
    all.push(names.node_name.clone());
    all.extend([Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()]);
    all.push(names.service_ip.to_string());
    distinct(all)
}

fn kubelet_names(names: &Names) -> Vec<String> {
    distinct(vec![
        names.node_name.clone(),
        "localhost".to_owned(),
        Ipv4Addr::LOCALHOST.to_string(),
        Ipv6Addr::LOCALHOST.to_string(),
        names.node_ip.to_string(),
    ])
}

/// The text of an address in a certificate, as `IpAddr` prints it.
pub(super) fn address_text(bytes: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ipv4Addr::from(v4).to_string();
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(v6) => Ipv6Addr::from(v6).to_string(),
        Err(_) => format!("{bytes:?}"),
    }
}

fn distinct(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

fn server(file: &'static str, common_name: &str, names: Vec<String>) -> Identity {
    Identity {
        authority: AUTHORITY,
        file,
        common_name: common_name.to_owned(),
        organization: None,
        names,
        usage: Usage::Server,
    }
}

fn client(file: &'static str, common_name: &str, organization: Option<&'static str>) -> Identity {
    Identity {
        authority: AUTHORITY,
        file,
        common_name: common_name.to_owned(),
        organization,
        names: Vec::new(),
        usage: Usage::Client,
    }
}
