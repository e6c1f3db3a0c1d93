//! Why a pull failed: told apart so that each message can say what to do next.

use std::error::Error;
use std::io;
use std::sync::Arc;

use tonic::Code;

use super::digest::Digest;
use super::platform::Platform;
use super::reference::InvalidReference;
use super::registry::DockerConfigError;
use super::unpack::UnpackError;
use crate::snapshots::SnapshotError;

/// A cause that several waiters of one pull share.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why an image could not be pulled. `registry` is the host (and port) that was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// No image reference.
    #[error("invalid image name: {0}")]
    Reference(#[from] InvalidReference),
    /// Name resolution.
    #[error(
        "can't resolve the host name {host}; check the spelling of the registry, and the network's DNS (/etc/resolv.conf)"
    )]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's answer.
        #[source]
        source: Cause,
    },
    /// Refused or unreachable.
    #[error(
        "can't connect to the registry {registry}; check that it runs at this address and that no firewall is in between"
    )]
    Connect {
        /// Host and port.
        registry: String,
        /// The kernel's answer.
        #[source]
        source: Cause,
    },
    /// No answer to connecting, or none to a request.
    #[error(
        "the registry {registry} doesn't answer in time; check the network, and whether a proxy is needed (HTTPS_PROXY)"
    )]
    Timeout {
        /// Host and port.
        registry: String,
    },
    /// Connecting through a proxy.
    #[error(
        "can't reach {registry} through the proxy {proxy}; check HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the runtime"
    )]
    Proxy {
        /// Host and port behind it.
        registry: String,
        /// Its address, without credentials.
        proxy: String,
        /// What went wrong.
        #[source]
        source: Cause,
    },
    /// Certificate or protocol.
    #[error(
        "no secure connection to {registry}; if a company's proxy or an own registry signs with its own CA, add that CA to the \
         system (update-ca-certificates); if the registry speaks plain http, give it as a mirror: {registry}=http://{registry}"
    )]
    Tls {
        /// Host and port.
        registry: String,
        /// rustls' answer.
        #[source]
        source: Cause,
    },
    /// The registry wants a login, and none was given.
    #[error(
        "{name} needs a login at {registry}, or does not exist; check the spelling, or log in (docker login, imagePullSecrets){said}"
    )]
    LoginNeeded {
        /// The repository.
        name: String,
        /// Who said so.
        registry: String,
        /// Its own words, if it had any, with a separator in front.
        said: String,
    },
    /// The login that was given isn't accepted.
    #[error("{registry} refuses these credentials for {name}; check user name, password and access rights{said}")]
    LoginRefused {
        /// The repository.
        name: String,
        /// Who said so.
        registry: String,
        /// Its own words, if it had any, with a separator in front.
        said: String,
    },
    /// Too many requests.
    #[error(
        "{registry} limits the rate of pulls; wait{wait}, log in to get a higher limit, or use a mirror (--registry-mirror)"
    )]
    RateLimited {
        /// Who said so.
        registry: String,
        /// ` 30 s` where the registry told how long.
        wait: String,
    },
    /// There is no such repository.
    #[error("not found: {registry} has no image named {name}; check the spelling")]
    NameNotFound {
        /// The repository.
        name: String,
        /// Who said so.
        registry: String,
    },
    /// There is the repository, but not this tag or digest in it.
    #[error("not found: {registry} has {name}, but no {object:?} of it{offered}; check the tag")]
    TagNotFound {
        /// The repository.
        name: String,
        /// The tag or digest.
        object: String,
        /// Who said so.
        registry: String,
        /// Some tags that there are, with words around them.
        offered: String,
    },
    /// The registry doesn't tell whether name or tag is unknown.
    #[error("not found: {registry} doesn't know {name} {object:?}; check name and tag")]
    NotFound {
        /// The repository.
        name: String,
        /// The tag or digest.
        object: String,
        /// Who said so.
        registry: String,
    },
    /// Nothing for this machine.
    #[error(
        "{image} isn't built for {wanted}; there is {offered}; use an image or tag for this machine's architecture"
    )]
    Platform {
        /// The reference.
        image: String,
        /// This machine's.
        wanted: Platform,
        /// What there is instead.
        offered: String,
    },
    /// 5xx, repeatedly.
    #[error(
        "the registry {registry} fails ({status}); this is the registry's problem: try again later, or use a mirror"
    )]
    Server {
        /// Who answered.
        registry: String,
        /// The status line.
        status: String,
    },
    /// Another answer that no registry should give.
    #[error("{registry} answers {status} to the request for {what}; check that this is an image registry{said}")]
    Status {
        /// Who answered.
        registry: String,
        /// The status line.
        status: String,
        /// What was asked for.
        what: String,
        /// Its own words, if it had any, with a separator in front.
        said: String,
    },
    /// An answer that can't be understood.
    #[error(
        "{registry} sends no valid {what}; check that this is an image registry, and that no proxy answers in its place"
    )]
    Garbage {
        /// Who answered.
        registry: String,
        /// What it should have been.
        what: String,
        /// Where it stops making sense.
        #[source]
        source: Cause,
    },
    /// The connection broke again and again.
    #[error(
        "the connection to {registry} broke while {what} came, after {received_bytes} bytes and several attempts; try again"
    )]
    Interrupted {
        /// Who was sending.
        registry: String,
        /// What was sent.
        what: String,
        /// How much had come.
        received_bytes: u64,
        /// The last break.
        #[source]
        source: Cause,
    },
    /// Content that isn't what its digest says.
    #[error(
        "{what} is damaged: {registry} sent {actual} instead of {expected}; try again, and check proxies in between"
    )]
    Digest {
        /// What was sent.
        what: String,
        /// Who sent it.
        registry: String,
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// Content of another length than its descriptor says.
    #[error(
        "{what} is damaged: {registry} sent {actual_bytes} bytes instead of {expected_bytes}; try again, and check proxies in between"
    )]
    Size {
        /// What was sent.
        what: String,
        /// Who sent it.
        registry: String,
        /// Length asked for.
        expected_bytes: u64,
        /// Length of what came, at least.
        actual_bytes: u64,
    },
    /// A kind of manifest that can't be run, docker's schema 1 above all.
    #[error("{image} is stored as {media_type:?}, which can't be run; push it again with a current tool")]
    MediaType {
        /// The reference.
        image: String,
        /// As the registry says.
        media_type: String,
    },
    /// The image contradicts itself.
    #[error("{image} is broken: {what}; build and push it again")]
    Broken {
        /// The reference.
        image: String,
        /// What contradicts what.
        what: String,
    },
    /// A layer that can't be unpacked.
    #[error("layer {layer}")]
    Unpack {
        /// Its digest.
        layer: Digest,
        /// Why.
        #[source]
        source: Arc<UnpackError>,
    },
    /// The disk is full.
    #[error("no space left for the image in {directory}; remove unused images (minikctl image rm) or make room")]
    NoSpace {
        /// The data directory.
        directory: String,
        /// The kernel's answer.
        #[source]
        source: Cause,
    },
    /// Another refusal of the local disk.
    #[error("can't {act}")]
    Store {
        /// What was being done.
        act: String,
        /// The refusal.
        #[source]
        source: Cause,
    },
    /// docker's configuration file.
    #[error(transparent)]
    DockerConfig(Arc<DockerConfigError>),
    /// Mirrors failed, and so did the registry itself.
    #[error("{origin} (before that, {mirrors})")]
    Mirrors {
        /// What each mirror said.
        mirrors: String,
        /// What the registry said.
        #[source]
        origin: Box<PullError>,
    },
}

