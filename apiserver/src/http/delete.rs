//! `DELETE …/NAME` and of a collection.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use minik_api::field;
use minik_api::kinds::Kind;
use minik_api::status::{Details, Status};

use super::{Api, Call, body, params, respond};
use crate::registry::{DeleteOptions, Deleted, List};

/// Deletes one object. The answer is the object while it waits to go, and mostly a `Status` when it is gone.
pub(super) async fn one(api: &Api, mut call: Call, body: Body) -> Result<Response, Status> {
    let asked = options(&mut call, body).await?;
    let Deleted { object, gone } = api.registry.delete(call.target(), &asked, call.write_options()).await?;
    if !gone || answers_with_object(call.path.kind) {
        return respond::object(&call, StatusCode::OK, &object, &[]);
    }
    let mut status = Status::success();
    status.details = Some(Box::new(Details {
        name: object.key.name().to_owned(),
        group: call.path.kind.group.to_owned(),
        kind: call.path.kind.plural.to_owned(),
        uid: object.object().metadata.uid.unwrap_or_default(),
        ..Details::default()
    }));
    let mut body = status.to_value();
    if let Some(body) = body.as_object_mut() {
        body.remove("code");
    }
    Ok(respond::json(StatusCode::OK, &call.accept, &body))
}

/// Deletes everything that is selected.
pub(super) async fn collection(api: &Api, mut call: Call, body: Body) -> Result<Response, Status> {
    let asked = options(&mut call, body).await?;
    let selection = call.params.selection(call.namespace());
    selection.check(call.path.kind, &*call.rules)?;
    let options = call.write_options();
    let items = api
        .registry
        .delete_collection(call.path.kind, &selection, &asked, options)
        .await?;
    let list = List {
        revision: api.registry.store().revision(),
        items,
        token: None,
        remaining: None,
    };
    respond::list(&call, &list)
}

async fn options(call: &mut Call, body: Body) -> Result<DeleteOptions, Status> {
    let mut asked: DeleteOptions = match body::value(call, body).await? {
        Some(value) => serde_json::from_value(value)
            .map_err(|error| Status::bad_request(format!("the body is no DeleteOptions: {error}")))?,
        None => DeleteOptions::default(),
    };
    asked.grace_period_seconds = asked.grace_period_seconds.or(call.params.grace_seconds);
    asked.propagation_policy = asked
        .propagation_policy
        .or_else(|| call.params.propagation_policy.take());
    asked.orphan_dependents = asked.orphan_dependents.or(call.params.orphan_dependents);
    call.params.dry_run |= !asked.dry_run.is_empty();
    let in_query = call.params.unsupported.iter().cloned();
    let wrong = asked.dry_run.iter().filter(|value| *value != "All");
    let errors: Vec<field::Error> = in_query
        .filter(|error| error.path.to_string() == "dryRun")
        .chain(wrong.map(|value| params::no_dry_run(value)))
        .collect();
    match errors.as_slice() {
        [] => Ok(asked),
        errors => Err(Status::invalid_options("DeleteOptions", errors)),
    }
}

/// Kinds whose deletion upstream answers with the object.
fn answers_with_object(kind: &Kind) -> bool {
    kind.group.is_empty() && ["pods", "services", "serviceaccounts"].contains(&kind.plural)
}
