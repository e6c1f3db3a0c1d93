//! HTTP: from a connection to the registry and back.
//!
//! ```text
//! server.rs   TCP, TLS, HTTP/1.1 and HTTP/2          who is there (client certificate)
//!   mod.rs    fixed paths, or a path of the table of kinds
//!   call.rs   verb, kind, namespace, name, options   may they?
//!   get.rs list.rs watch.rs create.rs update.rs patch.rs delete.rs     one file a verb, generic over kinds
//!   body.rs   what comes in    accept.rs, respond.rs  what goes out and as what
//! ```
//! Resource paths are looked up in the table of kinds for each request instead of being routes: kinds that appear while the
//! server runs need no other router.

mod accept;
mod body;
mod call;
mod create;
mod delete;
mod etag;
mod get;
mod list;
mod params;
mod patch;
mod respond;
mod server;
mod update;
mod watch;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::FutureExt;
use http::Method;
use minik_api::status::Status;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::auth::User;
use crate::discovery;
use crate::registry::Registry;
use crate::subresources::{self, kubelet::KubeletClient};

pub(crate) use accept::{Accept, Form};
pub(crate) use body::{object, value};
pub(crate) use call::Call;
pub(crate) use etag::unless_known;
pub(crate) use get::handle as get_object;
pub(crate) use patch::{Patch, handle as patch_object};
pub(crate) use respond::{failure, json, object as respond_object};
pub use server::ServeError;
pub(crate) use server::{Server, authorities, certificates, private_key, tls_config};
pub(crate) use update::handle as update_object;

/// What every handler has at hand.
pub(crate) struct Api {
    /// The objects.
    pub(crate) registry: Registry,
    /// The way to nodes.
    pub(crate) kubelet: KubeletClient,
    /// Cancelled when the server stops: watches end then.
    pub(crate) stop: CancellationToken,
}

/// Everything that is served.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let open = Router::new()
        .route("/healthz", get(healthy))
        .route("/livez", get(healthy))
        .route("/readyz", get(ready))
        .route("/version", get(discovery::version))
        .route("/version/", get(discovery::version));
    let closed = discovery::routes().fallback(resource).layer(from_fn(authenticated));
    open.merge(closed)
        .layer(from_fn_with_state(api.clone(), answered))
        .with_state(api)
}

async fn healthy() -> &'static str {
    "ok"
}

async fn ready(State(api): State<Arc<Api>>) -> Response {
    if api.stop.is_cancelled() {
        return failure(&Status::unavailable("the API server is shutting down"));
    }
    "ok".into_response()
}

/// Nobody without credentials goes on from here.
async fn authenticated(request: Request, next: Next) -> Response {
    if request.extensions().get::<User>().is_none() {
        return failure(&Status::unauthorized());
    }
    next.run(request).await
}

/// A bug in one handler answers one request with 500.
async fn answered(State(_): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(%method, path, "the handler panicked");
            failure(&Status::internal(format!(
                "{method} {path} hit a bug in the API server; its log says where"
            )))
        }
    }
}

/// Any path that isn't fixed: one of a kind, or none.
async fn resource(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = match Call::new(parts, api.registry.kinds()) {
        Ok(call) => {
            let span = call.span();
            dispatch(&api, call, body).instrument(span).await
        }
        Err(status) => Err(status),
    };
    outcome.unwrap_or_else(|status| failure(&status))
}

async fn dispatch(api: &Arc<Api>, call: Call, body: Body) -> Result<Response, Status> {
    call.authorize()?;
    if let Some(subresource) = call.path.subresource.clone() {
        return subresources::handle(api, call, body, &subresource).await;
    }
    if !call.path.kind.verbs.contains(&call.verb()) {
        return Err(Status::method_not_allowed(call.method.as_str(), call.path.kind.plural));
    }
    match (&call.method, call.path.name.is_some()) {
        (&Method::GET | &Method::HEAD, true) => get::handle(api, &call),
        (&Method::GET | &Method::HEAD, false) if call.params.watch => watch::handle(api, &call),
        (&Method::GET | &Method::HEAD, false) => list::handle(api, &call),
        (&Method::POST, false) if call.path.kind.kind == "Binding" => subresources::bind(api, call, body).await,
        (&Method::POST, false) => create::handle(api, call, body).await,
        (&Method::PUT, true) => update::handle(api, call, body, crate::registry::Part::Main).await,
        (&Method::PATCH, true) => patch::handle(api, call, body, crate::registry::Part::Main).await,
        (&Method::DELETE, true) => delete::one(api, call, body).await,
        (&Method::DELETE, false) => delete::collection(api, call, body).await,
        (method, _) => Err(Status::method_not_allowed(method.as_str(), call.path.kind.plural)),
    }
}
