//! Structural schemas: the type of every value is said once, outside of `allOf`, `anyOf`, `oneOf` and `not`, and these only
//! narrow it. Then a server can prune, default and apply without guessing. The rules and sentences are those of
//! apiextensions' `schema` package.

use minik_api::field::{Error, Path};
use serde_json::{Value, json};

use super::schema::{Child, Fields, children, is, text};
use crate::customs::schema::pattern;

/// Where a schema stands; decides what is said about a type that is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Items,
    Field,
}

/// What is wrong with a schema, in the order of the sentences.
pub(super) fn validate(schema: &Fields, path: &Path, errors: &mut Vec<Error>) {
    let mut found = Vec::new();
    node(schema, Level::Root, path, &mut found);
    complete(schema, path, &mut found);
    found.sort_by_cached_key(ToString::to_string);
    errors.extend(found);
}

fn node(schema: &Fields, level: Level, path: &Path, errors: &mut Vec<Error>) {
    let kind = text(schema, "type");
    if kind == "array" && !schema.contains_key("items") {
        errors.push(Error::required(&path.child("items"), "must be specified"));
    }
    if level == Level::Root && schema.contains_key("additionalProperties") {
        errors.push(Error::forbidden(
            &path.child("additionalProperties"),
            "must not be used at the root",
        ));
    }
    for (child, inner) in children(schema) {
        match child {
            Child::Of("items") => node(inner, Level::Items, &child.path(path), errors),
            Child::Of("additionalProperties") | Child::Property(_) => {
                node(inner, Level::Field, &child.path(path), errors);
            }
            Child::Of(_) | Child::Item(..) => {}
        }
    }
    extensions(schema, path, errors);
    junctors(schema, path, errors);
    types(schema, level, path, errors);
    metadata(schema, level, path, errors);
}

fn extensions(schema: &Fields, path: &Path, errors: &mut Vec<Error>) {
    for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if is(schema, "x-kubernetes-int-or-string") && is(schema, name) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(Error::invalid(&path.child(name), true, detail));
        }
    }
    if is(schema, "x-kubernetes-embedded-resource") {
        if schema.contains_key("additionalProperties") {
            let detail = "must not be used if x-kubernetes-embedded-resource is set";
            errors.push(Error::forbidden(&path.child("additionalProperties"), detail));
        }
        let is_empty = schema
            .get("properties")
            .and_then(Value::as_object)
            .is_none_or(serde_json::Map::is_empty);
        if is_empty && !is(schema, "x-kubernetes-preserve-unknown-fields") {
            let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            errors.push(Error::required(&path.child("properties"), detail));
        }
    }
}

