//! `/openapi/v2` as protobuf: the only form in which kubectl up to 1.28 asks for it, with no way back to JSON.
//!
//! These are the wire facts (field numbers) of gnostic's openapi.v2.Document, as far as they say something here: which query
//! parameters the `PATCH` of a kind takes.

use minik_api::kinds::Kind;
use minik_api::path;
use prost::Message;

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// How older clients ask for it. No answer may call itself so: an `@` isn't allowed there, and the same clients refuse it.
pub(super) const OLD_MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

#[derive(Clone, PartialEq, Message)]
struct Document {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<Info>,
    #[prost(message, optional, tag = "8")]
    paths: Option<Paths>,
}

#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Paths {
    #[prost(message, repeated, tag = "2")]
    path: Vec<NamedPathItem>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedPathItem {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<PathItem>,
}

#[derive(Clone, PartialEq, Message)]
struct PathItem {
    #[prost(message, optional, tag = "8")]
    patch: Option<Operation>,
}

#[derive(Clone, PartialEq, Message)]
struct Operation {
    #[prost(string, tag = "5")]
    operation_id: String,
    #[prost(message, repeated, tag = "8")]
    parameters: Vec<ParametersItem>,
    #[prost(message, repeated, tag = "13")]
    vendor_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct ParametersItem {
    #[prost(message, optional, tag = "1")]
    parameter: Option<Parameter>,
}

#[derive(Clone, PartialEq, Message)]
struct Parameter {
    #[prost(message, optional, tag = "2")]
    non_body_parameter: Option<NonBodyParameter>,
}

#[derive(Clone, PartialEq, Message)]
struct NonBodyParameter {
    #[prost(message, optional, tag = "3")]
    query_parameter_sub_schema: Option<QueryParameter>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryParameter {
    #[prost(string, tag = "2")]
    r#in: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "6")]
    r#type: String,
}

#[derive(Clone, PartialEq, Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

/// The document, encoded.
pub(super) fn document(kinds: &[&'static Kind]) -> Vec<u8> {
    let document = Document {
        swagger: "2.0".into(),
        info: Some(Info {
            title: "Kubernetes".into(),
            version: crate::discovery::GIT_VERSION.into(),
        }),
        paths: Some(Paths {
            path: kinds.iter().map(|kind| path_item(kind)).collect(),
        }),
    };
    document.encode_to_vec()
}

fn path_item(kind: &Kind) -> NamedPathItem {
    let gvk = format!(
        "group: {:?}\nkind: {:?}\nversion: {:?}\n",
        kind.group, kind.kind, kind.version
    );
    let patch = Operation {
        operation_id: format!("patch{}", kind.kind),
        parameters: ["dryRun", "fieldManager", "fieldValidation"].map(parameter).into(),
        vendor_extension: vec![NamedAny {
            name: "x-kubernetes-group-version-kind".into(),
            value: Some(Any { yaml: gvk }),
        }],
    };
    NamedPathItem {
        name: path::object(kind, kind.namespaced.then_some("{namespace}"), "{name}"),
        value: Some(PathItem { patch: Some(patch) }),
    }
}

fn parameter(name: &str) -> ParametersItem {
    let query = QueryParameter {
        r#in: "query".into(),
        name: name.into(),
        r#type: "string".into(),
    };
    let parameter = Parameter {
        non_body_parameter: Some(NonBodyParameter {
            query_parameter_sub_schema: Some(query),
        }),
    };
    ParametersItem {
        parameter: Some(parameter),
    }
}
