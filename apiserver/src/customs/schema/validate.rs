//! Whether an object is what its schema says. The sentences are those of kube-openapi's validation, which clients know.
//!
//! An update is judged by what it changes: a value that stands where it stood before, in a place that can be found again
//! (fields, items of lists with keys), is good even if the schema has become stricter since (validation ratcheting).

use std::borrow::Cow;

use minik_api::field::{Error, Path, Problem};
use serde_json::{Map, Value};

use super::unique::key_of;
use super::{Additional, Bound, Checks, List, Schema, Type, format};
use crate::decode::Place;

/// As many errors are told; the object is wrong after the first.
const ERRORS_MAX: usize = 200;

/// What is wrong with a value at `place`, in the place of `old`.
pub(crate) fn validate(schema: &Schema, value: &Value, old: Option<&Value>, place: &Place<'_>) -> Vec<Error> {
    let mut errors = Vec::new();
    check(schema, value, old, place, &mut errors);
    errors.truncate(ERRORS_MAX);
    errors
}

fn check(schema: &Schema, value: &Value, old: Option<&Value>, place: &Place<'_>, errors: &mut Vec<Error>) {
    if errors.len() >= ERRORS_MAX || old.is_some_and(|old| old == value) {
        return;
    }
    if value.is_null() && schema.nullable {
        return;
    }
    let has_type = check_type(schema, value, place, errors);
    check_choice(&schema.checks, value, place, errors);
    check_junctors(&schema.checks, value, place, errors);
    if !has_type {
        return;
    }
    match value {
        Value::String(text) => check_text(schema, text, place, errors),
        Value::Number(number) => check_number(&schema.checks, number, place, errors),
        Value::Array(list) => check_list(schema, list, old, place, errors),
        Value::Object(map) => check_object(schema, map, old, place, errors),
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_type(schema: &Schema, value: &Value, place: &Place<'_>, errors: &mut Vec<Error>) -> bool {
    let wanted = match schema.kind {
        _ if schema.int_or_string => "integer,string",
        Some(kind) => kind.name(),
        None => return true,
    };
    let fits = match (schema.kind, value) {
        _ if schema.int_or_string => value.is_string() || is_integer(value),
        (Some(Type::Object), Value::Object(_))
        | (Some(Type::Array), Value::Array(_))
        | (Some(Type::String), Value::String(_))
        | (Some(Type::Number), Value::Number(_))
        | (Some(Type::Boolean), Value::Bool(_))
        | (None, _) => true,
        (Some(Type::Integer), value) => is_integer(value),
        _ => false,
    };
    if !fits {
        let found = type_name(value);
        let said = format!("{place} in body must be of type {wanted}: \"{found}\"");
        errors.push(Error::new(&path(place), Problem::TypeInvalid(found.into()), said));
    }
    fits
}

/// What the value is called in messages.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn check_choice(checks: &Checks, value: &Value, place: &Place<'_>, errors: &mut Vec<Error>) {
    if checks.choices.is_empty() || checks.choices.iter().any(|choice| is_same(choice, value)) {
        return;
    }
    let shown: Vec<Cow<'_, str>> = checks
        .choices
        .iter()
        .map(|choice| choice.as_str().map_or_else(|| choice.to_string().into(), Cow::from))
        .collect();
    let shown: Vec<&str> = shown.iter().map(|choice| &**choice).collect();
    errors.push(Error::not_supported(&path(place), value.clone(), &shown));
}

/// 1 and 1.0 are the same.
fn is_same(choice: &Value, value: &Value) -> bool {
    choice == value || (choice.is_number() && value.is_number() && choice.as_f64() == value.as_f64())
}

fn check_text(schema: &Schema, text: &str, place: &Place<'_>, errors: &mut Vec<Error>) {
    let checks = &schema.checks;
    let invalid = |said: String| Error::invalid(&path(place), text, format!("{place} in body {said}"));
    if checks.max_length.is_some() || checks.min_length.is_some() {
        let length = text.chars().count();
        if let Some(max) = checks.max_length.filter(|max| length > *max) {
            errors.push(Error::too_long(&path(place), max));
        }
        if let Some(min) = checks.min_length.filter(|min| length < *min) {
            errors.push(invalid(format!("should be at least {min} chars long")));
        }
    }
    if let Some((pattern, compiled)) = &checks.pattern
        && !compiled.is_match(text)
    {
        errors.push(invalid(format!("should match '{pattern}'")));
    }
    if let Some(name) = &checks.format
        && matches!(schema.kind, None | Some(Type::String))
        && !format::fits(name, text)
    {
        let said = format!("{place} in body must be of type {name}: {}", Value::from(text));
        errors.push(Error::new(&path(place), Problem::TypeInvalid(text.into()), said));
    }
}

fn check_number(checks: &Checks, number: &serde_json::Number, place: &Place<'_>, errors: &mut Vec<Error>) {
    let Some(float) = number.as_f64() else { return };
    let mut invalid = |said: String| {
        let value = Value::Number(number.clone());
        errors.push(Error::invalid(
            &path(place),
            value,
            format!("{place} in body should be {said}"),
        ));
    };
    let equal = |bound: &Bound| if bound.exclusive { "" } else { " or equal to" };
    if let Some(max) = &checks.maximum
        && (float > max.value || (max.exclusive && float >= max.value))
    {
        invalid(format!("less than{} {}", equal(max), max.shown));
    }
    if let Some(min) = &checks.minimum
        && (float < min.value || (min.exclusive && float <= min.value))
    {
        invalid(format!("greater than{} {}", equal(min), min.shown));
    }
    if let Some(factor) = checks.multiple_of.filter(|factor| *factor > 0.0) {
        let quotient = float / factor;
        if (quotient - quotient.round()).abs() > f64::EPSILON * quotient.abs().max(1.0) {
            invalid(format!("a multiple of {factor}"));
        }
    }
}

fn check_list(schema: &Schema, list: &[Value], old: Option<&Value>, place: &Place<'_>, errors: &mut Vec<Error>) {
    let checks = &schema.checks;
    if let Some(max) = checks.max_items.filter(|max| list.len() > *max) {
        errors.push(Error::too_many(&path(place), list.len(), max));
    }
    if let Some(min) = checks.min_items.filter(|min| list.len() < *min) {
        let said = format!("{place} in body should have at least {min} items");
        errors.push(Error::invalid(&path(place), list.len(), said));
    }
    let Some(items) = &schema.items else { return };
    let before = Items::of(&schema.list, old);
    for (index, item) in list.iter().enumerate() {
        check(items, item, before.find(item), &place.index(index), errors);
    }
}

fn check_object(
    schema: &Schema,
    map: &Map<String, Value>,
    old: Option<&Value>,
    place: &Place<'_>,
    errors: &mut Vec<Error>,
) {
    let checks = &schema.checks;
    if let Some(max) = checks.max_properties.filter(|max| map.len() > *max) {
        errors.push(Error::too_many(&path(place), map.len(), max));
    }
    if let Some(min) = checks.min_properties.filter(|min| map.len() < *min) {
        let said = format!("{place} in body should have at least {min} properties");
        errors.push(Error::invalid(&path(place), map.len(), said));
    }
    for name in checks.required.iter().filter(|name| !map.contains_key(*name)) {
        errors.push(Error::required(&path(&place.field(name)), ""));
    }
    for (name, value) in map {
        let old = old.and_then(|old| old.get(name));
        let field = match &schema.additional {
            Additional::Each(each) => schema.properties.get(name).unwrap_or(each),
            Additional::None | Additional::Any => match schema.properties.get(name) {
                Some(field) => field,
                None => continue,
            },
        };
        check(field, value, old, &place.field(name), errors);
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`. Which of the alternatives was nearly right is told by its errors.
fn check_junctors(checks: &Checks, value: &Value, place: &Place<'_>, errors: &mut Vec<Error>) {
    let mut said = |text: String| errors.push(Error::invalid(&Path::default(), "", format!("\"{place}\" {text}")));
    let mut nearest = Vec::new();
    if !checks.any_of.is_empty() {
        let outcomes = outcomes(&checks.any_of, value, place);
        if !outcomes.iter().any(Vec::is_empty) {
            said("must validate at least one schema (anyOf)".into());
            nearest.extend(fewest(outcomes));
        }
    }
    if !checks.one_of.is_empty() {
        let outcomes = outcomes(&checks.one_of, value, place);
        match outcomes.iter().filter(|errors| errors.is_empty()).count() {
            1 => {}
            0 => {
                said("must validate one and only one schema (oneOf). Found none valid".into());
                nearest.extend(fewest(outcomes));
            }
            valid => said(format!(
                "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
            )),
        }
    }
    if !checks.all_of.is_empty() {
        let outcomes = outcomes(&checks.all_of, value, place);
        let valid = outcomes.iter().filter(|errors| errors.is_empty()).count();
        if valid < outcomes.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            said(format!("must validate all the schemas (allOf){none}"));
            nearest.extend(outcomes.into_iter().flatten());
        }
    }
    if let Some(not) = &checks.not
        && validate(not, value, None, place).is_empty()
    {
        said("must not validate the schema (not)".into());
    }
    errors.extend(nearest);
}

fn outcomes(schemas: &[Schema], value: &Value, place: &Place<'_>) -> Vec<Vec<Error>> {
    schemas
        .iter()
        .map(|schema| validate(schema, value, None, place))
        .collect()
}

fn fewest(outcomes: Vec<Vec<Error>>) -> Vec<Error> {
    outcomes.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

/// The items of a list as it was, found again by their keys.
pub(crate) struct Items<'a> {
    keys: &'a [String],
    by_key: std::collections::HashMap<String, &'a Value>,
}

impl<'a> Items<'a> {
    /// Only lists with keys have items that can be found again.
    pub(crate) fn of(list: &'a List, old: Option<&'a Value>) -> Self {
        let (List::Map(keys), Some(Value::Array(items))) = (list, old) else {
            return Self {
                keys: &[],
                by_key: std::collections::HashMap::new(),
            };
        };
        let by_key = items.iter().map(|item| (key_of(item, keys).to_string(), item));
        Self {
            keys,
            by_key: by_key.collect(),
        }
    }

    /// What this item was.
    pub(crate) fn find(&self, item: &Value) -> Option<&'a Value> {
        if self.by_key.is_empty() {
            return None;
        }
        self.by_key.get(&key_of(item, self.keys).to_string()).copied()
    }
}

pub(crate) fn path(place: &Place<'_>) -> Path {
    Path::new(&place.to_string())
}
