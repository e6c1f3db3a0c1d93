//! Deployments: replicas of a template, exchanged step by step when the template changes.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Value, json};

use super::fill::{self, Fields};
use super::pod_template::{self, CONTAINERS, IMAGES, Template};
use super::workload::{self, count, counts, number};
use super::{AGE, Column, NAME, Rules, Scale, age, checks, fields, keep_all_but_status};

const STRATEGIES: &[&str] = &["Recreate", "RollingUpdate"];

pub(super) struct Deployments;

impl Rules for Deployments {
    fn prepare_create(&self, object: &mut Object) {
        object.body.insert("status".to_owned(), json!({}));
    }

    fn prepare_status_update(&self, new: &mut Object, old: &Object) {
        keep_all_but_status(new, old);
        new.metadata.labels.clone_from(&old.metadata.labels);
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object_or_empty(&mut object.body, "spec") else {
            return;
        };
        fill::absent(spec, "replicas", 1);
        fill::absent(spec, "revisionHistoryLimit", 10);
        fill::absent(spec, "progressDeadlineSeconds", 600);
        if let Some(strategy) = fill::object_or_empty(spec, "strategy") {
            fill::absent(strategy, "type", "RollingUpdate");
            if fill::text(strategy, "type") == "RollingUpdate"
                && let Some(rolling) = fill::object_or_empty(strategy, "rollingUpdate")
            {
                fill::absent(rolling, "maxUnavailable", "25%");
                fill::absent(rolling, "maxSurge", "25%");
            }
        }
        pod_template::defaults(spec);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (spec, path, mut errors) = (fields(object, "spec"), Path::new("spec"), Vec::new());
        counts(spec, &["replicas"], &path, &mut errors);
        let selector = workload::check_selector(
            spec,
            "empty selector is invalid for deployment",
            "invalid label selector",
            &path,
            &mut errors,
        );
        if let Some(selector) = &selector {
            let (template, path) = (Template::of(spec), path.child("template"));
            workload::selects_template(selector, template, &path, &mut errors);
            template.validate(&path, &mut errors);
            template.stays_up("ReplicaSet", &path, &mut errors);
        }
        let strategy_fields = spec.and_then(|spec| spec.get("strategy")?.as_object());
        strategy(strategy_fields, &path.child("strategy"), &mut errors);
        let names = ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"];
        counts(spec, &names, &path, &mut errors);
        if let Some(deadline) = number(spec, "progressDeadlineSeconds")
            && deadline <= count(spec, "minReadySeconds")
        {
            let path = path.child("progressDeadlineSeconds");
            errors.push(Error::invalid(&path, deadline, "must be greater than minReadySeconds"));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        let path = Path::new("spec").child("selector");
        checks::immutable(new.at("spec.selector"), old.at("spec.selector"), &path, &mut errors);
        errors
    }

    fn validate_status_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let (status, path, mut errors) = (fields(new, "status"), Path::new("status"), Vec::new());
        let names = [
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "terminatingReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "collisionCount",
        ];
        counts(status, &names, &path, &mut errors);
        let parts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
        let detail = "cannot be greater than status.replicas";
        workload::at_most(status, &parts, "replicas", detail, &path, &mut errors);
        let detail = "cannot be greater than readyReplicas";
        workload::at_most(
            status,
            &["availableReplicas"],
            "readyReplicas",
            detail,
            &path,
            &mut errors,
        );
        workload::collision_count(status, fields(old, "status"), &path, &mut errors);
        errors
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        let template = Template::of(fields(object, "spec")).warnings("spec.template");
        workload::name_warning(object).into_iter().chain(template).collect()
    }

    fn scale(&self, object: &Object) -> Option<Scale> {
        Some(workload::scale_by_selector(object))
    }

    fn has_generation(&self) -> bool {
        true
    }

    /// Annotations count too: they go along to the replica sets.
    fn raises_generation(&self, new: &Object, old: &Object) -> bool {
        new.body.get("spec") != old.body.get("spec") || new.metadata.annotations != old.metadata.annotations
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Ready", "How many pods are ready, of how many."),
            Column::text("Up-to-date", "How many pods have the present template."),
            Column::text(
                "Available",
                "How many pods have been ready for at least minReadySeconds.",
            ),
            AGE,
            CONTAINERS.wide(),
            IMAGES.wide(),
            Column::text("Selector", "The labels of the pods.").wide(),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (fields(object, "spec"), fields(object, "status"));
        let [names, images] = Template::of(spec).names_and_images();
        vec![
            object.name().into(),
            format!("{}/{}", count(status, "readyReplicas"), count(spec, "replicas")).into(),
            count(status, "updatedReplicas").into(),
            count(status, "availableReplicas").into(),
            age(object, now).into(),
            names,
            images,
            workload::selector_text(spec).into(),
        ]
    }
}

fn strategy(strategy: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let rolling = strategy.and_then(|strategy| strategy.get("rollingUpdate")?.as_object());
    let rolling_path = path.child("rollingUpdate");
    match (strategy.map_or("", |strategy| fill::text(strategy, "type")), rolling) {
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(Error::forbidden(&rolling_path, detail));
        }
        ("RollingUpdate", None) => {
            let detail = "this should be defaulted and never be nil";
            errors.push(Error::required(&rolling_path, detail));
        }
        ("RollingUpdate", Some(rolling)) => rolling_update(rolling, &rolling_path, errors),
        ("Recreate", None) => {}
        _ => {
            let shown = strategy.cloned().unwrap_or_default();
            errors.push(Error::not_supported(path, shown, STRATEGIES));
        }
    }
}

