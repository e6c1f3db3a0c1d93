//! `Type`: what server-side apply has to know of a value: is it one thing, or made of parts that can have different owners?
//!
//! Built-in kinds have the table of shapes, custom resources the schema of their definition, and what no schema speaks of is
//! deduced from the value: objects have parts, lists are one thing. A type says little by itself; with a value it becomes an
//! [`Atom`], which the walks of this folder branch on.

use std::sync::LazyLock;

use minik_api::schema::{self, Definition, Field, List, Shape};
use serde_json::{Map, Value};

use super::element::{Element, Scalar};
use crate::customs::schema::{self as structural, Additional, Schema, Type as Kind};

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type<'a> {
    /// An object of this definition; `true`: its fields have owners even though the definition says that it is one thing.
    Definition(&'static Definition, bool),
    /// A field of a definition.
    Shape(&'static Shape, &'static List),
    /// A custom resource with this structural schema; without one nothing is known but its metadata.
    Custom(Option<&'a Schema>),
    /// A value inside one; `true`: fields that aren't declared are kept.
    Structural(&'a Schema, bool),
    /// Nothing is known.
    Deduced,
}

/// What a value of a type is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Atom<'a> {
    /// A text, a number, a truth.
    Scalar,
    /// A list or map that is owned as a whole.
    Whole,
    /// A list of scalars, each for itself.
    Set,
    /// A list of objects, told apart by the values of some of their fields.
    Items(Items<'a>),
    /// An object or a map, field by field.
    Fields(Type<'a>),
}

/// The items of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<'a> {
    keys: Keys<'a>,
    /// What an item is.
    pub(crate) item: Type<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Keys<'a> {
    BuiltIn(&'static [&'static str]),
    Custom(&'a [String]),
}

/// What a schema asks of a value; see [`Type::wants`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Number,
    Text,
    Truth,
    AnyScalar,
    List,
    Object,
    Anything,
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// What it is.
    pub(crate) of: Type<'a>,
    /// The schema has it by name; the entries of a map aren't declared.
    pub(crate) declared: bool,
    /// What Go writes when it is absent: its structs are always there, and a list without `omitempty` is `null`. So whoever sets
    /// `spec.replicas` first doesn't own `spec`.
    pub(crate) absent: Option<&'static Value>,
}

impl<'a> Part<'a> {
    fn new(of: Type<'a>, declared: bool) -> Self {
        Self {
            of,
            declared,
            absent: None,
        }
    }
}

const PLAIN: &List = &List::Default;
const TEXT: &Shape = &Shape::String(None);

impl<'a> Type<'a> {
    /// What this value of the type is made of; `None` when nothing is known of it and it is `null`.
    pub(crate) fn atom(self, value: &Value) -> Option<Atom<'a>> {
        match self {
            Self::Definition(definition, granular) if definition.atomic && !granular => Some(Atom::Whole),
            Self::Definition(..) | Self::Custom(_) => Some(Atom::Fields(self)),
            Self::Shape(shape, list) => shape_atom(shape, list, value),
            Self::Structural(schema, preserve) => structural_atom(schema, preserve, value),
            Self::Deduced => match value {
                Value::Null => None,
                Value::Object(_) => Some(Atom::Fields(self)),
                Value::Array(_) => Some(Atom::Whole),
                _ => Some(Atom::Scalar),
            },
        }
    }

    /// The field of this name of an object of the type; `None` when the type knows its fields and this isn't one of them.
    pub(crate) fn field(self, name: &str) -> Option<Part<'a>> {
        let declared = |of| Some(Part::new(of, true));
        let free = |of| Some(Part::new(of, false));
        match self {
            Self::Definition(definition, _) => {
                let field = definition.field(name)?;
                Some(Part {
                    absent: absent(field),
                    ..Part::new(Self::Shape(&field.shape, &field.list), true)
                })
            }
            Self::Shape(Shape::Object(reference), _) => Self::Definition(reference.get(), true).field(name),
            Self::Shape(Shape::Map(items, _), _) => free(Self::Shape(items, PLAIN)),
            Self::Shape(..) | Self::Deduced => free(Self::Deduced),
            Self::Custom(schema) => match name {
                "apiVersion" | "kind" => declared(Self::Shape(TEXT, PLAIN)),
                "metadata" => declared(object_meta()),
                _ => match schema {
                    Some(schema) => Self::Structural(schema, false).field(name),
                    None => free(Self::Deduced),
                },
            },
            Self::Structural(schema, preserve) => structural_field(schema, preserve, name),
        }
    }

    /// What the schema asks of a value.
    pub(crate) fn wants(self) -> Wanted {
        match self {
            Self::Definition(..) | Self::Custom(_) => Wanted::Object,
            Self::Deduced => Wanted::Anything,
            Self::Shape(shape, _) => match shape {
                Shape::String(_) | Shape::Bytes => Wanted::Text,
                Shape::Int32 | Shape::Int64 | Shape::Float64 => Wanted::Number,
                Shape::Bool => Wanted::Truth,
                Shape::Time | Shape::MicroTime | Shape::Quantity | Shape::IntOrString => Wanted::AnyScalar,
                Shape::Any => Wanted::Anything,
                Shape::List(_) => Wanted::List,
                Shape::Object(_) | Shape::Map(..) => Wanted::Object,
            },
            Self::Structural(schema, _) => match schema.kind {
                Some(Kind::String) => Wanted::Text,
                Some(Kind::Integer | Kind::Number) => Wanted::Number,
                Some(Kind::Boolean) => Wanted::Truth,
                Some(Kind::Array) => Wanted::List,
                Some(Kind::Object) => Wanted::Object,
                None if schema.int_or_string => Wanted::AnyScalar,
                None => Wanted::Anything,
            },
        }
    }

    /// The items of a list that is owned as a whole.
    pub(crate) fn items(self) -> Type<'a> {
        match self {
            Self::Shape(Shape::List(items), _) => Self::Shape(items, PLAIN),
            Self::Structural(schema, preserve) => match &schema.items {
                Some(items) => Self::Structural(items, preserve),
                None => Self::Deduced,
            },
            _ => Self::Deduced,
        }
    }
}

