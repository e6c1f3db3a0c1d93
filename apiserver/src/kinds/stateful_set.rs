//! Stateful sets: pods with numbers and, each, volumes of their own.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::{Value, json};

use super::fill::{self, Fields};
use super::pod_template::{self, CONTAINERS, IMAGES, Template};
use super::workload::{self, count, counts};
use super::{AGE, Column, NAME, NameRule, Rules, Scale, age, fields, persistent_volume_claim};

/// What may change, as it is told.
const MUTABLE: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
const MUTABLE_FIELDS: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub(super) struct StatefulSets;

impl Rules for StatefulSets {
    /// The names of its pods are those of hosts.
    fn name_rule(&self) -> NameRule {
        names::label
    }

    fn prepare_create(&self, object: &mut Object) {
        let status = json!({"availableReplicas": 0, "replicas": 0});
        object.body.insert("status".to_owned(), status);
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object_or_empty(&mut object.body, "spec") else {
            return;
        };
        fill::absent(spec, "podManagementPolicy", "OrderedReady");
        if let Some(strategy) = fill::object_or_empty(spec, "updateStrategy") {
            fill::absent(strategy, "type", "RollingUpdate");
            if fill::text(strategy, "type") == "RollingUpdate"
                && let Some(rolling) = fill::object_or_empty(strategy, "rollingUpdate")
            {
                fill::absent(rolling, "partition", 0);
            }
        }
        if let Some(policy) = fill::object_or_empty(spec, "persistentVolumeClaimRetentionPolicy") {
            fill::absent(policy, "whenDeleted", "Retain");
            fill::absent(policy, "whenScaled", "Retain");
        }
        fill::absent(spec, "replicas", 1);
        fill::absent(spec, "revisionHistoryLimit", 10);
        for claim in fill::items(spec, "volumeClaimTemplates") {
            fill::absent(claim, "apiVersion", "v1");
            fill::absent(claim, "kind", "PersistentVolumeClaim");
            persistent_volume_claim::defaults(claim);
        }
        pod_template::defaults(spec);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = self.validate_spec(object);
        templates(object, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate_spec(new);
        // What could be created once can be scaled still.
        let mut before = Vec::new();
        templates(old, &mut before);
        if before.is_empty() {
            templates(new, &mut errors);
        }
        let rest = |object: &Object| {
            let mut spec = fields(object, "spec").cloned().unwrap_or_default();
            spec.retain(|name, _| !MUTABLE_FIELDS.contains(&name.as_str()));
            spec
        };
        if rest(new) != rest(old) {
            errors.push(Error::forbidden(&Path::new("spec"), MUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let (status, path, mut errors) = (fields(new, "status"), Path::new("status"), Vec::new());
        let parts = [
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
        ];
        counts(status, &["replicas"], &path, &mut errors);
        counts(status, &parts, &path, &mut errors);
        counts(status, &["observedGeneration", "collisionCount"], &path, &mut errors);
        let detail = "cannot be greater than status.replicas";
        workload::at_most(status, &parts, "replicas", detail, &path, &mut errors);
        let (part, detail) = (["availableReplicas"], "cannot be greater than status.readyReplicas");
        workload::at_most(status, &part, "readyReplicas", detail, &path, &mut errors);
        workload::collision_count(status, fields(old, "status"), &path, &mut errors);
        errors
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        Template::of(fields(object, "spec")).warnings("spec.template")
    }

    fn scale(&self, object: &Object) -> Option<Scale> {
        Some(workload::scale_by_selector(object))
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Ready", "How many pods are ready, of how many."),
            AGE,
            CONTAINERS.wide(),
            IMAGES.wide(),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (fields(object, "spec"), fields(object, "status"));
        let [names, images] = Template::of(spec).names_and_images();
        vec![
            object.name().into(),
            format!("{}/{}", count(status, "readyReplicas"), count(spec, "replicas")).into(),
            age(object, now).into(),
            names,
            images,
        ]
    }
}

impl StatefulSets {
    fn validate_spec(&self, object: &Object) -> Vec<Error> {
        let (spec, path, mut errors) = (fields(object, "spec"), Path::new("spec"), Vec::new());
        let text = |name: &str| spec.map_or("", |spec| fill::text(spec, name));
        let object_in = |name: &str| spec.and_then(|spec| spec.get(name)?.as_object());
        management_policy(text("podManagementPolicy"), &path, &mut errors);
        strategy(object_in("updateStrategy"), &path.child("updateStrategy"), &mut errors);
        if let Some(policy) = object_in("persistentVolumeClaimRetentionPolicy") {
            let path = path.child("persistentVolumeClaimRetentionPolicy");
            for name in ["whenDeleted", "whenScaled"] {
                let value = fill::text(policy, name);
                if !["Delete", "Retain"].contains(&value) {
                    errors.push(Error::not_supported(&path.child(name), value, &["Delete", "Retain"]));
                }
            }
        }
        counts(spec, &["replicas", "minReadySeconds"], &path, &mut errors);
        counts(object_in("ordinals"), &["start"], &path.child("ordinals"), &mut errors);
        counts(spec, &["revisionHistoryLimit"], &path, &mut errors);
        let empty = "empty selector is invalid for statefulset";
        let selector = workload::check_selector(spec, empty, "", &path, &mut errors);
        let (template, path) = (Template::of(spec), path.child("template"));
        if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
            workload::selects_template(&selector, template, &path, &mut errors);
        }
        template.stays_up("StatefulSet", &path, &mut errors);
        errors
    }
}

/// What is wrong with the templates of its pods and claims.
fn templates(object: &Object, errors: &mut Vec<Error>) {
    let (spec, path) = (fields(object, "spec"), Path::new("spec"));
    let claims = object.at("spec.volumeClaimTemplates").and_then(Value::as_array);
    let claims = claims.map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = claims
        .iter()
        .filter_map(|claim| claim["metadata"]["name"].as_str())
        .collect();
    Template::of(spec).validate_with_claims(&names, &path.child("template"), errors);
    for (index, claim) in claims.iter().enumerate() {
        let path = path.child("volumeClaimTemplates").index(index).child("spec");
        persistent_volume_claim::spec(claim["spec"].as_object(), &path, errors);
    }
}

fn management_policy(policy: &str, path: &Path, errors: &mut Vec<Error>) {
    let path = path.child("podManagementPolicy");
    match policy {
        "" => errors.push(Error::required(&path, "")),
        "OrderedReady" | "Parallel" => {}
        _ => errors.push(Error::invalid(&path, policy, "must be 'OrderedReady' or 'Parallel'")),
    }
}

fn strategy(strategy: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let rolling = strategy.and_then(|strategy| strategy.get("rollingUpdate"));
    let rolling_path = path.child("rollingUpdate");
    match (strategy.map_or("", |strategy| fill::text(strategy, "type")), rolling) {
        ("", _) => errors.push(Error::required(path, "")),
        ("OnDelete", Some(rolling)) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            errors.push(Error::invalid(&rolling_path, rolling.clone(), detail));
        }
        ("RollingUpdate", Some(rolling)) => {
            let fields = rolling.as_object();
            counts(fields, &["partition"], &rolling_path, errors);
            if let Some(unavailable) = fields.and_then(|fields| fields.get("maxUnavailable")) {
                let path = rolling_path.child("maxUnavailable");
                workload::count_or_percent(Some(unavailable), &path, errors);
                if workload::amount(Some(unavailable)) == 0 {
                    errors.push(Error::invalid(&path, unavailable.clone(), "cannot be 0"));
                }
                workload::not_more_than_all(Some(unavailable), &path, errors);
            }
        }
        ("OnDelete" | "RollingUpdate", None) => {}
        _ => {
            let shown = strategy.cloned().unwrap_or_default();
            errors.push(Error::invalid(path, shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, decoded, rules_of, updated, with};
    use serde_json::{Value, json};

    fn stateful_set() -> Value {
        json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {
            "serviceName": "web", "selector": {"matchLabels": {"app": "web"}},
            "volumeClaimTemplates": [{"metadata": {"name": "www"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "c", "image": "i", "volumeMounts": [{"name": "www", "mountPath": "/w"}]}]}}}})
    }

    #[test]
    fn a_small_stateful_set_becomes_a_whole_one() {
        let whole = decoded("StatefulSet", stateful_set());
        assert_eq!(whole.at("spec.podManagementPolicy"), Some(&json!("OrderedReady")));
        assert_eq!(
            whole.at("spec.updateStrategy"),
            Some(&json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}))
        );
        let claim = &whole.at("spec.volumeClaimTemplates").expect("there")[0];
        assert_eq!(claim["spec"]["volumeMode"], "Filesystem");
        assert_eq!(
            (&claim["kind"], &claim["status"]["phase"]),
            (&json!("PersistentVolumeClaim"), &json!("Pending"))
        );
        // The claim's volume isn't one of the template's: that is no mistake here.
        assert_eq!(created("StatefulSet", stateful_set()), Vec::<String>::new());
        assert_eq!(
            cells("StatefulSet", stateful_set()),
            ["web", "0/1", "<unknown>", "c", "i"]
        );
        assert!(!(rules_of("StatefulSet").name_rule())("a.b").is_empty());
    }

