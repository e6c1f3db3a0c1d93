//! Frames of SPDY/3.1 to and from bytes, without any IO: SPDY protocol draft 3.1, section 2.2.
//!
//! ```text
//!  control: 1 version(15) type(16) | flags(8) length(24) | payload       data: 0 stream(31) | flags(8) length(24) | payload
//! ```

use bytes::{Buf, Bytes, BytesMut};

use super::headers::{Deflater, Headers, Inflater};

const VERSION: u16 = 3;
const CONTROL: u32 = 0x8000_0000;
const FRAME_HEADER_LENGTH: usize = 8;
const FLAG_FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;

/// Clients write what they read at once, 32 KiB or less; this is far beyond.
const PAYLOAD_LIMIT: usize = 4 * 1024 * 1024;

/// Names one stream; those that the client opens are odd.
pub(in crate::streaming) type StreamId = u32;

/// The frames that matter here. SETTINGS, HEADERS and WINDOW_UPDATE are read and left: the peers that Kubernetes has neither
/// send windows nor heed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    SynStream {
        stream: StreamId,
        headers: Headers,
        fin: bool,
    },
    SynReply {
        stream: StreamId,
    },
    Reset {
        stream: StreamId,
        status: u32,
    },
    Ping {
        id: u32,
    },
    GoAway {
        last_stream: StreamId,
    },
    Data {
        stream: StreamId,
        data: Bytes,
        fin: bool,
    },
}

/// The peer doesn't speak SPDY/3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::streaming) enum FrameError {
    #[error("a frame of SPDY version {0}, only 3 is spoken here")]
    Version(u16),
    #[error("a frame of {0} bytes")]
    TooLong(usize),
    #[error("a frame of type {0} that is shorter than its fields")]
    Short(u16),
    #[error("a header block that doesn't decompress to names and values")]
    Headers,
}

/// Turns received bytes into frames.
pub(super) struct Decoder {
    buffer: BytesMut,
    inflater: Inflater,
}

impl Decoder {
    pub(super) fn new() -> Decoder {
        Decoder {
            buffer: BytesMut::new(),
            inflater: Inflater::new(),
        }
    }

    /// Where to read into.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame, if all of it is there.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        while let Some(header) = self.buffer.first_chunk::<FRAME_HEADER_LENGTH>() {
            let word = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
            let flags = header[4];
            let length = u32::from_be_bytes([0, header[5], header[6], header[7]]) as usize;
            if length > PAYLOAD_LIMIT {
                return Err(FrameError::TooLong(length));
            }
            if self.buffer.len() < FRAME_HEADER_LENGTH + length {
                return Ok(None);
            }
            self.buffer.advance(FRAME_HEADER_LENGTH);
            let payload = self.buffer.split_to(length).freeze();
            let fin = flags & FLAG_FIN != 0;
            if word & CONTROL == 0 {
                return Ok(Some(Frame::Data {
                    stream: word,
                    data: payload,
                    fin,
                }));
            }
            if let Some(frame) = self.control(word, fin, payload)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn control(&mut self, word: u32, fin: bool, mut payload: Bytes) -> Result<Option<Frame>, FrameError> {
        let [high, low, ..] = (word & !CONTROL).to_be_bytes();
        let version = u16::from_be_bytes([high, low]);
        let kind = (word & 0xffff) as u16;
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let mut field = || payload.try_get_u32().map_err(|_| FrameError::Short(kind));
        let frame = match kind {
            SYN_STREAM => {
                let stream = field()? & !CONTROL;
                field()?; // the associated stream
                payload.try_get_u16().map_err(|_| FrameError::Short(kind))?; // priority and slot
                let headers = self.inflater.block(&payload)?;
                Frame::SynStream { stream, headers, fin }
            }
            // We open no stream, so no reply concerns us; its block has to go through the decompressor all the same.
            SYN_REPLY => {
                field()?;
                self.inflater.block(&payload)?;
                return Ok(None);
            }
            RST_STREAM => Frame::Reset {
                stream: field()? & !CONTROL,
                status: field()?,
            },
            PING => Frame::Ping { id: field()? },
            GOAWAY => Frame::GoAway {
                last_stream: field()? & !CONTROL,
            },
            _ => return Ok(None),
        };
        Ok(Some(frame))
    }
}

