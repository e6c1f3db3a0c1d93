//! Schemas: the table of shapes (`minik_api::schema`) in the words of OpenAPI, with the extensions that clients merge by.
//!
//! A schema is made when something refers to it, so a document has what its paths reach and no more.

use std::collections::{BTreeMap, BTreeSet};

use minik_api::kinds::Kind;
use minik_api::schema::{self, Definition, Field, List, Shape};
use serde_json::{Map, Value, json};

use super::custom::{self, TYPE_META};
use super::descriptions::Descriptions;
use super::names;

/// Which OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edition {
    /// Swagger 2.0.
    V2,
    /// OpenAPI 3.0.
    V3,
}

/// The schemas of a document, as they come together.
pub(super) struct Schemas<'a> {
    edition: Edition,
    descriptions: &'a Descriptions<'a>,
    /// Written down at once: trees of values take many times as much memory.
    made: BTreeMap<String, String>,
    asked: BTreeSet<String>,
    waiting: Vec<&'static Definition>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(edition: Edition, descriptions: &'a Descriptions<'a>) -> Self {
        Self {
            edition,
            descriptions,
            made: BTreeMap::new(),
            asked: BTreeSet::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn edition(&self) -> Edition {
        self.edition
    }

    /// `{"$ref": …}` to the objects of a kind. `definition` has the schema of one that isn't in the table of shapes.
    pub(super) fn object(&mut self, kind: &Kind, definition: impl FnOnce() -> Option<Value>) -> Value {
        if let Some(shape) = schema::of(kind) {
            return self.definition(shape);
        }
        let name = names::object(kind);
        if self.asked.insert(name.clone()) {
            let metadata = self.named("meta", "v1", "ObjectMeta");
            let metadata = self.described(metadata, "Standard object's metadata.");
            let mut schema = custom::schema(definition(), self.edition, &metadata);
            schema["x-kubernetes-group-version-kind"] =
                json!([group_version_kind(kind.group, kind.version, kind.kind)]);
            self.made.insert(name.clone(), schema.to_string());
        }
        self.reference(&name)
    }

    /// `{"$ref": …}` to lists of a kind, whose items these are.
    pub(super) fn list(&mut self, kind: &Kind, item: Value) -> Value {
        let name = format!("{}List", names::object(kind));
        if self.asked.insert(name.clone()) {
            let metadata = self.named("meta", "v1", "ListMeta");
            let mut properties = json!({
                "items": {"type": "array", "items": item, "description": format!("The objects, each a {}.", kind.kind)},
                "metadata": self.described(metadata, "The revision that the list is of, and how to get the rest of it."),
            });
            for (field, text) in TYPE_META {
                properties[field] = json!({"type": "string", "description": text});
            }
            let list = format!("{}List", kind.kind);
            let schema = json!({"type": "object", "description": format!("{list} is a list of {} objects.", kind.kind),
                "required": ["items"], "properties": properties,
                "x-kubernetes-group-version-kind": [group_version_kind(kind.group, kind.version, &list)]});
            self.made.insert(name.clone(), schema.to_string());
        }
        self.reference(&name)
    }

    /// `{"$ref": …}` to a definition by its name; to anything at all when the table hasn't got it.
    pub(super) fn named(&mut self, group: &str, version: &str, name: &str) -> Value {
        match schema::named(group, version, name) {
            Some(definition) => self.definition(definition),
            None => json!({"type": "object"}),
        }
    }

    /// Everything that was referred to, and what that refers to.
    pub(super) fn finish(mut self) -> BTreeMap<String, String> {
        while let Some(definition) = self.waiting.pop() {
            let schema = self.schema(definition);
            self.made.insert(names::definition(definition), schema.to_string());
        }
        self.made
    }

    fn definition(&mut self, definition: &'static Definition) -> Value {
        let name = names::definition(definition);
        if self.asked.insert(name.clone()) {
            self.waiting.push(definition);
        }
        self.reference(&name)
    }

    fn reference(&self, name: &str) -> Value {
        let place = match self.edition {
            Edition::V2 => "#/definitions/",
            Edition::V3 => "#/components/schemas/",
        };
        json!({"$ref": format!("{place}{name}")})
    }

    fn schema(&mut self, definition: &'static Definition) -> Value {
        let name = names::definition(definition);
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in definition.fields() {
            properties.insert(field.name.to_owned(), self.field(definition, &name, field));
            if field.required {
                required.push(field.name);
            }
        }
        let mut schema = json!({"type": "object"});
        if let Some(text) = self.descriptions.definition(&name) {
            schema["description"] = text.into();
        }
        if !properties.is_empty() {
            schema["properties"] = properties.into();
        }
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if definition.atomic {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        let is_object = ["kind", "apiVersion"]
            .iter()
            .all(|field| definition.field(field).is_some());
        if is_object && definition.field("uid").is_none() {
            let (group, version) = names::group_version(definition);
            let identity = group_version_kind(group, version, definition.name);
            schema["x-kubernetes-group-version-kind"] = json!([identity]);
        }
        schema
    }

    fn field(&mut self, owner: &'static Definition, owner_name: &str, field: &Field) -> Value {
        let mut schema = self.shape(owner, &field.shape);
        let described = self.descriptions.field(owner_name, field.name);
        let mut extras = Map::new();
        if let Some(text) = described {
            extras.insert("description".into(), text.into());
        }
        if let Some(default) = self.default_of(field) {
            extras.insert("default".into(), default);
        }
        extend(&mut extras, field);
        if schema.get("$ref").is_some() && self.edition == Edition::V3 && !extras.is_empty() {
            // Beside a reference nothing else counts; so it stands in a list of its own.
            schema = json!({"allOf": [schema]});
        }
        if let Some(object) = schema.as_object_mut() {
            object.append(&mut extras);
        }
        schema
    }

    /// What stands for an absent field. Version 2 has no defaults, as upstream.
    fn default_of(&self, field: &Field) -> Option<Value> {
        if self.edition == Edition::V2 {
            return None;
        }
        if let Some(default) = field.default {
            return serde_json::from_str(default).ok();
        }
        if field.pointer {
            return None;
        }
        zero(&field.shape).filter(|zero| zero.is_object() || !field.omit_empty)
    }

    fn shape(&mut self, owner: &'static Definition, shape: &Shape) -> Value {
        match shape {
            Shape::String(alias) => {
                let values = alias.and_then(|alias| schema::values(owner, alias));
                match values {
                    Some(values) => json!({"type": "string", "enum": values}),
                    None => json!({"type": "string"}),
                }
            }
            Shape::Int32 => json!({"type": "integer", "format": "int32"}),
            Shape::Int64 => json!({"type": "integer", "format": "int64"}),
            Shape::Float64 => json!({"type": "number", "format": "double"}),
            Shape::Bool => json!({"type": "boolean"}),
            Shape::Bytes => json!({"type": "string", "format": "byte"}),
            Shape::Time => self.basic("io.k8s.apimachinery.pkg.apis.meta.v1.Time"),
            Shape::MicroTime => self.basic("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"),
            Shape::Quantity => self.basic("io.k8s.apimachinery.pkg.api.resource.Quantity"),
            Shape::IntOrString => self.basic("io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
            Shape::Any if owner.name == "ManagedFieldsEntry" => {
                self.basic("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1")
            }
            Shape::Any => self.basic("io.k8s.apimachinery.pkg.runtime.RawExtension"),
            Shape::Object(reference) => self.definition(reference.get()),
            Shape::List(items) => json!({"type": "array", "items": self.item(owner, items)}),
            Shape::Map(items, _) => json!({"type": "object", "additionalProperties": self.item(owner, items)}),
        }
    }

    fn item(&mut self, owner: &'static Definition, shape: &Shape) -> Value {
        let mut schema = self.shape(owner, shape);
        let zero = zero(shape).filter(|_| self.edition == Edition::V3);
        if let Some(zero) = zero {
            if schema.get("$ref").is_some() {
                schema = json!({"allOf": [schema]});
            }
            schema["default"] = zero;
        }
        schema
    }

    /// `{"$ref": …}` to one of the few types that aren't objects of fields.
    fn basic(&mut self, name: &'static str) -> Value {
        if self.asked.insert(name.to_owned()) {
            let (_, short) = name.rsplit_once('.').unwrap_or(("", name));
            let mut schema = match (short, self.edition) {
                ("Time" | "MicroTime", _) => json!({"type": "string", "format": "date-time"}),
                ("Quantity", Edition::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
                ("Quantity", Edition::V2) => json!({"type": "string"}),
                ("IntOrString", Edition::V3) => {
                    json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
                }
                ("IntOrString", Edition::V2) => json!({"format": "int-or-string", "type": "string"}),
                _ => json!({"type": "object"}),
            };
            if let Some(text) = self.descriptions.definition(name) {
                schema["description"] = text.into();
            }
            self.made.insert(name.to_owned(), schema.to_string());
        }
        self.reference(name)
    }

    fn described(&self, reference: Value, text: &str) -> Value {
        let mut schema = match self.edition {
            Edition::V2 => reference,
            Edition::V3 => json!({"allOf": [reference]}),
        };
        schema["description"] = text.into();
        schema
    }
}

/// `{"group": …, "version": …, "kind": …}`
pub(super) fn group_version_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

fn zero(shape: &Shape) -> Option<Value> {
    Some(match shape {
        Shape::String(_) => "".into(),
        Shape::Int32 | Shape::Int64 | Shape::Float64 => 0.into(),
        Shape::Bool => false.into(),
        Shape::Object(_) => json!({}),
        _ => return None,
    })
}

/// How the field merges: `x-kubernetes-…`.
fn extend(schema: &mut Map<String, Value>, field: &Field) {
    let mut add = |name: &str, value: Value| {
        schema.insert(format!("x-kubernetes-{name}"), value);
    };
    let is_list = matches!(field.shape, Shape::List(_));
    match &field.list {
        List::Default => {}
        List::Atomic if is_list => add("list-type", "atomic".into()),
        List::Atomic => add("map-type", "atomic".into()),
        List::Granular => add("map-type", "granular".into()),
        List::Set => add("list-type", "set".into()),
        List::Map(keys) => {
            add("list-type", "map".into());
            add("list-map-keys", json!(keys));
        }
    }
    let merge = field.merge;
    let strategies = [
        (merge.items, "merge"),
        (merge.replace, "replace"),
        (merge.retain_keys, "retainKeys"),
    ];
    let strategies: Vec<&str> = strategies.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    if !strategies.is_empty() {
        add("patch-strategy", strategies.join(",").into());
    }
    if let Some(key) = merge.key {
        add("patch-merge-key", key.into());
    }
}
