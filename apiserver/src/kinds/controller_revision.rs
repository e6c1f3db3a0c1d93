//! Controller revisions: the templates that a daemon set or stateful set had, to go back to.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::Value;

use super::workload::{count, counts};
use super::{AGE, Column, NAME, Rules, age, checks};

pub(super) struct ControllerRevisions;

impl Rules for ControllerRevisions {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        if !object.body.contains_key("data") {
            errors.push(Error::required(&Path::new("data"), "data is mandatory"));
        }
        counts(Some(&object.body), &["revision"], &Path::default(), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        checks::immutable(new.at("data"), old.at("data"), &Path::new("data"), &mut errors);
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Controller", "Whose template it was."),
            Column::text("Revision", "The number of the template.").number(),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let mut owners = object.metadata.owner_references.iter().flatten();
        let controller = owners.find(|owner| owner.controller == Some(true));
        let controller = controller.map_or("<none>".to_owned(), |owner| {
            let kind = owner.kind.to_lowercase();
            match owner.api_version.split_once('/') {
                Some((group, _)) => format!("{kind}.{group}/{}", owner.name),
                None => format!("{kind}/{}", owner.name),
            }
        });
        vec![
            object.name().into(),
            controller.into(),
            count(Some(&object.body), "revision").into(),
            age(object, now).into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, updated};
    use serde_json::json;

    #[test]
    fn a_revision_is_written_once() {
        let owner =
            json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "1", "controller": true}]);
        let revision = json!({"metadata": {"name": "r", "ownerReferences": owner}, "data": {"a": 1}, "revision": 3});
        assert_eq!(created("ControllerRevision", revision.clone()), Vec::<String>::new());
        assert_eq!(
            cells("ControllerRevision", revision.clone()),
            ["r", "statefulset.apps/web", "3", "<unknown>"]
        );
        assert_eq!(
            created("ControllerRevision", json!({"revision": -1})),
            [
                "data: Required value: data is mandatory",
                "revision: Invalid value: -1: must be greater than or equal to 0"
            ]
        );
        let mut other = revision.clone();
        other["data"]["a"] = 2.into();
        assert_eq!(
            updated("ControllerRevision", revision, other),
            ["data: Invalid value: {\"a\":2}: field is immutable"]
        );
    }
}