    #[test]
    fn stateful_sets_break_rules_in_the_words_of_kubernetes() {
        for (pointer, value, expected) in [
            (
                "/spec/podManagementPolicy",
                json!("Some"),
                "spec.podManagementPolicy: Invalid value: \"Some\": must be 'OrderedReady' or 'Parallel'",
            ),
            (
                "/spec/updateStrategy",
                json!({"type": "OnDelete", "rollingUpdate": {"partition": 1}}),
                "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'",
            ),
            (
                "/spec/updateStrategy",
                json!({"rollingUpdate": {"maxUnavailable": 0}}),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0",
            ),
            (
                "/spec/persistentVolumeClaimRetentionPolicy",
                json!({"whenScaled": "Burn"}),
                "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: \"Burn\": supported values: \"Delete\", \"Retain\"",
            ),
            (
                "/spec/ordinals",
                json!({"start": -1}),
                "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "/spec/selector",
                json!({}),
                "spec.selector: Invalid value: {}: empty selector is invalid for statefulset",
            ),
            (
                "/spec/template/spec/containers/0/volumeMounts/0/name",
                json!("other"),
                "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"other\"",
            ),
            (
                "/spec/volumeClaimTemplates/0/spec/accessModes",
                json!([]),
                "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
            ),
        ] {
            assert_eq!(
                created("StatefulSet", with(stateful_set(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
    }

    #[test]
    fn only_a_part_may_change() {
        let told = |pointer: &str, value: Value| {
            updated("StatefulSet", stateful_set(), with(stateful_set(), pointer, value)).len()
        };
        assert_eq!(told("/spec/replicas", json!(3)), 0);
        assert_eq!(told("/spec/template/spec/hostname", json!("h")), 0);
        // A mistake from before doesn't keep it from being scaled.
        let wrong = with(stateful_set(), "/spec/template/spec/containers", json!([]));
        let scaled = with(wrong.clone(), "/spec/replicas", json!(0));
        assert_eq!(updated("StatefulSet", wrong, scaled), Vec::<String>::new());
        assert_eq!(told("/spec/serviceName", json!("other")), 1);
        assert_eq!(
            told(
                "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
                json!("2Gi")
            ),
            1
        );
    }
}
