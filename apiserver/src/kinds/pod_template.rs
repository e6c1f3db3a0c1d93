//! Pod templates: the kind, and the template inside of everything that makes pods.
//!
//! A template is a pod's labels, annotations and spec; the rules of the spec are those of pods ([`super::pod`]), without what
//! only a real pod has.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, PodSpec, Volume};
use minik_api::field::{Error, Path, Problem};
use minik_api::object::Object;
use serde::Deserialize;
use serde_json::Value;

use super::fill::{self, Fields};
use super::metadata::{validate_annotations, validate_labels};
use super::pod::{defaults as pod_defaults, validation, warnings as pod_warnings};
use super::{Column, NAME, Rules};

/// A template, where it stands in a spec.
#[derive(Clone, Copy)]
pub(super) struct Template<'a>(Option<&'a Fields>);

impl<'a> Template<'a> {
    /// The field `template` of a spec, or of a PodTemplate.
    pub(super) fn of(parent: Option<&'a Fields>) -> Self {
        Self(parent.and_then(|parent| parent.get("template")?.as_object()))
    }

    /// The labels that its pods get.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.texts("labels")
    }

    fn texts(&self, name: &str) -> BTreeMap<String, String> {
        let texts = self.0.and_then(|template| template.get("metadata")?.get(name));
        texts
            .and_then(|texts| BTreeMap::deserialize(texts).ok())
            .unwrap_or_default()
    }

    /// Its spec, as it was written.
    pub(super) fn fields(&self) -> Option<&'a Fields> {
        self.0.and_then(|template| template.get("spec")?.as_object())
    }

    /// The text of a field of its spec; empty when it is absent.
    pub(super) fn text(&self, name: &str) -> &'a str {
        self.fields().map_or("", |spec| fill::text(spec, name))
    }

    /// Its spec, typed.
    fn spec(&self, path: &Path) -> Result<PodSpec, Error> {
        let Some(spec) = self.0.and_then(|template| template.get("spec")) else {
            return Ok(PodSpec::default());
        };
        let wrong = |error: serde_json::Error| Error::new(path, Problem::TypeInvalid(Value::Null), error.to_string());
        PodSpec::deserialize(spec).map_err(wrong)
    }

    /// The names of its containers, those that come first too.
    pub(super) fn container_names(&self) -> Vec<&'a str> {
        let list = |name: &str| self.fields().and_then(|spec| spec.get(name)?.as_array());
        let containers = ["containers", "initContainers"].into_iter().filter_map(list).flatten();
        containers
            .map(|container| container["name"].as_str().unwrap_or_default())
            .collect()
    }

    /// The labels of the nodes that its pods go to.
    pub(super) fn node_selector(&self) -> BTreeMap<String, String> {
        let labels = self.fields().and_then(|spec| spec.get("nodeSelector"));
        labels
            .and_then(|labels| BTreeMap::deserialize(labels).ok())
            .unwrap_or_default()
    }

    /// What is wrong with its labels and annotations alone.
    pub(super) fn validate_labels(&self, path: &Path, errors: &mut Vec<Error>) {
        // Upstream leaves `metadata` out of these places.
        errors.extend(validate_labels(&self.labels(), &path.child("labels")));
        errors.extend(validate_annotations(
            &self.texts("annotations"),
            &path.child("annotations"),
        ));
    }

    /// What is wrong with it.
    pub(super) fn validate(&self, path: &Path, errors: &mut Vec<Error>) {
        self.validate_with_claims(&[], path, errors);
    }

    /// The same, when its pods have volumes besides, from claims of these names.
    pub(super) fn validate_with_claims(&self, claims: &[&str], path: &Path, errors: &mut Vec<Error>) {
        self.validate_labels(path, errors);
        let path = path.child("spec");
        match self.spec(&path) {
            Err(error) => errors.push(error),
            Ok(mut spec) => {
                let volumes = spec.volumes.get_or_insert_default();
                // A claim takes the place of the volume of its name.
                volumes.retain(|volume| !claims.contains(&volume.name.as_str()));
                volumes.extend(claims.iter().map(|name| claimed(name)));
                validation::pod_spec(&spec, None, &path, errors);
                if spec
                    .ephemeral_containers
                    .is_some_and(|containers| !containers.is_empty())
                {
                    let detail = "ephemeral containers not allowed in pod template";
                    errors.push(Error::forbidden(&path.child("ephemeralContainers"), detail));
                }
            }
        }
    }

    /// What the template of something that keeps pods running must not say.
    pub(super) fn stays_up(&self, kind: &str, path: &Path, errors: &mut Vec<Error>) {
        let path = path.child("spec");
        let policy = self.text("restartPolicy");
        if policy != "Always" {
            errors.push(Error::not_supported(&path.child("restartPolicy"), policy, &["Always"]));
        }
        let name = "activeDeadlineSeconds";
        if self.fields().is_some_and(|spec| spec.contains_key(name)) {
            let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
            errors.push(Error::forbidden(&path.child(name), detail));
        }
    }

    /// What isn't wrong with it but will hurt.
    pub(super) fn warnings(&self, path: &str) -> Vec<String> {
        let path = format!("{path}.spec");
        self.spec(&Path::new(&path))
            .map(|spec| pod_warnings(&spec, &path))
            .unwrap_or_default()
    }

    /// The names of its containers and their images, as tables show them.
    pub(super) fn names_and_images(&self) -> [Value; 2] {
        let containers = self.fields().and_then(|spec| spec.get("containers")?.as_array());
        let containers: Vec<&Value> = containers.into_iter().flatten().collect();
        ["name", "image"].map(|field| {
            let texts = containers
                .iter()
                .map(|container| container[field].as_str().unwrap_or_default());
            texts.collect::<Vec<_>>().join(",").into()
        })
    }
}

