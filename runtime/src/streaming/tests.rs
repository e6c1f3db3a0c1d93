//! Sessions over real sockets, with a backend that echoes: each protocol is spoken from the client's side.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use minik_api::cri;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

/// Echoes stdin to stdout, says its terminal's size on stderr, and exits with the number of its first argument.
struct Echo {
    port: SocketAddr,
}

impl Backend for Echo {
    fn exec(&self, request: cri::ExecRequest, mut streams: Streams) -> BoxFuture<'_, Outcome> {
        async move {
            let Some(code) = request.cmd.first().and_then(|code| code.parse().ok()) else {
                return Outcome::Failed("no such command".to_owned());
            };
            if let Some(stdin) = &mut streams.stdin {
                while let Some(data) = stdin.recv().await {
                    let _ = streams.output.send(Output::Stdout(data)).await;
                }
            }
            if request.tty {
                let size = streams
                    .size
                    .wait_for(Option::is_some)
                    .await
                    .expect("the client sent one")
                    .expect("some");
                let text = format!("{}x{}", size.width, size.height);
                let _ = streams.output.send(Output::Stdout(Bytes::from(text))).await;
            }
            Outcome::Exited(code)
        }
        .boxed()
    }

    fn attach(&self, _: cri::AttachRequest, _: Streams) -> BoxFuture<'_, Outcome> {
        async { Outcome::Failed("nothing to attach to".to_owned()) }.boxed()
    }

    fn connect(&self, _: &str, port: u16) -> BoxFuture<'_, Result<TcpStream, String>> {
        async move {
            if port != 80 {
                return Err(format!("nothing listens on port {port}"));
            }
            TcpStream::connect(self.port).await.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

/// A server that says what it heard once its peer has half-closed.
async fn upper_case() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await.expect("read");
            stream.write_all(heard.to_uppercase().as_bytes()).await.expect("write");
        }
    });
    address
}

async fn streaming() -> Streaming {
    let backend = Arc::new(Echo {
        port: upper_case().await,
    });
    let address = "127.0.0.1:0".parse().expect("an address");
    let (streaming, accepting) = Streaming::listen(address, backend).await.expect("listen on loopback");
    tokio::spawn(accepting);
    streaming
}

fn exec(code: &str, tty: bool) -> Session {
    let cmd = vec![code.to_owned()];
    Session::Exec(cri::ExecRequest {
        cmd,
        tty,
        stdin: true,
        stdout: true,
        stderr: !tty,
        ..Default::default()
    })
}

fn port_forward(port: &[i32]) -> Session {
    Session::PortForward(cri::PortForwardRequest {
        port: port.to_vec(),
        ..Default::default()
    })
}

/// Connects to a URL and upgrades; returns the head of the answer.
async fn upgrade(url: &str, headers: &str) -> (String, TcpStream) {
    let (address, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("a URL");
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let request = format!("POST /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n{headers}\r\n");
    let request = if headers.contains("websocket") {
        request.replacen("POST", "GET", 1)
    } else {
        request
    };
    stream.write_all(request.as_bytes()).await.expect("send the request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the answer's head"));
    }
    (String::from_utf8(head).expect("text"), stream)
}

async fn websocket(url: &str, protocol: &str) -> WebSocketStream<TcpStream> {
    let headers = format!(
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n"
    );
    let (head, stream) = upgrade(url, &headers).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // RFC 6455, section 1.3, gives this key and this answer.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

fn binary(channel: u8, data: &[u8]) -> Message {
    Message::binary([&[channel], data].concat())
}

/// All that the server sends until it closes, by channel.
async fn collect(socket: &mut WebSocketStream<TcpStream>) -> Vec<(u8, Vec<u8>)> {
    let mut channels: Vec<(u8, Vec<u8>)> = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        let data = match message {
            Message::Binary(data) => data,
            Message::Close(frame) => {
                // kubectl takes any other end for a broken connection.
                assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(1000));
                continue;
            }
            _ => continue,
        };
        match channels.iter_mut().find(|(channel, _)| *channel == data[0]) {
            Some((_, bytes)) => bytes.extend(&data[1..]),
            None => channels.push((data[0], data[1..].to_vec())),
        }
    }
    channels
}

fn status_in(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("a Status")
}

#[tokio::test]
async fn exec_over_websocket_v5_ends_stdin_and_tells_the_exit_code() {
    let streaming = streaming().await;
    let mut socket = websocket(&streaming.offer(exec("3", false)).expect("a URL"), "v5.channel.k8s.io").await;
    let long = "x".repeat(200_000);
    for message in [binary(0, b"hello "), binary(0, long.as_bytes()), binary(255, &[0])] {
        socket.send(message).await.expect("send");
    }
    let channels = collect(&mut socket).await;
    assert_eq!(channels[0].0, 1);
    assert_eq!(channels[0].1, format!("hello {long}").as_bytes());
    assert_eq!(
        status_in(&channels[1].1)["details"]["causes"],
        json!([{"reason": "ExitCode", "message": "3"}])
    );
}

