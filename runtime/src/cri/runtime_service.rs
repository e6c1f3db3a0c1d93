//! RuntimeService: one line a verb. What stands here is which verbs there are, which of them outlive their client, and how
//! lists become streams.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use minik_api::cri::runtime_service_server::RuntimeService;
use minik_api::cri::*;
use tonic::{Request, Response, Status};

use super::answer::{Answer, to_the_end};
use super::{create, exec, metrics, node, remove, sandboxes, start, stats, status, stop, update};
use crate::daemon::Daemon;
use crate::streaming::{Session, Streaming};

/// Items in one message of a streamed list: far below gRPC's 4 MiB.
const STREAM_CHUNK: usize = 256;

/// Answers the kubelet's requests.
pub(crate) struct RuntimeServer {
    daemon: Arc<Daemon>,
    streaming: Streaming,
}

impl RuntimeServer {
    pub(crate) fn new(daemon: Arc<Daemon>, streaming: Streaming) -> RuntimeServer {
        RuntimeServer { daemon, streaming }
    }

    fn daemon(&self) -> Arc<Daemon> {
        Arc::clone(&self.daemon)
    }

    fn offer(&self, session: Session) -> Answer<String> {
        self.streaming
            .offer(session)
            .map_err(|error| Status::resource_exhausted(error.to_string()))
    }
}

type Verb<T> = Result<Response<T>, Status>;

fn answer<T>(answer: Answer<T>) -> Verb<T> {
    answer.map(Response::new)
}

fn streamed<T: Send + 'static, M: 'static>(
    items: Vec<T>,
    message: impl Fn(Vec<T>) -> M + Send + 'static,
) -> Verb<BoxStream<'static, Answer<M>>> {
    let chunks = stream::iter(items).chunks(STREAM_CHUNK);
    Ok(Response::new(chunks.map(move |items| Ok(message(items))).boxed()))
}

fn unimplemented<T>(what: &str) -> Verb<T> {
    Err(Status::unimplemented(format!("minik has no {what}")))
}

