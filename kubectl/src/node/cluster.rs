//! The node as the API server sees it: asked as the instance's own admin, whatever the user's kubeconfig says.

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use futures::{StreamExt, TryStreamExt};

use super::instance::Instance;
use super::kubeconfig::{Entry, standalone};
use super::pki::{self, PkiError};

/// Why the API server doesn't answer us.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There are no certificates to come with.
    #[error("the instance has no certificates in {}: run `sudo minikctl up` first", .0.display())]
    NoCredentials(std::path::PathBuf),
    /// They can't be read.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// Our own kubeconfig is no good.
    #[error("cannot use the instance's kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// A request failed.
    #[error("the API server at {server} does not answer as it should")]
    Request {
        /// Its address.
        server: String,
        /// What it said.
        source: Box<kube::Error>,
    },
}

/// A connection to an instance's API server.
pub(super) struct Cluster {
    client: Client,
    server: String,
    node_name: String,
}

/// Calls `with` with the kubeconfig entry of the instance's admin.
pub(super) fn admin_entry<T>(instance: &Instance, with: impl FnOnce(&Entry<'_>) -> T) -> Result<T, ClusterError> {
    let dir = instance.pki_dir();
    let authority = pki::load(&dir, pki::AUTHORITY)?;
    let admin = pki::load(&dir, "admin")?;
    let (authority, admin) = authority.zip(admin).ok_or(ClusterError::NoCredentials(dir))?;
    Ok(with(&Entry {
        name: &instance.context,
        server: &instance.server_url(),
        authority: &authority.certificate,
        certificate: &admin.certificate,
        key: &admin.key,
    }))
}

impl Cluster {
    /// Prepares a connection; nothing is sent yet.
    pub(super) async fn open(instance: &Instance) -> Result<Self, ClusterError> {
        let kubeconfig = Kubeconfig::from_yaml(&admin_entry(instance, standalone)?)?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        // It is on this machine: a proxy from the environment could only lose the way.
        config.proxy_url = None;
        let server = instance.server_url();
        let client = Client::try_from(config).map_err(|source| failed(&server, source))?;
        Ok(Self {
            client,
            server,
            node_name: instance.node_name.clone(),
        })
    }

    /// Returns once the node says that it is ready; `heard` gets the reason whenever it says that it isn't.
    pub(super) async fn node_ready(&self, mut heard: impl FnMut(&str)) -> Result<(), ClusterError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let only = format!("metadata.name={}", self.node_name);
        loop {
            // Without a version, a watch begins with what is there (Kubernetes API concepts, "get state and start at any").
            let params = WatchParams::default().fields(&only);
            let events = nodes
                .watch(&params, "0")
                .await
                .map_err(|source| failed(&self.server, source))?;
            let mut events = events.boxed();
            while let Some(event) = events.try_next().await.map_err(|source| failed(&self.server, source))? {
                if let WatchEvent::Added(node) | WatchEvent::Modified(node) = event {
                    match readiness(&node) {
                        Readiness::Ready => return Ok(()),
                        Readiness::NotReady(reason) => heard(&reason),
                    }
                }
            }
        }
    }

    /// The node, if it has registered.
    pub(super) async fn node(&self) -> Result<Option<Node>, ClusterError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes
            .get_opt(&self.node_name)
            .await
            .map_err(|source| failed(&self.server, source))
    }

    /// All pods.
    pub(super) async fn pods(&self) -> Result<Vec<Pod>, ClusterError> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let list = pods
            .list(&ListParams::default())
            .await
            .map_err(|source| failed(&self.server, source))?;
        Ok(list.items)
    }

    /// The server's version.
    pub(super) async fn version(&self) -> Result<String, ClusterError> {
        let info = self
            .client
            .apiserver_version()
            .await
            .map_err(|source| failed(&self.server, source))?;
        Ok(info.git_version)
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    NotReady(String),
}

/// Its condition `Ready`.
pub(super) fn readiness(node: &Node) -> Readiness {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    match conditions.iter().find(|condition| condition.type_ == "Ready") {
        Some(ready) if ready.status == "True" => Readiness::Ready,
        Some(ready) => Readiness::NotReady(ready.message.clone().unwrap_or_default()),
        None => Readiness::NotReady("it has not reported yet".to_owned()),
    }
}

fn failed(server: &str, source: kube::Error) -> ClusterError {
    ClusterError::Request {
        server: server.to_owned(),
        source: Box::new(source),
    }
}
