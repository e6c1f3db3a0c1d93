//! Containers without a pod, through the real process: what containerd's client does with them, and that pods know nothing of it.

mod support;

use std::time::Duration;

use minik_api::containers::containers_client::ContainersClient;
use minik_api::containers::input::What;
use minik_api::containers::output::What as Told;
use minik_api::containers::task::Status;
use minik_api::containers::{
    Container, CreateRequest, DeleteRequest, Exec, Input, InspectRequest, ListRequest, SignalRequest, Start,
};
use minik_api::cri::{ListContainersRequest, ListImagesRequest};
use minik_api::images::images_client::ImagesClient;
use minik_api::images::{ImportChunk, ListRequest as Namespace, MountRequest, UnmountRequest};
use support::{IMAGE, Node, PATIENCE, in_namespace};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

const NAMESPACE: &str = "default";

fn client(node: &Node) -> ContainersClient<Channel> {
    ContainersClient::new(support::channel(node.directory()))
}

fn images(node: &Node) -> ImagesClient<Channel> {
    ImagesClient::new(support::channel(node.directory()))
}

/// The image in the namespace of containers without a pod.
async fn import(node: &Node) {
    let data = support::archive::busybox(IMAGE);
    let chunks: Vec<ImportChunk> = data
        .chunks(1 << 20)
        .map(|data| ImportChunk {
            data: data.to_vec(),
            namespace: NAMESPACE.to_owned(),
        })
        .collect();
    let import = images(node).import(tokio_stream::iter(chunks)).await;
    let mut progress = import.expect("import the image").into_inner();
    while progress.message().await.expect("import the image").is_some() {}
}

async fn create(node: &Node, id: &str, script: &str) {
    let request = CreateRequest {
        namespace: NAMESPACE.to_owned(),
        id: id.to_owned(),
        image: IMAGE.to_owned(),
        args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        ..CreateRequest::default()
    };
    client(node).create(request).await.expect("create a container");
}

fn start(id: &str, detach: bool) -> What {
    What::Start(Start {
        namespace: NAMESPACE.to_owned(),
        id: id.to_owned(),
        detach,
    })
}

/// What a process printed to each stream, and its exit code.
type Ended = (String, String, Option<u32>);

/// Joins with a process until it ends; `typed` is all of its input.
async fn run(node: &Node, first: What, typed: &[u8]) -> Result<Ended, tonic::Status> {
    let (sender, receiver) = mpsc::channel(2);
    for what in [first, What::Stdin(typed.to_vec())] {
        sender.send(Input { what: Some(what) }).await.expect("there is room");
    }
    // The end of the stream is the end of the input.
    drop(sender);
    let mut outputs = client(node).run(ReceiverStream::new(receiver)).await?.into_inner();
    let (mut out, mut err, mut code) = (Vec::new(), Vec::new(), None);
    while let Some(output) = tokio::time::timeout(PATIENCE, outputs.message())
        .await
        .expect("in time")?
    {
        match output.what {
            Some(Told::Stdout(bytes)) => out.extend(bytes),
            Some(Told::Stderr(bytes)) => err.extend(bytes),
            Some(Told::Exited(exited)) => code = Some(exited.code),
            Some(Told::Started(_)) | None => {}
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ok((text(out), text(err), code))
}

async fn list(node: &Node) -> Vec<Container> {
    let request = ListRequest {
        namespace: NAMESPACE.to_owned(),
        id: String::new(),
    };
    client(node).list(request).await.expect("list").into_inner().containers
}

/// The status of a container's task; none without a task.
async fn status(node: &Node, id: &str) -> Option<Status> {
    let all = list(node).await;
    let container = all
        .into_iter()
        .find(|container| container.id == id)
        .expect("it is there");
    container.task.map(|task| task.status())
}

async fn delete(node: &Node, id: &str, task: bool, force: bool) -> Result<u32, tonic::Status> {
    let request = DeleteRequest {
        namespace: NAMESPACE.to_owned(),
        id: id.to_owned(),
        task,
        force,
    };
    Ok(client(node).delete(request).await?.into_inner().exit_code)
}

async fn signal(node: &Node, request: SignalRequest, id: &str) {
    let request = SignalRequest {
        namespace: NAMESPACE.to_owned(),
        id: id.to_owned(),
        ..request
    };
    client(node).signal(request).await.expect("signal");
}

/// Waits until a task is as wanted, woken by what the runtime tells.
async fn wait_for(node: &Node, id: &str, wanted: Status) {
    let events = client(node).events(minik_api::containers::EventsRequest {}).await;
    let mut events = events.expect("events").into_inner();
    while status(node, id).await != Some(wanted) {
        let event = tokio::time::timeout(PATIENCE, events.message()).await.expect("in time");
        event.expect("events go on").expect("events don't end");
    }
}

#[test]
fn a_container_is_metadata_and_its_task_a_process() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        import(&node).await;
        create(&node, "demo", "echo out; echo err >&2; cat; exit 3").await;
        assert_eq!(status(&node, "demo").await, None);
        let (out, err, code) = run(&node, start("demo", false), b"typed\n").await.expect("joined");
        assert_eq!((out.as_str(), err.as_str(), code), ("out\ntyped\n", "err\n", Some(3)));
        assert_eq!(status(&node, "demo").await, Some(Status::Stopped));
        let again = run(&node, start("demo", false), b"").await.expect_err("it has a task");
        assert_eq!(again.code(), tonic::Code::AlreadyExists);
        assert_eq!(delete(&node, "demo", true, false).await.expect("deleted"), 3);
        // The writable layer is the container's: another task goes on with it.
        let (out, ..) = run(&node, start("demo", false), b"").await.expect("joined");
        assert_eq!(out, "out\n");

        // Pods know nothing of it, and it nothing of pods.
        let request = ListContainersRequest::default();
        let containers = node.runtime.list_containers(request).await.expect("list").into_inner();
        assert_eq!(containers.containers.len(), 0);
        let listed = node
            .images
            .list_images(ListImagesRequest::default())
            .await
            .expect("list");
        assert_eq!(listed.into_inner().images.len(), 1, "that of the CRI's own namespace");
        let taken = CreateRequest {
            namespace: "k8s.io".to_owned(),
            id: "x".to_owned(),
            image: IMAGE.to_owned(),
            ..CreateRequest::default()
        };
        let refused = client(&node).create(taken).await.expect_err("those are the kubelet's");
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);

        delete(&node, "demo", false, false)
            .await
            .expect("deleted with its task");
        assert_eq!(list(&node).await.len(), 0);
        let request = Namespace {
            namespace: NAMESPACE.to_owned(),
        };
        let snapshots = images(&node).list_snapshots(request).await.expect("list").into_inner();
        assert!(snapshots.snapshots.iter().all(|snapshot| snapshot.kind == "Committed"));
        node.undo();
    });
}

