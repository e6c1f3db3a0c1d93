//! A call: a request to a path of the table of kinds, taken apart once.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Method};
use minik_api::path::ResourcePath;
use minik_api::status::Status;
use minik_api::trace::{self, Traceparent};
use percent_encoding::percent_decode_str;

use super::accept::Accept;
use super::field_manager;
use super::params::Params;
use crate::admission::Warnings;
use crate::auth::{Asked, Authorizer, Resource, User};
use crate::kinds::{KindRules, Kinds};
use crate::registry::{FieldManager, Target, WriteOptions};

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
    /// Which program, as `managedFields` will say.
    manager: String,
    /// Who.
    pub(crate) user: Arc<User>,
    /// Its place in a trace, that of the header or a new one.
    pub(crate) traceparent: Traceparent,
    /// What admission has to say besides the answer.
    pub(crate) warnings: Warnings,
    /// How long its body may take.
    pub(super) body_timeout: Duration,
    /// The rest of the request, but for its body.
    pub(crate) parts: Parts,
}

impl Call {
    /// Takes a request apart.
    pub(super) fn new(parts: Parts, kinds: &Kinds, body_timeout: Duration) -> Result<Self, Status> {
        let decoded = percent_decode_str(parts.uri.path()).decode_utf8();
        let decoded = decoded.map_err(|_| Status::no_such_path())?;
        let watched = without_watch(&decoded);
        let text = watched.as_deref().unwrap_or(&decoded);
        let find = |group: &str, version: &str, plural: &str| kinds.at(group, version, plural);
        let mut path = ResourcePath::parse_with(text, &find).ok_or_else(Status::no_such_path)?;
        let mut params = match path.subresource.as_deref() {
            // The query is for whom the request is passed on to.
            Some("proxy") => Params::default(),
            _ => Params::parse(&parts.uri)?,
        };
        if watched.is_some() {
            params.watch = true;
            if let Some(name) = path.name.take() {
                params.fields = params.fields.and("metadata.name", &name);
            }
        }
        let rules = kinds.rules(path.kind);
        params.fields = params.fields.renamed(|field| rules.stored_field(field));
        let user = parts
            .extensions
            .get::<Arc<User>>()
            .cloned()
            .ok_or_else(Status::unauthorized)?;
        Ok(Self {
            method: parts.method.clone(),
            rules,
            path,
            manager: field_manager::of(&params, &parts)?,
            params,
            accept: Accept::of_request(&parts),
            user,
            traceparent: traceparent(&parts.headers),
            warnings: Warnings::default(),
            body_timeout,
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
    pub(super) fn authorize(&self, authorizer: &Authorizer) -> Result<(), Status> {
        self.authorize_as(self.verb(), authorizer)
    }

    /// Whether the user may also do that, as part of the call: who applies what isn't there creates.
    pub(super) fn authorize_as(&self, verb: &str, authorizer: &Authorizer) -> Result<(), Status> {
        let kind = self.path.kind;
        let fields = (!self.params.fields.is_empty()).then_some(&self.params.fields);
        // A list or watch that is narrowed to one name is allowed as a look at that object.
        let selected = || {
            fields?
                .requirements()
                .iter()
                .find(|one| one.path == "metadata.name" && one.equal)
        };
        let name = self.path.name.as_deref().or_else(|| Some(selected()?.value.as_str()));
        let namespace = match (&self.path.namespace, &self.path.name) {
            (Some(namespace), _) => namespace,
            // As upstream: a namespace is within itself, so that those who may read all of it may read it.
            (None, Some(name)) if kind.group.is_empty() && kind.kind == "Namespace" => name,
            (None, _) => "",
        };
        authorizer.authorize(
            &self.user,
            &Asked::Resource(Resource {
                verb,
                group: kind.group,
                resource: kind.plural,
                subresource: self.path.subresource.as_deref().unwrap_or_default(),
                namespace,
                name: name.unwrap_or_default(),
                fields,
            }),
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

    /// Who owns what this call writes.
    pub(crate) fn field_manager(&self) -> FieldManager<'_> {
        FieldManager {
            name: &self.manager,
            subresource: self.path.subresource.as_deref().unwrap_or_default(),
        }
    }

    /// What the registry has to know of the request.
    pub(crate) fn write_options(&self) -> WriteOptions<'_> {
        WriteOptions {
            user: &self.user,
            manager: Some(self.field_manager()),
            dry_run: self.params.dry_run,
            traceparent: self.traceparent,
            warnings: Some(&self.warnings),
        }
    }
}

/// The old way to ask for a watch, `/api/v1/watch/namespaces/default/pods/nginx`: the path without that word.
fn without_watch(path: &str) -> Option<String> {
    let depth = if path.starts_with("/api/") { 3 } else { 4 };
    let mut segments: Vec<&str> = path.split('/').collect();
    let is_watch = segments.get(depth) == Some(&"watch") && segments.len() > depth + 1;
    is_watch.then(|| {
        segments.remove(depth);
        segments.join("/")
    })
}

fn traceparent(headers: &HeaderMap) -> Traceparent {
    let given = headers
        .get(trace::HEADER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    given.map_or_else(Traceparent::new, Traceparent::child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_way_to_watch_is_understood() {
        for (path, without) in [
            ("/api/v1/watch/pods", Some("/api/v1/pods")),
            (
                "/apis/apps/v1/watch/namespaces/a/deployments/b",
                Some("/apis/apps/v1/namespaces/a/deployments/b"),
            ),
            ("/api/v1/watch", None),
            ("/api/v1/namespaces/watch", None),
            ("/apis/watch/v1/things", None),
        ] {
            assert_eq!(without_watch(path).as_deref(), without, "{path}");
        }
    }
}
