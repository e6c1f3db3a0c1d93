//! Reads a schema out of a definition. Lenient: what is wrong with a schema is told when the definition is written, and a
//! pattern that doesn't compile or a rule that doesn't parse is no reason to take a stored definition out of service.

use serde_json::{Map, Value};

use crate::cel::Typed;
use crate::customs::rule::{Root, Rule};

use super::{Additional, Bound, Checks, List, Schema, Type, pattern};

/// The schema of an `openAPIV3Schema`.
pub(crate) fn read(value: &Value) -> Schema {
    complete(value, true)
}

/// A schema inside of another.
pub(crate) fn read_below(value: &Value) -> Schema {
    complete(value, false)
}

fn complete(value: &Value, is_root: bool) -> Schema {
    let mut schema = node(value);
    // A rule is compiled for the schema that it stands in.
    let mut rules = std::mem::take(&mut schema.rules);
    for rule in &mut rules {
        let of: &dyn Typed = if is_root { &Root(&schema) } else { &schema };
        if let Err(errors) = rule.compile(of) {
            tracing::warn!(
                ?errors,
                rule = rule.source,
                "a stored rule doesn't compile and isn't asked"
            );
        }
    }
    schema.rules = rules;
    schema
}

fn node(value: &Value) -> Schema {
    let Some(map) = value.as_object() else {
        return Schema::default();
    };
    let flag = |name: &str| map.get(name).and_then(Value::as_bool).unwrap_or(false);
    let mut schema = Schema {
        kind: text(map, "type").and_then(Type::parse),
        int_or_string: flag("x-kubernetes-int-or-string"),
        nullable: flag("nullable"),
        preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        default: map.get("default").filter(|value| !value.is_null()).cloned(),
        properties: each(map, "properties").collect(),
        additional: additional(map.get("additionalProperties")),
        items: map.get("items").map(|items| Box::new(read_below(items))),
        list: list(map),
        atomic: text(map, "x-kubernetes-map-type") == Some("atomic"),
        checks: checks(map),
        rules: items(map, "x-kubernetes-validations").map(Rule::read).collect(),
        has_rules: false,
    };
    schema.has_rules = !schema.rules.is_empty()
        || schema.properties.values().any(|property| property.has_rules)
        || schema.items.as_ref().is_some_and(|items| items.has_rules)
        || matches!(&schema.additional, Additional::Each(each) if each.has_rules);
    schema
}

fn checks(map: &Map<String, Value>) -> Checks {
    let count = |name: &str| {
        map.get(name)
            .and_then(Value::as_u64)
            .map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    };
    let schemas = |name: &str| items(map, name).map(read_below).collect();
    let pattern = text(map, "pattern").and_then(|text| Some((text.to_owned(), pattern::compile(text).ok()?)));
    Checks {
        required: items(map, "required")
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
        choices: items(map, "enum").cloned().collect(),
        format: text(map, "format").map(str::to_owned),
        pattern,
        minimum: bound(map, "minimum", "exclusiveMinimum"),
        maximum: bound(map, "maximum", "exclusiveMaximum"),
        multiple_of: map.get("multipleOf").and_then(Value::as_f64),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        all_of: schemas("allOf"),
        any_of: schemas("anyOf"),
        one_of: schemas("oneOf"),
        not: map.get("not").map(|not| Box::new(read_below(not))),
    }
}

fn bound(map: &Map<String, Value>, name: &str, exclusive: &str) -> Option<Bound> {
    let written = map.get(name)?;
    Some(Bound {
        value: written.as_f64()?,
        shown: written.to_string().trim_end_matches(".0").to_owned(),
        exclusive: map.get(exclusive).and_then(Value::as_bool).unwrap_or(false),
    })
}

fn additional(value: Option<&Value>) -> Additional {
    match value {
        Some(Value::Bool(true)) => Additional::Any,
        Some(value @ Value::Object(_)) => Additional::Each(Box::new(read_below(value))),
        _ => Additional::None,
    }
}

fn list(map: &Map<String, Value>) -> List {
    match text(map, "x-kubernetes-list-type") {
        Some("set") => List::Set,
        Some("map") => {
            let keys = items(map, "x-kubernetes-list-map-keys");
            List::Map(keys.filter_map(|key| key.as_str().map(str::to_owned)).collect())
        }
        _ => List::Atomic,
    }
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn items<'a>(map: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    map.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn each<'a>(map: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = (String, Schema)> + use<'a> {
    let fields = map.get(name).and_then(Value::as_object).into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), read_below(value)))
}
