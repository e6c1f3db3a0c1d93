//! Tables and partial objects: what kubectl asks for instead of whole objects (`as=Table`, `as=PartialObjectMetadata`).

use jiff::Timestamp;
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use serde::Serialize;
use serde_json::{Value, json};

use crate::kinds::{Rules, versions};
use crate::storage::Stored;

/// How much of each object goes along with its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// Reads `includeObject`.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Status> {
        match text {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(Status::bad_request(format!(
                "unrecognized includeObject value: {other:?}"
            ))),
        }
    }
}

/// meta.k8s.io Table of objects of one kind.
pub(crate) fn table(
    kind: &'static Kind,
    rules: &dyn Rules,
    version: &str,
    items: &[&Stored],
    include: Include,
    meta: &impl Serialize,
) -> Value {
    let now = Timestamp::now();
    let columns = rules.column_definitions();
    let rows: Vec<Value> = items
        .iter()
        .map(|stored| {
            let mut object = stored.object();
            let mut row = json!({"cells": rules.cells(&object, now)});
            versions::from_stored(kind, &mut object);
            match include {
                Include::None => {}
                Include::Metadata => row["object"] = partial(version, &object),
                Include::Object => row["object"] = object.to_value(),
            }
            row
        })
        .collect();
    json!({"kind": "Table", "apiVersion": api_version(version), "metadata": meta,
        "columnDefinitions": columns, "rows": rows})
}

/// An object's metadata alone.
pub(crate) fn partial(version: &str, object: &Object) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": api_version(version), "metadata": object.metadata})
}

/// The metadata of many objects.
pub(crate) fn partial_list(version: &str, items: &[&Stored], meta: &impl Serialize) -> Value {
    let items: Vec<Value> = items.iter().map(|stored| partial(version, &stored.object())).collect();
    json!({"kind": "PartialObjectMetadataList", "apiVersion": api_version(version), "metadata": meta, "items": items})
}

fn api_version(version: &str) -> String {
    format!("meta.k8s.io/{version}")
}