/// Turns frames into bytes to send.
pub(super) struct Encoder {
    deflater: Deflater,
}

impl Encoder {
    pub(super) fn new() -> Encoder {
        Encoder {
            deflater: Deflater::new(),
        }
    }

    pub(super) fn encode(&mut self, frame: &Frame) -> Vec<u8> {
        match frame {
            Frame::Data { stream, data, fin } => {
                let mut bytes = Vec::with_capacity(FRAME_HEADER_LENGTH + data.len());
                bytes.extend(stream.to_be_bytes());
                bytes.extend(flags_and_length(*fin, data.len()));
                bytes.extend_from_slice(data);
                bytes
            }
            Frame::SynStream { stream, headers, fin } => {
                let block = self.deflater.block(headers);
                control(SYN_STREAM, *fin, &[&stream.to_be_bytes(), &[0; 6], &block])
            }
            Frame::SynReply { stream } => {
                let block = self.deflater.block(&Headers::new());
                control(SYN_REPLY, false, &[&stream.to_be_bytes(), &block])
            }
            Frame::Reset { stream, status } => {
                control(RST_STREAM, false, &[&stream.to_be_bytes(), &status.to_be_bytes()])
            }
            Frame::Ping { id } => control(PING, false, &[&id.to_be_bytes()]),
            Frame::GoAway { last_stream } => control(GOAWAY, false, &[&last_stream.to_be_bytes(), &[0; 4]]),
        }
    }
}

fn control(kind: u16, fin: bool, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(FRAME_HEADER_LENGTH + length);
    bytes.extend((VERSION | 0x8000).to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(flags_and_length(fin, length));
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

fn flags_and_length(fin: bool, length: usize) -> [u8; 4] {
    assert!(length < 1 << 24, "a frame's length has 24 bits");
    let [_, high, middle, low] = (length as u32).to_be_bytes();
    [if fin { FLAG_FIN } else { 0 }, high, middle, low]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> Vec<Frame> {
        let headers = vec![("streamtype".to_owned(), "error".to_owned())];
        vec![
            Frame::SynStream {
                stream: 1,
                headers: headers.clone(),
                fin: false,
            },
            Frame::SynStream {
                stream: 3,
                headers,
                fin: true,
            },
            Frame::Data {
                stream: 1,
                data: Bytes::from_static(b"hello"),
                fin: false,
            },
            Frame::Data {
                stream: 1,
                data: Bytes::new(),
                fin: true,
            },
            Frame::Ping { id: 7 },
            Frame::Reset { stream: 3, status: 5 },
            Frame::GoAway { last_stream: 3 },
        ]
    }

    fn decode(chunks: &[&[u8]]) -> Result<Vec<Frame>, FrameError> {
        let mut decoder = Decoder::new();
        let mut frames = Vec::new();
        for chunk in chunks {
            decoder.buffer().extend_from_slice(chunk);
            while let Some(frame) = decoder.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn frames_come_back_wherever_the_bytes_are_cut() {
        let mut encoder = Encoder::new();
        let bytes: Vec<u8> = frames().iter().flat_map(|frame| encoder.encode(frame)).collect();
        for cut in 0..bytes.len() {
            assert_eq!(decode(&[&bytes[..cut], &bytes[cut..]]), Ok(frames()), "cut at {cut}");
        }
    }

    #[test]
    fn unknown_control_frames_are_passed_over_and_other_versions_refused() {
        let mut bytes = control(4, false, &[&[0; 4]]);
        bytes.extend(control(9, false, &[&[0; 8]]));
        bytes.extend(Encoder::new().encode(&Frame::Ping { id: 1 }));
        assert_eq!(decode(&[&bytes]), Ok(vec![Frame::Ping { id: 1 }]));
        assert_eq!(
            decode(&[&[0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]]),
            Err(FrameError::Version(2))
        );
        assert_eq!(decode(&[&[0x80, 3, 0, 6, 0, 0, 0, 0]]), Err(FrameError::Short(6)));
        assert_eq!(
            decode(&[&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff]]),
            Err(FrameError::TooLong(0xff_ffff))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[&bytes]);
        }
    }
}
