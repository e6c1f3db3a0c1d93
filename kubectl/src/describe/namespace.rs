//! A namespace.

use serde_json::Value;

use super::sheet::{Sheet, plain};

pub fn describe(sheet: &mut Sheet, namespace: &Value, related: &[Value]) {
    sheet.metadata(namespace, false);
    sheet.labels_and_annotations(namespace);
    sheet.field(0, "Status", &plain(&namespace["status"]["phase"]));
    super::limits::of_namespace(sheet, related);
}
