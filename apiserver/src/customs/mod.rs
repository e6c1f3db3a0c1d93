//! Custom kinds: what CustomResourceDefinitions make of this server.
//!
//! ```text
//! CustomResourceDefinition in the store
//!    │ tend        names accepted? conditions, catalogue, cleaning up
//!    ▼ definition  one CustomRules for each served version
//! kinds::Kinds ──► requests: rules.rs   decode: schema/prune        write: schema/defaults, schema/validate, schema/unique,
//!                                       table: columns                     CEL rules
//! ```
//! A custom kind is a kind like any other: it has an identity and rules, and goes through the same registry. Its rules are data
//! here instead of code. What may stand in a definition is said in `kinds/custom_resource_definition/`.

mod columns;
mod definition;
mod embedded;
mod json_path;
mod known;
mod naming;
pub(crate) mod rule;
mod rules;
pub(crate) mod schema;
mod tend;

pub(crate) use json_path::JsonPath;
