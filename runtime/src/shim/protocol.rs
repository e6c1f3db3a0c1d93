//! What daemon and shim say to each other: a frame is a length (u32, big endian) and that many bytes of JSON.
//!
//! A connection carries one request. Most are answered by one response; an exec, an attach and a start with streams are also
//! told the end, and a subscription goes on until either side leaves. Descriptors travel with a frame's first byte.

use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

use super::Exit;
use crate::launch::Failure;

/// Longest frame; a longer one ends the connection.
pub(super) const MAX_FRAME: usize = 4 * 1024 * 1024;

/// A request with the trace that it belongs to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<String>,
    pub(super) request: Request,
}

/// Which standard streams come with a request, in the order of their numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Streams {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Start {
        container_id: String,
        bundle: std::path::PathBuf,
        /// Streams of a client that is attached before anything is written.
        #[serde(default)]
        streams: Streams,
    },
    Exec {
        container_id: String,
        exec_id: String,
        process: Box<Process>,
        streams: Streams,
    },
    Kill {
        container_id: String,
        exec_id: Option<String>,
        signal: i32,
        all: bool,
    },
    Resize {
        container_id: String,
        width: u16,
        height: u16,
    },
    Attach {
        container_id: String,
        streams: Streams,
    },
    ReopenLog {
        container_id: String,
    },
    Forget {
        container_id: String,
    },
    State,
    Subscribe,
    ConnectPort {
        port: u16,
    },
    Shutdown,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Response {
    Done,
    Started {
        pid: i32,
        started_at_nanos: i64,
        notes: Vec<String>,
    },
    /// The end of an exec or of an attached container.
    Exited(Exit),
    State(Vec<ContainerState>),
    Event(ShimEvent),
    Fault(Fault),
}

/// A container as the shim knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Its id.
    pub id: String,
    /// Its first process, in the host's pid namespace.
    pub pid: i32,
    /// When it executed, in nanoseconds since 1970.
    pub started_at_nanos: i64,
    /// Set when it has ended.
    pub exit: Option<Exit>,
}

/// What subscribers are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShimEvent {
    /// A container has executed its command.
    Started {
        /// Its id.
        container_id: String,
        /// Its first process.
        pid: i32,
    },
    /// A container has ended; its `exit.json` is written.
    Exited {
        /// Its id.
        container_id: String,
        /// How.
        exit: Exit,
    },
    /// The shim has ended. Made up by the client when the connection breaks.
    Gone,
}

/// A request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// In words.
    pub message: String,
    /// The failed step, when a process could not be launched.
    pub failure: Option<Failure>,
}

/// Kinds of faults, for a gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// No container or exec of that id.
    NotFound,
    /// There is one of that id.
    AlreadyExists,
    /// The container has ended, or isn't what the request needs.
    FailedPrecondition,
    /// The request or config.json is invalid.
    Invalid,
    /// A step of a launch failed.
    Launch,
    /// The system refused something.
    System,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            failure: None,
        }
    }

    pub(super) fn system(message: impl std::fmt::Display) -> Self {
        Self::new(FaultKind::System, message.to_string())
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self {
            kind: FaultKind::Launch,
            message: failure.to_string(),
            failure: Some(failure),
        }
    }
}

/// A value as a frame.
pub(super) fn frame(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value).expect("protocol types have string keys and no failing serializers");
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// A frame is too long or no JSON of the expected kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("frame of {0} bytes is longer than {MAX_FRAME}")]
    TooLong(usize),
    #[error("frame is not understood: {0}")]
    Json(String),
}

/// Takes one complete frame off the front of `buffer`.
pub(super) fn take<T: serde::de::DeserializeOwned>(buffer: &mut Vec<u8>) -> Result<Option<T>, FrameError> {
    let Some(head) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    let Some(body) = buffer.get(4..4 + length) else {
        return Ok(None);
    };
    let value = serde_json::from_slice(body).map_err(|error| FrameError::Json(error.to_string()))?;
    buffer.drain(..4 + length);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_in_any_pieces() {
        let whole: Vec<u8> = [frame(&Response::Done), frame(&Response::State(Vec::new()))].concat();
        for cut in 0..=whole.len() {
            let mut buffer = whole[..cut].to_vec();
            let mut seen = 0;
            while take::<Response>(&mut buffer).expect("valid").is_some() {
                seen += 1;
            }
            buffer.extend(&whole[cut..]);
            while take::<Response>(&mut buffer).expect("valid").is_some() {
                seen += 1;
            }
            assert_eq!((seen, buffer.len()), (2, 0), "cut at {cut}");
        }
    }

    #[test]
    fn hostile_frames_are_refused() {
        assert!(matches!(
            take::<Response>(&mut vec![0xff; 8]),
            Err(FrameError::TooLong(_))
        ));
        assert!(matches!(
            take::<Response>(&mut vec![0, 0, 0, 1, b'{']),
            Err(FrameError::Json(_))
        ));
        assert!(matches!(take::<Response>(&mut vec![0, 0]), Ok(None)));
    }
}
