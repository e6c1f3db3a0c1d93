//! The client's side of SPDY, for tests: the same frames from the other end.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::StreamId;
use super::frame::{Decoder, Encoder, Frame};

pub(in crate::streaming) struct Client<T> {
    io: T,
    encoder: Encoder,
    decoder: Decoder,
    next_stream: StreamId,
}

#[derive(Debug, Default)]
pub(in crate::streaming) struct Received {
    streams: HashMap<StreamId, Vec<u8>>,
    finished: HashSet<StreamId>,
    pub(in crate::streaming) pings: Vec<u32>,
}

impl Received {
    pub(in crate::streaming) fn data(&self, stream: StreamId) -> &[u8] {
        self.streams.get(&stream).map(Vec::as_slice).unwrap_or_default()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    pub(in crate::streaming) fn new(io: T) -> Client<T> {
        Client {
            io,
            encoder: Encoder::new(),
            decoder: Decoder::new(),
            next_stream: 1,
        }
    }

    pub(in crate::streaming) async fn open(&mut self, headers: &[(&str, &str)]) -> StreamId {
        let stream = self.next_stream;
        self.next_stream += 2;
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.write(Frame::SynStream {
            stream,
            headers,
            fin: false,
        })
        .await;
        stream
    }

    pub(in crate::streaming) async fn send(&mut self, stream: StreamId, data: &[u8], fin: bool) {
        self.write(Frame::Data {
            stream,
            data: Bytes::copy_from_slice(data),
            fin,
        })
        .await;
    }

    pub(in crate::streaming) async fn ping(&mut self, id: u32) {
        self.write(Frame::Ping { id }).await;
    }

    /// All that comes until the server closes.
    pub(in crate::streaming) async fn read_to_end(&mut self) -> Received {
        self.read_until_finished(usize::MAX).await
    }

    /// All that comes until this many streams are finished.
    pub(in crate::streaming) async fn read_until_finished(&mut self, count: usize) -> Received {
        let mut received = Received::default();
        loop {
            while let Some(frame) = self.decoder.next().expect("SPDY frames") {
                match frame {
                    Frame::Data { stream, data, fin } => {
                        received.streams.entry(stream).or_default().extend_from_slice(&data);
                        if fin {
                            received.finished.insert(stream);
                        }
                    }
                    Frame::Ping { id } => received.pings.push(id),
                    _ => {}
                }
            }
            if received.finished.len() >= count
                || self
                    .io
                    .read_buf(self.decoder.buffer())
                    .await
                    .expect("read from the server")
                    == 0
            {
                return received;
            }
        }
    }

    async fn write(&mut self, frame: Frame) {
        let bytes = self.encoder.encode(&frame);
        self.io.write_all(&bytes).await.expect("write to the server");
    }
}