fn types(schema: &Fields, level: Level, path: &Path, errors: &mut Vec<Error>) {
    let (kind, at) = (text(schema, "type"), path.child("type"));
    let any = is(schema, "x-kubernetes-int-or-string") || is(schema, "x-kubernetes-preserve-unknown-fields");
    if is(schema, "x-kubernetes-embedded-resource") && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match kind {
            "" => Error::required(&at, detail),
            other => Error::invalid(&at, other, detail),
        });
    } else if kind.is_empty() && !any {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Items => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(Error::required(&at, detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(Error::invalid(&at, kind, "must be object at the root"));
    }
}

/// The metadata of an object is what it is everywhere: a schema can restrict names, and nothing else.
fn metadata(schema: &Fields, level: Level, path: &Path, errors: &mut Vec<Error>) {
    if level != Level::Root && !is(schema, "x-kubernetes-embedded-resource") {
        return;
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let path = path.child("properties");
    for (name, wanted, detail) in [
        ("kind", "string", "must be string"),
        ("apiVersion", "string", "must be string"),
        ("metadata", "object", "must be object"),
    ] {
        if let Some(Value::Object(field)) = properties.get(name)
            && text(field, "type") != wanted
        {
            errors.push(Error::invalid(
                &path.key(name).child("type"),
                text(field, "type"),
                detail,
            ));
        }
    }
    if level == Level::Root
        && let Some(Value::Object(metadata)) = properties.get("metadata")
    {
        let own = metadata
            .keys()
            .all(|name| ["type", "properties", "description"].contains(&name.as_str()));
        let fields = metadata.get("properties").and_then(Value::as_object);
        let names = fields.is_none_or(|map| map.keys().all(|name| ["name", "generateName"].contains(&name.as_str())));
        if !own || !names {
            let detail =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(Error::forbidden(&path.key("metadata"), detail));
        }
    }
}

/// Inside of `allOf` and its like nothing is defined.
fn junctors(schema: &Fields, path: &Path, errors: &mut Vec<Error>) {
    let text = text(schema, "pattern");
    if let Err(error) = pattern::compile(text) {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(Error::invalid(&path.child("pattern"), text, detail));
    }
    for (child, inner) in children(schema) {
        match child {
            // How a port's number or name is written, here or as the first of `allOf`: allowed as it stands.
            Child::Item("anyOf", _) if is_int_or_string(schema.get("anyOf")) => {}
            Child::Item(..) | Child::Of("not") => nested(
                inner,
                matches!(child, Child::Item("allOf", 0)),
                &child.path(path),
                errors,
            ),
            Child::Of(_) | Child::Property(_) => {}
        }
    }
}

fn is_int_or_string(any_of: Option<&Value>) -> bool {
    any_of == Some(&json!([{"type": "integer"}, {"type": "string"}]))
}

fn nested(schema: &Fields, is_first: bool, path: &Path, errors: &mut Vec<Error>) {
    for (name, detail) in [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ] {
        if schema.get(name).is_some_and(|value| *value != Value::Bool(false)) {
            errors.push(Error::forbidden(&path.child(name), detail));
        }
    }
    if schema
        .get("properties")
        .is_some_and(|properties| properties.get("metadata").is_some())
    {
        let at = path.child("properties").key("metadata");
        errors.push(Error::forbidden(&at, "must not be specified in a nested context"));
    }
    let text = text(schema, "pattern");
    if let Err(error) = pattern::compile(text) {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(Error::invalid(&path.child("pattern"), text, detail));
    }
    for (child, inner) in children(schema) {
        match child {
            Child::Item("anyOf", _) if is_first && is_int_or_string(schema.get("anyOf")) => {}
            Child::Of("additionalProperties") => {}
            _ => nested(inner, false, &child.path(path), errors),
        }
    }
}

/// What the root narrows is defined: every field in its `allOf` and the like stands outside of them too. Upstream looks at the
/// root alone, and definitions that pass there have to pass here.
fn complete(schema: &Fields, path: &Path, errors: &mut Vec<Error>) {
    narrowed(schema, Some(schema), path, path, errors);
}

fn narrowed(narrow: &Fields, defined: Option<&Fields>, at: &Path, from: &Path, errors: &mut Vec<Error>) {
    for (child, inner) in children(narrow) {
        if matches!(child, Child::Item(..) | Child::Of("not")) {
            let from = child.path(from);
            narrowed(inner, defined, at, &from, errors);
            for (child, inner) in children(inner) {
                let (Child::Property(_) | Child::Of("items")) = child else {
                    continue;
                };
                field(child, inner, defined, at, &from, errors);
            }
        }
    }
}

fn field(child: Child<'_>, inner: &Fields, defined: Option<&Fields>, at: &Path, from: &Path, errors: &mut Vec<Error>) {
    let (at, from) = (child.path(at), child.path(from));
    let known = defined.and_then(|defined| match child {
        Child::Property(name) => defined.get("properties")?.get(name)?.as_object(),
        _ => defined.get("items")?.as_object(),
    });
    if known.is_none() {
        errors.push(Error::required(&at, format!("because it is defined in {from}")));
        return;
    }
    narrowed(inner, known, &at, &from, errors);
    for (child, inner) in children(inner) {
        if matches!(child, Child::Property(_) | Child::Of("items")) {
            field(child, inner, known, &at, &from, errors);
        }
    }
}
