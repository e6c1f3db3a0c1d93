//! The connection to the runtime: gRPC over its UNIX socket.

use std::io;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use minik_api::build::builder_client::BuilderClient;
use minik_api::containers::containers_client::ContainersClient;
use minik_api::cri::image_service_client::ImageServiceClient;
use minik_api::cri::runtime_service_client::RuntimeServiceClient;
use minik_api::images::images_client::ImagesClient;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// Why the runtime can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Nobody listens.
    #[error("there is no runtime at {}: start the node with `sudo minikctl up`", .socket.display())]
    Absent {
        /// Its socket.
        socket: PathBuf,
    },
    /// The socket is root's.
    #[error("{} belongs to root: run this command with sudo", .socket.display())]
    Forbidden {
        /// Its socket.
        socket: PathBuf,
    },
    /// The connection does not come about.
    #[error("can't talk to the runtime at {}: {problem}", .socket.display())]
    Connect {
        /// Its socket.
        socket: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The runtime refused.
    #[error("{what}: {}", words(.status))]
    Refused {
        /// What was asked for.
        what: String,
        /// Its answer.
        status: tonic::Status,
    },
}

impl RuntimeError {
    /// The runtime's refusal of something.
    pub fn refused(what: impl Into<String>) -> impl FnOnce(tonic::Status) -> Self {
        let what = what.into();
        move |status| Self::Refused { what, status }
    }
}

/// What a refusal says, or what its code means where it says nothing.
fn words(status: &tonic::Status) -> &str {
    match (status.code(), status.message()) {
        (tonic::Code::Unimplemented, _) => "this runtime can't do that; minik's own can",
        (code, "") => code.description(),
        (_, message) => message,
    }
}

/// A connection to a runtime.
#[derive(Clone, Debug)]
pub struct Runtime(Channel);

impl Runtime {
    /// Connects to the runtime's socket.
    ///
    /// # Errors
    /// When nobody listens there, or it belongs to somebody else.
    pub async fn connect(socket: &Path) -> Result<Self, RuntimeError> {
        let socket = socket.to_owned();
        // Tried first by itself, since tonic would hide why it fails.
        UnixStream::connect(&socket).await.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => RuntimeError::Forbidden { socket: socket.clone() },
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                RuntimeError::Absent { socket: socket.clone() }
            }
            _ => RuntimeError::Connect {
                socket: socket.clone(),
                problem: error.to_string(),
            },
        })?;
        let failed = |error: tonic::transport::Error| RuntimeError::Connect {
            socket: socket.clone(),
            problem: error.to_string(),
        };
        let path = socket.clone();
        // The host part is a formality: the connector knows where to go.
        let channel = Endpoint::from_static("http://runtime")
            .connect_with_connector(tower::service_fn(move |_| {
                let path = path.clone();
                async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
            }))
            .await
            .map_err(failed)?;
        Ok(Self(channel))
    }

    /// CRI's own verbs.
    #[must_use]
    pub fn cri(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.0.clone())
    }

    /// CRI's verbs for pods and containers.
    #[must_use]
    pub fn pods(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.0.clone())
    }

    /// Containers without a pod.
    #[must_use]
    pub fn containers(&self) -> ContainersClient<Channel> {
        ContainersClient::new(self.0.clone())
    }

    /// Images from Dockerfiles.
    #[must_use]
    pub fn builder(&self) -> BuilderClient<Channel> {
        BuilderClient::new(self.0.clone())
    }

    /// Images beyond the CRI.
    #[must_use]
    pub fn images(&self) -> ImagesClient<Channel> {
        ImagesClient::new(self.0.clone())
    }
}
