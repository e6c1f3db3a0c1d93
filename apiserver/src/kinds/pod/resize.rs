//! `pods/NAME/resize`: more or less CPU and memory for containers that run (in-place pod resize).

use k8s_openapi::api::core::v1::PodSpec;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Map, Value};

use super::qos;
use crate::kinds::checks::section;
use crate::kinds::fill::{self, Fields};
use crate::kinds::keep_all;

/// The lists whose containers can be resized, and what is told when they don't match.
const LISTS: [&str; 2] = ["containers", "initContainers"];
/// What can be given more or less of.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// Nothing changes this way but the resources of containers.
pub(super) fn prepare(new: &mut Object, old: &Object) {
    let wanted = new
        .body
        .get("spec")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    keep_all(new, old);
    let Some(spec) = fill::object(&mut new.body, "spec") else {
        return;
    };
    for list in LISTS {
        let wanted = wanted.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        let names = |list: &[Value]| -> Vec<Value> { list.iter().map(|container| container["name"].clone()).collect() };
        let there = spec.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        if names(&wanted) != names(&there) {
            // Validation tells what is wrong with it.
            spec.insert(list.to_owned(), wanted.into());
            continue;
        }
        for (container, wanted) in fill::items(spec, list).zip(wanted) {
            for field in ["resources", "resizePolicy"] {
                match wanted.get(field) {
                    Some(value) => container.insert(field.to_owned(), value.clone()),
                    None => container.remove(field),
                };
            }
        }
    }
}

/// What is wrong with the change.
pub(super) fn check(new: &Object, old: &Object, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    if old.at("spec.os.name").and_then(Value::as_str) == Some("windows") {
        errors.push(Error::forbidden(&Path::default(), "windows pods cannot be resized"));
        return;
    }
    let class = |object: &Object| section::<PodSpec>(object, "spec").ok().map(|spec| qos::class(&spec));
    if class(new) != class(old) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(Error::invalid(&path, class(new).unwrap_or_default(), detail));
    }
    let before = errors.len();
    for list in LISTS {
        same_containers(containers(new, list), containers(old, list), &path.child(list), errors);
    }
    if errors.len() > before {
        return;
    }
    for list in LISTS {
        let pairs = containers(new, list).iter().zip(containers(old, list));
        for (index, (new, old)) in pairs.enumerate() {
            let path = path.child(list).index(index).child("resources");
            nothing_removed(new, old, &path, errors);
            let sidecar = old["restartPolicy"] == "Always";
            if list == "initContainers" && !sidecar && new.get("resources") != old.get("resources") {
                let detail = "resources for non-sidecar init containers are immutable";
                errors.push(Error::forbidden(&path, detail));
            }
        }
    }
    if rest(new) != rest(old) {
        errors.push(Error::forbidden(&path, "only cpu and memory resources are mutable"));
    }
}

fn containers<'a>(object: &'a Object, list: &str) -> &'a [Value] {
    let list = object.at("spec").and_then(|spec| spec.get(list)?.as_array());
    list.map(Vec::as_slice).unwrap_or_default()
}

fn same_containers(new: &[Value], old: &[Value], path: &Path, errors: &mut Vec<Error>) {
    if new.len() != old.len() {
        let detail = "containers may not be added or removed on resize";
        errors.push(Error::forbidden(path, detail));
        return;
    }
    for (index, (new, old)) in new.iter().zip(old).enumerate() {
        if new["name"] != old["name"] {
            let detail = "containers may not be renamed or reordered on resize";
            errors.push(Error::forbidden(&path.index(index).child("name"), detail));
        }
    }
}

fn nothing_removed(new: &Value, old: &Value, path: &Path, errors: &mut Vec<Error>) {
    for section in ["requests", "limits"] {
        let amounts = |container: &Value| -> Map<String, Value> {
            let amounts = container
                .get("resources")
                .and_then(|resources| resources.get(section)?.as_object());
            amounts.cloned().unwrap_or_default()
        };
        let (new, old) = (amounts(new), amounts(old));
        if old
            .keys()
            .any(|name| RESIZABLE.contains(&name.as_str()) && !new.contains_key(name))
        {
            let detail = format!("resource {section} cannot be removed");
            errors.push(Error::forbidden(&path.child(section), detail));
        }
    }
}

/// All of the spec but CPU and memory.
fn rest(object: &Object) -> Fields {
    let mut spec = object
        .body
        .get("spec")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for list in LISTS {
        for container in fill::items(&mut spec, list) {
            let Some(resources) = fill::object(container, "resources") else {
                continue;
            };
            for section in ["requests", "limits"] {
                if let Some(amounts) = fill::object(resources, section) {
                    amounts.retain(|name, _| !RESIZABLE.contains(&name.as_str()));
                }
                if resources
                    .get(section)
                    .and_then(Value::as_object)
                    .is_some_and(Map::is_empty)
                {
                    resources.remove(section);
                }
            }
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{decoded, rules_of, sentences, with};
    use serde_json::{Value, json};

    fn pod() -> Value {
        json!({"metadata": {"name": "p", "namespace": "default"}, "spec": {
            "initContainers": [{"name": "i", "image": "i", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}],
            "containers": [{"name": "c", "image": "i",
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}}]}})
    }

    fn resized(pointer: &str, value: Value) -> Vec<String> {
        let old = decoded("Pod", pod());
        let mut new = decoded("Pod", with(pod(), pointer, value));
        let rules = rules_of("Pod");
        rules.prepare_part_update("resize", &mut new, &old);
        sentences(&rules.validate_part_update("resize", &new, &old))
    }

    #[test]
    fn cpu_and_memory_can_change_within_the_class() {
        let resources = "/spec/containers/0/resources";
        assert_eq!(
            resized(&format!("{resources}/requests/cpu"), json!("1500m")),
            Vec::<String>::new()
        );
        for (pointer, value, expected) in [
            (
                "/requests",
                json!({"cpu": "2", "memory": "1Gi"}),
                "spec: Invalid value: \"Guaranteed\": Pod QOS Class may not change as a result of resizing",
            ),
            (
                "/limits",
                json!({"memory": "1Gi"}),
                "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
            ),
            (
                "/limits/ephemeral-storage",
                json!("1Gi"),
                "spec: Forbidden: only cpu and memory resources are mutable",
            ),
        ] {
            assert_eq!(
                resized(&format!("{resources}{pointer}"), value),
                [expected],
                "{pointer}"
            );
        }
    }

    #[test]
    fn the_containers_stay() {
        assert_eq!(
            resized("/spec/containers/-", json!({"name": "d", "image": "i"})),
            ["spec.containers: Forbidden: containers may not be added or removed on resize"]
        );
        assert_eq!(
            resized("/spec/containers/0/name", json!("other")),
            ["spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"]
        );
        assert_eq!(
            resized("/spec/initContainers/0/resources/requests/cpu", json!("500m")),
            ["spec.initContainers[0].resources: Forbidden: resources for non-sidecar init containers are immutable"]
        );
        // Whatever else is asked for is left as it is.
        assert_eq!(
            resized("/spec/containers/0/image", json!("other")),
            Vec::<String>::new()
        );
        assert_eq!(resized("/spec/hostNetwork", json!(true)), Vec::<String>::new());
    }
}
