//! The openAPIV3Schema of a version: what of OpenAPI may stand there, and how Kubernetes' own words (`x-kubernetes-…`) fit
//! together. The sentences are those of apiextensions' validation; whether it is structural is [`super::structural`]'s part.

use std::collections::BTreeSet;

use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Map, Value};

use super::{rules, structural};
use crate::customs::schema::{defaults, is_known_format, prune, read, validate as conforms};
use crate::decode::Place;

pub(super) type Fields = Map<String, Value>;

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
const META: [&str; 3] = ["metadata", "kind", "apiVersion"];
/// A schema that is more than this isn't written by anybody, and each of its nodes costs time with every write.
const NODES_MAX: usize = 20_000;
/// With a status subresource the root says only what still holds when the status is looked at alone.
const AT_ROOT: [&str; 22] = [
    "description",
    "type",
    "format",
    "title",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
    "required",
    "items",
    "properties",
    "externalDocs",
    "example",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];
const AT_ROOT_IN_GO: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength \
    Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields \
    XValidations]";

/// Where in a schema a walk is.
#[derive(Clone, Default)]
struct Context {
    /// Inside of `allOf` and its like, where no rule may stand.
    is_nested: bool,
    /// The list or map above whose items have no past that could be found again.
    without_past: Option<Path>,
    is_root: bool,
    /// Inside of `metadata` of the root or of an embedded resource.
    in_metadata: bool,
    /// Why there may be no default.
    no_default: Option<String>,
}

/// What is wrong with the schema of a version.
pub(super) fn validate(schema: &Fields, has_status: bool, path: &Path, errors: &mut Vec<Error>) {
    let nodes = count(schema);
    if nodes > NODES_MAX {
        errors.push(Error::too_many(path, nodes, NODES_MAX));
        return;
    }
    let before = errors.len();
    if has_status {
        validate_root(schema, path, errors);
    }
    if is(schema, "nullable") {
        errors.push(Error::forbidden(
            &path.child("nullable"),
            "nullable cannot be true at the root",
        ));
    }
    structural::validate(schema, path, errors);
    let context = Context {
        is_root: true,
        ..Context::default()
    };
    node(schema, &context, path, errors);
    if errors.len() == before {
        validate_defaults(schema, path, errors);
    }
}

/// What will hurt: formats that nobody checks, sets of what can't be compared cheaply.
pub(super) fn warnings(definition: &Object) -> Vec<String> {
    let mut found = BTreeSet::new();
    let versions = definition.at("spec.versions").and_then(Value::as_array);
    for version in versions.into_iter().flatten() {
        if let Some(schema) = version["schema"]["openAPIV3Schema"].as_object() {
            each(schema, &mut |schema| found.extend(warnings_of(schema)));
        }
    }
    found.into_iter().collect()
}

fn warnings_of(schema: &Fields) -> Vec<String> {
    let mut found = Vec::new();
    let format = text(schema, "format");
    let known = match text(schema, "type") {
        "integer" => ["int32", "int64"].contains(&format),
        "number" => ["float", "double"].contains(&format),
        _ => is_known_format(format),
    };
    if !format.is_empty() && !known {
        found.push(format!("unrecognized format {format:?}"));
    }
    let items = schema
        .get("items")
        .map_or("", |items| items["type"].as_str().unwrap_or_default());
    if text(schema, "x-kubernetes-list-type") == "set" && ["object", "array"].contains(&items) {
        found.push(format!(
            "x-kubernetes-list-type: set for items of type {items:?} is not supported by server-side apply or CEL validation rules"
        ));
    }
    found
}

fn count(schema: &Fields) -> usize {
    let mut nodes = 0;
    each(schema, &mut |_| nodes += 1);
    nodes
}

/// Visits a schema and all schemas in it.
fn each<'a>(schema: &'a Fields, visit: &mut dyn FnMut(&'a Fields)) {
    visit(schema);
    for (_, child) in children(schema) {
        each(child, visit);
    }
}

/// The schemas right in a schema, and where each stands.
pub(super) fn children(schema: &Fields) -> impl Iterator<Item = (Child<'_>, &Fields)> {
    let one = ["items", "additionalProperties", "not"];
    let one = one
        .into_iter()
        .filter_map(|name| Some((Child::Of(name), schema.get(name)?.as_object()?)));
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|name| {
        let list = schema
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate();
        list.filter_map(move |(index, child)| Some((Child::Item(name, index), child.as_object()?)))
    });
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let properties = properties.filter_map(|(name, child)| Some((Child::Property(name.as_str()), child.as_object()?)));
    one.chain(lists).chain(properties)
}