impl PullError {
    /// As containerd answers where it tells them apart, and the closest of gRPC's codes where it says only "unknown".
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Reference(_) => Code::InvalidArgument,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Proxy { .. }
            | Self::Tls { .. }
            | Self::Server { .. }
            | Self::Interrupted { .. } => Code::Unavailable,
            Self::Timeout { .. } => Code::DeadlineExceeded,
            Self::LoginNeeded { .. } => Code::Unauthenticated,
            Self::LoginRefused { .. } => Code::PermissionDenied,
            Self::RateLimited { .. } | Self::NoSpace { .. } => Code::ResourceExhausted,
            Self::NameNotFound { .. } | Self::TagNotFound { .. } | Self::NotFound { .. } | Self::Platform { .. } => {
                Code::NotFound
            }
            Self::MediaType { .. } | Self::DockerConfig(_) => Code::FailedPrecondition,
            Self::Digest { .. } | Self::Size { .. } => Code::DataLoss,
            Self::Status { .. } | Self::Garbage { .. } | Self::Broken { .. } | Self::Unpack { .. } => Code::Unknown,
            Self::Store { .. } => Code::Internal,
            Self::Mirrors { origin, .. } => origin.code(),
        }
    }

    /// For the CRI: the code, and the whole chain of causes as one line.
    #[must_use]
    pub fn to_status(&self) -> tonic::Status {
        tonic::Status::new(self.code(), chain(self))
    }

    /// A failure of the local disk while `act`.
    pub(crate) fn store(act: impl Into<String>, directory: &std::path::Path, source: Cause) -> Self {
        if is_no_space(&*source) {
            let directory = directory.display().to_string();
            return Self::NoSpace { directory, source };
        }
        let act = act.into();
        Self::Store { act, source }
    }

    /// A layer that couldn't be made, told apart from a disk that is full.
    pub(crate) fn layer(layer: &Digest, directory: &std::path::Path, source: UnpackError) -> Self {
        if is_no_space(&source) {
            return Self::store("unpack a layer", directory, Arc::new(source));
        }
        Self::Unpack {
            layer: layer.clone(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn snapshot(layer: &Digest, directory: &std::path::Path, source: SnapshotError) -> Self {
        match source {
            SnapshotError::Rebase(source) => Self::layer(layer, directory, source),
            other => Self::store(format!("keep layer {layer}"), directory, Arc::new(other)),
        }
    }
}

/// An error and its causes, as people read them: each once, joined by colons.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// Every error of a chain, those inside an `io::Error` too, whose own `source` skips them.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
        Some(error)
    })
}

fn is_no_space(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_deep_in_a_chain() {
        let full = io::Error::from_raw_os_error(libc::ENOSPC);
        let unpack = UnpackError::Apply {
            act: "write",
            path: "a".to_owned(),
            source: io::Error::other(full),
        };
        let error = PullError::layer(&Digest::of(b""), std::path::Path::new("/data"), unpack);
        assert!(matches!(error, PullError::NoSpace { .. }), "{error:?}");
        assert_eq!(error.code(), Code::ResourceExhausted);
        assert!(
            chain(&error).starts_with("no space left for the image in /data"),
            "{}",
            chain(&error)
        );
    }

    #[test]
    fn a_chain_says_each_cause_once() {
        let source: Cause = Arc::new(io::Error::other(io::Error::other("the reason")));
        let error = PullError::Connect {
            registry: "r".to_owned(),
            source,
        };
        assert_eq!(chain(&error).matches("the reason").count(), 1);
    }
}
