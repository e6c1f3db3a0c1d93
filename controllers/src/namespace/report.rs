//! What a namespace's conditions say while it goes: pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::garbage::Graph;

/// The five conditions of a namespace that is deleted; `failures` are deletions that the API server refused.
pub(crate) fn conditions(graph: &Graph, namespace: &str, failures: &[String]) -> Vec<Value> {
    let (mut kinds, mut finalizers) = (BTreeMap::new(), BTreeMap::new());
    for object in graph.in_namespace(namespace) {
        let kind = &object.kind;
        *kinds.entry(format!("{}.{}", kind.plural, kind.group)).or_insert(0) += 1;
        for finalizer in &object.finalizers {
            *finalizers.entry(finalizer.clone()).or_insert(0) += 1;
        }
    }
    let failed = failures.join(", ");
    vec![
        condition(
            "NamespaceDeletionDiscoveryFailure",
            None,
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        condition(
            "NamespaceDeletionContentFailure",
            (!failures.is_empty()).then_some(("ContentDeletionFailed", failed)),
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        condition(
            "NamespaceContentRemaining",
            counted(&kinds, "Some resources are remaining: ", "has", "SomeResourcesRemain"),
            "ContentRemoved",
            "All content successfully removed",
        ),
        condition(
            "NamespaceFinalizersRemaining",
            counted(
                &finalizers,
                "Some content in the namespace has finalizers remaining: ",
                "in",
                "SomeFinalizersRemain",
            ),
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    ]
}

/// True with a reason and message of its own, or false with the usual ones.
fn condition(kind: &str, is: Option<(&str, String)>, usual_reason: &str, usual_message: &str) -> Value {
    let status = if is.is_some() { "True" } else { "False" };
    let (reason, message) = is.unwrap_or((usual_reason, usual_message.to_owned()));
    json!({"type": kind, "status": status, "reason": reason, "message": message})
}

/// `pods. has 2 resource instances, …`
fn counted<'a>(counts: &BTreeMap<String, usize>, lead: &str, verb: &str, reason: &'a str) -> Option<(&'a str, String)> {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{name} {verb} {count} resource instances"))
        .collect();
    (!parts.is_empty()).then(|| (reason, format!("{lead}{}", parts.join(", "))))
}
