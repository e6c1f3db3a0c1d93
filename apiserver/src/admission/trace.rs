//! Writes the trace that a pod was created in on the pod, so that scheduler, kubelet and runtime go on with it.

use minik_api::object::Object;
use minik_api::trace::ANNOTATION;

use super::{Attributes, Mutate, Operation};

/// The plugin.
pub(super) struct Trace;

impl Mutate for Trace {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        if attributes.operation == Operation::Create && attributes.kind.kind == "Pod" {
            let annotations = object.metadata.annotations.get_or_insert_default();
            annotations
                .entry(ANNOTATION.into())
                .or_insert_with(|| attributes.traceparent.to_string());
        }
    }
}
