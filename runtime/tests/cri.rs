//! The real runtime over its real socket: pods from images, seen from outside. Needs root, busybox-static, runc and crun.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use futures::{SinkExt, StreamExt};
use minik_api::cri::*;
use support::{Node, PATIENCE, in_namespace, shell};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

#[test]
fn a_pods_life_from_run_to_remove() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let pod = node.pod("web");
        let sandbox = node.run_pod(&pod).await;
        let address = node.pod_address(&sandbox).await;
        assert_eq!(address, "10.244.0.2");

        let script = "echo started; echo wrong >&2; echo hello from $(hostname) > /tmp/page; \
                      while true; do nc -l -p 80 < /tmp/page; done";
        let web = node.create(&sandbox, &pod, shell("web", script)).await;
        assert_eq!(node.status(&web).await.state(), ContainerState::ContainerCreated);
        node.start_container(&web).await;
        let status = node.status(&web).await;
        assert_eq!(
            (status.state(), status.exit_code),
            (ContainerState::ContainerRunning, 0)
        );
        assert!(status.started_at >= status.created_at);

        let answer = node
            .exec(&web, &["sh", "-c", "cat; echo out; echo err >&2; id -u; exit 3"])
            .await;
        assert_eq!(
            (answer.exit_code, answer.stdout.as_slice(), answer.stderr.as_slice()),
            (3, &b"out\n0\n"[..], &b"err\n"[..])
        );

        assert_eq!(fetch(&address), "hello from web\n");

        let stop = StopContainerRequest {
            container_id: web.clone(),
            timeout: 1,
        };
        node.runtime.stop_container(stop.clone()).await.expect("StopContainer");
        node.runtime.stop_container(stop).await.expect("StopContainer again");
        let status = node.status(&web).await;
        // A shell that is process 1 ignores SIGTERM: it was killed when the second was over.
        assert_eq!(
            (status.state(), status.exit_code, status.reason.as_str()),
            (ContainerState::ContainerExited, 137, "Error")
        );

        let log = fs::read_to_string(node.path("logs/web/web.log")).expect("the log");
        let mut lines: Vec<&str> = log
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(_, rest)| rest)
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, ["stderr F wrong", "stdout F started"]);

        let remove = RemoveContainerRequest {
            container_id: web.clone(),
        };
        node.runtime
            .remove_container(remove.clone())
            .await
            .expect("RemoveContainer");
        node.runtime
            .remove_container(remove)
            .await
            .expect("RemoveContainer again");
        let error = node
            .runtime
            .container_status(ContainerStatusRequest {
                container_id: web,
                verbose: false,
            })
            .await;
        assert_eq!(error.expect_err("it is gone").code(), tonic::Code::NotFound);
        node.remove_pod(&sandbox).await;
        node.remove_pod(&sandbox).await;
        node.assert_no_pods_left();
        node.undo();
    });
}

#[test]
fn containers_live_on_when_the_runtime_is_killed() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let pod = node.pod("web");
        let sandbox = node.run_pod(&pod).await;
        let stays = node
            .create(&sandbox, &pod, shell("stays", "while true; do sleep 1; done"))
            .await;
        // It ends when the test opens its FIFO, and nobody is there to see it.
        let gate = node.path("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        let mut config = shell("ends", "cat /gate; exit 7");
        let host_path = gate.display().to_string();
        config.mounts = vec![Mount {
            host_path,
            container_path: "/gate".to_owned(),
            ..Default::default()
        }];
        let ends = node.create(&sandbox, &pod, config).await;
        let created = node.create(&sandbox, &pod, shell("created", "exit 0")).await;
        for id in [&stays, &ends] {
            node.start_container(id).await;
        }

        node.kill();
        drop(fs::File::options().write(true).open(&gate).expect("open the gate"));
        node.serve();
        assert_eq!(node.status(&stays).await.state(), ContainerState::ContainerRunning);
        assert_eq!(node.exec(&stays, &["echo", "here"]).await.stdout, b"here\n");
        let ended = node.wait_for_end(&ends).await;
        assert_eq!((ended.exit_code, ended.reason.as_str()), (7, "Error"));
        node.start_container(&created).await;
        assert_eq!(node.wait_for_end(&created).await.reason, "Completed");
        let second = node.run_pod(&node.pod("second")).await;
        assert_eq!(
            node.pod_address(&second).await,
            "10.244.0.3",
            "the first pod's address is still taken"
        );
        node.undo();
    });
}

