//! What went wrong on the network, told apart by the types of the errors in a chain.

use std::io;
use std::sync::Arc;

use crate::images::error::{Cause, PullError, causes};

/// A host name without address.
#[derive(Debug, thiserror::Error)]
#[error("no address for {host}")]
pub(super) struct Unresolved {
    pub(super) host: String,
    #[source]
    pub(super) source: io::Error,
}

/// What the kernel, the resolver or rustls said. The layers of HTTP above it only repeat that a request failed, and
/// [`PullError`] says that better.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Innermost(String);

/// A request or a body that failed below HTTP's own answers.
pub(super) fn transport(error: reqwest::Error, registry: &str, proxy: Option<&str>) -> PullError {
    let registry = registry.to_owned();
    // The URL has the token server's parameters; the host is said anyway.
    let error = error.without_url();
    let kind = kind(&error);
    let innermost = causes(&error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let source: Cause = Arc::new(Innermost(innermost));
    match (kind, proxy) {
        (Kind::Unresolved(host), _) => PullError::Resolve { host, source },
        (Kind::Tls, _) => PullError::Tls { registry, source },
        (Kind::Garbage, _) => PullError::Garbage {
            registry,
            what: "HTTP answer".to_owned(),
            source,
        },
        (Kind::Connect | Kind::Timeout, Some(proxy)) => PullError::Proxy {
            registry,
            proxy: proxy.to_owned(),
            source,
        },
        (Kind::Timeout, None) => PullError::Timeout { registry },
        (Kind::Connect, None) => PullError::Connect { registry, source },
        (Kind::Broken, _) => PullError::Interrupted {
            registry,
            what: "the answer".to_owned(),
            received_bytes: 0,
            source,
        },
    }
}

enum Kind {
    Unresolved(String),
    Tls,
    Timeout,
    Connect,
    Garbage,
    Broken,
}

fn kind(error: &reqwest::Error) -> Kind {
    for cause in causes(error) {
        if let Some(unresolved) = cause.downcast_ref::<Unresolved>() {
            return Kind::Unresolved(unresolved.host.clone());
        }
        if cause.is::<rustls::Error>() {
            return Kind::Tls;
        }
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return Kind::Garbage;
        }
        let timed_out = |io: &io::Error| io.kind() == io::ErrorKind::TimedOut;
        if cause.downcast_ref::<io::Error>().is_some_and(timed_out) {
            return Kind::Timeout;
        }
    }
    if error.is_timeout() {
        Kind::Timeout
    } else if error.is_connect() {
        Kind::Connect
    } else if error.is_redirect() || error.is_builder() {
        Kind::Garbage
    } else {
        Kind::Broken
    }
}

/// Whether the same request may succeed in a moment.
pub(super) fn is_transient(error: &PullError) -> bool {
    matches!(error, PullError::Interrupted { .. } | PullError::Server { .. })
}
