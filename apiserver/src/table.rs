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

/// How a meta.k8s.io Table is made.
pub(crate) struct Table<'a> {
    /// The kind in the version that was asked for.
    pub(crate) kind: &'static Kind,
    /// Its rules: the columns.
    pub(crate) rules: &'a dyn Rules,
    /// Of meta.k8s.io.
    pub(crate) version: &'a str,
    /// What goes along with each row.
    pub(crate) include: Include,
    /// Later events of a watch do without.
    pub(crate) with_columns: bool,
}

impl Table<'_> {
    /// The table of these objects.
    pub(crate) fn of<'a>(&self, items: impl Iterator<Item = &'a Stored>, meta: &impl Serialize) -> Value {
        let now = Timestamp::now();
        let columns = self.with_columns.then(|| self.rules.column_definitions());
        let rows: Vec<Value> = items.map(|stored| self.row(stored, now)).collect();
        json!({"kind": "Table", "apiVersion": api_version(self.version), "metadata": meta,
            "columnDefinitions": columns, "rows": rows})
    }

    fn row(&self, stored: &Stored, now: Timestamp) -> Value {
        let mut object = stored.object();
        let cells = self.rules.cells(&object, now);
        let object = match self.include {
            Include::None => return json!({"cells": cells}),
            Include::Metadata => partial(self.version, &object),
            Include::Object => {
                versions::from_stored(self.kind, &mut object);
                object.to_value()
            }
        };
        json!({"cells": cells, "object": object})
    }
}

/// An object's metadata alone.
pub(crate) fn partial(version: &str, object: &Object) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": api_version(version), "metadata": object.metadata})
}

/// The metadata of many objects.
pub(crate) fn partial_list<'a>(version: &str, items: impl Iterator<Item = &'a Stored>, meta: &impl Serialize) -> Value {
    let items: Vec<Value> = items.map(|stored| partial(version, &stored.object())).collect();
    json!({"kind": "PartialObjectMetadataList", "apiVersion": api_version(version), "metadata": meta, "items": items})
}

fn api_version(version: &str) -> String {
    format!("meta.k8s.io/{version}")
}
