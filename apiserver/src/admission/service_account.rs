//! Every pod runs as a service account: `default` unless it says otherwise, and one that is there.

use minik_api::kinds;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::{Attributes, Mutate, Operation, Validate};
use crate::registry::resource;
use crate::storage::Key;

const DEFAULT: &str = "default";
/// Pods that a kubelet mirrors from files of its own have no account.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// The plugin.
pub(super) struct ServiceAccount;

impl Mutate for ServiceAccount {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        if !applies(attributes, object) {
            return;
        }
        let Some(Value::Object(spec)) = object.body.get_mut("spec") else {
            return;
        };
        let named = |value: Option<&Value>| {
            value
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
        };
        let name = named(spec.get("serviceAccountName")).or_else(|| named(spec.get("serviceAccount")));
        let name = name.unwrap_or_else(|| DEFAULT.to_owned());
        spec.insert("serviceAccountName".into(), json!(name));
        // The older name of the same field; clients read either.
        spec.insert("serviceAccount".into(), json!(name));
    }
}

impl Validate for ServiceAccount {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let Some(object) = object.filter(|object| applies(attributes, object)) else {
            return Ok(());
        };
        let name = object
            .at("spec.serviceAccountName")
            .and_then(Value::as_str)
            .unwrap_or(DEFAULT);
        let kind = kinds::of("", "v1", "ServiceAccount").expect("service accounts are in the table of kinds");
        let namespace = attributes.namespace;
        // The default account comes a moment after its namespace, and has nothing that a pod would miss.
        if name == DEFAULT
            || attributes
                .store
                .get(&Key::new(&resource(kind), namespace, name))
                .is_some()
        {
            return Ok(());
        }
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
        Err(Status::forbidden(attributes.kind, attributes.name, &why))
    }
}

fn applies(attributes: &Attributes<'_>, object: &Object) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    let is_mirror = annotations.is_some_and(|annotations| annotations.contains_key(MIRROR));
    attributes.operation == Operation::Create && attributes.kind.kind == "Pod" && !is_mirror
}
