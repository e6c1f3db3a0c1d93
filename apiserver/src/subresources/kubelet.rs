//! The way to a pod's kubelet: which address, and an HTTP connection over TLS in both directions' trust.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use minik_api::kinds;
use minik_api::object::Object;
use minik_api::status::Status;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::http::{Call, ServeError, authorities, certificates, private_key};
use crate::registry::{Registry, Target};

/// For connecting and the handshake: a kubelet is near.
const PATIENCE: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u64 = 10250;

/// The API server's own credentials for kubelets.
pub(crate) struct KubeletFiles<'a> {
    /// Certificate and key of the API server as a client.
    pub(crate) identity: Option<(&'a PathBuf, &'a PathBuf)>,
    /// Who signs kubelets' certificates.
    pub(crate) authority: Option<&'a Path>,
}

/// Speaks to kubelets.
pub(crate) struct KubeletClient(Option<TlsConnector>);

impl KubeletClient {
    /// Without an authority nothing can be trusted, and logs and streams answer 503.
    pub(crate) fn new(files: &KubeletFiles<'_>) -> Result<Self, ServeError> {
        let Some(authority) = files.authority else {
            return Ok(Self(None));
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities(authority)?);
        let config = match files.identity {
            Some((certificate, key)) => config.with_client_auth_cert(certificates(certificate)?, private_key(key)?)?,
            None => config.with_no_client_auth(),
        };
        Ok(Self(Some(TlsConnector::from(Arc::new(config)))))
    }

    /// Sends one request to a kubelet, on a connection of its own; the answer may be an upgrade.
    pub(super) async fn send(&self, to: &Location, request: Request<Body>) -> Result<Response<Incoming>, Status> {
        let tls = self.0.as_ref().ok_or_else(|| {
            Status::unavailable(
                "the API server was started without --kubelet-certificate-authority and can't reach kubelets",
            )
        })?;
        let unreachable = |why: String| {
            let Location { node, address, port } = to;
            Status::unavailable(format!(
                "can't reach the kubelet of node {node} at {address}:{port}: {why}; see whether it runs: minikctl status"
            ))
        };
        let connect = async {
            let stream = TcpStream::connect((to.address, to.port)).await?;
            stream.set_nodelay(true)?;
            tls.connect(ServerName::IpAddress(to.address.into()), stream).await
        };
        let stream = match tokio::time::timeout(PATIENCE, connect).await {
            Ok(connected) => connected.map_err(|error| unreachable(error.to_string()))?,
            Err(_) => return Err(unreachable(format!("no answer within {} seconds", PATIENCE.as_secs()))),
        };
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| unreachable(error.to_string()))?;
        // Ends with the answer's body, or with the upgrade's stream.
        tokio::spawn(connection.with_upgrades());
        sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(error.to_string()))
    }
}

/// Where a kubelet listens.
pub(super) struct Location {
    pub(super) node: String,
    pub(super) address: IpAddr,
    pub(super) port: u16,
}

/// The pod that a call is about.
pub(super) fn pod(registry: &Registry, call: &Call) -> Result<Object, Status> {
    Ok(registry.get(call.target())?.object())
}

/// Where the kubelet of a pod listens; `None` when the pod has no node yet.
pub(super) fn location(registry: &Registry, pod: &Object) -> Result<Option<Location>, Status> {
    let Some(name) = pod
        .at("spec.nodeName")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
    else {
        return Ok(None);
    };
    let kind = kinds::of("", "v1", "Node").expect("nodes are in the table of kinds");
    let target = Target {
        kind,
        namespace: "",
        name,
    };
    of_node(&registry.get(target)?.object()).map(Some)
}

/// Where the kubelet of a node listens.
pub(super) fn of_node(node: &Object) -> Result<Location, Status> {
    let name = node.name();
    let address = address_of(node).ok_or_else(|| {
        Status::unavailable(format!(
            "node {name} has no address in its status; has its kubelet started?"
        ))
    })?;
    let port = node
        .at("status.daemonEndpoints.kubeletEndpoint.Port")
        .and_then(Value::as_u64)
        .unwrap_or(DEFAULT_PORT);
    Ok(Location {
        node: name.to_owned(),
        address,
        port: u16::try_from(port).map_err(|_| Status::internal(format!("node {name} has the port {port}")))?,
    })
}

fn address_of(node: &Object) -> Option<IpAddr> {
    let addresses = node.at("status.addresses")?.as_array()?;
    let of_type = |wanted: &str| {
        let found = addresses.iter().find(|address| address["type"] == wanted)?;
        found["address"].as_str()?.parse().ok()
    };
    of_type("InternalIP").or_else(|| of_type("ExternalIP"))
}

/// The container that is meant; its only one when none is named.
pub(super) fn container(pod: &Object, asked: Option<&str>) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let list = pod.at(list).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|container| container["name"].as_str().map(str::to_owned))
            .collect()
    };
    let (containers, init) = (names("spec.containers"), names("spec.initContainers"));
    let ephemeral = names("spec.ephemeralContainers");
    let name = pod.name();
    match (asked.filter(|asked| !asked.is_empty()), containers.as_slice()) {
        (Some(asked), _)
            if [&containers, &init, &ephemeral]
                .iter()
                .any(|list| list.iter().any(|name| name == asked)) =>
        {
            Ok(asked.to_owned())
        }
        (Some(asked), _) => Err(Status::bad_request(format!(
            "container {asked} is not valid for pod {name}"
        ))),
        (None, [only]) => Ok(only.clone()),
        (None, several) => {
            let choice = several.join(" ");
            let also = if init.is_empty() {
                String::new()
            } else {
                format!(" or one of the init containers: [{}]", init.join(" "))
            };
            let message = format!("a container name must be specified for pod {name}, choose one of: [{choice}]{also}");
            Err(Status::bad_request(message))
        }
    }
}
