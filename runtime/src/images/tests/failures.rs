//! Pulls that fail, each for its own reason, and leave nothing but whole layers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::fake::{Fake, Reply, proper};
use super::sample::{Packing, Sample, noise, tar};
use super::*;

/// Pulls from a registry that answers as the handler says where it says something.
async fn pull_from(
    sample: Sample,
    handler: impl Fn(&super::fake::Request) -> Option<Reply> + Send + Sync + 'static,
) -> (Node, Fake, Result<Arc<Image>, PullError>) {
    let registry = Fake::with_image(sample, handler).await;
    let node = Node::new(&[]);
    let result = node.pull(&format!("{}/app:1", registry.host)).await;
    (node, registry, result)
}

async fn failure_of(reply: Reply) -> PullError {
    let (node, _, result) = pull_from(Sample::simple(), move |_| Some(reply.clone())).await;
    assert_eq!(node.left_over(), Vec::<PathBuf>::new());
    result.expect_err("the registry refuses")
}

#[tokio::test]
async fn answers_of_registries_are_told_apart() {
    let error = failure_of(Reply::new("429 Too Many Requests", &[("Retry-After", "30")], "")).await;
    assert!(
        matches!(error, PullError::RateLimited { .. }) && error.to_string().contains("wait 30 s"),
        "{error}"
    );
    assert_eq!(error.code(), tonic::Code::ResourceExhausted);
    let error = failure_of(Reply::new("500 Internal Server Error", &[], "oops")).await;
    assert!(
        matches!(error, PullError::Server { .. }) && error.code() == tonic::Code::Unavailable,
        "{error}"
    );
    let body = r#"{"errors": [{"code": "DENIED", "message": "not you"}]}"#;
    let error = failure_of(Reply::new("403 Forbidden", &[], body)).await;
    assert!(
        matches!(error, PullError::LoginNeeded { .. }) && error.to_string().contains("not you"),
        "{error}"
    );
    let error = failure_of(Reply::new("418 I'm a teapot", &[], "")).await;
    assert!(matches!(error, PullError::Status { .. }), "{error}");
    let error = failure_of(Reply::new(
        "200 OK",
        &[("Content-Type", "text/html")],
        "<html>Sign in to the café's network",
    ))
    .await;
    assert!(matches!(error, PullError::Garbage { .. }), "{error}");
    let error = failure_of(Reply::raw("SSH-2.0-OpenSSH_9.2\r\n")).await;
    assert!(matches!(error, PullError::Garbage { .. }), "{error:?}");
    let schema1 = r#"{"schemaVersion": 1, "name": "app", "fsLayers": []}"#;
    let error = failure_of(Reply::new("200 OK", &[], schema1)).await;
    assert!(matches!(error, PullError::MediaType { .. }), "{error}");
    let error = failure_of(Reply::new("301 Moved", &[("Location", "http://127.0.0.1:1/loop")], "")).await;
    assert!(matches!(error, PullError::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn what_the_network_says_is_told_apart() {
    let node = Node::new(&[]);
    let error = node
        .pull("127.0.0.1:1/app")
        .await
        .expect_err("nobody listens on port 1");
    assert!(
        matches!(&error, PullError::Connect { registry, .. } if registry == "127.0.0.1:1"),
        "{error:?}"
    );
    assert!(
        error::chain(&error).ends_with("in between: Connection refused (os error 111)"),
        "{}",
        error::chain(&error)
    );
    // Reserved never to exist (RFC 6761).
    let error = node.pull("registry.invalid/app").await.expect_err("no such host");
    assert!(
        matches!(&error, PullError::Resolve { host, .. } if host == "registry.invalid"),
        "{error:?}"
    );
    let silent = Fake::start(|_| Reply::raw("").then_wait(Duration::from_secs(60))).await;
    let error = node.pull(&format!("{}/app", silent.host)).await.expect_err("no answer");
    assert!(matches!(error, PullError::Timeout { .. }), "{error:?}");
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = plain.local_addr().expect("bound");
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.expect("a client");
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending::<()>().await;
    });
    let node = Node::new(&[&format!("127.0.0.1:1=https://{address}")]);
    let error = node.pull("127.0.0.1:1/app").await.expect_err("no TLS there");
    let PullError::Mirrors { mirrors, origin } = &error else {
        panic!("{error:?}");
    };
    assert!(mirrors.contains("no secure connection"), "{mirrors}");
    assert!(matches!(**origin, PullError::Connect { .. }), "{origin:?}");
}

#[tokio::test]
async fn a_registry_that_recovers_is_asked_again() {
    let asked = std::sync::Mutex::new(std::collections::HashMap::<String, u32>::new());
    let (_, _, result) = pull_from(Sample::simple(), move |request| {
        let mut asked = asked.lock().expect("no panic in a handler");
        let times = asked.entry(request.path.clone()).or_default();
        *times += 1;
        (*times < 3).then(|| Reply::new("503 Service Unavailable", &[], ""))
    })
    .await;
    result.expect("pulled in the third attempt of each request");
}

fn large() -> Sample {
    let archive = tar("large", &noise(300_000));
    Sample::of_archives(
        vec![(archive, Packing::Gzip), (tar("small", b"x"), Packing::Gzip)],
        "amd64",
    )
}

#[tokio::test]
async fn a_broken_stream_goes_on_where_it_broke() {
    let sample = large();
    let (digest, blob) = (sample.layers[0].to_string(), sample.blobs[&sample.layers[0]].clone());
    let (_, registry, result) = pull_from(sample, move |request| {
        let start = request.range_start().unwrap_or(0);
        // Each connection breaks after 120,000 bytes more.
        let end = (start + 120_000).min(blob.len());
        let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
        let (status, headers) = if start == 0 {
            ("200 OK", vec![])
        } else {
            ("206 Partial Content", vec![("Content-Range", range.as_str())])
        };
        request
            .path
            .ends_with(&digest)
            .then(|| Reply::announcing(status, &headers, blob.len() - start, &blob[start..end]))
    })
    .await;
    result.expect("pulled in three stretches");
    let mut starts: Vec<usize> = registry
        .requests()
        .iter()
        .filter_map(super::fake::Request::range_start)
        .collect();
    starts.sort_unstable();
    assert_eq!(starts, [120_000, 240_000]);
}

#[tokio::test]
async fn a_server_without_ranges_is_read_from_the_beginning() {
    let sample = large();
    let (digest, blob) = (sample.layers[0].to_string(), sample.blobs[&sample.layers[0]].clone());
    let attempts = AtomicUsize::new(0);
    let (_, _, result) = pull_from(sample, move |request| {
        let end = if attempts.load(Ordering::SeqCst) == 0 {
            200_000
        } else {
            blob.len()
        };
        request.path.ends_with(&digest).then(|| {
            attempts.fetch_add(1, Ordering::SeqCst);
            Reply::announcing("200 OK", &[], blob.len(), &blob[..end])
        })
    })
    .await;
    result.expect("pulled in the second attempt");
}

#[tokio::test]
async fn a_stream_that_always_breaks_or_stalls_is_given_up() {
    for wait in [Duration::ZERO, Duration::from_secs(60)] {
        let sample = large();
        let digest = sample.layers[0].to_string();
        let (node, registry, result) = pull_from(sample, move |request| {
            let reply = Reply::announcing("200 OK", &[], 1_000_000, noise(1000)).then_wait(wait);
            request.path.ends_with(&digest).then_some(reply)
        })
        .await;
        let error = result.expect_err("it never ends");
        if wait.is_zero() {
            assert!(
                matches!(
                    error,
                    PullError::Interrupted {
                        received_bytes: 1000,
                        ..
                    }
                ),
                "{error:?}"
            );
        } else {
            assert!(matches!(error, PullError::Timeout { .. }), "{error:?}");
        }
        let asked = registry
            .requests()
            .iter()
            .filter(|request| request.path.contains("/blobs/"))
            .count();
        assert!(
            asked <= 5,
            "three attempts at one layer, the other one, the config: {asked}"
        );
        node.await_clean().await;
    }
}

impl Node {
    /// A failed pull's blocking thread may still be tidying up; a new pull waits for it by the layer's directory.
    async fn await_clean(&self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        let half_done = || {
            self.left_over()
                .iter()
                .any(|path| path.parent().is_some_and(|p| p.ends_with("ingest")))
        };
        while half_done() {
            assert!(tokio::time::Instant::now() < deadline, "{:?}", self.left_over());
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn damaged_content_is_never_kept() {
    let change_layer = |change: fn(&mut Vec<u8>)| {
        let sample = large();
        let (digest, mut blob) = (sample.layers[0].to_string(), sample.blobs[&sample.layers[0]].clone());
        change(&mut blob);
        let handler = move |request: &super::fake::Request| {
            request
                .path
                .ends_with(&digest)
                .then(|| Reply::new("200 OK", &[], blob.clone()))
        };
        pull_from(sample, handler)
    };
    let (node, _, result) = change_layer(|blob| blob[1000] ^= 1).await;
    let error = result.expect_err("a flipped bit");
    assert!(
        matches!(error, PullError::Digest { .. }) && error.code() == tonic::Code::DataLoss,
        "{error:?}"
    );
    assert!(node.images.list().is_empty());
    let (_, _, result) = change_layer(|blob| blob.push(0)).await;
    assert!(matches!(result, Err(PullError::Size { .. })), "{result:?}");
    let (_, _, result) = change_layer(|blob| blob.truncate(1000)).await;
    assert!(matches!(result, Err(PullError::Interrupted { .. })), "{result:?}");
}

#[tokio::test]
async fn a_config_that_lies_about_its_layers_is_refused() {
    let mut sample = Sample::simple();
    let other = Sample::new(&[("x", "y", Packing::Gzip), ("z", "y", Packing::Gzip)]);
    sample.blobs.extend(other.blobs.clone());
    sample.manifest = sample.manifest_with(|manifest| manifest["config"]["digest"] = other.id().to_string().into());
    assert_eq!(sample.config.len(), other.config.len());
    let (node, _, result) = pull_from(sample, |_| None).await;
    assert!(matches!(result, Err(PullError::Broken { .. })), "{result:?}");
    node.await_clean().await;
}

#[tokio::test]
async fn a_hostile_layer_is_refused_and_leaves_nothing() {
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.as_gnu_mut().expect("GNU").name[..6].copy_from_slice(b"../../");
    header.set_size(0);
    header.set_cksum();
    builder.append(&header, &b""[..]).expect("into memory");
    let archive = builder.into_inner().expect("into memory");
    let (node, _, result) = pull_from(Sample::of_archives(vec![(archive, Packing::Zstd)], "amd64"), |_| None).await;
    let error = result.expect_err("it leads out");
    assert!(matches!(error, PullError::Unpack { .. }), "{error:?}");
    assert!(
        error::chain(&error).contains("leads out of its root"),
        "{}",
        error::chain(&error)
    );
    assert_eq!(node.left_over(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_failed_pull_leaves_nothing_that_hinders_the_next() {
    let sample = large();
    let digest = sample.layers[0].to_string();
    let small = sample.layers[1].to_string();
    let broken = Arc::new(AtomicUsize::new(1));
    let state = Arc::clone(&broken);
    let registry = Fake::with_image(sample, move |request| {
        let refuse = request.path.ends_with(&small) && state.load(Ordering::SeqCst) == 1;
        refuse.then(|| Reply::new("404 Not Found", &[], ""))
    })
    .await;
    let node = Node::new(&[]);
    let name = format!("{}/app:1", registry.host);
    node.pull(&name).await.expect_err("a layer is missing");
    node.await_clean().await;
    assert!(node.images.list().is_empty());
    broken.store(0, Ordering::SeqCst);
    let node = node.reopened();
    let image = node.pull(&name).await.expect("pulled");
    assert_eq!(node.text(&image, "small").as_deref(), Some("x"));
    let fetched = registry.paths().iter().filter(|path| path.ends_with(&digest)).count();
    assert!(fetched <= 2, "{fetched}");
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_stops() {
    let registry = Fake::with_image(Sample::simple(), |request| {
        let blob = request.path.contains("/blobs/");
        blob.then(|| Reply::announcing("200 OK", &[], 1_000_000, noise(10)).then_wait(Duration::from_secs(60)))
    })
    .await;
    let node = Node::new(&[]);
    let mut progress = node.images.progress();
    let images = node.images.clone();
    let reference: Reference = format!("{}/app:1", registry.host).parse().expect("a reference");
    let pull = tokio::spawn(async move { images.pull(&reference, None).await });
    progress.recv().await.expect("it began");
    pull.abort();
    let last = loop {
        let picture = progress.recv().await.expect("it goes on");
        if !picture.error.is_empty() {
            break picture;
        }
    };
    assert!(last.error.starts_with("canceled"), "{last:?}");
}

#[tokio::test]
async fn the_digest_of_a_manifest_is_checked() {
    let sample = Sample::simple();
    let wrong = digest::Digest::of(b"something else");
    let registry = Fake::start(move |request| proper(&sample, request)).await;
    let error = Node::new(&[])
        .pull(&format!("{}/app@{wrong}", registry.host))
        .await
        .expect_err("another manifest");
    assert!(
        matches!(&error, PullError::Digest { expected, .. } if *expected == wrong),
        "{error:?}"
    );
}