#[tokio::test]
async fn a_url_serves_once_and_only_upgrades() {
    let streaming = streaming().await;
    let url = streaming.offer(exec("0", false)).expect("a URL");
    let (head, _) = upgrade(
        &url,
        "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v2.channel.k8s.io\r\n",
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let (head, _) = upgrade(
        &url,
        "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n",
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let (head, _) = upgrade(&streaming.offer(exec("0", false)).expect("a URL"), "").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
}

#[tokio::test]
async fn the_terminals_size_arrives_over_websocket_v4() {
    let streaming = streaming().await;
    let url = streaming.offer(Session::Exec(cri::ExecRequest {
        cmd: vec!["0".to_owned()],
        tty: true,
        stdout: true,
        ..Default::default()
    }));
    let mut socket = websocket(&url.expect("a URL"), "v4.channel.k8s.io").await;
    socket
        .send(binary(4, br#"{"Width":80,"Height":24}"#))
        .await
        .expect("send");
    let channels = collect(&mut socket).await;
    assert_eq!(channels[0], (1, b"80x24".to_vec()));
    assert_eq!(status_in(&channels[1].1)["status"], "Success");
}

#[tokio::test]
async fn ports_over_websocket_are_told_apart() {
    let streaming = streaming().await;
    let url = streaming.offer(port_forward(&[80, 81])).expect("a URL");
    let mut socket = websocket(&url, "v4.channel.k8s.io").await;
    // The far end answers when its input ends, which this protocol can't say: so only the headers and the error are seen.
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let message = socket.next().await.expect("a message").expect("no error");
        seen.push(message.into_data().to_vec());
    }
    assert_eq!(
        seen[..4],
        [vec![0, 80, 0], vec![1, 80, 0], vec![2, 81, 0], vec![3, 81, 0]]
    );
    assert_eq!(seen[4], b"\x03nothing listens on port 81");
}

/// The client's side of SPDY, for both of its carriers.
mod spdy_client {
    use super::*;
    use crate::streaming::spdy::test_client::Client;

    async fn spdy(url: &str, protocol: &str) -> Client<TcpStream> {
        let headers = format!("Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {protocol}\r\n");
        let (head, stream) = upgrade(url, &headers).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(
            head.to_lowercase()
                .contains(&format!("x-stream-protocol-version: {protocol}")),
            "{head}"
        );
        Client::new(stream)
    }

    #[tokio::test]
    async fn exec_over_spdy() {
        let streaming = streaming().await;
        let mut client = spdy(&streaming.offer(exec("7", true)).expect("a URL"), "v4.channel.k8s.io").await;
        let error = client.open(&[("streamtype", "error")]).await;
        let stdin = client.open(&[("streamtype", "stdin")]).await;
        let stdout = client.open(&[("streamtype", "stdout")]).await;
        let resize = client.open(&[("streamtype", "resize")]).await;
        client
            .send(
                resize,
                b"{\"Width\":1,\"Height\":2}\n{\"Width\":120,\"Height\":40}\n",
                false,
            )
            .await;
        client.ping(9).await;
        let long = "y".repeat(100_000);
        client.send(stdin, long.as_bytes(), true).await;
        let received = client.read_to_end().await;
        assert_eq!(received.data(stdout), format!("{long}120x40").as_bytes());
        assert_eq!(status_in(received.data(error))["details"]["causes"][0]["message"], "7");
        assert_eq!(received.pings, [9]);
    }

    #[tokio::test]
    async fn ports_over_spdy_each_with_its_error_stream() {
        let streaming = streaming().await;
        let mut client = spdy(
            &streaming.offer(port_forward(&[])).expect("a URL"),
            "portforward.k8s.io",
        )
        .await;
        forward_two_ports(&mut client).await;
    }

    #[tokio::test]
    async fn ports_over_spdy_inside_of_websocket() {
        let streaming = streaming().await;
        let url = streaming.offer(port_forward(&[])).expect("a URL");
        let (near, tunnel) = crate::streaming::tunnel::over(websocket(&url, "SPDY/3.1+portforward.k8s.io").await);
        tokio::spawn(tunnel);
        forward_two_ports(&mut Client::new(near)).await;
    }

    async fn forward_two_ports<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(client: &mut Client<T>) {
        let mut streams = Vec::new();
        for (request, port) in [("0", "80"), ("1", "81"), ("2", "80")] {
            let mut ids = Vec::new();
            for kind in ["error", "data"] {
                ids.push(
                    client
                        .open(&[("streamtype", kind), ("requestid", request), ("port", port)])
                        .await,
                );
            }
            client.send(ids[0], b"", true).await;
            client.send(ids[1], b"hello", true).await;
            streams.push((ids[0], ids[1]));
        }
        let received = client.read_until_finished(6).await;
        assert_eq!(received.data(streams[0].1), b"HELLO");
        assert_eq!(received.data(streams[0].0), b"");
        assert_eq!(received.data(streams[1].0), b"nothing listens on port 81");
        assert_eq!(received.data(streams[2].1), b"HELLO");
    }
}
