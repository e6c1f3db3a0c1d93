//! HTTP: from a connection to the registry and back.
//!
//! ```text
//! server.rs   TCP, TLS, HTTP/1.1 and HTTP/2          who is there (client certificate)
//!   mod.rs    fixed paths, or a path of the table of kinds
//!   fairness.rs  is there a seat for them?
//!   call.rs   verb, kind, namespace, name, options   may they?
//!   get.rs list.rs watch.rs create.rs update.rs patch.rs delete.rs     one file a verb, generic over kinds
//!   body.rs   what comes in    accept.rs, shape.rs, respond.rs  what goes out and as what
//! ```
//! Resource paths are looked up in the table of kinds for each request instead of being routes: kinds that appear while the
//! server runs need no other router.

mod accept;
mod apply;
mod body;
mod call;
mod connections;
mod create;
mod delete;
mod etag;
mod fairness;
mod field_manager;
mod get;
mod health;
mod limits;
mod list;
mod params;
mod passed_on;
mod patch;
mod pieces;
mod pretty;
mod respond;
mod server;
mod shape;
mod update;
mod watch;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use futures::FutureExt;
use http::{HeaderMap, Method};
use minik_api::kinds::Kind;
use minik_api::status::Status;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::aggregated::Aggregated;
use crate::auth::{
    Asked, Authenticator, User,
    authenticate::{impersonated, move_token},
    oidc, reviews,
};
use crate::discovery;
use crate::registry::Registry;
use crate::subresources::{self, kubelet::KubeletClient};
use fairness::{Lane, seated};

use accept::Asker;
pub(crate) use accept::{Accept, Form};
pub(crate) use apply::{apply, document};
pub(crate) use body::{object, value};
pub(crate) use call::Call;
pub(crate) use etag::{is_known, not_modified, tagged, unless_known};
pub(crate) use fairness::{Fairness, Seat};
pub(crate) use get::handle as get_object;
pub use limits::Limits;
pub(crate) use limits::{Capacity, open_files, raise_open_files};
#[cfg(fuzzing)]
pub(crate) use params::Params;
pub(crate) use patch::{Patch, handle as patch_object, is_apply};
pub(crate) use respond::{failure, json, json_bytes, object as respond_object};
pub use server::ServeError;
pub(crate) use server::{Server, authorities, certificates, private_key, tls_config};
pub(crate) use update::handle as update_object;
pub(crate) use watch::Crowds;

/// What every handler has at hand.
pub(crate) struct Api {
    /// The objects.
    pub(crate) registry: Registry,
    /// Who vouches for users.
    pub(crate) authenticator: Authenticator,
    /// Who may have how much at once.
    pub(crate) fairness: Fairness,
    /// How long the body of a request may take.
    pub(crate) body_timeout: Duration,
    /// Who watches what.
    pub(crate) crowds: Crowds,
    /// Other servers, for the APIs that they answer for.
    pub(crate) aggregated: Aggregated,
    /// The way to nodes.
    pub(crate) kubelet: KubeletClient,
    /// Cancelled when the server stops: watches end then.
    pub(crate) stop: CancellationToken,
}

/// Everything that is served.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let open = health::routes()
        .route("/version", get(discovery::version))
        .route("/version/", get(discovery::version));
    let paths = discovery::routes()
        .merge(oidc::routes())
        .route_layer(from_fn_with_state(api.clone(), allowed));
    let closed = paths
        .fallback(resource)
        .layer(from_fn_with_state(api.clone(), passed_on::passed_on))
        .layer(from_fn_with_state(api.clone(), authenticated));
    open.merge(closed)
        .method_not_allowed_fallback(async || failure(&Status::no_such_method()))
        .layer(from_fn_with_state(api.clone(), answered))
        .with_state(api)
}

/// Nobody without credentials goes on from here.
async fn authenticated(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    if let Err(status) = move_token(request.headers_mut()) {
        return failure(&status);
    }
    let certificate = request.extensions().get::<Arc<User>>();
    match user(&api, request.headers(), certificate) {
        Ok(user) => {
            request.extensions_mut().insert(user);
            next.run(request).await
        }
        Err(status) => failure(&status),
    }
}

/// As whom a request is to be answered.
fn user(api: &Api, headers: &HeaderMap, certificate: Option<&Arc<User>>) -> Result<Arc<User>, Status> {
    let user = api.authenticator.authenticate(headers, certificate)?;
    let other = impersonated(headers, &user, api.registry.authorizer())?;
    Ok(other.unwrap_or(user))
}

