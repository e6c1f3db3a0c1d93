//! `minik.build.v1`: a client's messages to an engine, and what it tells back.

use std::fs;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use minik_api::build::build_input::What;
use minik_api::build::builder_server::Builder;
use minik_api::build::{BuildInput, BuildOutput};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::engine::{Engine, Teller};
use crate::daemon::Daemon;

/// Messages on their way to a client that reads slowly.
const BACKLOG: usize = 64;
/// Pieces of the context between the client and the disk.
const PIECES: usize = 8;
/// Of a Dockerfile.
const DOCKERFILE_BYTES: usize = 1 << 20;

/// Builds images.
pub(crate) struct BuildService {
    daemon: Arc<Daemon>,
}

impl BuildService {
    /// Removes what builds of a daemon that died have left.
    pub(crate) fn new(daemon: Arc<Daemon>) -> BuildService {
        for left in [daemon.config.root.join("build/work"), daemon.config.state.join("build")] {
            match fs::remove_dir_all(&left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %left.display(), %error, "remove what a build has left");
                }
                _ => {}
            }
        }
        BuildService { daemon }
    }
}

#[tonic::async_trait]
impl Builder for BuildService {
    type BuildStream = Pin<Box<dyn Stream<Item = Result<BuildOutput, Status>> + Send>>;

    async fn build(&self, request: Request<Streaming<BuildInput>>) -> Result<Response<Self::BuildStream>, Status> {
        let mut inputs = request.into_inner();
        let first = inputs.message().await?.and_then(|input| input.what);
        let Some(What::Request(request)) = first else {
            return Err(Status::invalid_argument("the first message is the request"));
        };
        if request.dockerfile.len() > DOCKERFILE_BYTES {
            return Err(Status::invalid_argument("the Dockerfile is larger than 1 MiB"));
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let (to_context, pieces) = mpsc::channel(PIECES);
        tokio::spawn(feed(inputs, to_context));
        let mut engine = Engine::new(&self.daemon, request, pieces, Teller(sender.clone()))?;
        // To the end even if the client goes: containers and folders are to be taken away.
        tokio::spawn(async move {
            let built = engine.build().await;
            drop(engine);
            if let Err(status) = built {
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Hands the context on. A client that goes away has not sent all of it.
async fn feed(mut inputs: Streaming<BuildInput>, sender: mpsc::Sender<io::Result<bytes::Bytes>>) {
    loop {
        let piece = match inputs.message().await {
            Ok(None) => return,
            Ok(Some(BuildInput {
                what: Some(What::Context(data)),
            })) => Ok(data.into()),
            Ok(Some(BuildInput {
                what: Some(What::Failed(why)),
            })) => Err(io::Error::other(why)),
            Ok(Some(_)) => Err(io::Error::other("a message that is no part of it")),
            Err(status) => Err(io::Error::other(status.message().to_owned())),
        };
        let failed = piece.is_err();
        if sender.send(piece).await.is_err() || failed {
            return;
        }
    }
}
