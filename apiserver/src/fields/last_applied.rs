//! From client-side to server-side apply: kubectl's own annotation tells what it applied before, so that the same kubectl may
//! go on with it on the server without conflicts. Others who apply take the usual way.

use serde_json::Value;

use super::compare::compare;
use super::owned::fields_of;
use super::set::Set;
use super::types::Type;

/// The manager that both sides of kubectl are.
pub(crate) const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields that the annotation of the object speaks of and that are as it says: what kubectl may take over.
pub(crate) fn fields(of: Type<'_>, api_version: &str, live: &Value) -> Option<Set> {
    let last: Value = serde_json::from_str(annotation(live)?).ok()?;
    if last["apiVersion"] != api_version {
        return None;
    }
    let changes = compare(of, &last, live);
    let fields = fields_of(of, &last)
        .difference(&changes.modified)
        .difference(&changes.added)
        .difference(&changes.removed);
    Some(fields)
}

/// Keeps the annotation true, where there is one: it says what was applied now.
pub(crate) fn renew(object: &mut Value, document: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut document = document.clone();
    if let Some(Value::Object(annotations)) = document.pointer_mut("/metadata/annotations") {
        annotations.remove(ANNOTATION);
    }
    object["metadata"]["annotations"][ANNOTATION] = format!("{document}\n").into();
}

fn annotation(object: &Value) -> Option<&str> {
    let text = object["metadata"]["annotations"][ANNOTATION].as_str()?;
    (!text.is_empty()).then_some(text)
}
