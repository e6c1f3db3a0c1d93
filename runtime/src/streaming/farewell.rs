//! How a WebSocket session ends on our side: the close message, the end of what we send, and the client's answer.

use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// How long the client may take to answer the close before the connection is dropped.
const ANSWER: Duration = Duration::from_secs(10);

/// Closes a session that went as it should: the last thing that is sent on the socket.
pub(super) async fn farewell<T>(
    mut sink: SplitSink<WebSocketStream<T>, Message>,
    source: SplitStream<WebSocketStream<T>>,
) -> Result<(), Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    // Clients take a close without this code for a broken connection.
    let normal = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    sink.send(Message::Close(Some(normal))).await?;
    let mut socket = sink.reunite(source).expect("both are halves of one socket");
    // The official Python client asks the kernel whether there is more before each message. Several in one TLS record are out
    // of the kernel with the first; the end of the stream is there to be asked for again and again, as with the kubelet.
    socket.get_mut().shutdown().await?;
    // Reading until the answer keeps a reset from throwing away what the client hasn't read yet.
    let answered = async { while socket.next().await.is_some_and(|message| message.is_ok()) {} };
    let _ = timeout(ANSWER, answered).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, duplex};
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    #[tokio::test]
    async fn the_stream_ends_before_the_client_answers_and_its_answer_is_read() {
        let (ours, mut theirs) = duplex(1024);
        let socket = WebSocketStream::from_raw_socket(ours, Role::Server, None).await;
        let (sink, source) = socket.split();
        let mut ending = pin!(farewell(sink, source));
        let mut all = Vec::new();
        tokio::select! {
            ended = &mut ending => panic!("it has awaited no answer: {ended:?}"),
            read = theirs.read_to_end(&mut all) => assert!(read.is_ok()),
        }
        // A final, unmasked close of two bytes: 1000.
        assert_eq!(all, [0x88, 2, 0x03, 0xe8]);
        // The same, masked by zeros.
        let answer = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
        theirs.write_all(&answer).await.expect("it is still read");
        ending.await.expect("it ends well");
    }
}