#[test]
fn what_cannot_start_says_what_is_missing() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let pod = node.pod("web");
        let sandbox = node.run_pod(&pod).await;
        let mut config = shell("web", "");
        config.command = vec!["slep".to_owned(), "1".to_owned()];
        let id = node.create(&sandbox, &pod, config.clone()).await;
        let start = StartContainerRequest {
            container_id: id.clone(),
        };
        let error = node
            .runtime
            .start_container(start)
            .await
            .expect_err("there is no such program");
        assert!(error.message().contains("slep"), "{}", error.message());
        let status = node.status(&id).await;
        assert_eq!(
            (status.state(), status.exit_code),
            (ContainerState::ContainerExited, 128)
        );
        assert_eq!(status.reason, "StartError");
        assert!(status.message.contains("slep"), "{}", status.message);

        let again = CreateContainerRequest {
            pod_sandbox_id: sandbox.clone(),
            config: Some(config.clone()),
            sandbox_config: Some(pod.clone()),
        };
        let error = node
            .runtime
            .create_container(again)
            .await
            .expect_err("the name is taken");
        assert_eq!(error.code(), tonic::Code::AlreadyExists);
        config.metadata = Some(ContainerMetadata {
            name: "other".to_owned(),
            attempt: 0,
        });
        config.image = Some(ImageSpec {
            image: "docker.io/library/absent:1".to_owned(),
            ..Default::default()
        });
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox,
            config: Some(config),
            sandbox_config: Some(pod),
        };
        let error = node
            .runtime
            .create_container(request)
            .await
            .expect_err("there is no such image");
        assert_eq!(error.code(), tonic::Code::NotFound);
        assert!(error.message().contains("absent:1"), "{}", error.message());
        node.undo();
    });
}

#[test]
fn a_lost_shim_is_told_and_its_pod_can_be_stopped() {
    lose_a_shim("");
}

/// Its containers don't die with it: the daemon sees to that.
#[test]
fn a_lost_shim_of_an_oci_runtime_is_told_and_leaves_nothing() {
    lose_a_shim("runc");
}

fn lose_a_shim(handler: &'static str) {
    in_namespace(move || async move {
        let mut node = Node::start().await;
        let pod = node.pod("web");
        let sandbox = node.try_run_pod(&pod, handler).await.expect("RunPodSandbox");
        let web = node
            .create(&sandbox, &pod, shell("web", "while true; do sleep 1; done"))
            .await;
        node.start_container(&web).await;
        let shim =
            fs::read_to_string(node.path("state/sandboxes").join(&sandbox).join("shim.pid")).expect("the shim's pid");
        let shim = shim
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
            .expect("a pid");
        let mut events = node
            .runtime
            .get_container_events(GetEventsRequest {})
            .await
            .expect("events")
            .into_inner();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL)
            .expect("kill the shim");
        let mut stopped = Vec::new();
        while stopped.len() < 2 {
            let event = tokio::time::timeout(PATIENCE, events.message())
                .await
                .expect("an event in time");
            let event = event.expect("events go on").expect("events don't end");
            assert_eq!(event.container_event_type(), ContainerEventType::ContainerStoppedEvent);
            stopped.push(event.container_id);
        }
        assert_eq!(stopped, [web.clone(), sandbox.clone()]);
        assert!(node.status(&web).await.message.contains("shim"));
        node.remove_pod(&sandbox).await;
        node.assert_no_pods_left();
        node.undo();
    });
}

#[test]
fn a_handler_that_is_not_there_is_named_with_those_that_are() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let pod = node.pod("web");
        let error = node
            .try_run_pod(&pod, "kata")
            .await
            .expect_err("there is no such handler");
        assert_eq!(error.code(), tonic::Code::Unknown, "containerd's");
        let expected = r#"no runtime for "kata" is configured; there are "#;
        assert!(error.message().contains(expected), "{}", error.message());
        let status = node
            .runtime
            .status(StatusRequest { verbose: false })
            .await
            .expect("Status");
        let handlers = status.into_inner().runtime_handlers;
        let names: Vec<&str> = handlers.iter().map(|handler| handler.name.as_str()).collect();
        for name in ["", "crun", "minik", "runc"] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        node.assert_no_pods_left();
        node.undo();
    });
}

