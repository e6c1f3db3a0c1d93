//! Cron jobs: jobs by the clock.

mod schedule;

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Value, json};

use super::fill;
use super::job;
use super::pod_template::{CONTAINERS, IMAGES, Template};
use super::workload::{self, counts};
use super::{AGE, Column, NAME, Rules, age, checks, duration, fields, text_at};

/// Its jobs' names have eleven characters more, and are labels of pods.
const NAME_MAX: usize = 52;

pub(super) struct CronJobs;

impl Rules for CronJobs {
    fn prepare_create(&self, object: &mut Object) {
        object.body.insert("status".to_owned(), json!({}));
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object_or_empty(&mut object.body, "spec") else {
            return;
        };
        fill::absent(spec, "concurrencyPolicy", "Allow");
        fill::absent(spec, "suspend", false);
        fill::absent(spec, "successfulJobsHistoryLimit", 3);
        fill::absent(spec, "failedJobsHistoryLimit", 1);
        let template = fill::object_or_empty(spec, "jobTemplate");
        if let Some(spec) = template.and_then(|template| fill::object_or_empty(template, "spec")) {
            job::template_defaults(spec);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = self.validate_spec(object, false);
        if object.name().len() > NAME_MAX {
            let detail = format!("must be no more than {NAME_MAX} characters");
            let path = Path::new("metadata").child("name");
            errors.push(Error::invalid(&path, object.name(), detail));
        }
        errors
    }

    /// A name that is too long, and a time zone in a schedule, were allowed once.
    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let had_zone = text_at(old, "spec.schedule").contains("TZ");
        self.validate_spec(new, had_zone)
    }

    fn warnings(&self, object: &Object) -> Vec<String> {
        let job = object.at("spec.jobTemplate.spec").and_then(Value::as_object);
        let template = Template::of(job).warnings("spec.jobTemplate.spec.template");
        workload::name_warning(object).into_iter().chain(template).collect()
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Schedule", "When jobs are made."),
            Column::text("Timezone", "Where the schedule's clock hangs."),
            Column::text("Suspend", "Whether no jobs are made for now."),
            Column::text("Active", "How many jobs are running.").number(),
            Column::text("Last Schedule", "How long ago the last job was made."),
            AGE,
            CONTAINERS.wide(),
            IMAGES.wide(),
            Column::text("Selector", "The labels of the jobs' pods.").wide(),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let or_none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
        let job = object.at("spec.jobTemplate.spec").and_then(Value::as_object);
        let [names, images] = Template::of(job).names_and_images();
        let suspend = match object.at("spec.suspend").and_then(Value::as_bool) {
            None => "<unset>",
            Some(true) => "True",
            Some(false) => "False",
        };
        let active = object.at("status.active").and_then(Value::as_array).map_or(0, Vec::len);
        let last = text_at(object, "status.lastScheduleTime").parse::<Timestamp>().ok();
        vec![
            object.name().into(),
            text_at(object, "spec.schedule").into(),
            or_none(text_at(object, "spec.timeZone")).into(),
            suspend.into(),
            active.into(),
            or_none(last.map(|last| duration::since(last, now)).unwrap_or_default()).into(),
            age(object, now).into(),
            names,
            images,
            workload::selector_text(job).into(),
        ]
    }
}

impl CronJobs {
    fn validate_spec(&self, object: &Object, zone_in_schedule: bool) -> Vec<Error> {
        let (spec, path, mut errors) = (fields(object, "spec"), Path::new("spec"), Vec::new());
        let text = |name: &str| spec.and_then(|spec| spec.get(name)?.as_str());
        let zone = text("timeZone");
        match text("schedule").unwrap_or_default() {
            "" => errors.push(Error::required(&path.child("schedule"), "")),
            schedule => {
                let path = path.child("schedule");
                if let Err(error) = schedule::check(schedule) {
                    errors.push(Error::invalid(&path, schedule, error.to_string()));
                }
                let detail = match (schedule.contains("TZ"), zone_in_schedule, zone.is_some()) {
                    (true, true, true) => "cannot use both timeZone field and TZ or CRON_TZ in schedule",
                    (true, false, _) => "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
                    _ => "",
                };
                if !detail.is_empty() {
                    errors.push(Error::invalid(&path, schedule, detail));
                }
            }
        }
        counts(spec, &["startingDeadlineSeconds"], &path, &mut errors);
        time_zone(zone, &path.child("timeZone"), &mut errors);
        let policies = ["Allow", "Forbid", "Replace"];
        checks::one_of(
            text("concurrencyPolicy"),
            &policies,
            &path.child("concurrencyPolicy"),
            &mut errors,
        );
        let job = object.at("spec.jobTemplate.spec").and_then(Value::as_object);
        job_template(job, &path.child("jobTemplate").child("spec"), &mut errors);
        let limits = ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
        counts(spec, &limits, &path, &mut errors);
        errors
    }
}

