//! Daemon sets: a pod of a template on each node.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use minik_api::selector::Labels;
use serde_json::{Value, json};

use super::fill::{self, Fields};
use super::pod_template::{self, CONTAINERS, IMAGES, Template};
use super::workload::{self, count, counts};
use super::{AGE, Column, NAME, Rules, age, checks, fields, keep};

/// Counts changes of the template; apps/v1 has no field for it any more, but still tells.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) struct DaemonSets;

impl Rules for DaemonSets {
    fn prepare_create(&self, object: &mut Object) {
        let status = json!({"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0});
        object.body.insert("status".to_owned(), status);
        let generation = template_generation(object).max(1);
        set_template_generation(object, generation);
    }

    fn prepare_update(&self, new: &mut Object, old: &Object) {
        keep(new, old, "status");
        // What the client left out is no change.
        self.defaults(new);
        let changed = new.at("spec.template") != old.at("spec.template");
        set_template_generation(new, template_generation(old) + i64::from(changed));
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object_or_empty(&mut object.body, "spec") else {
            return;
        };
        if let Some(strategy) = fill::object_or_empty(spec, "updateStrategy") {
            fill::absent(strategy, "type", "RollingUpdate");
            if fill::text(strategy, "type") == "RollingUpdate"
                && let Some(rolling) = fill::object_or_empty(strategy, "rollingUpdate")
            {
                fill::absent(rolling, "maxUnavailable", 1);
                fill::absent(rolling, "maxSurge", 0);
            }
        }
        fill::absent(spec, "revisionHistoryLimit", 10);
        pod_template::defaults(spec);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let (spec, path, mut errors) = (fields(object, "spec"), Path::new("spec"), Vec::new());
        let (template, template_path) = (Template::of(spec), path.child("template"));
        let selector = workload::selector(spec);
        checks::label_selector(selector.as_ref(), &path.child("selector"), &mut errors);
        match selector.as_ref().map(Labels::from_spec) {
            Some(Ok(labels)) => {
                workload::selects_template(&labels, template, &template_path, &mut errors);
                if labels.is_empty() {
                    let shown = object.at("spec.selector").cloned().unwrap_or_default();
                    let detail = "empty selector is invalid for daemonset";
                    errors.push(Error::invalid(&path.child("selector"), shown, detail));
                }
            }
            // Without a selector nothing is taken, so neither are these labels.
            None => {
                let shown = json!(template.labels());
                let detail = "`selector` does not match template `labels`";
                let path = template_path.child("metadata").child("labels");
                errors.push(Error::invalid(&path, shown, detail));
            }
            Some(Err(_)) => {}
        }
        template.validate(&template_path, &mut errors);
        template.stays_up("DaemonSet", &template_path, &mut errors);
        counts(spec, &["minReadySeconds"], &path, &mut errors);
        let strategy_fields = spec.and_then(|spec| spec.get("updateStrategy")?.as_object());
        strategy(strategy_fields, &path.child("updateStrategy"), &mut errors);
        counts(spec, &["revisionHistoryLimit"], &path, &mut errors);
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
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ];
        counts(status, &names, &path, &mut errors);
        workload::collision_count(status, fields(old, "status"), &path, &mut errors);
        errors
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        Template::of(fields(object, "spec")).warnings("spec.template")
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Desired", "How many nodes should have a pod.").number(),
            Column::text("Current", "How many of them have one.").number(),
            Column::text("Ready", "How many pods are ready.").number(),
            Column::text("Up-to-date", "How many pods have the present template.").number(),
            Column::text(
                "Available",
                "How many pods have been ready for at least minReadySeconds.",
            )
            .number(),
            Column::text("Node Selector", "The labels of the nodes."),
            AGE,
            CONTAINERS.wide(),
            IMAGES.wide(),
            Column::text("Selector", "The labels of the pods.").wide(),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (fields(object, "spec"), fields(object, "status"));
        let template = Template::of(spec);
        let [names, images] = template.names_and_images();
        let mut cells = vec![object.name().into()];
        cells.extend(
            [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "numberReady",
                "updatedNumberScheduled",
                "numberAvailable",
            ]
            .map(|name| count(status, name).into()),
        );
        cells.extend([
            pod_template::labels_text(&template.node_selector()).into(),
            age(object, now).into(),
            names,
            images,
            workload::selector_text(spec).into(),
        ]);
        cells
    }
}

fn template_generation(object: &Object) -> i64 {
    let annotations = object.metadata.annotations.as_ref();
    let text = annotations.and_then(|annotations| annotations.get(TEMPLATE_GENERATION));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn set_template_generation(object: &mut Object, generation: i64) {
    let annotations = object.metadata.annotations.get_or_insert_default();
    annotations.insert(TEMPLATE_GENERATION.to_owned(), generation.to_string());
}

fn strategy(strategy: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let rolling = strategy.and_then(|strategy| strategy.get("rollingUpdate")?.as_object());
    let rolling_path = path.child("rollingUpdate");
    match (strategy.map_or("", |strategy| fill::text(strategy, "type")), rolling) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => errors.push(Error::required(&rolling_path, "")),
        ("RollingUpdate", Some(rolling)) => rolling_update(rolling, &rolling_path, errors),
        _ => {
            let shown = strategy.cloned().unwrap_or_default();
            errors.push(Error::not_supported(path, shown, &["OnDelete", "RollingUpdate"]));
        }
    }
}

/// Either pods go before others come, or the other way round.
fn rolling_update(rolling: &Fields, path: &Path, errors: &mut Vec<Error>) {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    workload::count_or_percent(unavailable, &unavailable_path, errors);
    workload::count_or_percent(surge, &surge_path, errors);
    workload::not_more_than_all(unavailable, &unavailable_path, errors);
    workload::not_more_than_all(surge, &surge_path, errors);
    match (workload::amount(unavailable) != 0, workload::amount(surge) != 0) {
        (true, true) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            errors.push(Error::invalid(&surge_path, surge.cloned().unwrap_or_default(), detail));
        }
        (false, false) => errors.push(Error::required(&unavailable_path, "cannot be 0 when maxSurge is 0")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, decoded, rules_of, updated, with};
    use serde_json::{Value, json};

    fn daemon_set() -> Value {
        json!({"metadata": {"name": "d", "namespace": "default"}, "spec": {
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}},
                "spec": {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "c", "image": "i"}]}}}})
    }

    #[test]
    fn a_small_daemon_set_becomes_a_whole_one() {
        let whole = decoded("DaemonSet", daemon_set());
        assert_eq!(
            whole.at("spec.updateStrategy"),
            Some(&json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}))
        );
        assert_eq!(whole.at("spec.revisionHistoryLimit"), Some(&json!(10)));
        assert_eq!(created("DaemonSet", daemon_set()), Vec::<String>::new());
        assert_eq!(
            cells("DaemonSet", daemon_set()),
            ["d", "0", "0", "0", "0", "0", "disk=ssd", "<unknown>", "c", "i", "app=d"]
        );
    }

    #[test]
    fn daemon_sets_break_rules_in_the_words_of_kubernetes() {
        let rolling = |rolling: Value| json!({"type": "RollingUpdate", "rollingUpdate": rolling});
        for (pointer, value, expected) in [
            (
                "/spec/selector",
                json!({}),
                "spec.selector: Invalid value: {}: empty selector is invalid for daemonset",
            ),
            (
                "/spec/updateStrategy",
                rolling(json!({"maxUnavailable": 1, "maxSurge": 1})),
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
            ),
            (
                "/spec/updateStrategy",
                rolling(json!({"maxUnavailable": 0})),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("OnFailure"),
                "spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\"",
            ),
            (
                "/spec/selector",
                Value::Null,
                "spec.template.metadata.labels: Invalid value: {\"app\":\"d\"}: `selector` does not match template `labels`",
            ),
        ] {
            assert_eq!(
                created("DaemonSet", with(daemon_set(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        let mut other = with(daemon_set(), "/spec/selector/matchLabels/b", json!("c"));
        other["spec"]["template"]["metadata"]["labels"]["b"] = "c".into();
        assert_eq!(updated("DaemonSet", daemon_set(), other).len(), 1);
    }

    #[test]
    fn changes_of_the_template_are_counted_in_an_annotation() {
        let rules = rules_of("DaemonSet");
        let generation = |object: &minik_api::object::Object| {
            let annotations = object.metadata.annotations.clone().unwrap_or_default();
            annotations.get(super::TEMPLATE_GENERATION).cloned()
        };
        let mut old = decoded("DaemonSet", daemon_set());
        rules.prepare_create(&mut old);
        assert_eq!(generation(&old).as_deref(), Some("1"));
        let mut same = decoded("DaemonSet", with(daemon_set(), "/spec/minReadySeconds", json!(3)));
        rules.prepare_update(&mut same, &old);
        assert_eq!(generation(&same).as_deref(), Some("1"));
        let mut changed = decoded(
            "DaemonSet",
            with(daemon_set(), "/spec/template/spec/hostNetwork", json!(true)),
        );
        rules.prepare_update(&mut changed, &old);
        assert_eq!(generation(&changed).as_deref(), Some("2"));
    }
}
