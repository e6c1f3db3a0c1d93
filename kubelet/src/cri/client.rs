//! The CRI over gRPC on a UNIX socket.
//!
//! The connection is made when it is first needed and again after it broke, so a runtime that restarts is found again by the
//! next call. Each call carries the trace context of the pod it serves as gRPC metadata.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use hyper_util::rt::TokioIo;
use minik_api::cri::{self, image_service_client::ImageServiceClient, runtime_service_client::RuntimeServiceClient};
use minik_api::images::{Progress, WatchRequest, images_client::ImagesClient};
use minik_api::trace;
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use super::{Call, CallError, Runtime};

/// For calls that answer at once.
const SHORT: Duration = Duration::from_secs(120);
/// A pull that stalls is ended by the runtime; this is for a runtime that hangs.
const PULL: Duration = Duration::from_secs(3600);
/// Messages above this are refused; a list of many containers with long annotations fits.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

tokio::task_local! {
    /// The trace context of the pod that the current task works for.
    pub(crate) static TRACEPARENT: Option<String>;
}

/// The endpoint is no UNIX socket.
#[derive(Debug, thiserror::Error)]
#[error("--container-runtime-endpoint {0:?} is no UNIX socket: write unix:///path/to/socket")]
pub(crate) struct InvalidEndpoint(String);

/// A runtime behind a UNIX socket.
#[derive(Clone)]
pub(crate) struct Client {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    progress: ImagesClient<Channel>,
}

impl Client {
    /// Takes `unix:///path` (or a bare path) and connects when first used.
    pub(crate) fn new(endpoint: &str) -> Result<Self, InvalidEndpoint> {
        let path = socket_path(endpoint).ok_or_else(|| InvalidEndpoint(endpoint.to_owned()))?;
        let connector = tower::service_fn(move |_: http::Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
        Ok(Self {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES),
            images: ImageServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES),
            progress: ImagesClient::new(channel),
        })
    }
}

fn socket_path(endpoint: &str) -> Option<PathBuf> {
    let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
    Path::new(path).is_absolute().then(|| PathBuf::from(path))
}

/// Wraps a message with the current trace context.
fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let parent = TRACEPARENT.try_with(Clone::clone).ok().flatten();
    if let Some(value) = parent.and_then(|text| text.parse::<MetadataValue<Ascii>>().ok()) {
        request.metadata_mut().insert(trace::HEADER, value);
    }
    request
}

/// Awaits a unary call for at most `limit` and names it in its error.
async fn unary<T>(
    call: &'static str,
    limit: Duration,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(error(call, &status)),
        Err(_) => Err(CallError {
            call,
            code: tonic::Code::DeadlineExceeded,
            message: format!("the runtime didn't answer {call} within {} s", limit.as_secs()),
        }),
    }
}

fn error(call: &'static str, status: &Status) -> CallError {
    // A status with a source was made on this side: the call didn't get there, or its answer didn't get back.
    let message = match (status.message(), std::error::Error::source(status)) {
        (message, Some(_)) => format!("{call}: the container runtime can't be reached: {message}"),
        ("", None) => format!("{call} failed: {}", status.code()),
        (message, None) => message.to_owned(),
    };
    CallError {
        call,
        code: status.code(),
        message,
    }
}

fn stream<T: Send + 'static>(
    call: &'static str,
    stream: tonic::Streaming<T>,
) -> BoxStream<'static, Result<T, CallError>> {
    stream
        .map(move |item| item.map_err(|status| error(call, &status)))
        .boxed()
}

/// Stopping waits for the process as long as it has been given, and then for its death.
fn stop_limit(timeout_seconds: i64) -> Duration {
    SHORT + Duration::from_secs(timeout_seconds.max(0).unsigned_abs())
}

