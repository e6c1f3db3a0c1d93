//! What `kubectl get jobs` shows.

use jiff::Timestamp;
use minik_api::object::Object;
use serde_json::Value;

use super::update::condition;
use crate::kinds::pod_template::{CONTAINERS, IMAGES, Template};
use crate::kinds::workload::{self, count, number};
use crate::kinds::{AGE, Column, NAME, age, duration, fields, text_at};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    Column::text("Status", "How the job is doing."),
    Column::text("Completions", "How many pods have succeeded, of how many."),
    Column::text("Duration", "How long the job took, or has taken so far."),
    AGE,
    CONTAINERS.wide(),
    IMAGES.wide(),
    Column::text("Selector", "The labels of the pods.").wide(),
];

/// What a condition makes of the status, the first that holds.
const WORDS: [(&str, &str); 6] = [
    ("Complete", "Complete"),
    ("Failed", "Failed"),
    ("", "Terminating"),
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
];

pub(super) fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (fields(object, "spec"), fields(object, "status"));
    let [names, images] = Template::of(spec).names_and_images();
    let deleted = object.metadata.deletion_timestamp.is_some();
    let word = WORDS.into_iter().find(|(name, _)| match *name {
        "" => deleted,
        name => condition(status, name),
    });
    let succeeded = count(status, "succeeded");
    let completions = match (number(spec, "completions"), count(spec, "parallelism")) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let time = |path: &str| text_at(object, path).parse::<Timestamp>().ok();
    let took = time("status.startTime").map(|start| {
        let end = time("status.completionTime").unwrap_or(now);
        duration::since(start, end)
    });
    vec![
        object.name().into(),
        word.map_or("Running", |(_, word)| word).into(),
        completions.into(),
        took.unwrap_or_default().into(),
        age(object, now).into(),
        names,
        images,
        workload::selector_text(spec).into(),
    ]
}
