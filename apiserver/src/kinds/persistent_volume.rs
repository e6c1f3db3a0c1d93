//! Persistent volumes: storage that is there, for claims to have.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NodeSelector;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fill::{self, Fields};
use super::persistent_volume_claim::{access_modes, access_modes_text, class, or_unset, phase, positive};
use super::pod::validation::node_selector;
use super::{AGE, Column, NAME, Rules, age, checks, fields, text_at};

/// Where the storage can come from (core/v1 PersistentVolumeSource).
const SOURCES: [&str; 22] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

pub(super) struct Volumes;

impl Rules for Volumes {
    fn prepare_create(&self, object: &mut Object) {
        object.body.insert("status".to_owned(), json!({"phase": "Pending"}));
    }

    fn defaults(&self, object: &mut Object) {
        if let Some(spec) = fill::object_or_empty(&mut object.body, "spec") {
            fill::absent(spec, "persistentVolumeReclaimPolicy", "Retain");
            fill::absent(spec, "volumeMode", "Filesystem");
            if let Some(path) = fill::object(spec, "hostPath") {
                fill::absent(path, "type", "");
            }
            if let Some(iscsi) = fill::object(spec, "iscsi") {
                fill::absent(iscsi, "iscsiInterface", "default");
            }
        }
        if let Some(status) = fill::object_or_empty(&mut object.body, "status") {
            fill::absent(status, "phase", "Pending");
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (spec, path, mut errors) = (fields(object, "spec"), Path::new("spec"), Vec::new());
        let modes = spec.and_then(|spec| spec.get("accessModes"));
        if modes.and_then(Value::as_array).is_none_or(Vec::is_empty) {
            errors.push(Error::required(&path.child("accessModes"), ""));
        }
        access_modes(modes, &path.child("accessModes"), &mut errors);
        capacity(spec, &path.child("capacity"), &mut errors);
        let text = |name: &str| spec.and_then(|spec| spec.get(name)?.as_str());
        let policies = ["Delete", "Recycle", "Retain"];
        let policy = text("persistentVolumeReclaimPolicy");
        let policy_path = path.child("persistentVolumeReclaimPolicy");
        checks::one_of_or_none(policy, &policies, &policy_path, &mut errors);
        node_affinity(spec, &path.child("nodeAffinity"), &mut errors);
        source(spec, &path, &mut errors);
        if text_at(object, "spec.hostPath.path").trim_end_matches('/').is_empty()
            && object.at("spec.hostPath.path").is_some()
            && policy == Some("Recycle")
        {
            let detail = "may not be 'recycle' for a hostPath mount of '/'";
            errors.push(Error::forbidden(&policy_path, detail));
        }
        for name in ["storageClassName", "volumeAttributesClassName"] {
            if let Some(class) = text(name).filter(|class| !class.is_empty()) {
                checks::name(names::subdomain, class, &path.child(name), &mut errors);
            }
        }
        checks::one_of_or_none(
            text("volumeMode"),
            &["Block", "Filesystem"],
            &path.child("volumeMode"),
            &mut errors,
        );
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let (mut errors, path) = (self.validate(new), Path::new("spec"));
        let sources = |object: &Object| -> Map<String, Value> {
            let spec = fields(object, "spec").cloned().unwrap_or_default();
            spec.into_iter()
                .filter(|(name, _)| SOURCES.contains(&name.as_str()))
                .collect()
        };
        let (now, before) = (sources(new), sources(old));
        if now != before {
            let lines = super::pod::differences("spec", &before.into(), &now.into());
            let detail = format!("spec.persistentvolumesource is immutable after creation\n{lines}");
            errors.push(Error::forbidden(&path.child("persistentvolumesource"), detail));
        }
        let mode = path.child("volumeMode");
        checks::immutable(new.at("spec.volumeMode"), old.at("spec.volumeMode"), &mode, &mut errors);
        // What is bound to nodes stays there.
        if old.at("spec.nodeAffinity").is_some() {
            let affinity = path.child("nodeAffinity");
            checks::immutable(
                new.at("spec.nodeAffinity"),
                old.at("spec.nodeAffinity"),
                &affinity,
                &mut errors,
            );
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Capacity", "How much the volume holds."),
            Column::text("Access Modes", "How the volume can be used."),
            Column::text("Reclaim Policy", "What becomes of the volume when its claim is gone."),
            Column::text("Status", "Whether the volume has a claim."),
            Column::text("Claim", "The claim that has the volume."),
            Column::text("StorageClass", "The class of the volume."),
            Column::text("VolumeAttributesClass", "The class of the volume's attributes."),
            Column::text("Reason", "Why the volume is in this status."),
            AGE,
            Column::text("VolumeMode", "Whether the volume is a file system or a device.").wide(),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let claim = match text_at(object, "spec.claimRef.name") {
            name if name.is_empty() => String::new(),
            name => format!("{}/{name}", text_at(object, "spec.claimRef.namespace")),
        };
        vec![
            object.name().into(),
            text_at(object, "spec.capacity.storage").into(),
            access_modes_text(object.at("spec.accessModes")).into(),
            text_at(object, "spec.persistentVolumeReclaimPolicy").into(),
            phase(object).into(),
            claim.into(),
            class(object).into(),
            or_unset(text_at(object, "spec.volumeAttributesClassName")).into(),
            text_at(object, "status.reason").into(),
            age(object, now).into(),
            or_unset(text_at(object, "spec.volumeMode")).into(),
        ]
    }
}

fn capacity(spec: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let capacity = spec.and_then(|spec| spec.get("capacity")?.as_object());
    let Some(capacity) = capacity.filter(|capacity| !capacity.is_empty()) else {
        errors.push(Error::required(path, ""));
        return;
    };
    if capacity.len() > 1 || !capacity.contains_key("storage") {
        errors.push(Error::not_supported(path, capacity.clone(), &["storage"]));
    }
    for (name, amount) in capacity {
        positive(amount, &path.key(name), errors);
    }
}

fn node_affinity(spec: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let Some(affinity) = spec.and_then(|spec| spec.get("nodeAffinity")) else {
        return;
    };
    let path = path.child("required");
    match affinity.get("required").map(NodeSelector::deserialize) {
        None => errors.push(Error::required(&path, "must specify required node constraints")),
        Some(Ok(selector)) => node_selector(&selector, &path, errors),
        Some(Err(_)) => {}
    }
}

/// Exactly one source, and what it needs.
fn source(spec: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let sources = SOURCES
        .iter()
        .filter_map(|name| Some((*name, spec?.get(*name)?)))
        .enumerate();
    let mut none = true;
    for (index, (name, source)) in sources {
        none = false;
        let path = path.child(name);
        if index > 0 {
            errors.push(Error::forbidden(&path, "may not specify more than 1 volume type"));
            continue;
        }
        let text = |field: &str| source[field].as_str().unwrap_or_default();
        let required: &[&str] = match name {
            "hostPath" | "local" => &["path"],
            "nfs" => &["server", "path"],
            "csi" => &["driver", "volumeHandle"],
            _ => &[],
        };
        for field in required {
            checks::required(text(field), &path.child(field), errors);
        }
        if matches!(name, "hostPath" | "local") {
            checks::no_backsteps(text("path"), &path.child("path"), errors);
        }
        if name == "nfs" && !text("path").is_empty() && !text("path").starts_with('/') {
            errors.push(Error::invalid(
                &path.child("path"),
                text("path"),
                "must be an absolute path",
            ));
        }
        if name == "local" && spec.is_none_or(|spec| !spec.contains_key("nodeAffinity")) {
            errors.push(Error::required(
                &Path::new("metadata").child("annotations"),
                "Local volume requires node affinity",
            ));
        }
    }
    if none {
        errors.push(Error::required(path, "must specify a volume type"));
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, decoded, updated, with};
    use serde_json::{Value, json};

    fn volume() -> Value {
        json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": "manual", "hostPath": {"path": "/data"}}})
    }

    #[test]
    fn volumes_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(created("PersistentVolume", volume()), Vec::<String>::new());
        let whole = decoded("PersistentVolume", volume());
        assert_eq!(whole.at("spec.persistentVolumeReclaimPolicy"), Some(&json!("Retain")));
        for (pointer, value, expected) in [
            ("/spec/accessModes", json!([]), "spec.accessModes: Required value"),
            ("/spec/capacity", json!({}), "spec.capacity: Required value"),
            (
                "/spec/hostPath",
                Value::Null,
                "spec: Required value: must specify a volume type",
            ),
            (
                "/spec/hostPath/path",
                json!("/a/../b"),
                "spec.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            ),
            (
                "/spec/nfs",
                json!({"server": "s", "path": "/"}),
                "spec.nfs: Forbidden: may not specify more than 1 volume type",
            ),
            (
                "/spec/persistentVolumeReclaimPolicy",
                json!("Burn"),
                "spec.persistentVolumeReclaimPolicy: Unsupported value: \"Burn\": supported values: \"Delete\", \"Recycle\", \"Retain\"",
            ),
            (
                "/spec/nodeAffinity",
                json!({}),
                "spec.nodeAffinity.required: Required value: must specify required node constraints",
            ),
        ] {
            assert_eq!(
                created("PersistentVolume", with(volume(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
    }

    #[test]
    fn the_source_stays() {
        let told = updated(
            "PersistentVolume",
            volume(),
            with(volume(), "/spec/hostPath/path", json!("/other")),
        );
        assert!(
            told[0].starts_with(
                "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
            ),
            "{told:?}"
        );
        let larger = with(volume(), "/spec/capacity/storage", json!("2Gi"));
        assert_eq!(updated("PersistentVolume", volume(), larger), Vec::<String>::new());
    }

    #[test]
    fn tables_show_the_claim() {
        let claimed = with(volume(), "/spec/claimRef", json!({"namespace": "default", "name": "c"}));
        assert_eq!(
            cells("PersistentVolume", with(claimed, "/status/phase", json!("Bound"))),
            [
                "v",
                "1Gi",
                "RWO",
                "Retain",
                "Bound",
                "default/c",
                "manual",
                "<unset>",
                "",
                "<unknown>",
                "Filesystem"
            ]
        );
    }
}
