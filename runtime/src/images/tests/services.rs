//! The gRPC service, over a real connection.

use minik_api::images::images_client::ImagesClient;
use minik_api::images::images_server::ImagesServer;
use minik_api::images::{ImportChunk, PullRequest, WatchRequest};
use tonic::transport::{Channel, Server};

use super::fake::{Fake, Reply};
use super::sample::{Packing, Sample};
use super::*;

async fn serve(node: &Node) -> ImagesClient<Channel> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let service = ImagesServer::new(ImagesService::new(node.images.clone()));
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(Server::builder().serve_with_incoming(service, incoming));
    ImagesClient::connect(format!("http://{address}"))
        .await
        .expect("connected")
}

fn request(image: &str, always: bool) -> PullRequest {
    PullRequest {
        image: image.to_owned(),
        always,
        ..PullRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_shows_its_progress_and_ends_with_the_id() {
    let sample = Sample::simple();
    let registry = Fake::with_image(sample.clone(), |_| None).await;
    let node = Node::new(&[]);
    let mut client = serve(&node).await;
    let mut watcher = client.watch(WatchRequest {}).await.expect("watching").into_inner();
    let name = format!("{}/app:1", registry.host);
    let mut stream = client.pull(request(&name, false)).await.expect("pulling").into_inner();
    let mut pictures = Vec::new();
    while let Some(picture) = stream.message().await.expect("a picture") {
        pictures.push(picture);
    }
    assert!(pictures.iter().any(|picture| picture.layers.len() == 2));
    assert_eq!(pictures.last().expect("a last one").image_ref, sample.id().to_string());
    while watcher
        .message()
        .await
        .expect("a picture")
        .expect("it never ends")
        .image_ref
        .is_empty()
    {}

    let before = registry.requests().len();
    let mut stream = client.pull(request(&name, false)).await.expect("present").into_inner();
    assert_eq!(
        stream.message().await.expect("a picture").expect("one").image_ref,
        sample.id().to_string()
    );
    assert_eq!(registry.requests().len(), before, "what is present is not asked for");
    let mut stream = client.pull(request(&name, true)).await.expect("pulling").into_inner();
    while stream.message().await.expect("a picture").is_some() {}
    assert!(registry.requests().len() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_come_as_status() {
    let registry = Fake::start(|_| Reply::new("429 Too Many Requests", &[], "")).await;
    let node = Node::new(&[]);
    let mut client = serve(&node).await;
    let status = client.pull(request("No/Image", false)).await.expect_err("upper case");
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let mut stream = client
        .pull(request(&format!("{}/app", registry.host), false))
        .await
        .expect("pulling")
        .into_inner();
    let status = loop {
        match stream.message().await {
            Ok(picture) => assert!(picture.expect("an end").image_ref.is_empty()),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_comes_in_chunks() {
    let sample = Sample::new(&[("a", "a", Packing::Plain)]);
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"]}]);
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, content) in [
        ("layer.tar", sample.archives[0].clone()),
        ("config.json", sample.config.clone()),
        ("manifest.json", manifest.to_string().into_bytes()),
    ] {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, name, content.as_slice())
            .expect("into memory");
    }
    let archive = builder.into_inner().expect("into memory");
    let node = Node::new(&[]);
    let mut client = serve(&node).await;
    let chunks: Vec<_> = archive
        .chunks(777)
        .map(|data| ImportChunk {
            data: data.to_vec(),
            ..ImportChunk::default()
        })
        .collect();
    let mut stream = client
        .import(tokio_stream::iter(chunks))
        .await
        .expect("importing")
        .into_inner();
    let mut last = None;
    while let Some(picture) = stream.message().await.expect("a picture") {
        last = Some(picture);
    }
    let last = last.expect("a last picture");
    assert_eq!(
        (last.image.as_str(), last.image_ref),
        ("docker.io/library/app:1", sample.id().to_string())
    );
    assert!(node.images.find("app:1").is_some());
}
