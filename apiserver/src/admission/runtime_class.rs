//! Pods of a runtime class carry its overhead and go where it runs (upstream's RuntimeClass).

use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::pod_resources::amounts;
use super::{Attributes, Mutate, Operation, Validate};
use crate::kinds::read;

/// The plugin.
pub(super) struct RuntimeClass;

impl Mutate for RuntimeClass {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        if !applies(attributes) {
            return;
        }
        if let (Some(class), Some(spec)) = (class(attributes, object), object.body.get_mut("spec")) {
            fill(spec, &class);
        }
    }
}

impl Validate for RuntimeClass {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let Some(object) = object.filter(|_| applies(attributes)) else {
            return Ok(());
        };
        let why = complaint(object, name(object).map(|_| class(attributes, object)));
        why.map_or(Ok(()), |why| {
            let why = format!("pod rejected: {why}");
            Err(Status::forbidden(attributes.kind, attributes.name, &why))
        })
    }
}

fn applies(attributes: &Attributes<'_>) -> bool {
    attributes.is("", "Pod") && attributes.operation == Operation::Create
}

fn name(pod: &Object) -> Option<&str> {
    let name = pod.at("spec.runtimeClassName").and_then(Value::as_str);
    name.filter(|name| !name.is_empty())
}

fn class(attributes: &Attributes<'_>, pod: &Object) -> Option<Object> {
    attributes.object("runtimeclasses.node.k8s.io", "", name(pod)?)
}

fn fill(spec: &mut Value, class: &Object) {
    if let Some(overhead) = class.at("overhead.podFixed")
        && read::is_empty(spec.get("overhead"))
    {
        spec["overhead"] = overhead.clone();
    }
    for (key, value) in read::pairs(class.at("scheduling.nodeSelector")) {
        if spec["nodeSelector"].is_null() {
            spec["nodeSelector"] = json!({});
        }
        // A pod that says otherwise is refused.
        if spec["nodeSelector"].get(key).is_none() {
            spec["nodeSelector"][key] = json!(value);
        }
    }
    let tolerations = read::list(class.at("scheduling.tolerations"));
    if !tolerations.is_empty() && spec["tolerations"].is_null() {
        spec["tolerations"] = json!([]);
    }
    for toleration in tolerations {
        if let Some(own) = spec["tolerations"]
            .as_array_mut()
            .filter(|own| !own.contains(toleration))
        {
            own.push(toleration.clone());
        }
    }
}

/// What is wrong with a pod by its class; the outer `None`: it names none.
#[expect(
    clippy::option_option,
    reason = "a class that isn't there is something else than no class"
)]
fn complaint(pod: &Object, class: Option<Option<Object>>) -> Option<String> {
    let overhead = amounts(pod.at("spec.overhead"));
    let class = match class {
        None if overhead.is_empty() => return None,
        None => return Some("Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned()),
        Some(None) => return Some(format!("RuntimeClass {:?} not found", name(pod).unwrap_or_default())),
        Some(Some(class)) => class,
    };
    if overhead != amounts(class.at("overhead.podFixed")) {
        return Some("Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_owned());
    }
    let wanted = read::pairs(class.at("scheduling.nodeSelector"));
    for (key, value) in wanted {
        let own = pod.at("spec.nodeSelector").and_then(|selector| selector.get(key));
        let own = own.and_then(Value::as_str).unwrap_or_default();
        if own != value {
            return Some(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn a_pod_is_as_its_class_says() {
        let class = || {
            object(
                json!({"overhead": {"podFixed": {"cpu": "10m"}}, "scheduling": {"nodeSelector": {"vm": "yes"},
                "tolerations": [{"key": "vm"}]}}),
            )
        };
        let mut pod = object(json!({"spec": {"runtimeClassName": "vm"}}));
        fill(pod.body.get_mut("spec").expect("a spec"), &class());
        assert_eq!(
            pod.at("spec"),
            Some(
                &json!({"runtimeClassName": "vm", "overhead": {"cpu": "10m"}, "nodeSelector": {"vm": "yes"},
                "tolerations": [{"key": "vm"}]})
            )
        );
        assert_eq!(complaint(&pod, Some(Some(class()))), None);
        assert_eq!(
            complaint(&pod, Some(None)).as_deref(),
            Some("RuntimeClass \"vm\" not found")
        );
        for (own, words) in [
            (json!({"overhead": {"cpu": "1"}}), "doesn't match RuntimeClass's"),
            (
                json!({"overhead": {"cpu": "10m"}, "nodeSelector": {"vm": "no"}}),
                "conflict: runtimeClass.scheduling",
            ),
        ] {
            let mut spec = own.clone();
            fill(&mut spec, &class());
            let why = complaint(&object(json!({"spec": spec})), Some(Some(class()))).expect(words);
            assert!(why.contains(words), "{why}");
        }
        let alone = object(json!({"spec": {"overhead": {"cpu": "1"}}}));
        assert!(complaint(&alone, None).is_some());
    }
}
