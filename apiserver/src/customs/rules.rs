//! The rules of a custom kind: those of any kind, decided by its schema.

use jiff::Timestamp;
use minik_api::field::{Error, Path, Problem};
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Map, Value};

use super::columns::{Column, cells};
use super::embedded;
use super::rule::judge;
use super::schema::{Schema, defaults, drop_nulls, prune, unique, validate};
use crate::decode::{self, DecodeError, Place};
use crate::fields;
use crate::kinds::{self, NAME, Rules, keep};

const NOT_ALL_CHECKED: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// One version of a custom kind.
pub(super) struct CustomRules {
    pub(super) schema: Schema,
    /// The same as it stands in the definition, in JSON: for OpenAPI.
    pub(super) document: Box<str>,
    /// Whether the status has a door of its own.
    pub(super) has_status: bool,
    pub(super) scale: Option<Scale>,
    pub(super) columns: Vec<Column>,
    /// The fields that can be selected on, without the leading dot.
    pub(super) fields: Vec<String>,
    /// What users of this version are told.
    pub(super) deprecation: Option<String>,
    /// The definition is being deleted.
    pub(super) is_terminating: bool,
}

/// Where an object says how many there should be and are.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    pub(super) spec: String,
    pub(super) status: String,
    pub(super) selector: Option<String>,
}

impl Scale {
    pub(super) fn read(scale: &Value) -> Option<Self> {
        let path = |name: &str| Some(scale[name].as_str()?.trim_start_matches('.').to_owned());
        Some(Self {
            spec: path("specReplicasPath")?,
            status: path("statusReplicasPath")?,
            selector: path("labelSelectorPath").filter(|path| !path.is_empty()),
        })
    }
}

impl Rules for CustomRules {
    fn decode(&self, kind: &'static Kind, body: Value) -> Result<(Object, Vec<String>), DecodeError> {
        decode::object_with(kind, body, |body| {
            let mut unknown = decode::metadata(body)?;
            drop_nulls(&self.schema, body);
            let gone = prune(&self.schema, body);
            unknown.extend(gone.into_iter().map(|place| format!("unknown field {place:?}")));
            Ok(unknown)
        })
    }

    fn refuses_new(&self, kind: &Kind) -> Option<Status> {
        self.is_terminating.then(|| {
            let mut status = Status::method_not_allowed("create", kind.plural);
            status.message = "create not allowed while custom resource definition is terminating".into();
            status
        })
    }

    fn prepare_create(&self, object: &mut Object) {
        if self.has_status {
            object.body.remove("status");
        }
    }

    fn prepare_update(&self, new: &mut Object, old: &Object) {
        if self.has_status {
            keep(new, old, "status");
        }
    }

    fn defaults(&self, object: &mut Object) {
        defaults(&self.schema, &mut object.body);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        self.errors(object, None)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        self.errors(new, Some(old))
    }

