//! In which form the objects of an answer are sent: as they are, as tables, or their metadata alone; one object, a list of
//! them, or the events of a watch.

use bytes::Bytes;
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use serde::Serialize;
use serde_json::{Value, json};

use super::accept::{Choice, Form};
use super::call::Call;
use crate::kinds::{KindRules, versions};
use crate::registry::List;
use crate::storage::{Event, EventKind, Revision, Stored, line};
use crate::table::{self, Include};

/// The form of an answer to one call.
pub(super) struct Shape {
    kind: &'static Kind,
    form: As,
}

enum As {
    Plain,
    Table {
        rules: KindRules,
        version: String,
        include: Include,
        /// A watch tells the columns once.
        columns_told: bool,
    },
    Partial {
        version: String,
        is_list: bool,
    },
}

/// What stands in the metadata of a list or table.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    resource_version: String,
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(rename = "remainingItemCount", skip_serializing_if = "Option::is_none")]
    remaining: Option<usize>,
}

impl<'a> Meta<'a> {
    fn of(list: &'a List) -> Self {
        Self {
            resource_version: list.revision.to_string(),
            token: list.token.as_deref(),
            remaining: list.remaining,
        }
    }
}

/// Whether objects can be sent so.
pub(super) fn is_served(kind: &str, version: &str) -> bool {
    ["Table", "PartialObjectMetadata", "PartialObjectMetadataList"].contains(&kind)
        && ["v1", "v1beta1"].contains(&version)
}

impl Shape {
    /// What the client chose.
    pub(super) fn of(call: &Call, choice: &Choice) -> Result<Self, Status> {
        let form = match &choice.form {
            Form::Plain => As::Plain,
            Form::As { kind, version } if kind == "Table" => As::Table {
                rules: call.rules.clone(),
                version: version.clone(),
                include: Include::parse(call.params.include_object.as_deref())?,
                columns_told: false,
            },
            Form::As { kind, version } => As::Partial {
                version: version.clone(),
                is_list: kind == "PartialObjectMetadataList",
            },
        };
        Ok(Self {
            kind: call.path.kind,
            form,
        })
    }

    /// One object.
    pub(super) fn object(&self, stored: &Stored) -> Result<Bytes, Status> {
        match &self.form {
            As::Partial { is_list: true, .. } => Err(not_acceptable("PartialObjectMetadataList", "is not a list")),
            _ => Ok(self.one(stored, true)),
        }
    }

    /// A list.
    pub(super) fn list(&self, list: &List) -> Result<Bytes, Status> {
        let meta = Meta::of(list);
        let items = || list.items.iter().map(|item| &**item);
        match &self.form {
            As::Plain => Ok(self.plain_list(list, &meta)),
            As::Table {
                rules,
                version,
                include,
                ..
            } => Ok(encode(
                &table::Table {
                    kind: self.kind,
                    rules: &**rules,
                    version,
                    include: *include,
                    with_columns: true,
                }
                .of(items(), &meta),
            )),
            As::Partial { is_list: false, .. } => Err(not_acceptable("PartialObjectMetadata", "is a list")),
            As::Partial { version, .. } => Ok(encode(&table::partial_list(version, items(), &meta))),
        }
    }

    /// An event of a watch: a line.
    pub(super) fn event(&mut self, kind: EventKind, stored: &Stored) -> Bytes {
        let object = match &mut self.form {
            As::Table { columns_told, .. } => {
                let with_columns = !std::mem::replace(columns_told, true);
                self.one(stored, with_columns)
            }
            _ => self.one(stored, true),
        };
        line(kind, &object)
    }

    /// An event as it stands in the history, whose line is encoded once for all who send it so.
    pub(super) fn shared(&self, event: &Event) -> Option<Bytes> {
        self.is_as_stored().then(|| event.line())
    }

    /// The revision alone; `initial_events_end` says that what was there at the beginning has been sent.
    pub(super) fn bookmark(&self, revision: Revision, initial_events_end: bool) -> Bytes {
        let (kind, version) = match &self.form {
            As::Plain => (self.kind.kind, self.kind.api_version()),
            As::Table { version, .. } => ("Table", format!("meta.k8s.io/{version}")),
            As::Partial { version, .. } => ("PartialObjectMetadata", format!("meta.k8s.io/{version}")),
        };
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
        if kind == "Table" {
            (object["columnDefinitions"], object["rows"]) = (Value::Null, json!([]));
        }
        let event = json!({"type": "BOOKMARK", "object": object});
        format!("{event}\n").into()
    }

    fn one(&self, stored: &Stored, with_columns: bool) -> Bytes {
        match &self.form {
            As::Plain => self.plain(stored),
            As::Table {
                rules,
                version,
                include,
                ..
            } => {
                let meta = Meta {
                    resource_version: stored.revision.to_string(),
                    token: None,
                    remaining: None,
                };
                let table = table::Table {
                    kind: self.kind,
                    rules: &**rules,
                    version,
                    include: *include,
                    with_columns,
                };
                encode(&table.of(std::iter::once(stored), &meta))
            }
            As::Partial { version, .. } => encode(&table::partial(version, &stored.object())),
        }
    }

    /// The stored bytes, or what this version of the kind makes of them.
    fn plain(&self, stored: &Stored) -> Bytes {
        if self.kind.stored_in.is_none() {
            return stored.json.clone();
        }
        let mut object: Object = stored.object();
        versions::from_stored(self.kind, &mut object);
        encode(&object)
    }

    /// The head of a list of objects that are sent as they are stored; behind it come the objects, and what closes it.
    pub(super) fn stored_list(&self, list: &List) -> Option<Bytes> {
        self.is_as_stored().then(|| self.list_head(&Meta::of(list)).into())
    }

    fn is_as_stored(&self) -> bool {
        matches!(self.form, As::Plain) && self.kind.stored_in.is_none()
    }

    fn list_head(&self, meta: &Meta<'_>) -> String {
        let meta = serde_json::to_string(meta).expect("metadata of a list is strings and a number");
        let (kind, version) = (self.kind.kind, self.kind.api_version());
        format!("{{\"kind\":\"{kind}List\",\"apiVersion\":\"{version}\",\"metadata\":{meta},\"items\":[")
    }

    /// The same of many, put together.
    fn plain_list(&self, list: &List, meta: &Meta<'_>) -> Bytes {
        let head = self.list_head(meta);
        let size: usize = list.items.iter().map(|item| item.json.len() + 1).sum();
        let mut body = Vec::with_capacity(head.len() + size + 2);
        body.extend_from_slice(head.as_bytes());
        for (index, item) in list.items.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&self.plain(item));
        }
        body.extend_from_slice(b"]}");
        body.into()
    }
}

fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("objects and tables have only string keys")
        .into()
}

fn not_acceptable(asked: &str, why: &str) -> Status {
    let message = format!("you requested {asked}, but the requested object {why}");
    Status::failure(406, "NotAcceptable", message)
}
