//! What is told of a container: by the verb `state`, and to each hook on its standard input (runtime-spec, runtime.md,
//! "State").

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// The version of the specification that is carried out.
pub const OCI_VERSION: &str = "1.3.0";

/// Where a container stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    #[default]
    Creating,
    /// It is made, and its command not executed yet.
    Created,
    /// Its command runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl Status {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// The state, with what runc tells besides: `rootfs`, `created` and `owner`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version of the specification.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// The first process, as the runtime sees it; 0 when there is none.
    pub pid: i32,
    /// Where it stands.
    pub status: Status,
    /// Directory of its config.json.
    pub bundle: PathBuf,
    /// Its root on the host.
    pub rootfs: PathBuf,
    /// When it was made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// Annotations of config.json.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The user who made it.
    pub owner: String,
}