/// Where a schema stands in its parent.
#[derive(Clone, Copy)]
pub(super) enum Child<'a> {
    Of(&'static str),
    Item(&'static str, usize),
    Property(&'a str),
}

impl Child<'_> {
    pub(super) fn path(self, parent: &Path) -> Path {
        match self {
            Self::Of(name) => parent.child(name),
            Self::Item(name, index) => parent.child(name).index(index),
            Self::Property(name) => parent.child("properties").key(name),
        }
    }
}

fn validate_root(schema: &Fields, path: &Path, errors: &mut Vec<Error>) {
    if text(schema, "type") != "object" {
        let detail =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(Error::invalid(&path.child("type"), text(schema, "type"), detail));
    } else if schema.keys().any(|name| !AT_ROOT.contains(&name.as_str())) {
        let detail = format!(
            "only {AT_ROOT_IN_GO} fields are allowed at the root of the schema if the status subresource is enabled"
        );
        errors.push(Error::invalid(path, Value::Object(schema.clone()), detail));
    }
}

fn node(schema: &Fields, context: &Context, path: &Path, errors: &mut Vec<Error>) {
    validate_openapi(schema, context, path, errors);
    validate_list(schema, path, errors);
    validate_map(schema, path, errors);
    for (child, inner) in children(schema) {
        node(inner, &below(schema, context, child, path), &child.path(path), errors);
    }
    if !context.is_nested && schema.contains_key("x-kubernetes-validations") {
        let place = rules::Site {
            path,
            is_root: context.is_root,
            without_past: context.without_past.as_ref(),
        };
        rules::validate(schema, &place, errors);
    }
}

fn below(schema: &Fields, context: &Context, child: Child<'_>, path: &Path) -> Context {
    let mut below = Context {
        is_root: false,
        ..context.clone()
    };
    let loses_past = match child {
        Child::Of("items") => text(schema, "x-kubernetes-list-type") != "map",
        Child::Of("additionalProperties") | Child::Property(_) => text(schema, "x-kubernetes-map-type") == "atomic",
        _ => false,
    };
    if loses_past && below.without_past.is_none() {
        below.without_past = Some(path.clone());
    }
    below.is_nested |= matches!(child, Child::Item(..) | Child::Of("not"));
    match child {
        Child::Of("additionalProperties") if context.in_metadata => {
            below.no_default = Some("inside additionalProperties applying to object metadata".into());
        }
        Child::Property(name) if META.contains(&name) => {
            below.in_metadata |= context.is_root || is(schema, "x-kubernetes-embedded-resource");
            if context.is_root {
                below.no_default = Some(format!("in top-level {name}"));
            }
        }
        _ => {}
    }
    below
}

/// What OpenAPI has and Kubernetes hasn't.
fn validate_openapi(schema: &Fields, context: &Context, path: &Path, errors: &mut Vec<Error>) {
    let kind = text(schema, "type");
    if kind == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(Error::forbidden(&path.child("type"), detail));
    } else if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(Error::not_supported(&path.child("type"), kind, TYPES));
    }
    if let Some(reason) = &context.no_default
        && schema.contains_key("default")
    {
        errors.push(Error::forbidden(
            &path.child("default"),
            format!("must not be set {reason}"),
        ));
    }
    for name in [
        "id",
        "additionalItems",
        "patternProperties",
        "definitions",
        "dependencies",
        "$ref",
    ] {
        if schema.contains_key(name) {
            errors.push(Error::forbidden(&path.child(name), format!("{name} is not supported")));
        }
    }
    if is(schema, "uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(Error::forbidden(&path.child("uniqueItems"), detail));
    }
    if context.in_metadata && is(schema, "x-kubernetes-embedded-resource") {
        let detail = "must not be used inside of resource meta";
        errors.push(Error::forbidden(&path.child("x-kubernetes-embedded-resource"), detail));
    }
    let has_properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|map| !map.is_empty());
    let additional = schema.get("additionalProperties");
    if has_properties && additional.is_some_and(|additional| *additional != Value::Bool(true)) {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(Error::forbidden(&path.child("additionalProperties"), detail));
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        errors.push(Error::invalid(&at, false, "must be true or undefined"));
    }
}

fn validate_map(schema: &Fields, path: &Path, errors: &mut Vec<Error>) {
    let Some(map_type) = schema.get("x-kubernetes-map-type").and_then(Value::as_str) else {
        return;
    };
    must_have_type(
        schema,
        "object",
        "must be object if x-kubernetes-map-type is specified",
        path,
        errors,
    );
    if !["atomic", "granular"].contains(&map_type) {
        let at = path.child("x-kubernetes-map-type");
        errors.push(Error::not_supported(&at, map_type, &["atomic", "granular"]));
    }
}

fn must_have_type(schema: &Fields, wanted: &str, detail: &str, path: &Path, errors: &mut Vec<Error>) -> bool {
    match text(schema, "type") {
        "" => errors.push(Error::required(&path.child("type"), detail)),
        other if other != wanted => errors.push(Error::invalid(&path.child("type"), other, detail)),
        _ => return true,
    }
    false
}

