//! A call: a request to a path of the table of kinds, taken apart once.

use http::request::Parts;
use http::{HeaderMap, Method};
use minik_api::path::ResourcePath;
use minik_api::status::Status;
use minik_api::trace::{self, Traceparent};
use percent_encoding::percent_decode_str;

use super::accept::Accept;
use super::params::Params;
use crate::auth::{self, User};
use crate::kinds::{KindRules, Kinds};
use crate::registry::{Target, WriteOptions};

/// A request to a resource.
pub(crate) struct Call {
    /// How.
    pub(crate) method: Method,
    /// What.
    pub(crate) path: ResourcePath,
    /// The rules of that kind, as they are at the beginning of the call.
    pub(crate) rules: KindRules,
    /// The query.
    pub(crate) params: Params,
    /// As what the answer is wanted.
    pub(crate) accept: Accept,
    /// Who.
    pub(crate) user: User,
    /// Its place in a trace, that of the header or a new one.
    pub(crate) traceparent: Traceparent,
    /// The rest of the request, but for its body.
    pub(crate) parts: Parts,
}

impl Call {
    /// Takes a request apart.
    pub(super) fn new(parts: Parts, kinds: &Kinds) -> Result<Self, Status> {
        let path = percent_decode_str(parts.uri.path()).decode_utf8();
        let path = path
            .ok()
            .and_then(|path| {
                ResourcePath::parse_with(&path, &|group, version, plural| kinds.at(group, version, plural))
            })
            .ok_or_else(Status::no_such_path)?;
        let user = parts
            .extensions
            .get::<User>()
            .cloned()
            .ok_or_else(Status::unauthorized)?;
        Ok(Self {
            method: parts.method.clone(),
            rules: kinds.rules(path.kind),
            params: match path.subresource.as_deref() {
                // The query is for whom the request is passed on to.
                Some("proxy") => Params::default(),
                _ => Params::parse(&parts.uri)?,
            },
            path,
            accept: Accept::of(&parts.headers),
            user,
            traceparent: traceparent(&parts.headers),
            parts,
        })
    }

    /// The verb, as authorization and discovery call it.
    pub(crate) fn verb(&self) -> &'static str {
        match (&self.method, self.path.name.is_some()) {
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, true) => "delete",
            (&Method::DELETE, false) => "deletecollection",
            (_, true) => "get",
            (_, false) if self.params.watch => "watch",
            (_, false) => "list",
        }
    }

    /// The span that everything is part of that happens for this call.
    pub(super) fn span(&self) -> tracing::Span {
        tracing::info_span!(
            "request",
            verb = self.verb(),
            resource = self.path.kind.plural,
            namespace = self.path.namespace,
            name = self.path.name,
            subresource = self.path.subresource,
            user = self.user.name,
            traceparent = %self.traceparent,
        )
    }

    /// Whether the user may do this.
    pub(super) fn authorize(&self) -> Result<(), Status> {
        auth::authorize(
            &self.user,
            &auth::Request {
                verb: self.verb(),
                kind: self.path.kind,
                subresource: self.path.subresource.as_deref(),
                namespace: self.path.namespace.as_deref(),
                name: self.path.name.as_deref(),
            },
        )
    }

    /// Empty: a cluster kind, or all namespaces.
    pub(crate) fn namespace(&self) -> &str {
        self.path.namespace.as_deref().unwrap_or_default()
    }

    /// The object that the path names.
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            kind: self.path.kind,
            namespace: self.namespace(),
            name: self.path.name.as_deref().unwrap_or_default(),
        }
    }

    /// What the registry has to know of the request.
    pub(crate) fn write_options(&self) -> WriteOptions {
        WriteOptions {
            dry_run: self.params.dry_run,
            traceparent: self.traceparent,
        }
    }
}

fn traceparent(headers: &HeaderMap) -> Traceparent {
    let given = headers
        .get(trace::HEADER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    given.map_or_else(Traceparent::new, Traceparent::child)
}