fn shape_atom<'a>(shape: &'static Shape, list: &'static List, value: &Value) -> Option<Atom<'a>> {
    match (shape, list) {
        (Shape::Any, _) => Type::Deduced.atom(value),
        (Shape::Object(reference), List::Granular) => Type::Definition(reference.get(), true).atom(value),
        (Shape::Object(_) | Shape::Map(..) | Shape::List(_), List::Atomic) => Some(Atom::Whole),
        (Shape::Object(reference), _) => Type::Definition(reference.get(), false).atom(value),
        (Shape::Map(..), _) => Some(Atom::Fields(Type::Shape(shape, list))),
        (Shape::List(items), List::Map(keys)) => Some(Atom::Items(Items {
            keys: Keys::BuiltIn(keys),
            item: Type::Shape(items, PLAIN),
        })),
        (Shape::List(_), List::Set) => Some(Atom::Set),
        (Shape::List(_), _) => Some(Atom::Whole),
        _ => Some(Atom::Scalar),
    }
}

fn structural_atom<'a>(schema: &'a Schema, preserve: bool, value: &Value) -> Option<Atom<'a>> {
    let preserve = preserve || schema.preserve_unknown;
    let here = Type::Structural(schema, preserve);
    match here.wants() {
        Wanted::Anything => Type::Deduced.atom(value),
        Wanted::Object if schema.atomic => Some(Atom::Whole),
        Wanted::Object => Some(Atom::Fields(here)),
        Wanted::List => match (&schema.list, &schema.items) {
            (structural::List::Set, _) => Some(Atom::Set),
            (structural::List::Map(keys), Some(items)) => Some(Atom::Items(Items {
                keys: Keys::Custom(keys),
                item: Type::Structural(items, preserve),
            })),
            _ => Some(Atom::Whole),
        },
        _ => Some(Atom::Scalar),
    }
}

fn structural_field<'a>(schema: &'a Schema, preserve: bool, name: &str) -> Option<Part<'a>> {
    let preserve = preserve || schema.preserve_unknown;
    if let Some(property) = schema.properties.get(name) {
        return Some(Part::new(Type::Structural(property, preserve), true));
    }
    if schema.embedded {
        let of = match name {
            "apiVersion" | "kind" => Some(Type::Shape(TEXT, PLAIN)),
            "metadata" => Some(object_meta()),
            _ => None,
        };
        if let Some(of) = of {
            return Some(Part::new(of, true));
        }
    }
    let of = match &schema.additional {
        Additional::Each(each) => Type::Structural(each, preserve),
        Additional::Any => Type::Deduced,
        Additional::None if preserve || schema.properties.is_empty() => Type::Deduced,
        Additional::None => return None,
    };
    Some(Part::new(of, false))
}

