//! SPDY inside of WebSocket messages, as kubectl 1.31 and later forwards ports: the messages' bytes are the connection's.

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use bytes::BytesMut;

use super::farewell::farewell;

const BUFFER_LENGTH: usize = 64 * 1024;

/// Turns a WebSocket into a byte stream, and the future that has to run beside its use.
pub(super) fn over<T>(socket: WebSocketStream<T>) -> (DuplexStream, impl Future<Output = ()>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (near, far) = duplex(BUFFER_LENGTH);
    let (mut sink, mut source) = socket.split();
    let (mut from_near, mut to_near) = split(far);
    let run = async move {
        let inward = async {
            while let Some(Ok(message)) = source.next().await {
                match message {
                    Message::Binary(data) => match to_near.write_all(&data).await {
                        Ok(()) => {}
                        Err(_) => return,
                    },
                    Message::Close(_) => return,
                    _ => {}
                }
            }
        };
        let outward = async {
            let mut buffer = BytesMut::new();
            while from_near.read_buf(&mut buffer).await.is_ok_and(|length| length != 0) {
                if sink.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                    return;
                }
                buffer.reserve(BUFFER_LENGTH / 2);
            }
        };
        // Either end closing closes the tunnel: dropping the far half ends the near one's reads.
        tokio::select! {
            () = inward => return,
            () = outward => {}
        }
        // A client that is gone misses nothing by not hearing it.
        let _ = farewell(sink, source).await;
    };
    (near, run)
}
