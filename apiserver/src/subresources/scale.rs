//! `…/NAME/scale`: how many replicas, the same for everything that has them (autoscaling/v1 Scale).
//!
//! A scale isn't kept: it is read off the object, and writing it is an update of the object's `spec.replicas` like any other.

use axum::body::Body;
use axum::response::Response;
use http::{Method, StatusCode};
use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::kinds::SCALE_BODY;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use crate::decode;
use crate::http::{Api, Call, Form, Patch, apply, document, is_apply, json, value};
use crate::kinds::{Scale, since_or_unknown};
use crate::registry::Part;

/// Answers `GET`, `PUT` and `PATCH`.
pub(super) async fn handle(api: &Api, call: Call, body: Body) -> Result<Response, Status> {
    let scaled = match call.method {
        Method::PUT => {
            let body = value(&call, body)
                .await?
                .ok_or_else(|| Status::bad_request("the body is empty; it has to be a Scale"))?;
            update(api, &call, |_| decoded(body.clone())).await?
        }
        Method::PATCH if is_apply(&call) => {
            let (document, _) = document(&call, body).await?;
            apply_scale(api, &call, document).await?
        }
        Method::PATCH => {
            let patch = Patch::read(&call, body).await?;
            update(api, &call, |scale| decoded(patch.apply(&SCALE_BODY, scale)?)).await?
        }
        _ => scale_of(&call, &api.registry.get(call.target())?.object())?,
    };
    match &call.accept.choose(|kind, _| kind == "Table")?.form {
        Form::Plain => Ok(json(StatusCode::OK, &call.accept, &scaled)),
        Form::As { version, .. } => Ok(json(StatusCode::OK, &call.accept, &table(&scaled, version))),
    }
}

/// What `kubectl get --subresource=scale` shows.
fn table(scale: &Value, version: &str) -> Value {
    let column = |name: &str, kind: &str, description: &str| {
        let format = if name == "Name" { "name" } else { "" };
        json!({"name": name, "type": kind, "format": format, "description": description, "priority": 0})
    };
    let metadata = &scale["metadata"];
    let created = metadata["creationTimestamp"]
        .as_str()
        .and_then(|time| time.parse().ok());
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "columnDefinitions": [
            column("Name", "string", "Name must be unique within a namespace."),
            column("Desired", "integer", "How many replicas there should be."),
            column("Available", "integer", "How many replicas there are."),
            column("Age", "string", "The time since the object was created."),
        ],
        "rows": [{"cells": [metadata["name"], replicas, scale["status"]["replicas"],
            since_or_unknown(created, Timestamp::now())], "object": scale}]})
}

fn decoded(body: Value) -> Result<Object, Status> {
    let (scale, _) = decode::object(&SCALE_BODY, body).map_err(|error| error.status(&SCALE_BODY))?;
    Ok(scale)
}

async fn update(
    api: &Api,
    call: &Call,
    mut wanted: impl FnMut(&Value) -> Result<Object, Status>,
) -> Result<Value, Status> {
    let target = call.target();
    let scaled = |old: &Object| {
        let wanted = wanted(&scale_of(call, old)?)?;
        check(call, &wanted)?;
        let mut new = old.clone();
        new.metadata
            .resource_version
            .clone_from(&wanted.metadata.resource_version);
        new.metadata.uid.clone_from(&wanted.metadata.uid);
        call.rules.set_replicas(&mut new, replicas(&wanted));
        Ok(new)
    };
    let updated = api
        .registry
        .update(target, Part::Main, call.write_options(), scaled)
        .await?;
    scale_of(call, &updated.object())
}

/// Who applies a scale owns the object's replicas, through this subresource.
async fn apply_scale(api: &Api, call: &Call, document: Value) -> Result<Value, Status> {
    let scale = decoded(document)?;
    check(call, &scale)?;
    let kind = call.path.kind;
    let mut wanted = Object {
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        metadata: scale.metadata.clone(),
        ..Object::default()
    };
    call.rules.set_replicas(&mut wanted, replicas(&scale));
    let (stored, _) = apply(api, call, wanted.to_value(), Part::Main).await?;
    scale_of(call, &stored.object())
}

fn replicas(scale: &Object) -> i64 {
    scale.at("spec.replicas").and_then(Value::as_i64).unwrap_or(0)
}

/// What a Scale must fulfil by itself.
fn check(call: &Call, scale: &Object) -> Result<(), Status> {
    let target = call.target();
    if scale.name() != target.name {
        let message = format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            scale.name(),
            target.name
        );
        return Err(Status::bad_request(message));
    }
    if replicas(scale) < 0 {
        let path = Path::new("spec").child("replicas");
        let error = Error::invalid(&path, replicas(scale), "must be greater than or equal to 0");
        return Err(Status::invalid(&SCALE_BODY, target.name, &[error]));
    }
    Ok(())
}

/// The object as a Scale.
fn scale_of(call: &Call, object: &Object) -> Result<Value, Status> {
    let Scale {
        replicas,
        current,
        selector,
    } = call.rules.scale(object).ok_or_else(Status::no_such_path)?;
    let metadata = &object.metadata;
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid,
            "resourceVersion": metadata.resource_version, "creationTimestamp": metadata.creation_timestamp},
        "spec": {}, "status": {"replicas": current}});
    if replicas != 0 {
        scale["spec"]["replicas"] = replicas.into();
    }
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    Ok(scale)
}
