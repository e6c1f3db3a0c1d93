//! Exec and attach over WebSocket: the first byte of each message names its channel. Clients: kubectl 1.31+, kube-rs.
//!
//! ```text
//!   0 stdin   1 stdout   2 stderr   3 error (the Status at the end)   4 resize   255 close the channel that follows (v5)
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Backend;
use super::farewell::farewell;
use super::session::{self, ClientStreams, Output, Session};
use super::spdy_command::last_size;
use super::status::status;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Serves one session on a socket.
pub(super) async fn serve<T>(
    socket: WebSocketStream<T>,
    session: Session,
    half_close: bool,
    backend: &dyn Backend,
) -> Result<(), Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let wanted = session.wanted().expect("a command's session");
    let (ClientStreams { stdin, output, size }, ours) = session::streams(wanted);
    let (mut sink, mut source) = socket.split();
    // An empty message on a channel says that the session is there, which some clients wait for.
    sink.send(message(if wanted.stdout { STDOUT } else { ERROR }, b""))
        .await?;
    let reading = read(&mut source, stdin, size, half_close);
    let running = async {
        let (sent, outcome) = futures::join!(send_output(&mut sink, output), session::run(backend, session, ours));
        sent?;
        sink.send(message(ERROR, status(&outcome).to_string().as_bytes())).await
    };
    tokio::select! {
        // The client is gone: the session is dropped, and with it the process's pipes or terminal.
        () = reading => return Ok(()),
        sent = running => sent?,
    }
    farewell(sink, source).await
}

async fn send_output<T>(
    sink: &mut SplitSink<WebSocketStream<T>, Message>,
    mut output: mpsc::Receiver<Output>,
) -> Result<(), Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(output) = output.recv().await {
        let (channel, data) = match output {
            Output::Stdout(data) => (STDOUT, data),
            Output::Stderr(data) => (STDERR, data),
        };
        sink.send(message(channel, &data)).await?;
    }
    Ok(())
}

/// Reads until the client closes or is gone.
async fn read<T>(
    source: &mut SplitStream<WebSocketStream<T>>,
    mut stdin: Option<mpsc::Sender<Bytes>>,
    size: tokio::sync::watch::Sender<Option<session::TerminalSize>>,
    half_close: bool,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = source.next().await {
        let mut data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => Bytes::from(text),
            Message::Close(_) => return,
            _ => continue,
        };
        if data.is_empty() {
            continue;
        }
        let channel = data.split_to(1)[0];
        match channel {
            STDIN => {
                if let Some(sender) = &stdin
                    && !data.is_empty()
                    && sender.send(data).await.is_err()
                {
                    stdin = None;
                }
            }
            RESIZE => {
                if let Some(last) = last_size(&data) {
                    size.send_replace(Some(last));
                }
            }
            CLOSE if half_close && data.first() == Some(&STDIN) => stdin = None,
            _ => {}
        }
    }
}

fn message(channel: u8, data: &[u8]) -> Message {
    let mut bytes = BytesMut::with_capacity(1 + data.len());
    bytes.put_u8(channel);
    bytes.put_slice(data);
    Message::Binary(bytes.freeze())
}
