//! What verbs show: tables, YAML, JSON, names and JSONPath, byte for byte as kubectl shows them.

pub mod age;
pub mod gojson;
pub mod jsonpath;
pub mod kyaml;
pub mod output;
pub mod style;
pub mod table;
pub mod yaml;
