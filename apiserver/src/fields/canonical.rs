//! Quantities, times and bytes of a document in the form that objects have them in. Upstream compares them as they are written:
//! there `1000m` conflicts with the `1` that the same text became.

use minik_api::schema::{Definition, Shape};
use serde_json::Value;

use crate::decode;

/// Rewrites a document of this definition.
pub(crate) fn document(definition: &'static Definition, document: &mut Value) {
    for (name, value) in document.as_object_mut().into_iter().flatten() {
        if let Some(field) = definition.field(name) {
            rewrite(&field.shape, value);
        }
    }
}

fn rewrite(shape: &Shape, value: &mut Value) {
    match shape {
        Shape::Object(reference) => document(reference.get(), value),
        Shape::List(items) => {
            for item in value.as_array_mut().into_iter().flatten() {
                rewrite(items, item);
            }
        }
        Shape::Map(items, _) => {
            for (_, item) in value.as_object_mut().into_iter().flatten() {
                rewrite(items, item);
            }
        }
        scalar => {
            if let Some(canonical) = decode::canonical(scalar, value) {
                *value = canonical;
            }
        }
    }
}