/// Paths that are no resources are allowed one by one.
async fn allowed(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let user = request.extensions().get();
    let admitted =
        path_allowed(&api, request.method(), request.uri().path(), user).and_then(|()| seat(&api, user, Lane::Short));
    match admitted {
        Ok(seat) => seated(next.run(request).await, Arc::new(seat)),
        Err(status) => failure(&status),
    }
}

fn path_allowed(api: &Api, method: &Method, path: &str, user: Option<&Arc<User>>) -> Result<(), Status> {
    let user = user.ok_or_else(Status::unauthorized)?;
    let verb = method.as_str().to_ascii_lowercase();
    let asked = Asked::Path { verb: &verb, path };
    api.registry.authorizer().authorize(user, &asked)
}

fn seat(api: &Api, user: Option<&Arc<User>>, lane: Lane) -> Result<Seat, Status> {
    api.fairness.seat(user.ok_or_else(Status::unauthorized)?, lane)
}

/// A bug in one handler answers one request with 500. Failures are written as the client takes them.
async fn answered(State(_): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let asker = Asker::new(&uri, request.headers());
    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = response.unwrap_or_else(|_| {
        let path = uri.path();
        tracing::error!(%method, path, "the handler panicked");
        failure(&Status::internal(format!(
            "{method} {path} hit a bug in the API server; its log says where"
        )))
    });
    respond::written_for(&asker, response)
}

/// Any path that isn't fixed: one of a kind, or none.
async fn resource(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (method, path, user) = (
        parts.method.clone(),
        parts.uri.path().to_owned(),
        parts.extensions.get().cloned(),
    );
    let outcome = match Call::new(parts, api.registry.kinds(), api.body_timeout) {
        Ok(mut call) => {
            let (span, rules) = (call.span(), call.rules.clone());
            let lane = Lane::of(
                &call.parts,
                call.verb() == "watch",
                call.path.subresource.as_deref(),
                &body,
            );
            match seat(&api, user.as_ref(), lane) {
                Ok(seat) => {
                    let seat = Arc::new(seat);
                    // For streams that go on when the answer is sent.
                    call.parts.extensions.insert(seat.clone());
                    let outcome = dispatch(&api, call, body).instrument(span).await;
                    outcome.map(|response| seated(respond::deprecated(response, rules.deprecation()), seat))
                }
                Err(status) => Err(status),
            }
        }
        // Who may not look there isn't told that nothing is there.
        Err(status) if status.code == 404 => path_allowed(&api, &method, &path, user.as_ref()).and(Err(status)),
        Err(status) => Err(status),
    };
    outcome.unwrap_or_else(|status| failure(&status))
}

/// Never kept itself: it changes its pod.
fn is_binding(kind: &Kind) -> bool {
    kind.group.is_empty() && kind.kind == "Binding"
}

/// Watches and what a kubelet says have forms of their own.
fn is_answered_by_objects(call: &Call) -> bool {
    let streams = ["attach", "exec", "log", "portforward", "proxy"];
    !call.params.watch && !streams.contains(&call.path.subresource.as_deref().unwrap_or_default())
}

async fn dispatch(api: &Arc<Api>, call: Call, body: Body) -> Result<Response, Status> {
    call.authorize(api.registry.authorizer())?;
    if is_answered_by_objects(&call) {
        // Before anything is done: nobody can be told of it in no form that they take.
        call.accept.choose(shape::is_served)?;
    }
    if let Some(subresource) = call.path.subresource.clone() {
        return subresources::handle(api, call, body, &subresource).await;
    }
    if !call.path.kind.verbs.contains(&call.verb()) {
        return Err(Status::no_such_method());
    }
    match (&call.method, call.path.name.is_some()) {
        (&Method::GET, true) => get::handle(api, &call).await,
        (&Method::GET, false) if call.params.watch => watch::handle(api, call),
        (&Method::GET, false) => list::handle(api, &call).await,
        (&Method::POST, false) if is_binding(call.path.kind) => subresources::bind(api, call, body).await,
        (&Method::POST, false) if !call.path.kind.is_stored() => reviews::create(api, call, body).await,
        (&Method::POST, false) => create::handle(api, call, body).await,
        (&Method::PUT, true) => update::handle(api, call, body, crate::registry::Part::Main).await,
        (&Method::PATCH, true) => patch::handle(api, call, body, crate::registry::Part::Main).await,
        (&Method::DELETE, true) => delete::one(api, call, body).await,
        (&Method::DELETE, false) => delete::collection(api, call, body).await,
        // As upstream, which has no route for HEAD and OPTIONS.
        _ => Err(Status::no_such_method()),
    }
}
