//! ConfigMaps, whose text is shown, and Secrets, of which only the sizes are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::sheet::{Sheet, plain};

pub fn config_map(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, true);
    sheet.labels_and_annotations(object);
    sheet.line(0, "");
    sheet.line(0, "Data");
    sheet.line(0, "====");
    for (name, value) in object["data"].as_object().into_iter().flatten() {
        sheet.line(0, &format!("{name}:"));
        sheet.line(0, "----");
        for line in plain(value).split('\n') {
            // A tab in somebody's text is no column of ours.
            sheet.line(0, &line.replace('\t', "    "));
        }
        sheet.line(0, "");
    }
    sheet.line(0, "");
    sheet.line(0, "BinaryData");
    sheet.line(0, "====");
    for (name, value) in object["binaryData"].as_object().into_iter().flatten() {
        sheet.line(0, &format!("{name}: {} bytes", length(value)));
    }
    sheet.line(0, "");
}

pub fn secret(sheet: &mut Sheet, object: &Value) {
    sheet.metadata(object, true);
    sheet.labels_and_annotations(object);
    sheet.line(0, "");
    sheet.field(0, "Type", &plain(&object["type"]));
    sheet.line(0, "");
    sheet.line(0, "Data");
    sheet.line(0, "====");
    for (name, value) in object["data"].as_object().into_iter().flatten() {
        sheet.field(0, name, &format!("{} bytes", length(value)));
    }
}

fn length(base64: &Value) -> usize {
    STANDARD.decode(plain(base64)).map_or(0, |bytes| bytes.len())
}
