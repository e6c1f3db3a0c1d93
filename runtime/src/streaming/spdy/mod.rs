//! SPDY/3.1 as far as Kubernetes uses it: kubectl up to 1.30 and crictl for exec and attach, every kubectl for port-forward.
//!
//! `headers` and `frame` turn bytes into frames and back without IO; `connection` runs them over a byte stream: the client
//! opens streams, each is a pair of channels for its handler. The server never opens one.

mod connection;
mod frame;
mod headers;

pub(super) use connection::{Connection, ConnectionError, Stream, StreamWriter};
pub(super) use frame::{FrameError, StreamId};

#[cfg(test)]
pub(super) mod test_client;

/// Bytes of a client as frames, for a fuzzer: as they come, and cut in the middle.
#[cfg(fuzzing)]
pub fn fuzz(data: &[u8]) {
    for cut in [data.len(), data.len() / 2] {
        let mut decoder = frame::Decoder::new();
        for part in [&data[..cut], &data[cut..]] {
            decoder.buffer().extend_from_slice(part);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
