//! From what went wrong to what the kubelet is told: a gRPC code, as containerd gives it, and all causes in one line.

use std::error::Error;

use tonic::{Code, Status};

use super::trace::in_this_trace;
use crate::images::error::chain;
use crate::network::NetworkError;
use crate::sandbox::SandboxError;
use crate::shim::{FaultKind, ShimError};
use crate::state::Lookup;

/// A verb's answer.
pub(crate) type Answer<T> = Result<T, Status>;

/// An error with this code.
pub(crate) fn with_code(code: Code) -> impl Fn(&dyn Error) -> Status {
    move |error| Status::new(code, chain(error))
}

impl From<Lookup> for Status {
    fn from(error: Lookup) -> Status {
        match error {
            Lookup::NotFound { .. } => Status::not_found(error.to_string()),
            Lookup::Ambiguous { .. } => Status::invalid_argument(error.to_string()),
        }
    }
}

impl From<SandboxError> for Status {
    fn from(error: SandboxError) -> Status {
        let code = match &error {
            SandboxError::NoMetadata
            | SandboxError::InvalidPort(_)
            | SandboxError::InvalidAddress(_)
            | SandboxError::Sctp
            | SandboxError::UserNamespace(_) => Code::InvalidArgument,
            SandboxError::NoUserNamespaces(_) => Code::FailedPrecondition,
            SandboxError::Exists { .. } => Code::AlreadyExists,
            SandboxError::Address(NetworkError::Exhausted { .. }) => Code::ResourceExhausted,
            SandboxError::Unkillable { .. } => Code::DeadlineExceeded,
            SandboxError::Shim { source, .. } => code_of(source),
            // Unknown is containerd's code for a handler that isn't there.
            SandboxError::Handler(_)
            | SandboxError::Address(_)
            | SandboxError::Directory { .. }
            | SandboxError::Network { .. }
            | SandboxError::State(_) => Code::Unknown,
        };
        with_code(code)(&error)
    }
}

/// The code for what a shim says.
pub(super) fn code_of(error: &ShimError) -> Code {
    match error.fault() {
        Some(FaultKind::NotFound) => Code::NotFound,
        Some(FaultKind::AlreadyExists) => Code::AlreadyExists,
        Some(FaultKind::FailedPrecondition) => Code::FailedPrecondition,
        Some(FaultKind::Invalid) => Code::InvalidArgument,
        Some(FaultKind::Launch | FaultKind::System) => Code::Unknown,
        None => Code::Unavailable,
    }
}

/// What a shim says, about a thing.
pub(crate) fn shim_failed(error: &ShimError, act: &str, thing: &str) -> Status {
    Status::new(code_of(error), format!("{act} {thing}: {}", chain(error)))
}

/// Runs a verb in a task of its own, so that it ends even if the client doesn't wait for it.
pub(crate) async fn to_the_end<T: Send + 'static>(verb: impl Future<Output = Answer<T>> + Send + 'static) -> Answer<T> {
    match tokio::spawn(in_this_trace(verb)).await {
        Ok(answer) => answer,
        Err(error) => Err(Status::internal(format!("the runtime failed on this request: {error}"))),
    }
}