fn claimed(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: name.to_owned(),
            ..PersistentVolumeClaimVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Fills in a template's defaults; `parent` is the spec that it stands in.
pub(super) fn defaults(parent: &mut Fields) {
    let template = fill::object_or_empty(parent, "template");
    if let Some(spec) = template.and_then(|template| fill::object_or_empty(template, "spec")) {
        pod_defaults::pod_spec(spec);
    }
}

/// The columns of what has a template.
pub(super) const CONTAINERS: Column = Column::text("Containers", "The names of the template's containers.");
/// The same.
pub(super) const IMAGES: Column = Column::text("Images", "The images of the template's containers.");

/// `a=b,c=d`
pub(super) fn labels_text(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return "<none>".to_owned();
    }
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

pub(super) struct PodTemplates;

impl Rules for PodTemplates {
    fn prepare_create(&self, _object: &mut Object) {}

    fn prepare_update(&self, _new: &mut Object, _old: &Object) {}

    fn defaults(&self, object: &mut Object) {
        defaults(&mut object.body);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        Template::of(Some(&object.body)).validate(&Path::new("template"), &mut errors);
        errors
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        Template::of(Some(&object.body)).warnings("template")
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn raises_generation(&self, new: &Object, old: &Object) -> bool {
        new.body.get("template") != old.body.get("template")
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            CONTAINERS,
            IMAGES,
            Column::text("Pod Labels", "The labels of the template."),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let template = Template::of(Some(&object.body));
        let [names, images] = template.names_and_images();
        vec![
            object.name().into(),
            names,
            images,
            labels_text(&template.labels()).into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, decoded};
    use serde_json::json;

    #[test]
    fn a_template_is_defaulted_checked_and_shown() {
        let template = json!({"metadata": {"name": "t", "namespace": "default"},
            "template": {"metadata": {"labels": {"b": "2", "a": "1"}},
                "spec": {"containers": [{"name": "x", "image": "i:1"}, {"name": "y", "image": "j"}]}}});
        let whole = decoded("PodTemplate", template.clone());
        assert_eq!(whole.at("template.spec.restartPolicy"), Some(&json!("Always")));
        assert_eq!(created("PodTemplate", template.clone()), Vec::<String>::new());
        assert_eq!(cells("PodTemplate", template)[1..], ["x,y", "i:1,j", "a=1,b=2"]);
        let bad = json!({"template": {"metadata": {"labels": {"a b": "1"}}, "spec": {"containers": []}}});
        let told = created("PodTemplate", bad);
        assert!(
            told[0].starts_with("template.labels: Invalid value: \"a b\""),
            "{told:?}"
        );
        assert_eq!(told[1], "template.spec.containers: Required value");
    }
}
