//! The structural schema of a custom kind: what a definition says about its objects, read once into a form that a walk can
//! follow (apiextensions.k8s.io JSONSchemaProps, as far as structural schemas have it).
//!
//! ```text
//! definition --read--> Schema --prune, defaults, validate, unique, (cel/)--> objects
//! ```
//! A schema here has been accepted by the rules of CustomResourceDefinitions; what it can't say is refused there, and read here
//! as if it weren't there.

mod defaults;
mod format;
pub(crate) mod pattern;
mod prune;
mod read;
mod unique;
mod validate;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

pub(crate) use defaults::{defaults, drop_nulls};
pub(crate) use format::{fits as has_format, is_known as is_known_format};
pub(crate) use prune::prune;
pub(crate) use read::{read, read_below};
pub(crate) use unique::unique;
pub(crate) use validate::{Items, validate};

use super::rule::Rule;

/// What a value has to be like.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// None: anything, or a number or text (`int_or_string`).
    pub(crate) kind: Option<Type>,
    /// A port's number or name, and the like.
    pub(crate) int_or_string: bool,
    /// `null` is a value of its own.
    pub(crate) nullable: bool,
    /// Fields that aren't here are kept.
    pub(crate) preserve_unknown: bool,
    /// A whole object with apiVersion, kind and metadata of its own.
    pub(crate) embedded: bool,
    /// What stands there when nothing does.
    pub(crate) default: Option<Value>,
    /// The fields.
    pub(crate) properties: BTreeMap<String, Schema>,
    /// All other fields.
    pub(crate) additional: Additional,
    /// The items of a list.
    pub(crate) items: Option<Box<Schema>>,
    /// How the items of a list are told apart.
    pub(crate) list: List,
    /// A map or object that has one owner (`x-kubernetes-map-type: atomic`).
    pub(crate) atomic: bool,
    /// What else has to hold.
    pub(crate) checks: Checks,
    /// In CEL.
    pub(crate) rules: Vec<Rule>,
    /// There are rules here or below: a walk that looks for rules needn't come here otherwise.
    pub(crate) has_rules: bool,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    /// As in a schema.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    /// As in a schema.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// What becomes of fields that have no schema of their own.
#[derive(Debug, Default)]
pub(crate) enum Additional {
    /// There are none.
    #[default]
    None,
    /// `additionalProperties: true`
    Any,
    /// Each has this schema.
    Each(Box<Schema>),
}

/// How the items of a list are told apart (`x-kubernetes-list-type`).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum List {
    /// Not at all.
    #[default]
    Atomic,
    /// By what they are.
    Set,
    /// By these fields.
    Map(Vec<String>),
}

/// The value validations of JSON schema.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) required: Vec<String>,
    pub(crate) choices: Vec<Value>,
    pub(crate) format: Option<String>,
    pub(crate) pattern: Option<(String, Regex)>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_items: Option<usize>,
    pub(crate) min_properties: Option<usize>,
    pub(crate) max_properties: Option<usize>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
}

/// A smallest or largest number.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    /// For messages: `9`, however it was written (clients with typed bounds send `9.0`).
    pub(crate) shown: String,
    pub(crate) exclusive: bool,
}

impl Schema {
    /// The schema of a field: its own, or that of all others.
    pub(crate) fn field(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or(match &self.additional {
            Additional::Each(schema) => Some(schema),
            Additional::None | Additional::Any => None,
        })
    }
}

#[cfg(test)]
mod tests;