/// One answer of the pod's server.
fn fetch(address: &str) -> String {
    // The server listens a moment after its container has started.
    let start = std::time::Instant::now();
    let mut stream = loop {
        match TcpStream::connect((address, 80)) {
            Ok(stream) => break stream,
            Err(error) => assert!(start.elapsed() < PATIENCE, "connect to the pod: {error}"),
        }
        std::thread::yield_now();
    };
    stream.write_all(b"").expect("write nothing");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read the page");
    text
}

#[test]
fn sessions_reach_processes_and_ports_of_a_pod() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let pod = node.pod("web");
        let sandbox = node.run_pod(&pod).await;
        let server = "while true; do nc -l -p 80 -e cat; done";
        let web = node.create(&sandbox, &pod, shell("web", server)).await;
        node.start_container(&web).await;

        let exec = |command: &str, tty: bool| ExecRequest {
            container_id: web.clone(),
            cmd: ["sh", "-c", command].map(str::to_owned).to_vec(),
            tty,
            stdin: true,
            stdout: true,
            stderr: !tty,
        };
        let url = node
            .runtime
            .exec(exec("cat; echo err >&2; exit 4", false))
            .await
            .expect("Exec")
            .into_inner()
            .url;
        let mut socket = session(&url, "v5.channel.k8s.io").await;
        for message in [&b"\0typed\n"[..], &[255, 0]] {
            socket.send(Message::binary(message.to_vec())).await.expect("send");
        }
        let channels = collect(socket).await;
        assert_eq!(
            (channels.get(&1), channels.get(&2)),
            (Some(&b"typed\n".to_vec()), Some(&b"err\n".to_vec()))
        );
        let status: serde_json::Value = serde_json::from_slice(&channels[&3]).expect("a Status");
        assert_eq!(status["details"]["causes"][0]["message"], "4");

        let url = node
            .runtime
            .exec(exec("read x; stty size; exit 0", true))
            .await
            .expect("Exec")
            .into_inner()
            .url;
        let mut socket = session(&url, "v5.channel.k8s.io").await;
        for message in [&b"\x04{\"Width\":77,\"Height\":33}"[..], b"\0go\n"] {
            socket.send(Message::binary(message.to_vec())).await.expect("send");
        }
        let screen = String::from_utf8(collect(socket).await.remove(&1).expect("output")).expect("text");
        assert!(screen.ends_with("33 77\r\n"), "{screen:?}");

        let request = PortForwardRequest {
            pod_sandbox_id: sandbox.clone(),
            port: vec![81],
        };
        let url = node
            .runtime
            .port_forward(request)
            .await
            .expect("PortForward")
            .into_inner()
            .url;
        let channels = collect(session(&url, "v4.channel.k8s.io").await).await;
        let error = String::from_utf8_lossy(&channels[&1][2..]).into_owned();
        assert!(error.contains("localhost:81"), "{error}");

        node.remove_pod(&sandbox).await;
        node.undo();
    });
}

async fn session(url: &str, protocol: &str) -> WebSocketStream<tokio::net::TcpStream> {
    let address = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next())
        .expect("a URL");
    let stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("connect to the streaming server");
    let mut request = url.replacen("http", "ws", 1).into_client_request().expect("a request");
    let header = protocol.parse().expect("a header value");
    request.headers_mut().insert("sec-websocket-protocol", header);
    client_async(request, stream).await.expect("upgrade to WebSocket").0
}

/// All that comes until the end, by channel.
async fn collect(mut socket: WebSocketStream<tokio::net::TcpStream>) -> BTreeMap<u8, Vec<u8>> {
    let mut channels: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    while let Some(message) = tokio::time::timeout(PATIENCE, socket.next())
        .await
        .expect("a message in time")
    {
        if let Message::Binary(data) = message.expect("the session goes on") {
            channels.entry(data[0]).or_default().extend(&data[1..]);
        }
    }
    channels
}
