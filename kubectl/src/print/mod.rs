//! What verbs show: tables, YAML, JSON, names and JSONPath, byte for byte as kubectl shows them.

pub mod age;
pub mod jsonpath;
pub mod output;
pub mod style;
pub mod table;
pub mod yaml;