/// Jobs get their selectors when they are made, and not before.
fn job_template(job: Option<&fill::Fields>, path: &Path, errors: &mut Vec<Error>) {
    job::validation::spec(job, path, errors);
    if let Some(selector) = job.and_then(|job| job.get("selector")) {
        let detail = "`selector` will be auto-generated";
        errors.push(Error::invalid(&path.child("selector"), selector.clone(), detail));
    }
    if job.and_then(|job| job.get("manualSelector")) == Some(&Value::Bool(true)) {
        errors.push(Error::not_supported(
            &path.child("manualSelector"),
            true,
            &["nil", "false"],
        ));
    }
}

fn time_zone(zone: Option<&str>, path: &Path, errors: &mut Vec<Error>) {
    let Some(zone) = zone else { return };
    let detail = if zone.is_empty() {
        "timeZone must be nil or non-empty string".to_owned()
    } else if zone.eq_ignore_ascii_case("local") {
        "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones".to_owned()
    } else if schedule::is_time_zone(zone) {
        return;
    } else {
        format!("unknown time zone {zone}")
    };
    errors.push(Error::invalid(path, zone, detail));
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, decoded, updated, with};
    use serde_json::{Value, json};

    fn cron_job() -> Value {
        json!({"metadata": {"name": "c", "namespace": "default"}, "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {
            "template": {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "i"}]}}}}}})
    }

    #[test]
    fn a_small_cron_job_becomes_a_whole_one() {
        let whole = decoded("CronJob", cron_job());
        let mut spec = whole.body["spec"].clone();
        spec.as_object_mut()
            .and_then(|spec| spec.remove("jobTemplate"))
            .expect("a template");
        assert_eq!(
            spec,
            json!({"schedule": "*/5 * * * *", "concurrencyPolicy": "Allow", "suspend": false,
                "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1})
        );
        assert_eq!(created("CronJob", cron_job()), Vec::<String>::new());
        assert_eq!(
            cells("CronJob", cron_job()),
            [
                "c",
                "*/5 * * * *",
                "<none>",
                "False",
                "0",
                "<none>",
                "<unknown>",
                "c",
                "i",
                "<none>"
            ]
        );
    }

    #[test]
    fn cron_jobs_break_rules_in_the_words_of_kubernetes() {
        let job = "spec.jobTemplate.spec";
        for (pointer, value, expected) in [
            ("/spec/schedule", Value::Null, "spec.schedule: Required value".to_owned()),
            (
                "/spec/schedule",
                json!("* * *"),
                "spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: [* * *]".into(),
            ),
            (
                "/spec/schedule",
                json!("TZ=UTC 0 * * * *"),
                "spec.schedule: Invalid value: \"TZ=UTC 0 * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead".into(),
            ),
            (
                "/spec/timeZone",
                json!("Local"),
                "spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones".into(),
            ),
            (
                "/spec/timeZone",
                json!("no zone"),
                "spec.timeZone: Invalid value: \"no zone\": unknown time zone no zone".into(),
            ),
            (
                "/spec/concurrencyPolicy",
                json!("Maybe"),
                "spec.concurrencyPolicy: Unsupported value: \"Maybe\": supported values: \"Allow\", \"Forbid\", \"Replace\"".into(),
            ),
            (
                "/spec/jobTemplate/spec/template/spec/restartPolicy",
                Value::Null,
                format!("{job}.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""),
            ),
            (
                "/spec/jobTemplate/spec/selector",
                json!({"matchLabels": {"a": "b"}}),
                format!("{job}.selector: Invalid value: {{\"matchLabels\":{{\"a\":\"b\"}}}}: `selector` will be auto-generated"),
            ),
            (
                "/metadata/name",
                json!("x".repeat(53)),
                format!("metadata.name: Invalid value: {:?}: must be no more than 52 characters", "x".repeat(53)),
            ),
        ] {
            assert_eq!(created("CronJob", with(cron_job(), pointer, value)), [expected], "{pointer}");
        }
    }

    #[test]
    fn a_zone_in_a_schedule_may_stay() {
        let old = with(cron_job(), "/spec/schedule", json!("CRON_TZ=UTC 0 * * * *"));
        assert_eq!(updated("CronJob", old.clone(), old.clone()), Vec::<String>::new());
        let both = with(old.clone(), "/spec/timeZone", json!("Etc/UTC"));
        assert_eq!(updated("CronJob", old, both).len(), 1);
    }
}
