//! The record of a container: what the kubelet asked for, which image it became, and how far it is.

use std::path::PathBuf;

use minik_api::cri;
use serde::{Deserialize, Serialize};

use super::{Record, protobuf};

/// Reasons that the kubelet knows.
const COMPLETED: &str = "Completed";
const ERROR: &str = "Error";
const OUT_OF_MEMORY: &str = "OOMKilled";
const START_ERROR: &str = "StartError";
/// The exit code of a container that couldn't be started, as containerd has it.
const START_ERROR_CODE: i32 = 128;
/// Of one whose end nobody saw.
const UNKNOWN_CODE: i32 = 255;

/// A container, as it is kept on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) id: String,
    pub(crate) sandbox_id: String,
    pub(crate) created_at_nanos: i64,
    pub(crate) phase: ContainerPhase,
    /// Id of the image: `sha256:…`.
    pub(crate) image_id: String,
    /// The image by registry and digest, if it came from a registry; else its id.
    pub(crate) image_reference: String,
    /// A tag of the image, for people; its reference if it has none.
    pub(crate) image_name: String,
    /// Absolute; none if the kubelet asked for no log.
    pub(crate) log_path: Option<PathBuf>,
    /// Number of the signal that asks it to stop.
    pub(crate) stop_signal: i32,
    /// Path of its cgroup below the hierarchies' mounts.
    pub(crate) cgroup: PathBuf,
    /// User that its first process runs as.
    pub(crate) user: UserRecord,
    #[serde(with = "protobuf")]
    pub(crate) config: cri::ContainerConfig,
}

/// Numbers of a user and its groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserRecord {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) supplemental_groups: Vec<u32>,
}

/// Where a container is in its life (see the folder's picture).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ContainerPhase {
    Created,
    Running { pid: i32, started_at_nanos: i64 },
    Exited(Exit),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    /// 0 if it was never started.
    pub(crate) started_at_nanos: i64,
    pub(crate) finished_at_nanos: i64,
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Exit {
    /// Its process ended with a code, or with 128 and the number of the signal that killed it.
    pub(crate) fn ended(code: i32, out_of_memory: bool, started_at_nanos: i64, finished_at_nanos: i64) -> Exit {
        let reason = match code {
            _ if out_of_memory => OUT_OF_MEMORY,
            0 => COMPLETED,
            _ => ERROR,
        };
        Exit {
            started_at_nanos,
            finished_at_nanos,
            code,
            reason: reason.to_owned(),
            message: String::new(),
        }
    }

    /// It couldn't be started.
    pub(crate) fn start_error(message: String, now_nanos: i64) -> Exit {
        Exit {
            started_at_nanos: 0,
            finished_at_nanos: now_nanos,
            code: START_ERROR_CODE,
            reason: START_ERROR.to_owned(),
            message,
        }
    }

    /// It is gone, and so is whoever could have told how it ended.
    pub(crate) fn unseen(message: &str, started_at_nanos: i64, now_nanos: i64) -> Exit {
        Exit {
            started_at_nanos,
            finished_at_nanos: now_nanos,
            code: UNKNOWN_CODE,
            reason: ERROR.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl ContainerPhase {
    pub(crate) fn state(&self) -> cri::ContainerState {
        match self {
            ContainerPhase::Created => cri::ContainerState::ContainerCreated,
            ContainerPhase::Running { .. } => cri::ContainerState::ContainerRunning,
            ContainerPhase::Exited(_) => cri::ContainerState::ContainerExited,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self, ContainerPhase::Running { .. })
    }

    /// 0 if it was never started.
    pub(crate) fn started_at_nanos(&self) -> i64 {
        match self {
            ContainerPhase::Created => 0,
            ContainerPhase::Running { started_at_nanos, .. } => *started_at_nanos,
            ContainerPhase::Exited(exit) => exit.started_at_nanos,
        }
    }
}

impl ContainerRecord {
    /// Moves on to the end, unless it is there already: the first news of an end is the true one.
    pub(crate) fn exit(&mut self, exit: Exit) -> bool {
        if matches!(self.phase, ContainerPhase::Exited(_)) {
            return false;
        }
        self.phase = ContainerPhase::Exited(exit);
        true
    }
}

impl Record for ContainerRecord {
    const KIND: &'static str = "container";

    fn id(&self) -> &str {
        &self.id
    }
}
