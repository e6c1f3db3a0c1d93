//! The runtime as the kubelet sees it: the CRI calls that it makes, behind one trait.
//!
//! This is the kubelet's edge to the world below. [`client`] speaks gRPC over a UNIX socket to any CRI v1 runtime; tests put a
//! runtime in memory behind the same trait. [`observe`] gathers what is known about one pod, [`events`] turns the runtime's
//! event stream into "look again" for a pod. Nothing here decides anything.

use std::path::PathBuf;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use minik_api::cri;
use minik_api::images::Progress;
use tonic::Code;

pub(crate) mod client;
pub(crate) mod events;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod observe;

/// A call that the runtime refused or that never reached it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CallError {
    /// Name of the gRPC method.
    pub(crate) call: &'static str,
    /// Code of the gRPC status.
    pub(crate) code: Code,
    /// What the runtime says.
    pub(crate) message: String,
}

impl CallError {
    /// The thing that was asked about is not there (any more).
    pub(crate) fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }
}

/// What a call gives.
pub(crate) type Call<'a, T> = BoxFuture<'a, Result<T, CallError>>;

/// The labels that every sandbox and container of a kubelet carries.
pub(crate) mod labels {
    /// Name of the pod.
    pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
    /// Namespace of the pod.
    pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    /// Uid of the pod.
    pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
    /// Name of the container within the pod.
    pub(crate) const CONTAINER_NAME: &str = "io.kubernetes.container.name";
    /// Name of the node whose kubelet made it: what lacks it is someone else's.
    pub(crate) const NODE: &str = "minik.dev/node";
}

/// A CRI v1 runtime.
pub(crate) trait Runtime: Send + Sync + 'static {
    /// Name and version of the runtime.
    fn version(&self) -> Call<'_, cri::VersionResponse>;
    /// Whether runtime and network are ready.
    fn status(&self) -> Call<'_, cri::StatusResponse>;
    /// Creates and starts a sandbox; gives its id.
    fn run_pod_sandbox(&self, config: cri::PodSandboxConfig, handler: String) -> Call<'_, String>;
    /// Stops a sandbox and takes its network away; whatever still runs in it is killed.
    fn stop_pod_sandbox(&self, id: &str) -> Call<'_, ()>;
    /// Removes a sandbox and its containers.
    fn remove_pod_sandbox(&self, id: &str) -> Call<'_, ()>;
    /// State and addresses of a sandbox.
    fn pod_sandbox_status(&self, id: &str) -> Call<'_, cri::PodSandboxStatus>;
    /// Sandboxes with all of these labels.
    fn list_pod_sandboxes(&self, labels: Vec<(String, String)>) -> Call<'_, Vec<cri::PodSandbox>>;
    /// Containers with all of these labels.
    fn list_containers(&self, labels: Vec<(String, String)>) -> Call<'_, Vec<cri::Container>>;
    /// State of a container.
    fn container_status(&self, id: &str) -> Call<'_, cri::ContainerStatus>;
    /// Creates a container; gives its id.
    fn create_container(
        &self,
        sandbox: &str,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Call<'_, String>;
    /// Starts a created container.
    fn start_container(&self, id: &str) -> Call<'_, ()>;
    /// Stops a container: its stop signal, and SIGKILL after so many seconds.
    fn stop_container(&self, id: &str, timeout_seconds: i64) -> Call<'_, ()>;
    /// Removes a container.
    fn remove_container(&self, id: &str) -> Call<'_, ()>;
    /// Runs a command in a container and waits for its end.
    fn exec_sync(&self, id: &str, command: Vec<String>, timeout_seconds: i64) -> Call<'_, cri::ExecSyncResponse>;
    /// Where the streams of a command can be had.
    fn exec(&self, request: cri::ExecRequest) -> Call<'_, String>;
    /// Where the streams of the container's process can be had.
    fn attach(&self, request: cri::AttachRequest) -> Call<'_, String>;
    /// Where the sandbox's ports can be reached.
    fn port_forward(&self, sandbox: &str, ports: Vec<i32>) -> Call<'_, String>;
    /// Tells the runtime that the container's log was renamed.
    fn reopen_container_log(&self, id: &str) -> Call<'_, ()>;
    /// The image, if it is present.
    fn image_status(&self, image: &str) -> Call<'_, Option<cri::Image>>;
    /// Pulls an image; gives what a container config's image has to be.
    fn pull_image(
        &self,
        image: &str,
        auth: Option<cri::AuthConfig>,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Call<'_, String>;
    /// All images that there are.
    fn list_images(&self) -> Call<'_, Vec<cri::Image>>;
    /// Removes an image with all its names.
    fn remove_image(&self, id: &str) -> Call<'_, ()>;
    /// A directory on the disk that has the images, if the runtime tells one.
    fn image_filesystem(&self) -> Call<'_, Option<PathBuf>>;
    /// Every change of a container, as it happens.
    fn container_events(&self) -> Call<'_, BoxStream<'static, Result<cri::ContainerEventResponse, CallError>>>;
    /// How far each pull is; our runtime only.
    fn pull_progress(&self) -> Call<'_, BoxStream<'static, Result<Progress, CallError>>>;
}