fn absent(field: &Field) -> Option<&'static Value> {
    static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
    match field.shape {
        Shape::Object(_) if !field.pointer => Some(&EMPTY),
        Shape::Object(_) | Shape::List(_) | Shape::Map(..) if !field.omit_empty => Some(&Value::Null),
        _ => None,
    }
}

/// The metadata of any object.
pub(crate) fn object_meta<'a>() -> Type<'a> {
    let definition = schema::named("meta", "v1", "ObjectMeta").expect("the table has what every kind has");
    Type::Definition(definition, false)
}

/// An item can't be told apart from the others.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ItemError {
    /// In the place of an object.
    #[error("associative list with keys may not have non-map elements")]
    NotAnObject,
    /// In the place of an object.
    #[error("associative list with keys may not have a null element")]
    Null,
    /// None of its keys is there.
    #[error(
        "associative list with keys has an element that omits all key fields {0:?} (and doesn't have default values for any key fields)"
    )]
    NoKeys(Vec<String>),
    /// In a set.
    #[error("associative list without keys has an element that's a map type")]
    ObjectInSet,
    /// In a set.
    #[error("not supported: associative list with lists as elements")]
    ListInSet,
    /// In a set.
    #[error("associative list without keys has an element that's an explicit null")]
    NullInSet,
}

impl<'a> Items<'a> {
    /// What tells this item apart. A key that it lacks has its default, or doesn't count.
    pub(crate) fn element(self, item: &Value) -> Result<Element, ItemError> {
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => return Err(ItemError::Null),
            _ => return Err(ItemError::NotAnObject),
        };
        let mut found: Vec<(String, Scalar)> = self
            .names()
            .filter_map(|name| Some((name.to_owned(), self.key(name, fields)?)))
            .collect();
        if found.is_empty() {
            return Err(ItemError::NoKeys(self.names().map(str::to_owned).collect()));
        }
        found.sort();
        Ok(Element::Key(found))
    }

    fn names(self) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        match self.keys {
            Keys::BuiltIn(keys) => Box::new(keys.iter().copied()),
            Keys::Custom(keys) => Box::new(keys.iter().map(String::as_str)),
        }
    }

    fn key(self, name: &str, fields: &Map<String, Value>) -> Option<Scalar> {
        match fields.get(name) {
            Some(value) => Some(Scalar::new(value)),
            None => self.default(name).map(|value| Scalar::new(&value)),
        }
    }

    /// What stands for a key that is absent: its default, or zero where a zero is written.
    fn default(self, name: &str) -> Option<Value> {
        match self.item {
            Type::Structural(schema, _) => schema.properties.get(name)?.default.clone(),
            Type::Shape(shape, _) => {
                let field = shape.definition()?.field(name)?;
                match field.default {
                    Some(json) => serde_json::from_str(json).ok(),
                    None if field.omit_empty || field.pointer => None,
                    None => match field.shape {
                        Shape::String(_) => Some("".into()),
                        Shape::Int32 | Shape::Int64 => Some(0.into()),
                        _ => None,
                    },
                }
            }
            _ => None,
        }
    }
}

/// What tells an item of a set apart: itself.
pub(crate) fn set_element(item: &Value) -> Result<Element, ItemError> {
    match item {
        Value::Object(_) => Err(ItemError::ObjectInSet),
        Value::Array(_) => Err(ItemError::ListInSet),
        Value::Null => Err(ItemError::NullInSet),
        scalar => Ok(Element::Value(Scalar::new(scalar))),
    }
}

impl<'a> Atom<'a> {
    /// What tells the item of a list apart, and the item's type; `None` when it isn't a list of parts.
    pub(crate) fn element(self, item: &Value) -> Option<Result<Element, ItemError>> {
        match self {
            Self::Items(items) => Some(items.element(item)),
            Self::Set => Some(set_element(item)),
            Self::Scalar | Self::Whole | Self::Fields(_) => None,
        }
    }

    /// The type of the items of a list of parts.
    pub(crate) fn item(self) -> Type<'a> {
        match self {
            Self::Items(items) => items.item,
            _ => Type::Deduced,
        }
    }
}