#[test]
fn a_task_survives_the_daemon_is_joined_paused_and_killed() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        import(&node).await;
        create(&node, "demo", "trap 'exit 7' TERM; while true; do sleep 1; done").await;
        run(&node, start("demo", true), b"").await.expect("started");
        node.kill();
        node.serve();
        assert_eq!(status(&node, "demo").await, Some(Status::Running));
        let exec = What::Exec(Exec {
            namespace: NAMESPACE.to_owned(),
            id: "demo".to_owned(),
            exec_id: "look".to_owned(),
            args: ["sh", "-c", "ip addr | grep -c inet; exit 4"]
                .map(str::to_owned)
                .to_vec(),
            ..Exec::default()
        });
        let (out, _, code) = run(&node, exec, b"").await.expect("joined");
        assert_eq!((out.trim(), code), ("2", Some(4)), "its network has lo alone");

        let request = InspectRequest {
            namespace: NAMESPACE.to_owned(),
            id: "demo".to_owned(),
        };
        let inspected = client(&node).inspect(request).await.expect("inspect").into_inner();
        assert!(!inspected.processes.is_empty() && !inspected.metrics.is_empty());
        let pause = SignalRequest {
            pause: true,
            ..SignalRequest::default()
        };
        signal(&node, pause, "demo").await;
        assert_eq!(status(&node, "demo").await, Some(Status::Paused));
        let resume = SignalRequest {
            resume: true,
            ..SignalRequest::default()
        };
        signal(&node, resume, "demo").await;
        let running = delete(&node, "demo", false, false).await.expect_err("it runs");
        assert_eq!(running.code(), tonic::Code::FailedPrecondition);
        signal(&node, SignalRequest::default(), "demo").await;
        wait_for(&node, "demo", Status::Stopped).await;
        assert_eq!(delete(&node, "demo", true, false).await.expect("deleted"), 7);

        // What can't be started leaves a container without a task.
        create(&node, "bad", "true").await;
        delete(&node, "bad", false, false).await.expect("deleted");
        let request = CreateRequest {
            namespace: NAMESPACE.to_owned(),
            id: "bad".to_owned(),
            image: IMAGE.to_owned(),
            args: vec!["/no/such".to_owned()],
            ..CreateRequest::default()
        };
        client(&node).create(request).await.expect("created");
        let failed = run(&node, start("bad", true), b"")
            .await
            .expect_err("there is no such program");
        assert!(failed.message().contains("/no/such"), "{}", failed.message());
        assert_eq!(status(&node, "bad").await, None);

        // What runs when the instance goes, goes with it.
        run(&node, start("demo", true), b"").await.expect("started");
        tokio::time::timeout(Duration::from_secs(60), async { node.undo() })
            .await
            .expect("in time");
    });
}

#[test]
fn an_images_layers_are_kept_for_a_mount() {
    in_namespace(|| async {
        let node = Node::start().await;
        import(&node).await;
        let request = MountRequest {
            namespace: NAMESPACE.to_owned(),
            image: IMAGE.to_owned(),
            target: "/mnt/it".to_owned(),
            writable: false,
        };
        let kept = images(&node).mount(request.clone()).await.expect("kept").into_inner();
        assert!(kept.upper.is_empty());
        let again = images(&node).mount(request).await.expect_err("it is a mount already");
        assert_eq!(again.code(), tonic::Code::AlreadyExists);
        let unmount = UnmountRequest {
            target: "/mnt/it".to_owned(),
        };
        images(&node).unmount(unmount.clone()).await.expect("let go");
        let gone = images(&node).unmount(unmount).await.expect_err("it is gone");
        assert_eq!(gone.code(), tonic::Code::NotFound);
        node.undo();
    });
}
