//! A SPDY connection over any byte stream: two futures, one that reads and one that writes, and channels to the handlers.
//!
//! ```text
//!   bytes -> Decoder -> SYN_STREAM ---------------> accept() -> Stream { headers, reader, writer }
//!                    -> DATA ----> the stream's reader
//!                    -> PING ----> written back
//!   bytes <- Encoder <- frames queue <------------- writers
//! ```
//! The queues are short, so a slow process slows its client down. There is no flow control of single streams, since the
//! clients have none: a stream whose reader is slow holds up its connection's other streams, as it does elsewhere.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::frame::{Decoder, Encoder, Frame};
use super::headers::Headers;
use super::{FrameError, StreamId};

/// Frames and chunks that may wait in one queue.
const QUEUE_LENGTH: usize = 16;
/// No more than this in one DATA frame, so that streams share a connection fairly.
const DATA_LIMIT: usize = 32 * 1024;
/// How long a client that was told everything may take to close.
const LINGER: Duration = Duration::from_secs(10);

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub(in crate::streaming) enum ConnectionError {
    #[error("read from the client")]
    Read(#[source] io::Error),
    #[error("write to the client")]
    Write(#[source] io::Error),
    #[error("the client sent no SPDY/3.1")]
    Frame(#[from] FrameError),
}

/// The handler's end of a connection.
pub(in crate::streaming) struct Connection {
    opened: mpsc::Receiver<Stream>,
    frames: mpsc::Sender<Frame>,
}

/// One stream that the client opened.
pub(in crate::streaming) struct Stream {
    pub(in crate::streaming) id: StreamId,
    headers: Headers,
    /// What the client sends; ends when the client half-closes or is gone.
    pub(in crate::streaming) reader: mpsc::Receiver<Bytes>,
    pub(in crate::streaming) writer: StreamWriter,
}

/// The way back to the client.
#[derive(Clone)]
pub(in crate::streaming) struct StreamWriter {
    id: StreamId,
    frames: mpsc::Sender<Frame>,
}

/// The client is gone.
#[derive(Debug)]
pub(in crate::streaming) struct Gone;

impl Connection {
    /// Splits a byte stream into what a handler uses, and the future that has to run beside the handler. The future ends
    /// when the client is gone, or when the handler has dropped everything and all of it is written.
    pub(in crate::streaming) fn over<T>(io: T) -> (Connection, impl Future<Output = Result<(), ConnectionError>>)
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (read_half, write_half) = split(io);
        let (open, opened) = mpsc::channel(QUEUE_LENGTH);
        let (frames, queue) = mpsc::channel(QUEUE_LENGTH);
        let reading = read(read_half, open, frames.downgrade());
        let writing = write(write_half, queue);
        let run = async move {
            tokio::pin!(reading, writing);
            tokio::select! {
                ended = &mut reading => ended,
                // All is said. Reading on until the client closes keeps the kernel from a reset that would throw away
                // what the client hasn't read yet.
                written = &mut writing => match written {
                    Ok(()) => timeout(LINGER, reading).await.unwrap_or(Ok(())),
                    failed => failed,
                },
            }
        };
        (Connection { opened, frames }, run)
    }

    /// The next stream that the client opens; none when the client is gone.
    pub(in crate::streaming) async fn accept(&mut self) -> Option<Stream> {
        self.opened.recv().await
    }

    /// Tells the client that no more streams are served.
    pub(in crate::streaming) async fn say_goodbye(&self, last_stream: StreamId) {
        let _ = self.frames.send(Frame::GoAway { last_stream }).await;
    }
}

impl Stream {
    /// The value of a header; names are lower case on the wire, but Go's aren't in the code that people read.
    pub(in crate::streaming) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl StreamWriter {
    /// Sends bytes, in frames of bounded length.
    pub(in crate::streaming) async fn send(&self, mut data: Bytes) -> Result<(), Gone> {
        while !data.is_empty() {
            let part = data.split_to(data.len().min(DATA_LIMIT));
            self.frame(Frame::Data {
                stream: self.id,
                data: part,
                fin: false,
            })
            .await?;
        }
        Ok(())
    }

    /// Says that no more comes.
    pub(in crate::streaming) async fn finish(&self) -> Result<(), Gone> {
        self.frame(Frame::Data {
            stream: self.id,
            data: Bytes::new(),
            fin: true,
        })
        .await
    }

    async fn frame(&self, frame: Frame) -> Result<(), Gone> {
        self.frames.send(frame).await.map_err(|_| Gone)
    }
}

async fn read<T: AsyncRead>(
    mut io: ReadHalf<T>,
    open: mpsc::Sender<Stream>,
    frames: mpsc::WeakSender<Frame>,
) -> Result<(), ConnectionError> {
    let mut decoder = Decoder::new();
    let mut streams: HashMap<StreamId, mpsc::Sender<Bytes>> = HashMap::new();
    loop {
        while let Some(frame) = decoder.next()? {
            match frame {
                Frame::SynStream { stream, headers, fin } => {
                    let Some(frames) = frames.upgrade() else { continue };
                    let (sender, reader) = mpsc::channel(QUEUE_LENGTH);
                    if !fin {
                        streams.insert(stream, sender);
                    }
                    // The client waits for the reply before it uses the stream.
                    let _ = frames.send(Frame::SynReply { stream }).await;
                    let _ = open
                        .send(Stream {
                            id: stream,
                            headers,
                            reader,
                            writer: StreamWriter { id: stream, frames },
                        })
                        .await;
                }
                Frame::Data { stream, data, fin } => {
                    if let Some(sender) = streams.get(&stream)
                        && !data.is_empty()
                        && sender.send(data).await.is_err()
                    {
                        // Nobody reads it any more: what else comes is dropped.
                        streams.remove(&stream);
                    }
                    if fin {
                        streams.remove(&stream);
                    }
                }
                Frame::Reset { stream, .. } => {
                    streams.remove(&stream);
                }
                Frame::Ping { id } => {
                    if let Some(frames) = frames.upgrade() {
                        let _ = frames.send(Frame::Ping { id }).await;
                    }
                }
                Frame::GoAway { .. } | Frame::SynReply { .. } => {}
            }
        }
        if io.read_buf(decoder.buffer()).await.map_err(ConnectionError::Read)? == 0 {
            return Ok(());
        }
    }
}

async fn write<T: AsyncWrite>(mut io: WriteHalf<T>, mut queue: mpsc::Receiver<Frame>) -> Result<(), ConnectionError> {
    let mut encoder = Encoder::new();
    while let Some(frame) = queue.recv().await {
        io.write_all(&encoder.encode(&frame))
            .await
            .map_err(ConnectionError::Write)?;
        if queue.is_empty() {
            io.flush().await.map_err(ConnectionError::Write)?;
        }
    }
    io.shutdown().await.map_err(ConnectionError::Write)
}
