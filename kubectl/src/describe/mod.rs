//! `describe`: everything about an object, for people. Pure: from JSON to text; the verb fetches.
//!
//! Kinds that people describe often have a file of their own, with kubectl's layout; all others are shown field by field.

mod config;
mod generic;
mod namespace;
mod node;
pub mod pod;
mod service;
mod sheet;

use jiff::Timestamp;
use serde_json::Value;

use sheet::Sheet;

/// An object and what belongs to its description.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The object.
    pub object: Value,
    /// Its events, oldest first.
    pub events: Vec<Value>,
    /// For a node: the pods on it. For a service: its endpoints.
    pub related: Vec<Value>,
    /// For a node: the lease by which it says that it lives.
    pub lease: Value,
}

/// The description of a subject as of a time.
#[must_use]
pub fn describe(subject: &Subject, now: Timestamp) -> String {
    let mut sheet = Sheet::new(now);
    let object = &subject.object;
    let core = object["apiVersion"] == "v1";
    match object["kind"].as_str() {
        Some("Pod") if core => pod::describe(&mut sheet, object),
        Some("Node") if core => node::describe(&mut sheet, object, &subject.related, &subject.lease),
        Some("Service") if core => service::describe(&mut sheet, object, &subject.related),
        Some("ConfigMap") if core => config::config_map(&mut sheet, object),
        Some("Secret") if core => config::secret(&mut sheet, object),
        Some("Namespace") if core => namespace::describe(&mut sheet, object),
        _ => generic::describe(&mut sheet, object),
    }
    // To these nothing happens that an event would tell.
    if !matches!(object["kind"].as_str(), Some("Event" | "Secret" | "Namespace")) {
        sheet.events(&subject.events);
    }
    sheet.finish()
}

#[cfg(test)]
mod tests;