fn validate_list(schema: &Fields, path: &Path, errors: &mut Vec<Error>) {
    let keys: Vec<&str> = items(schema, "x-kubernetes-list-map-keys")
        .filter_map(Value::as_str)
        .collect();
    let at = path.child("x-kubernetes-list-type");
    let Some(list_type) = schema.get("x-kubernetes-list-type").and_then(Value::as_str) else {
        if !keys.is_empty() {
            errors.push(Error::required(
                &at,
                "must be map if x-kubernetes-list-map-keys is non-empty",
            ));
        }
        return;
    };
    let inner = schema.get("items").and_then(Value::as_object);
    let detail = "must be array if x-kubernetes-list-type is specified";
    if must_have_type(schema, "array", detail, path, errors)
        && list_type == "set"
        && let Some(inner) = inner
    {
        validate_set_items(inner, &path.child("items"), errors);
    }
    if !["atomic", "set", "map"].contains(&list_type) {
        errors.push(Error::not_supported(&at, list_type, &["atomic", "set", "map"]));
    }
    if !keys.is_empty() && list_type != "map" {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(Error::invalid(&at, list_type, detail));
    }
    if ["set", "map"].contains(&list_type) && inner.is_some_and(|inner| is(inner, "nullable")) {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(Error::forbidden(&path.child("items").child("nullable"), detail));
    }
    if list_type == "map" {
        validate_keys(inner, &keys, path, errors);
    }
}

/// The items of a set are compared as a whole.
fn validate_set_items(inner: &Fields, path: &Path, errors: &mut Vec<Error>) {
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let of = |name: &str| inner.get(name).cloned().unwrap_or_default();
    match text(inner, "type") {
        "array" if !matches!(of("x-kubernetes-list-type").as_str(), None | Some("atomic")) => {
            let at = path.child("x-kubernetes-list-type");
            errors.push(Error::invalid(&at, of("x-kubernetes-list-type"), detail));
        }
        "object" if of("x-kubernetes-map-type").as_str() != Some("atomic") => {
            let at = path.child("x-kubernetes-map-type");
            errors.push(Error::invalid(&at, of("x-kubernetes-map-type"), detail));
        }
        _ => {}
    }
}

/// The keys of a list whose items are told apart by them.
fn validate_keys(inner: Option<&Fields>, keys: &[&str], path: &Path, errors: &mut Vec<Error>) {
    let at = path.child("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.push(Error::required(
            &at,
            "must not be empty if x-kubernetes-list-type is map",
        ));
    }
    let Some(inner) = inner else {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(Error::required(&path.child("items"), detail));
        return;
    };
    let kind = text(inner, "type");
    if kind != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(Error::invalid(&path.child("items").child("type"), kind, detail));
        return;
    }
    let shown = || Value::from(keys.to_vec());
    for (index, key) in keys.iter().enumerate() {
        if keys[..index].contains(key) {
            errors.push(Error::invalid(&at, shown(), "must not contain duplicate entries"));
        }
        let Some(field) = inner
            .get("properties")
            .and_then(|properties| properties.get(*key)?.as_object())
        else {
            errors.push(Error::invalid(
                &at,
                shown(),
                "entries must all be names of item properties",
            ));
            continue;
        };
        let path = path.child("items").child("properties").key(key);
        if ["array", "object"].contains(&text(field, "type")) {
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(Error::invalid(&path.child("type"), text(field, "type"), detail));
        }
        let is_required = items(inner, "required").any(|name| name.as_str() == Some(key));
        if !is_required && !field.contains_key("default") {
            let detail =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(Error::required(&path.child("default"), detail));
        }
        if is(field, "nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(Error::forbidden(&path.child("nullable"), detail));
        }
    }
}

/// A default is what the schema takes.
fn validate_defaults(schema: &Fields, path: &Path, errors: &mut Vec<Error>) {
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        validate_default(schema, default, &path.child("default"), errors);
    }
    for (child, inner) in children(schema) {
        validate_defaults(inner, &child.path(path), errors);
    }
}

fn validate_default(schema: &Fields, default: &Value, path: &Path, errors: &mut Vec<Error>) {
    let compiled = read(&Value::Object(schema.clone()));
    let mut filled = default.clone();
    if let Value::Object(map) = &mut filled {
        let gone = prune(&compiled, map);
        if !gone.is_empty() {
            errors.push(Error::invalid(path, default.clone(), "must not have unknown fields"));
        }
        defaults(&compiled, map);
    }
    errors.extend(
        conforms(&compiled, &filled, None, &Place::ROOT)
            .into_iter()
            .map(|mut error| {
                let place = error.path.to_string();
                error.path = match place.as_str() {
                    "" | "<nil>" => path.clone(),
                    place => path.child(place),
                };
                error
            }),
    );
}

pub(super) fn text<'a>(schema: &'a Fields, name: &str) -> &'a str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn is(schema: &Fields, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn items<'a>(schema: &'a Fields, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    schema.get(name).and_then(Value::as_array).into_iter().flatten()
}
