//! `minik.images.v1`: what the CRI has no words for. The CRI's server registers this beside its own services.
//!
//! `following` is how pulls, imports and pushes are shown to who asked for them, `content` what there is below images.

mod content;
mod following;

use std::pin::Pin;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use minik_api::images::images_server::Images as Rpc;
use minik_api::images::{
    Chunk, Done, ExportRequest, ImportChunk, ListAnswer, ListContentAnswer, ListRequest, ListSnapshotsAnswer,
    MountAnswer, MountRequest, Progress, PullRequest, PushRequest, ReadContentRequest, RemoveRequest, TagRequest,
    UnmountRequest, WatchRequest,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;
use tonic::{Code, Request, Response, Status, Streaming};

use super::error::chain;
use super::reference::Reference;
use super::registry::{Access, Credentials};
use super::{Images, PullError, RemoveError, TagError};

/// Messages between a task and a client that reads slowly.
const BACKLOG: usize = 16;

type Pictures = Pin<Box<dyn Stream<Item = Result<Progress, Status>> + Send>>;
type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

/// The gRPC service over [`Images`].
#[derive(Clone, Debug)]
pub struct ImagesService {
    images: Images,
}

impl ImagesService {
    /// Serves these images, of all namespaces.
    #[must_use]
    pub fn new(images: Images) -> Self {
        Self { images }
    }

    fn of(&self, namespace: &str) -> Result<Images, Status> {
        let images = self.images.in_namespace(namespace);
        images.map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

#[tonic::async_trait]
impl Rpc for ImagesService {
    type PullStream = Pictures;
    type WatchStream = Pictures;
    type ImportStream = Pictures;
    type PushStream = Pictures;
    type ExportStream = Chunks;
    type ReadContentStream = Chunks;

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<Pictures>, Status> {
        let request = request.into_inner();
        let images = self.of(&request.namespace)?;
        let reference = reference(&request.image)?;
        let present = images.find(&reference.to_string()).filter(|_| !request.always);
        if let Some(image) = present {
            let last = following::finished(reference.to_string(), image.id.to_string());
            return Ok(Response::new(Box::pin(stream::iter([Ok(last)]))));
        }
        let access = access(request.username, request.password, request.plain_http);
        Ok(told(move |sender| async move {
            following::pull(&images, &reference, access, &sender).await;
        }))
    }

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Pictures>, Status> {
        let (running, pictures) = self.images.watch();
        let following = stream::unfold(pictures, |mut pictures| async {
            Some((following::next(&mut pictures).await?, pictures))
        });
        let all = stream::iter(running).chain(following).map(Ok);
        Ok(Response::new(Box::pin(all)))
    }

    async fn import(&self, request: Request<Streaming<ImportChunk>>) -> Result<Response<Pictures>, Status> {
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.unwrap_or_default();
        let images = self.of(&first.namespace)?;
        let chunks = stream::iter([Ok(first)])
            .chain(chunks)
            .map_ok(|chunk| bytes::Bytes::from(chunk.data))
            .map_err(std::io::Error::other);
        Ok(told(move |sender| async move {
            following::import(&images, StreamReader::new(Box::pin(chunks)), &sender).await;
        }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListAnswer>, Status> {
        let images = self.of(&request.get_ref().namespace)?;
        let listed = content::blocking(move || images.named()).await?;
        let images = listed.map_err(|error| Status::internal(format!("read the images' manifests: {error}")))?;
        Ok(Response::new(ListAnswer { images }))
    }

    async fn tag(&self, request: Request<TagRequest>) -> Result<Response<Done>, Status> {
        let request = request.into_inner();
        let images = self.of(&request.namespace)?;
        let name = reference(&request.name)?;
        if name.digest().is_some() {
            return Err(Status::invalid_argument(format!(
                "{name}: a digest can't be chosen; give a name with a tag"
            )));
        }
        let tagged = content::blocking(move || images.tag(&request.image, &name, request.force)).await?;
        let failed = |error: TagError| {
            let code = match &error {
                TagError::NotFound(_) => Code::NotFound,
                TagError::Taken(_) => Code::AlreadyExists,
                TagError::Catalogue(_) => Code::Internal,
            };
            Status::new(code, chain(&error))
        };
        tagged.map(|()| Response::new(Done {})).map_err(failed)
    }

    async fn remove(&self, request: Request<RemoveRequest>) -> Result<Response<Done>, Status> {
        let request = request.into_inner();
        let images = self.of(&request.namespace)?;
        let failed = |error: RemoveError| {
            let code = match &error {
                RemoveError::NotFound(_) => Code::NotFound,
                RemoveError::Ambiguous(_) => Code::InvalidArgument,
                RemoveError::Catalogue(_) | RemoveError::Snapshots(_) | RemoveError::Content(_) => Code::Internal,
            };
            Status::new(code, chain(&error))
        };
        let removed = images.remove(&request.image).await;
        removed.map(|()| Response::new(Done {})).map_err(failed)
    }

    async fn push(&self, request: Request<PushRequest>) -> Result<Response<Pictures>, Status> {
        let request = request.into_inner();
        let images = self.of(&request.namespace)?;
        let to = reference(if request.name.is_empty() {
            &request.image
        } else {
            &request.name
        })?;
        let access = access(request.username, request.password, request.plain_http);
        Ok(told(move |sender| async move {
            following::push(&images, &request.image, &to, access, &sender).await;
        }))
    }

    async fn export(&self, request: Request<ExportRequest>) -> Result<Response<Chunks>, Status> {
        let request = request.into_inner();
        let images = self.of(&request.namespace)?;
        let pieces = images.export(&request.images).await;
        let pieces = pieces.map_err(|error| error.to_status())?;
        let chunks = ReceiverStream::new(pieces).map(|piece| match piece {
            Ok(piece) => Ok(Chunk { data: piece.into() }),
            Err(error) => Err(Status::internal(format!("read the images' blobs: {error}"))),
        });
        Ok(Response::new(Box::pin(chunks)))
    }

    async fn list_content(&self, request: Request<ListRequest>) -> Result<Response<ListContentAnswer>, Status> {
        let images = self.of(&request.get_ref().namespace)?;
        let blobs = content::blocking(move || content::blobs(&images)).await?;
        let blobs = blobs.map_err(|error| Status::internal(format!("read the blobs: {error}")))?;
        Ok(Response::new(ListContentAnswer { blobs }))
    }

    async fn read_content(&self, request: Request<ReadContentRequest>) -> Result<Response<Chunks>, Status> {
        content::read(&self.images, &request.get_ref().digest)
            .await
            .map(Response::new)
    }

    async fn list_snapshots(&self, request: Request<ListRequest>) -> Result<Response<ListSnapshotsAnswer>, Status> {
        let images = self.of(&request.get_ref().namespace)?;
        let snapshots = content::blocking(move || content::snapshots(&images)).await?;
        Ok(Response::new(ListSnapshotsAnswer { snapshots }))
    }

    async fn mount(&self, request: Request<MountRequest>) -> Result<Response<MountAnswer>, Status> {
        let request = request.into_inner();
        let images = self.of(&request.namespace)?;
        let mounted = content::blocking(move || content::mount(&images, &request)).await?;
        mounted.map(Response::new)
    }

    async fn unmount(&self, request: Request<UnmountRequest>) -> Result<Response<Done>, Status> {
        let (images, request) = (self.images.clone(), request.into_inner());
        let unmounted = content::blocking(move || content::unmount(&images, &request.target)).await?;
        unmounted.map(|()| Response::new(Done {}))
    }
}

fn reference(text: &str) -> Result<Reference, Status> {
    text.parse().map_err(|error| PullError::Reference(error).to_status())
}

fn access(username: String, password: String, plain_http: bool) -> Access {
    let credentials = (!username.is_empty()).then_some(Credentials::Basic { username, password });
    Access {
        credentials,
        plain_http,
    }
}

/// A task that tells a client how far it is. One that hangs up stops waiting, and the last one who waits stops a pull.
fn told<T: Future<Output = ()> + Send>(
    task: impl FnOnce(mpsc::Sender<Result<Progress, Status>>) -> T + Send + 'static,
) -> Response<Pictures> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        let gone = sender.clone();
        tokio::select! {
            () = task(sender) => {}
            () = gone.closed() => {}
        }
    });
    Response::new(Box::pin(ReceiverStream::new(receiver)))
}
