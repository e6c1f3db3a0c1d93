//! Port-forward over WebSocket, as kube-rs speaks it: the n-th asked-for port has channel 2n for data and 2n+1 for errors.
//! The first message on each is the port's number, two bytes, the low one first.

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Backend;
use super::farewell::farewell;
use super::ports::forward;

const QUEUE_LENGTH: usize = 16;

/// Serves one client: one connection for each port.
pub(super) async fn serve<T>(
    socket: WebSocketStream<T>,
    sandbox_id: &str,
    ports: &[u16],
    backend: &dyn Backend,
) -> Result<(), Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, mut source) = socket.split();
    let (messages, mut queue) = mpsc::channel::<Message>(QUEUE_LENGTH);
    let mut inputs = Vec::new();
    let mut forwarding = Vec::new();
    for (index, &port) in ports.iter().enumerate() {
        let channel = u8::try_from(index * 2).expect("the server refuses more than 127 ports");
        for channel in [channel, channel + 1] {
            sink.send(message(channel, &port.to_le_bytes())).await?;
        }
        let (input, from_client) = mpsc::channel(QUEUE_LENGTH);
        inputs.push(Some(input));
        forwarding.push(serve_port(
            channel,
            port,
            sandbox_id,
            from_client,
            messages.clone(),
            backend,
        ));
    }
    drop(messages);

    let reading = async {
        while let Some(Ok(received)) = source.next().await {
            let mut data = match received {
                Message::Binary(data) => data,
                Message::Close(_) => return,
                _ => continue,
            };
            if data.len() < 2 {
                continue;
            }
            let channel = usize::from(data.split_to(1)[0]);
            if channel % 2 == 0
                && let Some(slot) = inputs.get_mut(channel / 2)
                && let Some(input) = slot
                && input.send(data).await.is_err()
            {
                *slot = None;
            }
        }
    };
    let writing = async {
        while let Some(message) = queue.recv().await {
            sink.send(message).await?;
        }
        Ok::<(), Error>(())
    };
    tokio::select! {
        () = reading => return Ok(()),
        (_, sent) = async { futures::join!(join_all(forwarding), writing) } => sent?,
    }
    farewell(sink, source).await
}

async fn serve_port(
    channel: u8,
    port: u16,
    sandbox_id: &str,
    from_client: mpsc::Receiver<Bytes>,
    messages: mpsc::Sender<Message>,
    backend: &dyn Backend,
) {
    let (to_client, mut chunks) = mpsc::channel::<Bytes>(1);
    let writing = async {
        while let Some(chunk) = chunks.recv().await {
            if messages.send(message(channel, &chunk)).await.is_err() {
                return;
            }
        }
    };
    let (result, ()) = futures::join!(forward(backend, sandbox_id, port, from_client, to_client), writing);
    if let Err(text) = result {
        let _ = messages.send(message(channel + 1, text.as_bytes())).await;
    }
}

fn message(channel: u8, data: &[u8]) -> Message {
    let mut bytes = BytesMut::with_capacity(1 + data.len());
    bytes.put_u8(channel);
    bytes.put_slice(data);
    Message::Binary(bytes.freeze())
}