impl Runtime for Client {
    fn version(&self) -> Call<'_, cri::VersionResponse> {
        let mut client = self.runtime.clone();
        Box::pin(async move {
            let message = request(cri::VersionRequest { version: "v1".into() });
            unary("Version", SHORT, client.version(message)).await
        })
    }

    fn status(&self) -> Call<'_, cri::StatusResponse> {
        let mut client = self.runtime.clone();
        Box::pin(async move {
            let message = request(cri::StatusRequest { verbose: false });
            unary("Status", SHORT, client.status(message)).await
        })
    }

    fn run_pod_sandbox(&self, config: cri::PodSandboxConfig, handler: String) -> Call<'_, String> {
        let mut client = self.runtime.clone();
        Box::pin(async move {
            let message = request(cri::RunPodSandboxRequest {
                config: Some(config),
                runtime_handler: handler,
            });
            let answer = unary("RunPodSandbox", SHORT, client.run_pod_sandbox(message)).await?;
            Ok(answer.pod_sandbox_id)
        })
    }

    fn stop_pod_sandbox(&self, id: &str) -> Call<'_, ()> {
        let mut client = self.runtime.clone();
        let message = cri::StopPodSandboxRequest {
            pod_sandbox_id: id.into(),
        };
        Box::pin(async move {
            unary("StopPodSandbox", SHORT, client.stop_pod_sandbox(request(message))).await?;
            Ok(())
        })
    }

    fn remove_pod_sandbox(&self, id: &str) -> Call<'_, ()> {
        let mut client = self.runtime.clone();
        let message = cri::RemovePodSandboxRequest {
            pod_sandbox_id: id.into(),
        };
        Box::pin(async move {
            unary("RemovePodSandbox", SHORT, client.remove_pod_sandbox(request(message))).await?;
            Ok(())
        })
    }

    fn pod_sandbox_status(&self, id: &str) -> Call<'_, cri::PodSandboxStatus> {
        let mut client = self.runtime.clone();
        let message = cri::PodSandboxStatusRequest {
            pod_sandbox_id: id.into(),
            verbose: false,
        };
        Box::pin(async move {
            let answer = unary("PodSandboxStatus", SHORT, client.pod_sandbox_status(request(message))).await?;
            Ok(answer.status.unwrap_or_default())
        })
    }

    fn list_pod_sandboxes(&self, labels: Vec<(String, String)>) -> Call<'_, Vec<cri::PodSandbox>> {
        let mut client = self.runtime.clone();
        Box::pin(async move {
            let filter = cri::PodSandboxFilter {
                label_selector: labels.into_iter().collect(),
                ..Default::default()
            };
            let message = request(cri::ListPodSandboxRequest { filter: Some(filter) });
            Ok(unary("ListPodSandbox", SHORT, client.list_pod_sandbox(message))
                .await?
                .items)
        })
    }

    fn list_containers(&self, labels: Vec<(String, String)>) -> Call<'_, Vec<cri::Container>> {
        let mut client = self.runtime.clone();
        Box::pin(async move {
            let filter = cri::ContainerFilter {
                label_selector: labels.into_iter().collect(),
                ..Default::default()
            };
            let message = request(cri::ListContainersRequest { filter: Some(filter) });
            Ok(unary("ListContainers", SHORT, client.list_containers(message))
                .await?
                .containers)
        })
    }

    fn container_status(&self, id: &str) -> Call<'_, cri::ContainerStatus> {
        let mut client = self.runtime.clone();
        let message = cri::ContainerStatusRequest {
            container_id: id.into(),
            verbose: false,
        };
        Box::pin(async move {
            let answer = unary("ContainerStatus", SHORT, client.container_status(request(message))).await?;
            Ok(answer.status.unwrap_or_default())
        })
    }

    fn create_container(
        &self,
        sandbox: &str,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Call<'_, String> {
        let mut client = self.runtime.clone();
        let message = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.into(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        Box::pin(async move {
            let answer = unary("CreateContainer", SHORT, client.create_container(request(message))).await?;
            Ok(answer.container_id)
        })
    }

    fn start_container(&self, id: &str) -> Call<'_, ()> {
        let mut client = self.runtime.clone();
        let message = cri::StartContainerRequest {
            container_id: id.into(),
        };
        Box::pin(async move {
            unary("StartContainer", SHORT, client.start_container(request(message))).await?;
            Ok(())
        })
    }

    fn stop_container(&self, id: &str, timeout_seconds: i64) -> Call<'_, ()> {
        let mut client = self.runtime.clone();
        let message = cri::StopContainerRequest {
            container_id: id.into(),
            timeout: timeout_seconds,
        };
        Box::pin(async move {
            let answer = client.stop_container(request(message));
            unary("StopContainer", stop_limit(timeout_seconds), answer).await?;
            Ok(())
        })
    }

    fn remove_container(&self, id: &str) -> Call<'_, ()> {
        let mut client = self.runtime.clone();
        let message = cri::RemoveContainerRequest {
            container_id: id.into(),
        };
        Box::pin(async move {
            unary("RemoveContainer", SHORT, client.remove_container(request(message))).await?;
            Ok(())
        })
    }

    fn exec_sync(&self, id: &str, command: Vec<String>, timeout_seconds: i64) -> Call<'_, cri::ExecSyncResponse> {
        let mut client = self.runtime.clone();
        let message = cri::ExecSyncRequest {
            container_id: id.into(),
            cmd: command,
            timeout: timeout_seconds,
        };
        Box::pin(async move {
            let answer = client.exec_sync(request(message));
            unary("ExecSync", stop_limit(timeout_seconds), answer).await
        })
    }

    fn exec(&self, message: cri::ExecRequest) -> Call<'_, String> {
        let mut client = self.runtime.clone();
        Box::pin(async move { Ok(unary("Exec", SHORT, client.exec(request(message))).await?.url) })
    }

    fn attach(&self, message: cri::AttachRequest) -> Call<'_, String> {
        let mut client = self.runtime.clone();
        Box::pin(async move { Ok(unary("Attach", SHORT, client.attach(request(message))).await?.url) })
    }

    fn port_forward(&self, sandbox: &str, ports: Vec<i32>) -> Call<'_, String> {
        let mut client = self.runtime.clone();
        let message = cri::PortForwardRequest {
            pod_sandbox_id: sandbox.into(),
            port: ports,
        };
        Box::pin(async move {
            Ok(unary("PortForward", SHORT, client.port_forward(request(message)))
                .await?
                .url)
        })
    }

    fn reopen_container_log(&self, id: &str) -> Call<'_, ()> {
        let mut client = self.runtime.clone();
        let message = cri::ReopenContainerLogRequest {
            container_id: id.into(),
        };
        Box::pin(async move {
            unary(
                "ReopenContainerLog",
                SHORT,
                client.reopen_container_log(request(message)),
            )
            .await?;
            Ok(())
        })
    }

    fn image_status(&self, image: &str) -> Call<'_, Option<cri::Image>> {
        let mut client = self.images.clone();
        let message = cri::ImageStatusRequest {
            image: Some(image_spec(image)),
            verbose: false,
        };
        Box::pin(async move {
            Ok(unary("ImageStatus", SHORT, client.image_status(request(message)))
                .await?
                .image)
        })
    }

    fn pull_image(
        &self,
        image: &str,
        auth: Option<cri::AuthConfig>,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Call<'_, String> {
        let mut client = self.images.clone();
        let message = cri::PullImageRequest {
            image: Some(image_spec(image)),
            auth,
            sandbox_config: Some(sandbox_config),
        };
        Box::pin(async move {
            Ok(unary("PullImage", PULL, client.pull_image(request(message)))
                .await?
                .image_ref)
        })
    }

    fn list_images(&self) -> Call<'_, Vec<cri::Image>> {
        let mut client = self.images.clone();
        Box::pin(async move {
            let message = request(cri::ListImagesRequest::default());
            Ok(unary("ListImages", SHORT, client.list_images(message)).await?.images)
        })
    }

    fn remove_image(&self, id: &str) -> Call<'_, ()> {
        let mut client = self.images.clone();
        let message = cri::RemoveImageRequest {
            image: Some(image_spec(id)),
        };
        Box::pin(async move {
            unary("RemoveImage", SHORT, client.remove_image(request(message))).await?;
            Ok(())
        })
    }

    fn image_filesystem(&self) -> Call<'_, Option<PathBuf>> {
        let mut client = self.images.clone();
        Box::pin(async move {
            let message = request(cri::ImageFsInfoRequest {});
            let info = unary("ImageFsInfo", SHORT, client.image_fs_info(message)).await?;
            let mut filesystems = info.image_filesystems.into_iter().filter_map(|usage| usage.fs_id);
            Ok(filesystems.next().map(|id| PathBuf::from(id.mountpoint)))
        })
    }

    fn container_events(&self) -> Call<'_, BoxStream<'static, Result<cri::ContainerEventResponse, CallError>>> {
        let mut client = self.runtime.clone();
        Box::pin(async move {
            let answer = client
                .get_container_events(Request::new(cri::GetEventsRequest {}))
                .await;
            let answer = answer.map_err(|status| error("GetContainerEvents", &status))?;
            Ok(stream("GetContainerEvents", answer.into_inner()))
        })
    }

    fn pull_progress(&self) -> Call<'_, BoxStream<'static, Result<Progress, CallError>>> {
        let mut client = self.progress.clone();
        Box::pin(async move {
            let answer = client.watch(Request::new(WatchRequest {})).await;
            let answer = answer.map_err(|status| error("Watch", &status))?;
            Ok(stream("Watch", answer.into_inner()))
        })
    }
}

fn image_spec(image: &str) -> cri::ImageSpec {
    cri::ImageSpec {
        image: image.to_owned(),
        user_specified_image: image.to_owned(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unix_sockets_are_endpoints() {
        assert_eq!(socket_path("unix:///run/x.sock"), Some(PathBuf::from("/run/x.sock")));
        assert_eq!(socket_path("/run/x.sock"), Some(PathBuf::from("/run/x.sock")));
        assert_eq!(socket_path("tcp://127.0.0.1:1"), None);
        assert_eq!(socket_path("x.sock"), None);
    }
}
