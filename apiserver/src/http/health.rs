//! `/healthz`, `/livez`, `/readyz`: whether the server lives and takes requests; for everybody.
//!
//! As upstream: `ok`, or with `?verbose` (and whenever something is wrong) a line for each check; `/readyz/shutdown` asks for one
//! alone, `?exclude=shutdown` for all others.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use minik_api::status::Status;

use super::Api;
use super::respond::failure;

/// A check: its name, and whether it is fine.
type Check = (&'static str, fn(&Api) -> bool);

/// That this is answered at all.
const PING: Check = ("ping", |_| true);
/// A server that stops takes no new requests.
const SHUTDOWN: Check = ("shutdown", |api| !api.stop.is_cancelled());

/// What is asked at each path.
const PATHS: [(&str, &[Check]); 3] = [("healthz", &[PING]), ("livez", &[PING]), ("readyz", &[PING, SHUTDOWN])];

/// The paths of health.
pub(super) fn routes() -> Router<Arc<Api>> {
    let mut router = Router::new();
    for (name, checks) in PATHS {
        let all = move |State(api): State<Arc<Api>>, Query(asked): Query<Vec<(String, String)>>| async move {
            answer(&api, name, checks, &asked)
        };
        let one = move |State(api): State<Arc<Api>>, Path(check): Path<String>| async move {
            match checks.iter().position(|(name, _)| *name == check) {
                Some(index) => answer(&api, &format!("{name}/{check}"), &checks[index..=index], &[]),
                None => failure(&Status::no_such_path()),
            }
        };
        router = router
            .route(&format!("/{name}"), get(all))
            .route(&format!("/{name}/{{check}}"), get(one));
    }
    router
}

fn answer(api: &Api, name: &str, checks: &[Check], asked: &[(String, String)]) -> Response {
    let is_excluded = |check: &str| asked.iter().any(|(name, value)| name == "exclude" && value == check);
    let (mut lines, mut fine) = (String::new(), true);
    for (check, holds) in checks {
        let line = if is_excluded(check) {
            format!("[+]{check} excluded: ok")
        } else if holds(api) {
            format!("[+]{check} ok")
        } else {
            fine = false;
            format!("[-]{check} failed")
        };
        writeln!(lines, "{line}").expect("writing to a string doesn't fail");
    }
    if !fine {
        let body = format!("{lines}{name} check failed\n");
        return (StatusCode::INTERNAL_SERVER_ERROR, body).into_response();
    }
    let is_verbose = asked.iter().any(|(name, _)| name == "verbose");
    let body = if is_verbose {
        format!("{lines}{name} check passed\n")
    } else {
        "ok".to_owned()
    };
    body.into_response()
}
