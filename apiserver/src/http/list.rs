//! `GET` of a collection.

use axum::response::Response;
use minik_api::status::Status;

use super::{Api, Call, respond};

/// Answers with everything that is selected, or the next piece of it.
pub(super) async fn handle(api: &Api, call: &Call) -> Result<Response, Status> {
    api.registry.reach(call.params.list.revision).await?;
    let selection = call.params.selection(call.namespace());
    let list = api.registry.list(call.path.kind, &selection, &call.params.list)?;
    respond::list(call, &list)
}
