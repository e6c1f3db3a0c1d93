//! From bytes to an object: bodies are parsed, checked against the shape of their kind, and pruned. Pure.
//!
//! ```text
//! bytes --json | yaml | protobuf--> Parsed { value, duplicate keys } --object(kind)--> Object, unknown fields
//! ```
//! A wrong type is an error; unknown fields and duplicate keys are gathered as sentences, and the request's `fieldValidation`
//! decides whether they are an error, warnings or nothing. Whether values make sense is for `kinds/` to say.

mod near_miss;
mod parse;
mod place;
mod protobuf;
mod shape;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::schema;
use minik_api::status::Status;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use parse::{Parsed, complaint, json, to_yaml, yaml};
pub(crate) use place::Place;
pub(crate) use protobuf::protobuf;
pub(crate) use shape::{canonical, type_name};

/// The body is no object of its kind.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Not the format that it claims to be.
    #[error("couldn't get version/kind; {format} parse error: {source_text}")]
    Parse {
        /// `json`, `yaml` or `protobuf`
        format: &'static str,
        /// What the parser says, with line and column.
        source_text: String,
    },
    /// A list, a text, a number.
    #[error("couldn't get version/kind; json parse error: the body is {0}, not an object")]
    NotAnObject(&'static str),
    /// Another kind than the path's.
    #[error("the body's kind is {kind:?} in version {version:?}")]
    OtherKind {
        /// As the body says.
        version: String,
        /// As the body says.
        kind: String,
    },
    /// A field has the wrong type.
    #[error("{0}")]
    Type(shape::TypeError),
    /// The metadata doesn't fit its type after all.
    #[error("metadata: {0}")]
    Metadata(String),
}

impl DecodeError {
    /// The answer to the client, beginning as upstream's does.
    pub(crate) fn status(&self, kind: &Kind) -> Status {
        match self {
            Self::Parse { .. } | Self::NotAnObject(_) => Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): {self}",
                kind.kind
            )),
            Self::OtherKind { version, kind: found } => Status::bad_request(format!(
                "{found} in version {version:?} cannot be handled as a {}: {self}, but the path is that of {} in version {:?}",
                kind.kind,
                kind.kind,
                kind.api_version()
            )),
            Self::Type(_) | Self::Metadata(_) => Status::bad_request(cannot_be_handled(kind, &self.to_string())),
        }
    }
}

/// The answer when `fieldValidation=Strict` and there are unknown or duplicate fields.
pub(crate) fn strict_status(kind: &Kind, sentences: &[String]) -> Status {
    Status::bad_request(cannot_be_handled(kind, &strict_error(sentences)))
}

/// The same as a part of a sentence.
pub(crate) fn strict_error(sentences: &[String]) -> String {
    format!("strict decoding error: {}", sentences.join(", "))
}

/// An object of this kind, pruned to the fields that the kind has, and a sentence for each field that it hasn't
/// (`unknown field "spec.contaners" (did you mean "containers"?)`).
///
/// Absent and `null` are the same, and zero values that Kubernetes leaves out when it writes are left out.
pub(crate) fn object(kind: &'static Kind, body: Value) -> Result<(Object, Vec<String>), DecodeError> {
    object_with(kind, body, |body| match schema::of(kind) {
        Some(definition) => shape::conform(definition, body).map_err(DecodeError::Type),
        None => Ok(Vec::new()),
    })
}

/// The same, for a kind whose fields `conform` knows: it prunes the body and tells what went.
pub(crate) fn object_with(
    kind: &'static Kind,
    body: Value,
    conform: impl FnOnce(&mut Map<String, Value>) -> Result<Vec<String>, DecodeError>,
) -> Result<(Object, Vec<String>), DecodeError> {
    let Value::Object(mut body) = body else {
        return Err(DecodeError::NotAnObject(shape::type_name(&body)));
    };
    check_kind(kind, &body)?;
    // An empty list is the one field whose zero says something: that everybody who manages fields be forgotten.
    let managers = body.get("metadata").and_then(|metadata| metadata.get("managedFields"));
    let forgets = managers.and_then(Value::as_array).is_some_and(Vec::is_empty);
    let unknown = conform(&mut body)?;
    body.remove("apiVersion");
    body.remove("kind");
    let mut metadata = match body.remove("metadata") {
        Some(metadata) => {
            ObjectMeta::deserialize(metadata).map_err(|error| DecodeError::Metadata(error.to_string()))?
        }
        None => ObjectMeta::default(),
    };
    if forgets {
        metadata.managed_fields = Some(Vec::new());
    }
    let object = Object {
        api_version: kind.api_version(),
        kind: kind.kind.to_owned(),
        metadata,
        body,
    };
    Ok((object, unknown))
}

/// Checks and prunes the metadata alone, the same for every kind.
pub(crate) fn metadata(body: &mut Map<String, Value>) -> Result<Vec<String>, DecodeError> {
    let definition = schema::named("meta", "v1", "ObjectMeta").expect("metadata is in the table of shapes");
    let Some(Value::Object(metadata)) = body.get_mut("metadata") else {
        return Ok(Vec::new());
    };
    shape::conform_at(definition, metadata, &Place::ROOT.field("metadata")).map_err(DecodeError::Type)
}

/// A body that says what it is must say the truth; one that doesn't say is what the path says.
fn check_kind(kind: &Kind, body: &Map<String, Value>) -> Result<(), DecodeError> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let (version, name) = (text("apiVersion"), text("kind"));
    let fits = (version.is_empty() || version == kind.api_version()) && (name.is_empty() || name == kind.kind);
    if fits {
        return Ok(());
    }
    Err(DecodeError::OtherKind {
        version: version.to_owned(),
        kind: name.to_owned(),
    })
}

fn cannot_be_handled(kind: &Kind, why: &str) -> String {
    format!(
        "{} in version {:?} cannot be handled as a {}: {why}",
        kind.kind, kind.version, kind.kind
    )
}

#[cfg(test)]
mod tests;
