//! What others need to check our tokens themselves (OpenID Connect Discovery 1.0, section 4): who makes them and with which keys.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::http::Api;

const JWKS: &str = "/openid/v1/jwks";

/// The two paths.
pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(configuration))
        .route(JWKS, get(keys))
}

async fn configuration(State(api): State<Arc<Api>>) -> Response {
    let tokens = &api.authenticator.tokens;
    // Where the keys are: below the issuer when that is an address, else here.
    let issuer = tokens.issuer();
    let document = json!({"issuer": issuer, "jwks_uri": format!("{}{JWKS}", issuer.trim_end_matches('/')),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"]});
    answer(&document, "application/json")
}

async fn keys(State(api): State<Arc<Api>>) -> Response {
    answer(&api.authenticator.tokens.jwks(), "application/jwk-set+json")
}

fn answer(document: &Value, media_type: &'static str) -> Response {
    let mut response = Response::new(Body::from(document.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}
