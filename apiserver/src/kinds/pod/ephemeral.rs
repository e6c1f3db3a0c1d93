//! `pods/NAME/ephemeralcontainers`: containers for debugging come into a pod that runs, and stay.

use k8s_openapi::api::core::v1::EphemeralContainer;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde::Deserialize;
use serde_json::Value;

use super::update::differences;
use crate::kinds::{fill, keep_all};

const FIELD: &str = "ephemeralContainers";

/// Nothing else changes this way.
pub(super) fn prepare(new: &mut Object, old: &Object) {
    let wanted = fill::object(&mut new.body, "spec").and_then(|spec| spec.remove(FIELD));
    keep_all(new, old);
    let Some(spec) = fill::object(&mut new.body, "spec") else {
        return;
    };
    match wanted {
        Some(wanted) => spec.insert(FIELD.to_owned(), wanted),
        None => spec.remove(FIELD),
    };
}

/// Those that are there stay as they are.
pub(super) fn check(new: &Object, old: &Object, errors: &mut Vec<Error>) {
    let path = Path::new("spec").child(FIELD);
    let list = |object: &Object| {
        let list = object.at("spec.ephemeralContainers").and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let new = list(new);
    for old in list(old) {
        let name = old["name"].as_str().unwrap_or_default();
        match new.iter().find(|new| new["name"] == name) {
            None => {
                let detail = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.push(Error::forbidden(&path, detail));
            }
            // A field that is new in its type is no change.
            Some(new) if !same(new, &old) => {
                let lines = differences(name, &old, new);
                let detail = format!("existing ephemeral containers {name:?} may not be changed\n{lines}");
                errors.push(Error::forbidden(&path, detail));
            }
            Some(_) => {}
        }
    }
}

fn same(new: &Value, old: &Value) -> bool {
    let typed = |value: &Value| EphemeralContainer::deserialize(value).ok();
    typed(new) == typed(old)
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{decoded, rules_of, sentences};
    use serde_json::{Value, json};

    fn pod(ephemeral: Value) -> Value {
        json!({"metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "i"}], "ephemeralContainers": ephemeral}})
    }

    fn told(new: Value, old: Value) -> Vec<String> {
        let (new, old) = (decoded("Pod", new), decoded("Pod", old));
        sentences(&rules_of("Pod").validate_part_update("ephemeralcontainers", &new, &old))
    }

    #[test]
    fn containers_come_and_stay() {
        let one = json!([{"name": "d", "image": "busybox", "targetContainerName": "c"}]);
        assert_eq!(told(pod(one.clone()), pod(json!([]))), Vec::<String>::new());
        assert_eq!(
            told(pod(json!([])), pod(one.clone())),
            ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be removed\n"]
        );
        let mut other = one.clone();
        other[0]["image"] = "nginx".into();
        let changed = told(pod(other), pod(one.clone()));
        assert!(
            changed[0].starts_with(
                "spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be changed\n"
            ),
            "{changed:?}"
        );
        let mut fixed = pod(one.clone());
        fixed["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        assert_eq!(
            told(fixed.clone(), fixed),
            ["<nil>: Forbidden: static pods do not support ephemeral containers"]
        );
    }

    #[test]
    fn nothing_else_changes() {
        let old = decoded("Pod", pod(json!([])));
        let mut wanted = pod(json!([{"name": "d", "image": "busybox"}]));
        wanted["spec"]["containers"][0]["image"] = "other".into();
        wanted["metadata"]["labels"] = json!({"a": "b"});
        let mut new = decoded("Pod", wanted);
        rules_of("Pod").prepare_part_update("ephemeralcontainers", &mut new, &old);
        assert_eq!(new.at("spec.containers"), old.at("spec.containers"));
        assert_eq!(new.metadata.labels, None);
        assert_eq!(new.at("spec.ephemeralContainers").expect("there")[0]["name"], "d");
    }
}
