//! `minik.containers.v1`: one line a verb.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use minik_api::containers::containers_server::Containers;
use minik_api::containers::{
    Container, CreateRequest, DeleteAnswer, DeleteRequest, Done, Event, EventsRequest, Input, InspectAnswer,
    InspectRequest, ListAnswer, ListRequest, Output, SignalRequest,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Events, create, inspect, join, lookup, task};
use crate::cri::{Answer, to_the_end};
use crate::daemon::Daemon;

/// Messages that may wait for a client that reads slowly.
const BACKLOG: usize = 16;

/// Answers containerd's client.
pub(crate) struct ContainersService {
    daemon: Arc<Daemon>,
}

impl ContainersService {
    pub(crate) fn new(daemon: Arc<Daemon>) -> ContainersService {
        ContainersService { daemon }
    }
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Containers for ContainersService {
    async fn create(&self, request: Request<CreateRequest>) -> Result<Response<Container>, Status> {
        let (daemon, request) = (Arc::clone(&self.daemon), request.into_inner());
        let created = to_the_end(async move { create::create(&daemon, request).await });
        created.await.map(Response::new)
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListAnswer>, Status> {
        let request = request.get_ref();
        let namespace = lookup::namespace(&request.namespace)?;
        let containers = lookup::list(&self.daemon, namespace, &request.id);
        if !request.id.is_empty() && containers.is_empty() {
            return Err(lookup::not_found(namespace, &request.id));
        }
        let mut namespaces = self.daemon.images.namespaces();
        namespaces.extend(self.daemon.ctr.namespaces());
        namespaces.sort();
        namespaces.dedup();
        Ok(Response::new(ListAnswer { containers, namespaces }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteAnswer>, Status> {
        let (daemon, request) = (Arc::clone(&self.daemon), request.into_inner());
        let deleted = to_the_end(async move { delete(&daemon, &request).await });
        let exit_code = deleted.await?.unsigned_abs();
        Ok(Response::new(DeleteAnswer { exit_code }))
    }

    type RunStream = Messages<Output>;

    async fn run(&self, request: Request<Streaming<Input>>) -> Result<Response<Self::RunStream>, Status> {
        let mut inputs = request.into_inner();
        let first = inputs.message().await?.and_then(|input| input.what);
        let first = first.ok_or_else(|| Status::invalid_argument("no message came"))?;
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let daemon = Arc::clone(&self.daemon);
        tokio::spawn(async move {
            let gone = sender.clone();
            tokio::select! {
                () = join::join(daemon, first, inputs, sender) => {}
                () = gone.closed() => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn signal(&self, request: Request<SignalRequest>) -> Result<Response<Done>, Status> {
        inspect::signal(&self.daemon, request.into_inner()).await?;
        Ok(Response::new(Done {}))
    }

    async fn inspect(&self, request: Request<InspectRequest>) -> Result<Response<InspectAnswer>, Status> {
        let request = request.get_ref();
        inspect::inspect(&self.daemon, &request.namespace, &request.id).map(Response::new)
    }

    type EventsStream = Messages<Event>;

    async fn events(&self, _: Request<EventsRequest>) -> Result<Response<Self::EventsStream>, Status> {
        Ok(Response::new(Events::watch_all(&self.daemon).boxed()))
    }
}

async fn delete(daemon: &Arc<Daemon>, request: &DeleteRequest) -> Answer<i32> {
    let namespace = lookup::namespace(&request.namespace)?;
    if !request.task {
        return create::delete(daemon, namespace, &request.id, request.force).await;
    }
    create::refuse_pods(namespace)?;
    let entry = lookup::own(daemon, namespace, &request.id)?;
    if entry.peek(|record| record.task.is_none()) {
        let name = &request.id;
        return Err(Status::not_found(format!(
            "no running task found: task {name} not found: not found"
        )));
    }
    task::delete(daemon, &entry, request.force).await
}