fn rolling_update(rolling: &Fields, path: &Path, errors: &mut Vec<Error>) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    let path_of_unavailable = path.child("maxUnavailable");
    workload::count_or_percent(unavailable, &path_of_unavailable, errors);
    workload::count_or_percent(surge, &path.child("maxSurge"), errors);
    if workload::amount(unavailable) == 0 && workload::amount(surge) == 0 {
        let shown = unavailable.cloned().unwrap_or_default();
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(Error::invalid(&path_of_unavailable, shown, detail));
    }
    workload::not_more_than_all(unavailable, &path_of_unavailable, errors);
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, decoded, rules_of, sentences, updated, with};
    use serde_json::{Value, json};

    fn deployment() -> Value {
        json!({"metadata": {"name": "d", "namespace": "default"}, "spec": {
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}}})
    }

    #[test]
    fn a_small_deployment_becomes_a_whole_one() {
        let whole = decoded("Deployment", deployment());
        assert_eq!(whole.at("spec.replicas"), Some(&json!(1)));
        assert_eq!(
            whole.at("spec.strategy"),
            Some(&json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}))
        );
        assert_eq!(whole.at("spec.revisionHistoryLimit"), Some(&json!(10)));
        assert_eq!(whole.at("spec.progressDeadlineSeconds"), Some(&json!(600)));
        assert_eq!(whole.at("spec.template.spec.dnsPolicy"), Some(&json!("ClusterFirst")));
        assert_eq!(
            whole.at("spec.template.spec.enableServiceLinks"),
            None,
            "that is a pod's own default"
        );
        assert_eq!(created("Deployment", deployment()), Vec::<String>::new());
    }

    #[test]
    fn deployments_break_rules_in_the_words_of_kubernetes() {
        for (pointer, value, expected) in [
            (
                "/spec/replicas",
                json!(-1),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            ("/spec/selector", Value::Null, "spec.selector: Required value"),
            (
                "/spec/selector",
                json!({}),
                "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
            ),
            (
                "/spec/selector/matchLabels/app",
                json!("e"),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"d\"}: `selector` does not match template `labels`",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("Never"),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
            (
                "/spec/template/spec/activeDeadlineSeconds",
                json!(3),
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
            ),
            (
                "/spec/template/spec/containers",
                json!([]),
                "spec.template.spec.containers: Required value",
            ),
            (
                "/spec/strategy",
                json!({"type": "Recreate", "rollingUpdate": {}}),
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ),
            (
                "/spec/strategy",
                json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            ),
            (
                "/spec/strategy",
                json!({"type": "Big"}),
                "spec.strategy: Unsupported value: {\"type\":\"Big\"}: supported values: \"Recreate\", \"RollingUpdate\"",
            ),
            (
                "/spec/progressDeadlineSeconds",
                json!(0),
                "spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds",
            ),
        ] {
            assert_eq!(
                created("Deployment", with(deployment(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
    }

    #[test]
    fn the_selector_stays() {
        let other = json!({"matchLabels": {"app": "d", "b": "c"}});
        let mut new = with(deployment(), "/spec/selector", other);
        new["spec"]["template"]["metadata"]["labels"]["b"] = "c".into();
        let told = updated("Deployment", deployment(), new);
        assert_eq!(
            told,
            ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"d\",\"b\":\"c\"}}: field is immutable"]
        );
    }

    #[test]
    fn a_status_adds_up() {
        let status = |status: Value| decoded("Deployment", with(deployment(), "/status", status));
        let old = status(json!({"collisionCount": 2}));
        let new = status(json!({"replicas": 1, "readyReplicas": 2, "availableReplicas": 3, "collisionCount": 1}));
        let told = sentences(&rules_of("Deployment").validate_status_update(&new, &old));
        assert_eq!(
            told,
            [
                "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
                "status.collisionCount: Invalid value: 1: cannot be decremented",
            ]
        );
    }

    #[test]
    fn annotations_count_as_a_change() {
        let rules = rules_of("Deployment");
        let old = decoded("Deployment", deployment());
        let new = decoded(
            "Deployment",
            with(deployment(), "/metadata/annotations", json!({"a": "b"})),
        );
        assert!(rules.raises_generation(&new, &old));
        let new = decoded("Deployment", with(deployment(), "/metadata/labels", json!({"a": "b"})));
        assert!(!rules.raises_generation(&new, &old));
    }

    #[test]
    fn tables_show_how_far_it_is() {
        let status = json!({"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1});
        let mut deployment = with(deployment(), "/status", status);
        deployment["spec"]["replicas"] = 3.into();
        assert_eq!(
            cells("Deployment", deployment),
            ["d", "2/3", "3", "1", "<unknown>", "c", "i:1", "app=d"]
        );
    }

    #[test]
    fn surprises_are_told() {
        let mut deployment = with(deployment(), "/metadata/name", json!("a.b"));
        let env = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
        deployment["spec"]["template"]["spec"]["containers"][0]["env"] = env;
        let warnings = rules_of("Deployment").warnings(&decoded("Deployment", deployment));
        assert!(warnings[0].starts_with("metadata.name: this is used in Pod names and hostnames"));
        assert!(warnings[1].starts_with("spec.template.spec.containers[0].env[1]: hides previous definition of \"A\""));
    }
}