    fn validate_status_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let (status, before) = (new.body.get("status"), old.body.get("status"));
        let mut errors = Vec::new();
        if let (Some(schema), Some(status)) = (self.schema.properties.get("status"), status) {
            errors = validate(schema, status, before, &Place::ROOT.field("status"));
        }
        if let Some(scale) = &self.scale {
            errors.extend(count(&new.body, &scale.status));
        }
        self.finish(errors, new, Some(old), &new.to_value(), Some(&old.to_value()))
    }

    fn fields_type(&self, _kind: &Kind) -> fields::Type<'_> {
        fields::Type::Custom(Some(&self.schema))
    }

    fn reset_fields(&self, _kind: &Kind, subresource: &str) -> fields::Set {
        match subresource {
            "" if self.has_status => fields::Set::of(&["status"]),
            "status" => {
                let names = self.schema.properties.keys().map(String::as_str);
                let kept = ["apiVersion", "kind", "status"];
                let names: Vec<&str> = names.filter(|name| !kept.contains(name)).collect();
                fields::Set::of(&[&names[..], &["metadata"]].concat())
            }
            _ => fields::Set::default(),
        }
    }

    fn deprecation(&self) -> Option<&str> {
        self.deprecation.as_deref()
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn raises_generation(&self, new: &Object, old: &Object) -> bool {
        let counts = |object: &Object| {
            let mut body = object.body.clone();
            if self.has_status {
                body.remove("status");
            }
            body
        };
        counts(new) != counts(old)
    }

    fn schema(&self) -> Option<Value> {
        serde_json::from_str(&self.document).ok()
    }

    fn scale(&self, object: &Object) -> Option<kinds::Scale> {
        let scale = self.scale.as_ref()?;
        let number = |path: &str| object.at(path).and_then(Value::as_i64).unwrap_or(0);
        let selector = scale.selector.as_deref().and_then(|path| object.at(path)?.as_str());
        Some(kinds::Scale {
            replicas: number(&scale.spec),
            current: number(&scale.status),
            selector: selector.unwrap_or_default().to_owned(),
        })
    }

    fn set_replicas(&self, object: &mut Object, replicas: i64) {
        if let Some(scale) = &self.scale {
            set_at(&mut object.body, &scale.spec, replicas.into());
        }
    }

    fn unknown_field(&self, path: &str) -> String {
        format!("field label not supported: {path}")
    }

    fn has_field(&self, path: &str) -> bool {
        self.fields.iter().any(|field| field == path)
    }

    fn column_definitions(&self) -> Vec<Value> {
        let name = NAME.definition();
        let columns = self.columns.iter().map(Column::definition);
        std::iter::once(name).chain(columns).collect()
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        cells(&self.columns, object, now)
    }
}

impl CustomRules {
    fn errors(&self, new: &Object, old: Option<&Object>) -> Vec<Error> {
        let (value, before) = (new.to_value(), old.map(Object::to_value));
        let mut errors = validate(&self.schema, &value, before.as_ref(), &Place::ROOT);
        if let Some(scale) = &self.scale {
            errors.extend(count(&new.body, &scale.spec));
            errors.extend(count(&new.body, &scale.status));
        }
        self.finish(errors, new, old, &value, before.as_ref())
    }

    /// What comes after the shape: objects inside, lists that hold things once, and rules, which are asked only about objects
    /// that have their types.
    fn finish(
        &self,
        mut errors: Vec<Error>,
        new: &Object,
        old: Option<&Object>,
        value: &Value,
        before: Option<&Value>,
    ) -> Vec<Error> {
        errors.extend(embedded::validate(&self.schema, &new.body));
        let was_unique = old.is_none_or(|old| unique(&self.schema, &old.body).is_empty());
        if was_unique {
            errors.extend(unique(&self.schema, &new.body));
        }
        if errors.iter().any(is_blocking) {
            errors.push(Error::invalid(&Path::default(), Value::Null, NOT_ALL_CHECKED));
        } else if self.schema.has_rules {
            errors.extend(judge(&self.schema, value, before, &Place::ROOT));
        }
        errors
    }
}

/// After these nothing can be said about the rest.
fn is_blocking(error: &Error) -> bool {
    use Problem::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
    matches!(
        error.problem,
        NotSupported(..) | Required | TooLong(_) | TooMany(..) | TypeInvalid(_)
    )
}

/// Puts a value at a dotted path; objects on the way are made.
fn set_at(body: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(body.insert(path.to_owned(), value)),
        Some((name, rest)) => {
            let inner = body.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                set_at(inner, rest, value);
            }
        }
    }
}

/// A number of replicas is one.
fn count(body: &Map<String, Value>, path: &str) -> Option<Error> {
    let mut names = path.split('.');
    let first = body.get(names.next()?)?;
    let value = names.try_fold(first, |value, name| value.get(name))?;
    let at = Path::new(&format!(".{path}"));
    match value.as_i64() {
        None => Some(Error::invalid(
            &at,
            0,
            format!("{path} accessor error: {value} is not an int64"),
        )),
        Some(number @ ..0) => Some(Error::invalid(&at, number, "should be a non-negative integer")),
        Some(number) if number > i64::from(i32::MAX) => {
            let detail = format!("should be less than or equal to {}", i32::MAX);
            Some(Error::invalid(&at, number, detail))
        }
        Some(_) => None,
    }
}
