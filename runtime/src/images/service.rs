//! `minik.images.v1`: pulls with progress, watching, import. The CRI's server registers this beside its own services.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use minik_api::images::images_server::Images as Rpc;
use minik_api::images::{ImportChunk, Progress, PullRequest, WatchRequest};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;
use tonic::{Request, Response, Status, Streaming};

use super::reference::Reference;
use super::registry::Credentials;
use super::{Image, Images, PullError};

/// Pictures between a pull and a client that reads slowly.
const BACKLOG: usize = 16;

type Pictures = Pin<Box<dyn Stream<Item = Result<Progress, Status>> + Send>>;

/// The gRPC service over [`Images`].
#[derive(Clone, Debug)]
pub struct ImagesService {
    images: Images,
}

impl ImagesService {
    /// Serves these images.
    #[must_use]
    pub fn new(images: Images) -> Self {
        Self { images }
    }
}

#[tonic::async_trait]
impl Rpc for ImagesService {
    type PullStream = Pictures;
    type WatchStream = Pictures;
    type ImportStream = Pictures;

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<Pictures>, Status> {
        let request = request.into_inner();
        let reference: Reference = request
            .image
            .parse()
            .map_err(|error| PullError::Reference(error).to_status())?;
        let present = self.images.find(&reference.to_string()).filter(|_| !request.always);
        if let Some(image) = present {
            return Ok(boxed(stream::iter([Ok(finished(reference.to_string(), &image))])));
        }
        let credentials = (!request.username.is_empty()).then_some(Credentials::Basic {
            username: request.username,
            password: request.password,
        });
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let images = self.images.clone();
        tokio::spawn(async move {
            // A client that hangs up stops waiting for the pull, and the last one to do so stops the pull.
            tokio::select! {
                () = pull(&images, &reference, credentials, &sender) => {}
                () = sender.closed() => {}
            }
        });
        Ok(boxed(ReceiverStream::new(receiver)))
    }

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Pictures>, Status> {
        let (running, pictures) = self.images.watch();
        let following = stream::unfold(pictures, |mut pictures| async {
            Some((next(&mut pictures).await?, pictures))
        });
        Ok(boxed(stream::iter(running).chain(following).map(Ok)))
    }

    async fn import(&self, request: Request<Streaming<ImportChunk>>) -> Result<Response<Pictures>, Status> {
        let chunks = request
            .into_inner()
            .map_ok(|chunk| bytes::Bytes::from(chunk.data))
            .map_err(std::io::Error::other);
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let images = self.images.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = import(&images, StreamReader::new(Box::pin(chunks)), &sender) => {}
                () = sender.closed() => {}
            }
        });
        Ok(boxed(ReceiverStream::new(receiver)))
    }
}

/// Shows the pictures of one pull, then how it ended.
async fn pull(
    images: &Images,
    reference: &Reference,
    credentials: Option<Credentials>,
    sender: &mpsc::Sender<Result<Progress, Status>>,
) {
    let mut pictures = images.progress();
    let name = reference.to_string();
    let of_this = |picture: &Progress| picture.image == name;
    let end = forwarding(&mut pictures, sender, of_this, images.pull(reference, credentials)).await;
    let last = end
        .map(|image| finished(name.clone(), &image))
        .map_err(|error| error.to_status());
    let _ = sender.send(last).await;
}

async fn import(
    images: &Images,
    archive: impl tokio::io::AsyncRead + Send + Unpin,
    sender: &mpsc::Sender<Result<Progress, Status>>,
) {
    let board = images.inner.board.child();
    let (_, mut pictures) = board.watch();
    match forwarding(&mut pictures, sender, |_| true, images.import_shown_on(&board, archive)).await {
        Ok(imported) => {
            for image in imported {
                let name = image.tags.first().cloned().unwrap_or_else(|| image.id.to_string());
                let _ = sender.send(Ok(finished(name, &image))).await;
            }
        }
        Err(error) => drop(sender.send(Err(error.to_status())).await),
    }
}

/// Runs a task while its pictures go to the client; those that end something are left to the caller.
async fn forwarding<T>(
    pictures: &mut broadcast::Receiver<Progress>,
    sender: &mpsc::Sender<Result<Progress, Status>>,
    wanted: impl Fn(&Progress) -> bool,
    task: impl Future<Output = T>,
) -> T {
    tokio::pin!(task);
    loop {
        tokio::select! {
            Some(picture) = next(pictures) => {
                let goes_on = picture.image_ref.is_empty() && picture.error.is_empty();
                if goes_on && wanted(&picture) {
                    // A client that reads slowly misses a picture: the next one shows all that it did.
                    let _ = sender.try_send(Ok(picture));
                }
            }
            end = &mut task => return end,
        }
    }
}

/// The next picture; what was missed is in it.
async fn next(pictures: &mut broadcast::Receiver<Progress>) -> Option<Progress> {
    loop {
        match pictures.recv().await {
            Ok(picture) => return Some(picture),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

fn finished(name: String, image: &Arc<Image>) -> Progress {
    Progress {
        image: name,
        image_ref: image.id.to_string(),
        ..Progress::default()
    }
}

fn boxed(pictures: impl Stream<Item = Result<Progress, Status>> + Send + 'static) -> Response<Pictures> {
    Response::new(Box::pin(pictures))
}