#[tonic::async_trait]
impl RuntimeService for RuntimeServer {
    async fn version(&self, _: Request<VersionRequest>) -> Verb<VersionResponse> {
        answer(Ok(node::version()))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Verb<StatusResponse> {
        answer(Ok(node::status(&self.daemon, request.get_ref())))
    }

    async fn runtime_config(&self, _: Request<RuntimeConfigRequest>) -> Verb<RuntimeConfigResponse> {
        answer(Ok(node::runtime_config()))
    }

    /// The pod range is the command line's; the kubelet may tell it all the same.
    async fn update_runtime_config(&self, _: Request<UpdateRuntimeConfigRequest>) -> Verb<UpdateRuntimeConfigResponse> {
        answer(Ok(UpdateRuntimeConfigResponse {}))
    }

    async fn run_pod_sandbox(&self, request: Request<RunPodSandboxRequest>) -> Verb<RunPodSandboxResponse> {
        answer(to_the_end(sandboxes::run(self.daemon(), request.into_inner())).await)
    }

    async fn stop_pod_sandbox(&self, request: Request<StopPodSandboxRequest>) -> Verb<StopPodSandboxResponse> {
        answer(to_the_end(sandboxes::stop(self.daemon(), request.into_inner())).await)
    }

    async fn remove_pod_sandbox(&self, request: Request<RemovePodSandboxRequest>) -> Verb<RemovePodSandboxResponse> {
        answer(to_the_end(sandboxes::remove(self.daemon(), request.into_inner())).await)
    }

    async fn pod_sandbox_status(&self, request: Request<PodSandboxStatusRequest>) -> Verb<PodSandboxStatusResponse> {
        answer(sandboxes::status(&self.daemon, request.get_ref()))
    }

    async fn list_pod_sandbox(&self, request: Request<ListPodSandboxRequest>) -> Verb<ListPodSandboxResponse> {
        let items = sandboxes::list(&self.daemon, request.get_ref().filter.as_ref());
        answer(Ok(ListPodSandboxResponse { items }))
    }

    type StreamPodSandboxesStream = BoxStream<'static, Answer<StreamPodSandboxesResponse>>;

    async fn stream_pod_sandboxes(
        &self,
        request: Request<StreamPodSandboxesRequest>,
    ) -> Verb<Self::StreamPodSandboxesStream> {
        let items = sandboxes::list(&self.daemon, request.get_ref().filter.as_ref());
        streamed(items, |pod_sandboxes| StreamPodSandboxesResponse { pod_sandboxes })
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: Request<UpdatePodSandboxResourcesRequest>,
    ) -> Verb<UpdatePodSandboxResourcesResponse> {
        answer(to_the_end(update::sandbox(self.daemon(), request.into_inner())).await)
    }

    async fn create_container(&self, request: Request<CreateContainerRequest>) -> Verb<CreateContainerResponse> {
        answer(to_the_end(create::create(self.daemon(), request.into_inner())).await)
    }

    async fn start_container(&self, request: Request<StartContainerRequest>) -> Verb<StartContainerResponse> {
        answer(to_the_end(start::start(self.daemon(), request.into_inner())).await)
    }

    /// Ends with its client: who gives up waiting doesn't want the kill that comes after the wait.
    async fn stop_container(&self, request: Request<StopContainerRequest>) -> Verb<StopContainerResponse> {
        answer(stop::stop(self.daemon(), request.into_inner()).await)
    }

    async fn remove_container(&self, request: Request<RemoveContainerRequest>) -> Verb<RemoveContainerResponse> {
        answer(to_the_end(remove::remove(self.daemon(), request.into_inner())).await)
    }

    async fn container_status(&self, request: Request<ContainerStatusRequest>) -> Verb<ContainerStatusResponse> {
        answer(status::status(&self.daemon, request.get_ref()))
    }

    async fn list_containers(&self, request: Request<ListContainersRequest>) -> Verb<ListContainersResponse> {
        let containers = status::list(&self.daemon, request.get_ref().filter.as_ref());
        answer(Ok(ListContainersResponse { containers }))
    }

    type StreamContainersStream = BoxStream<'static, Answer<StreamContainersResponse>>;

    async fn stream_containers(&self, request: Request<StreamContainersRequest>) -> Verb<Self::StreamContainersStream> {
        let containers = status::list(&self.daemon, request.get_ref().filter.as_ref());
        streamed(containers, |containers| StreamContainersResponse { containers })
    }

    async fn update_container_resources(
        &self,
        request: Request<UpdateContainerResourcesRequest>,
    ) -> Verb<UpdateContainerResourcesResponse> {
        answer(to_the_end(update::container(self.daemon(), request.into_inner())).await)
    }

    async fn reopen_container_log(
        &self,
        request: Request<ReopenContainerLogRequest>,
    ) -> Verb<ReopenContainerLogResponse> {
        answer(status::reopen_log(self.daemon(), request.into_inner()).await)
    }

    async fn exec_sync(&self, request: Request<ExecSyncRequest>) -> Verb<ExecSyncResponse> {
        answer(exec::exec_sync(self.daemon(), request.into_inner()).await)
    }

    async fn exec(&self, request: Request<ExecRequest>) -> Verb<ExecResponse> {
        let request = request.into_inner();
        exec::running(&self.daemon, &request.container_id)?;
        answer(self.offer(Session::Exec(request)).map(|url| ExecResponse { url }))
    }

    async fn attach(&self, request: Request<AttachRequest>) -> Verb<AttachResponse> {
        let request = request.into_inner();
        exec::running(&self.daemon, &request.container_id)?;
        answer(self.offer(Session::Attach(request)).map(|url| AttachResponse { url }))
    }

    async fn port_forward(&self, request: Request<PortForwardRequest>) -> Verb<PortForwardResponse> {
        let request = request.into_inner();
        self.daemon.sandboxes.find(&request.pod_sandbox_id)?;
        answer(
            self.offer(Session::PortForward(request))
                .map(|url| PortForwardResponse { url }),
        )
    }

    async fn container_stats(&self, request: Request<ContainerStatsRequest>) -> Verb<ContainerStatsResponse> {
        answer(stats::container(self.daemon(), request.into_inner()).await)
    }

    async fn list_container_stats(
        &self,
        request: Request<ListContainerStatsRequest>,
    ) -> Verb<ListContainerStatsResponse> {
        let stats = stats::containers(self.daemon(), request.into_inner().filter).await?;
        answer(Ok(ListContainerStatsResponse { stats }))
    }

    type StreamContainerStatsStream = BoxStream<'static, Answer<StreamContainerStatsResponse>>;

    async fn stream_container_stats(
        &self,
        request: Request<StreamContainerStatsRequest>,
    ) -> Verb<Self::StreamContainerStatsStream> {
        let stats = stats::containers(self.daemon(), request.into_inner().filter).await?;
        streamed(stats, |container_stats| StreamContainerStatsResponse {
            container_stats,
        })
    }

    async fn pod_sandbox_stats(&self, request: Request<PodSandboxStatsRequest>) -> Verb<PodSandboxStatsResponse> {
        answer(stats::sandbox(self.daemon(), request.into_inner()).await)
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: Request<ListPodSandboxStatsRequest>,
    ) -> Verb<ListPodSandboxStatsResponse> {
        let stats = stats::sandboxes(self.daemon(), request.into_inner().filter).await?;
        answer(Ok(ListPodSandboxStatsResponse { stats }))
    }

    type StreamPodSandboxStatsStream = BoxStream<'static, Answer<StreamPodSandboxStatsResponse>>;

    async fn stream_pod_sandbox_stats(
        &self,
        request: Request<StreamPodSandboxStatsRequest>,
    ) -> Verb<Self::StreamPodSandboxStatsStream> {
        let stats = stats::sandboxes(self.daemon(), request.into_inner().filter).await?;
        streamed(stats, |pod_sandbox_stats| StreamPodSandboxStatsResponse {
            pod_sandbox_stats,
        })
    }

    type GetContainerEventsStream = BoxStream<'static, Answer<ContainerEventResponse>>;

    async fn get_container_events(&self, _: Request<GetEventsRequest>) -> Verb<Self::GetContainerEventsStream> {
        Ok(Response::new(self.daemon.events.watch().boxed()))
    }

    async fn checkpoint_container(&self, _: Request<CheckpointContainerRequest>) -> Verb<CheckpointContainerResponse> {
        unimplemented("checkpoints")
    }

    async fn checkpoint_pod(&self, _: Request<CheckpointPodRequest>) -> Verb<CheckpointPodResponse> {
        unimplemented("checkpoints")
    }

    async fn restore_pod(&self, _: Request<RestorePodRequest>) -> Verb<RestorePodResponse> {
        unimplemented("checkpoints")
    }

    async fn list_metric_descriptors(
        &self,
        _: Request<ListMetricDescriptorsRequest>,
    ) -> Verb<ListMetricDescriptorsResponse> {
        let descriptors = metrics::descriptors();
        answer(Ok(ListMetricDescriptorsResponse { descriptors }))
    }

    async fn list_pod_sandbox_metrics(
        &self,
        _: Request<ListPodSandboxMetricsRequest>,
    ) -> Verb<ListPodSandboxMetricsResponse> {
        let pod_metrics = metrics::pods(self.daemon()).await?;
        answer(Ok(ListPodSandboxMetricsResponse { pod_metrics }))
    }

    type StreamPodSandboxMetricsStream = BoxStream<'static, Answer<StreamPodSandboxMetricsResponse>>;

    async fn stream_pod_sandbox_metrics(
        &self,
        _: Request<StreamPodSandboxMetricsRequest>,
    ) -> Verb<Self::StreamPodSandboxMetricsStream> {
        let metrics = metrics::pods(self.daemon()).await?;
        streamed(metrics, |pod_sandbox_metrics| StreamPodSandboxMetricsResponse {
            pod_sandbox_metrics,
        })
    }
}
