//! Pulls that go well, from a real registry.

use minik_api::images::layer::State;

use super::docker_registry::{DockerRegistry, PASSWORD, USER};
use super::fake::{Fake, Reply};
use super::sample::{INDEX, MANIFEST, Packing, Sample, index};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_packing_arrives_and_nothing_is_fetched_twice() {
    let registry = DockerRegistry::start();
    let sample = Sample::new(&[
        ("plain", "plain", Packing::Plain),
        ("gzip", "gzip", Packing::Gzip),
        ("members", "members", Packing::GzipMembers),
        ("zstd", "zstd", Packing::Zstd),
        ("gzip", "upper", Packing::Gzip),
    ]);
    registry.push("a/app", "1", &sample).await;
    let node = Node::new(&[]);
    let mut progress = node.images.progress();
    let name = format!("{}/a/app", registry.host);
    let image = node.pull(&format!("{name}:1")).await.expect("pulled");
    assert_eq!(image.id, sample.id());
    assert_eq!(
        (&image.tags, &image.digests),
        (&vec![format!("{name}:1")], &vec![format!("{name}@{}", sample.digest())])
    );
    let blobs: usize = sample.blobs.values().map(Vec::len).sum();
    assert_eq!(image.size_bytes, blobs as u64);
    for (path, content) in [
        ("plain", "plain"),
        ("members", "members"),
        ("zstd", "zstd"),
        ("gzip", "upper"),
    ] {
        assert_eq!(node.text(&image, path).as_deref(), Some(content));
    }
    assert_eq!(
        image.config.config().as_ref().and_then(|c| c.cmd().clone()),
        Some(vec!["/bin/app".to_owned()])
    );
    let pictures = drain(&mut progress);
    let last = pictures.last().expect("there were pictures");
    assert_eq!(
        (last.image.clone(), last.image_ref.clone()),
        (format!("{name}:1"), sample.id().to_string())
    );
    assert!(
        last.layers
            .iter()
            .all(|layer| layer.state() == State::Done && layer.offset_bytes == layer.total_bytes)
    );

    let again = node.pull(&format!("{name}:1")).await.expect("nothing to do");
    assert!(Arc::ptr_eq(&again, &image));
    let pictures = drain(&mut progress);
    let last = pictures.last().expect("a last picture");
    assert!(
        last.layers.iter().all(|layer| layer.state() == State::Exists),
        "{last:?}"
    );
}

