//! ImageService: what the kubelet asks about images, answered by `images/`.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use minik_api::cri::image_service_server::ImageService;
use minik_api::cri::*;
use serde_json::json;
use tonic::{Code, Request, Response, Status};

use super::answer::{Answer, with_code};
use super::describe;
use crate::daemon::{Daemon, now_nanos};
use crate::images;
use crate::images::reference::{InvalidReference, Reference};
use crate::images::registry::Credentials;

/// Images in one message of a streamed list.
const STREAM_CHUNK: usize = 256;

/// Answers the kubelet's requests.
pub(crate) struct ImageServer {
    daemon: Arc<Daemon>,
}

impl ImageServer {
    pub(crate) fn new(daemon: Arc<Daemon>) -> ImageServer {
        ImageServer { daemon }
    }

    fn list(&self, filter: Option<&ImageFilter>) -> Vec<Image> {
        let images = match filter.map(|filter| name(filter.image.as_ref())) {
            Some(name) if !name.is_empty() => self.daemon.images.find(name).into_iter().collect(),
            _ => self.daemon.images.list(),
        };
        images.iter().map(|image| describe_image(image)).collect()
    }
}

#[tonic::async_trait]
impl ImageService for ImageServer {
    async fn list_images(&self, request: Request<ListImagesRequest>) -> Result<Response<ListImagesResponse>, Status> {
        let images = self.list(request.get_ref().filter.as_ref());
        Ok(Response::new(ListImagesResponse { images }))
    }

    type StreamImagesStream = BoxStream<'static, Answer<StreamImagesResponse>>;

    async fn stream_images(
        &self,
        request: Request<StreamImagesRequest>,
    ) -> Result<Response<Self::StreamImagesStream>, Status> {
        let chunks = stream::iter(self.list(request.get_ref().filter.as_ref())).chunks(STREAM_CHUNK);
        Ok(Response::new(
            chunks.map(|images| Ok(StreamImagesResponse { images })).boxed(),
        ))
    }

    /// An image that isn't there is no error, but no image either.
    async fn image_status(
        &self,
        request: Request<ImageStatusRequest>,
    ) -> Result<Response<ImageStatusResponse>, Status> {
        let request = request.get_ref();
        let found = self.daemon.images.find(name(request.image.as_ref()));
        let info = match &found {
            Some(image) => describe::info(
                request.verbose,
                json!({"chainID": image.chain, "imageSpec": image.config}),
            ),
            None => Default::default(),
        };
        let image = found.map(|image| describe_image(&image));
        Ok(Response::new(ImageStatusResponse { image, info }))
    }

    async fn pull_image(&self, request: Request<PullImageRequest>) -> Result<Response<PullImageResponse>, Status> {
        let request = request.into_inner();
        let name = name(request.image.as_ref());
        let invalid =
            |error: InvalidReference| Status::invalid_argument(format!("invalid image name {name:?}: {error}"));
        let reference: Reference = name.parse().map_err(invalid)?;
        let credentials = request.auth.as_ref().and_then(Credentials::from_cri);
        // A pull that nobody waits for any more is canceled; what has come of it is kept for the next.
        let pulled = self.daemon.images.pull(&reference, credentials).await;
        let image_ref = pulled.map_err(|error| error.to_status())?.id.to_string();
        Ok(Response::new(PullImageResponse { image_ref }))
    }

    /// Idempotent: one that isn't there is removed.
    async fn remove_image(
        &self,
        request: Request<RemoveImageRequest>,
    ) -> Result<Response<RemoveImageResponse>, Status> {
        let name = name(request.get_ref().image.as_ref()).to_owned();
        if self.daemon.images.find(&name).is_some() {
            let removed = self.daemon.images.remove(&name).await;
            removed.map_err(|error| with_code(Code::Unknown)(&error))?;
        }
        Ok(Response::new(RemoveImageResponse {}))
    }

    async fn image_fs_info(&self, _: Request<ImageFsInfoRequest>) -> Result<Response<ImageFsInfoResponse>, Status> {
        let daemon = Arc::clone(&self.daemon);
        let usage = tokio::task::spawn_blocking(move || daemon.images.usage()).await;
        let usage = usage.map_err(|error| Status::internal(error.to_string()))?;
        let mountpoint = self.daemon.config.root.display().to_string();
        let usage = FilesystemUsage {
            timestamp: now_nanos(),
            fs_id: Some(FilesystemIdentifier { mountpoint }),
            used_bytes: Some(UInt64Value { value: usage.bytes }),
            inodes_used: Some(UInt64Value { value: usage.inodes }),
        };
        // Layers and writable layers are on the same filesystem.
        let response = ImageFsInfoResponse {
            image_filesystems: vec![usage.clone()],
            container_filesystems: vec![usage],
        };
        Ok(Response::new(response))
    }
}

fn name(image: Option<&ImageSpec>) -> &str {
    image.map(|image| image.image.as_str()).unwrap_or_default()
}

fn describe_image(image: &images::Image) -> Image {
    let user = image
        .config
        .config()
        .as_ref()
        .and_then(|config| config.user().clone())
        .unwrap_or_default();
    // `user`, `user:group`, numbers or names: the kubelet checks runAsNonRoot by the number or the name.
    let user = user.split(':').next().unwrap_or_default();
    let (uid, username) = match user.parse() {
        Ok(value) => (Some(Int64Value { value }), String::new()),
        Err(_) => (None, user.to_owned()),
    };
    Image {
        id: image.id.to_string(),
        repo_tags: image.tags.clone(),
        repo_digests: image.digests.clone(),
        size: image.size_bytes,
        uid,
        username,
        spec: None,
        pinned: image.pinned,
    }
}
