//! Volume attachments: a volume that is to be attached to a node, and whether it is.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::{AGE, Column, NAME, Rules, age, checks, read};

const METADATA_MAX_BYTES: usize = 256 * 1024;
const MESSAGE_MAX_BYTES: usize = 1024;
const ONE_SOURCE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";

pub(in crate::kinds) struct VolumeAttachments;

impl Rules for VolumeAttachments {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        let attacher = read::text(object.at("spec.attacher"));
        checks::csi_driver(attacher, &path.child("attacher"), &mut errors);
        check_source(object, &path.child("source"), &mut errors);
        let node = read::text(object.at("spec.nodeName"));
        checks::name(names::subdomain, node, &path.child("nodeName"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        checks::immutable(
            new.body.get("spec"),
            old.body.get("spec"),
            &Path::new("spec"),
            &mut errors,
        );
        errors
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        let path = Path::new("status");
        let mut errors = Vec::new();
        let metadata = read::pairs(new.at("status.attachmentMetadata"));
        if metadata.map(|(key, value)| key.len() + value.len()).sum::<usize>() > METADATA_MAX_BYTES {
            errors.push(Error::too_long(&path.child("attachmentMetadata"), METADATA_MAX_BYTES));
        }
        for field in ["attachError", "detachError"] {
            let failure = read::at(new.body.get("status"), field);
            if read::text(read::at(failure, "message")).len() > MESSAGE_MAX_BYTES {
                errors.push(Error::too_long(&path.child(field).child("message"), MESSAGE_MAX_BYTES));
            }
            let code = read::at(failure, "errorCode").and_then(Value::as_i64);
            if let Some(code) = code.filter(|&code| code < 0) {
                let detail = "must be between 0 and 2147483647, inclusive";
                errors.push(Error::invalid(&path.child(field).child("errorCode"), code, detail));
            }
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Attacher", "Which driver attaches it."),
            Column::text("PV", "The volume."),
            Column::text("Node", "The node."),
            Column::text("Attached", "Whether it is attached.").flag(),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let text = |path: &str| -> Value { read::text(object.at(path)).into() };
        vec![
            object.name().into(),
            text("spec.attacher"),
            text("spec.source.persistentVolumeName"),
            text("spec.nodeName"),
            (object.at("status.attached") == Some(&Value::Bool(true))).into(),
            age(object, now).into(),
        ]
    }
}

/// The inline form is what in-tree volumes are migrated to; what it says is the driver's business.
fn check_source(object: &Object, path: &Path, errors: &mut Vec<Error>) {
    let inline = object.at("spec.source.inlineVolumeSpec");
    let volume = object.at("spec.source.persistentVolumeName").and_then(Value::as_str);
    let path_of_volume = path.child("persistentVolumeName");
    match (inline, volume) {
        (None, None) => errors.push(Error::required(path, ONE_SOURCE)),
        (Some(_), Some(_)) => errors.push(Error::forbidden(path, ONE_SOURCE)),
        (None, Some("")) => {
            let detail = "must specify non empty persistentVolumeName";
            errors.push(Error::required(&path_of_volume, detail));
        }
        (None, Some(volume)) => checks::name(names::subdomain, volume, &path_of_volume, errors),
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, sentences, updated, with};
    use serde_json::json;

    fn attachment() -> Value {
        json!({"metadata": {"name": "a"}, "spec": {"attacher": "disk.example.com", "nodeName": "n",
            "source": {"persistentVolumeName": "v"}}})
    }

    #[test]
    fn what_is_attached_where_stays() {
        assert_eq!(created("VolumeAttachment", attachment()), Vec::<String>::new());
        for (pointer, value, expected) in [
            ("/spec/attacher", json!("a_b"), "spec.attacher: Invalid value: \"a_b\""),
            (
                "/spec/source",
                json!({}),
                "spec.source: Required value: must specify exactly one",
            ),
        ] {
            let told = created("VolumeAttachment", with(attachment(), pointer, value));
            assert!(told[0].starts_with(expected), "{told:?}");
        }
        let moved = updated(
            "VolumeAttachment",
            attachment(),
            with(attachment(), "/spec/nodeName", json!("m")),
        );
        assert!(moved[0].ends_with("field is immutable"), "{moved:?}");
        let status = json!({"attached": true, "detachError": {"errorCode": -1}});
        let object = decoded("VolumeAttachment", with(attachment(), "/status", status));
        assert_eq!(
            sentences(&VolumeAttachments.validate_status_update(&object, &object)),
            ["status.detachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive"]
        );
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(VolumeAttachments.cells(&object, now)[4], true);
    }
}
