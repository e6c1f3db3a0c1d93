//! Claims and ingresses that name no class get the one that is marked as the default; the newest if several are (upstream's
//! DefaultStorageClass and DefaultIngressClass).

use std::cmp::Reverse;

use minik_api::object::Object;
use serde_json::{Value, json};

use super::{Attributes, Mutate, Operation};

/// The plugin.
pub(super) struct DefaultClass;

/// What names a class, how, and what marks the class that is meant when it doesn't.
struct Classes {
    field: &'static str,
    older: &'static str,
    resource: &'static str,
    marks: &'static [&'static str],
}

const STORAGE: Classes = Classes {
    field: "storageClassName",
    older: "volume.beta.kubernetes.io/storage-class",
    resource: "storageclasses.storage.k8s.io",
    marks: &[
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ],
};
const INGRESS: Classes = Classes {
    field: "ingressClassName",
    older: "kubernetes.io/ingress.class",
    resource: "ingressclasses.networking.k8s.io",
    marks: &["ingressclass.kubernetes.io/is-default-class"],
};

impl Mutate for DefaultClass {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        let classes = match (attributes.kind.group, attributes.kind.kind) {
            ("", "PersistentVolumeClaim") => STORAGE,
            ("networking.k8s.io", "Ingress") => INGRESS,
            _ => return,
        };
        if attributes.operation == Operation::Create && !classes.names_one(object) {
            let all = attributes.objects(classes.resource, "");
            if let (Some(name), Some(Value::Object(spec))) = (classes.default(&all), object.body.get_mut("spec")) {
                spec.insert(classes.field.into(), json!(name));
            }
        }
    }
}

impl Classes {
    /// The empty name is one too: it says that there shall be no class.
    fn names_one(&self, object: &Object) -> bool {
        let annotations = object.metadata.annotations.as_ref();
        let field = object.body.get("spec").and_then(|spec| spec.get(self.field));
        field.is_some_and(|name| !name.is_null()) || annotations.is_some_and(|all| all.contains_key(self.older))
    }

    fn default<'a>(&self, all: &'a [Object]) -> Option<&'a str> {
        let is_marked = |class: &&Object| {
            let annotations = class.metadata.annotations.as_ref();
            let is_true =
                |mark: &&str| annotations.is_some_and(|all| all.get(*mark).is_some_and(|text| text == "true"));
            self.marks.iter().any(is_true)
        };
        let newest = |class: &&Object| {
            let made = class.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (Reverse(made), class.name().to_owned())
        };
        all.iter().filter(is_marked).min_by_key(newest).map(Object::name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, day: &str, default: &str) -> Object {
        let value = json!({"metadata": {"name": name, "creationTimestamp": format!("2026-01-{day}T00:00:00Z"),
            "annotations": {"storageclass.kubernetes.io/is-default-class": default}}});
        serde_json::from_value(value).expect("a class")
    }

    #[test]
    fn the_newest_default_is_taken() {
        let all = [
            class("a", "01", "true"),
            class("c", "02", "true"),
            class("b", "02", "true"),
            class("d", "03", "false"),
        ];
        assert_eq!(STORAGE.default(&all), Some("b"));
        assert_eq!(STORAGE.default(&all[3..]), None);
        for (claim, names) in [
            (json!({"spec": {}}), false),
            (json!({"spec": {"storageClassName": null}}), false),
            (json!({"spec": {"storageClassName": ""}}), true),
            (
                json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}}, "spec": {}}),
                true,
            ),
        ] {
            let claim: Object = serde_json::from_value(claim).expect("a claim");
            assert_eq!(STORAGE.names_one(&claim), names);
        }
    }
}