fn drain(progress: &mut broadcast::Receiver<Progress>) -> Vec<Progress> {
    std::iter::from_fn(|| progress.try_recv().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_image_takes_over_the_layers_they_share() {
    let registry = DockerRegistry::start();
    let base = ("base", "base", Packing::Gzip);
    registry
        .push("app", "1", &Sample::new(&[base, ("v", "1", Packing::Gzip)]))
        .await;
    registry
        .push("app", "2", &Sample::new(&[base, ("v", "2", Packing::Gzip)]))
        .await;
    let node = Node::new(&[]);
    node.pull(&format!("{}/app:1", registry.host)).await.expect("pulled");
    let mut progress = node.images.progress();
    let second = node.pull(&format!("{}/app:2", registry.host)).await.expect("pulled");
    let states: Vec<State> = drain(&mut progress)
        .last()
        .expect("a picture")
        .layers
        .iter()
        .map(|l| l.state())
        .collect();
    assert_eq!(states, [State::Exists, State::Done]);
    assert_eq!(node.text(&second, "v").as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_gives_this_machines_image_and_lists_others() {
    let registry = DockerRegistry::start();
    let here = Sample::simple();
    let there = Sample::of_archives(vec![(super::sample::tar("other", b"x"), Packing::Gzip)], "s390x");
    for (sample, tag) in [(&here, "here"), (&there, "there")] {
        registry.push("app", tag, sample).await;
    }
    let both = index(&[("s390x", &there), (Platform::host().architecture.as_str(), &here)]);
    registry.push_manifest("app", "both", INDEX, &both).await;
    registry
        .push_manifest("app", "foreign", INDEX, &index(&[("s390x", &there)]))
        .await;
    let node = Node::new(&[]);
    let image = node.pull(&format!("{}/app:both", registry.host)).await.expect("pulled");
    assert_eq!(image.id, here.id());
    assert_eq!(
        image.digests,
        [format!("{}/app@{}", registry.host, digest::Digest::of(&both))]
    );
    for tag in ["foreign", "there"] {
        let error = node.pull(&format!("{}/app:{tag}", registry.host)).await.expect_err(tag);
        assert!(
            matches!(&error, PullError::Platform { offered, .. } if offered == "linux/s390x"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_digest_and_moved_tags() {
    let registry = DockerRegistry::start();
    let (old, new) = (
        Sample::new(&[("v", "old", Packing::Gzip)]),
        Sample::new(&[("v", "new", Packing::Gzip)]),
    );
    registry.push("app", "1", &old).await;
    let node = Node::new(&[]);
    let name = format!("{}/app", registry.host);
    let image = node.pull(&format!("{name}@{}", old.digest())).await.expect("pulled");
    assert!(image.tags.is_empty());
    node.pull(&format!("{name}:1")).await.expect("pulled");
    registry.push("app", "1", &new).await;
    node.pull(&format!("{name}:1")).await.expect("pulled");
    let node = node.reopened();
    assert_eq!(node.images.find(&format!("{name}:1")).expect("found").id, new.id());
    let old = node
        .images
        .find(&format!("{name}@{}", old.digest()))
        .expect("still known by its digest");
    assert!(old.tags.is_empty());
    assert_eq!(node.images.list().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_by_request_and_by_dockers_configuration() {
    let registry = DockerRegistry::start_with_login();
    let sample = Sample::simple();
    registry.push("app", "1", &sample).await;
    let reference: Reference = format!("{}/app:1", registry.host).parse().expect("a reference");
    let node = Node::new(&[]);
    let basic = |password: &str| {
        Some(Credentials::Basic {
            username: USER.to_owned(),
            password: password.to_owned(),
        })
    };
    let error = node.images.pull(&reference, None).await.expect_err("no login");
    assert!(matches!(error, PullError::LoginNeeded { .. }), "{error}");
    let error = node
        .images
        .pull(&reference, basic("wrong"))
        .await
        .expect_err("a wrong login");
    assert!(matches!(error, PullError::LoginRefused { .. }), "{error}");
    node.images.pull(&reference, basic(PASSWORD)).await.expect("pulled");

    let config = tempfile::NamedTempFile::new().expect("a temporary file");
    let login = serde_json::json!({"auths": {&registry.host: {"username": USER, "password": PASSWORD}}});
    std::fs::write(config.path(), login.to_string()).expect("written");
    let node = Node::with(Registries {
        docker_config: Some(config.path().to_owned()),
        patience: patience(),
        mirrors: Vec::new(),
    });
    node.images.pull(&reference, None).await.expect("pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_told_apart() {
    let registry = DockerRegistry::start();
    registry.push("app", "1.27", &Sample::simple()).await;
    let node = Node::new(&[]);
    let error = node
        .pull(&format!("{}/app:1.28", registry.host))
        .await
        .expect_err("no such tag");
    assert!(
        matches!(error, PullError::TagNotFound { .. }) && error.to_string().contains("1.27"),
        "{error}"
    );
    let error = node
        .pull(&format!("{}/ap", registry.host))
        .await
        .expect_err("no such image");
    assert!(matches!(error, PullError::NameNotFound { .. }), "{error}");
    assert_eq!(error.code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_stands_in_for_docker_hub() {
    let registry = DockerRegistry::start();
    registry.push("library/nginx", "stable", &Sample::simple()).await;
    let node = Node::new(&[&format!("docker.io=http://{}", registry.host)]);
    let image = node.pull("nginx:stable").await.expect("pulled from the mirror");
    assert_eq!(image.tags, ["docker.io/library/nginx:stable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_that_fail_are_passed_over_and_never_see_the_credentials() {
    let sample = Sample::simple();
    let mirror = Fake::start(|_| Reply::new("404 Not Found", &[], "")).await;
    let registry = Fake::with_image(sample.clone(), |_| None).await;
    let node = Node::new(&[&format!("{}=http://{}", registry.host, mirror.host)]);
    let reference = format!("{}/app:1", registry.host).parse().expect("a reference");
    let login = Credentials::RegistryToken("secret".to_owned());
    node.images
        .pull(&reference, Some(login))
        .await
        .expect("pulled from the registry itself");
    assert!(
        mirror
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    assert!(
        mirror.paths()[0].ends_with(&format!("?ns={}", registry.host)),
        "{:?}",
        mirror.paths()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_fetched_with_the_login_and_shown_to_nobody_else() {
    let sample = Sample::simple();
    // The network that holds the layers: another host, which must not see the token.
    let storage = Fake::with_image(sample.clone(), |_| None).await;
    let tokens = Fake::start(|request| {
        let login = request.header("authorization") == Some("Basic YW5uYTpwdw==");
        let scope = request.path.contains("scope=repository%3Aapp%3Apull") && request.path.contains("service=s");
        if login && scope {
            Reply::new("200 OK", &[], r#"{"token": "t0ken"}"#)
        } else {
            Reply::new("401 Unauthorized", &[], "")
        }
    })
    .await;
    let (realm, cdn) = (tokens.host.clone(), storage.host.clone());
    let registry = Fake::with_image(sample, move |request| {
        if request.header("authorization") != Some("Bearer t0ken") {
            let challenge =
                format!("Bearer realm=\"http://{realm}/token\",service=\"s\",scope=\"repository:app:pull\"");
            return Some(Reply::new("401 Unauthorized", &[("WWW-Authenticate", &challenge)], ""));
        }
        let location = format!("http://{cdn}{}", request.path);
        request
            .path
            .contains("/blobs/")
            .then(|| Reply::new("307 Temporary Redirect", &[("Location", &location)], ""))
    })
    .await;
    let node = Node::new(&[]);
    let reference: Reference = format!("{}/app:1", registry.host).parse().expect("a reference");
    let login = Credentials::Basic {
        username: "anna".to_owned(),
        password: "pw".to_owned(),
    };
    node.images.pull(&reference, Some(login)).await.expect("pulled");
    assert_eq!(tokens.requests().len(), 1, "one token is enough for all");
    assert_eq!(storage.requests().len(), 3, "config and two layers");
    assert!(
        storage
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    let error = Node::new(&[])
        .images
        .pull(&reference, None)
        .await
        .expect_err("no login");
    assert!(matches!(error, PullError::LoginNeeded { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_of_the_same_join_and_other_credentials_pull_for_themselves() {
    let sample = Sample::simple();
    let registry = Fake::with_image(sample, |_| None).await;
    let node = Node::new(&[]);
    let reference: Reference = format!("{}/app:1", registry.host).parse().expect("a reference");
    let token = |token: &str| Some(Credentials::RegistryToken(token.to_owned()));
    let pulls = [None, None, None, token("a")].map(|credentials| node.images.pull(&reference, credentials));
    for result in futures::future::join_all(pulls).await {
        result.expect("pulled");
    }
    let paths = registry.paths();
    assert_eq!(
        paths.iter().filter(|path| path.contains("/manifests/")).count(),
        2,
        "{paths:?}"
    );
    let layers = registry
        .requests()
        .iter()
        .filter(|r| r.path.contains("/blobs/"))
        .count();
    assert!(layers <= 4, "two layers once, and at most two configs: {paths:?}");
    assert!(node.images.running().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dockers_own_media_types_are_understood() {
    let mut sample = Sample::simple();
    let docker = MANIFEST.replace("oci.image.manifest.v1", "docker.distribution.manifest.v2");
    sample.manifest = sample.manifest_with(|manifest| manifest["mediaType"] = docker.clone().into());
    let registry = Fake::with_image(sample, |_| None).await;
    let node = Node::new(&[]);
    node.pull(&format!("{}/app:1", registry.host)).await.expect("pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_layers_can_be_prepared() {
    let registry = Fake::with_image(Sample::new(&[]), |_| None).await;
    let node = Node::new(&[]);
    let image = node.pull(&format!("{}/app:1", registry.host)).await.expect("pulled");
    assert!(image.chain.is_none());
    assert_eq!(
        node.images
            .snapshots()
            .prepare("c", None)
            .expect("prepared")
            .lower
            .len(),
        1
    );
}
