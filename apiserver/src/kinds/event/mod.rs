//! Events: what happened to which object, told by whom.

pub(in crate::kinds) mod v1;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use super::{Column, NAME, Rules, checks, duration, text_at};

pub(super) use v1::NewEvents;

const TEXT_MAX: usize = 128;
const MESSAGE_MAX: usize = 1024;

pub(super) struct Events;

impl Rules for Events {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        let about = text_at(object, "involvedObject.namespace");
        let fits = if object.at("eventTime").is_none() {
            about == object.namespace() || (about.is_empty() && object.namespace() == "default")
        } else {
            reported(object, &mut errors);
            !about.is_empty() || matches!(object.namespace(), "default" | "kube-system")
        };
        if !fits {
            let path = Path::new("involvedObject").child("namespace");
            errors.insert(0, Error::invalid(&path, about, "does not match event.namespace"));
        }
        errors
    }

    fn fields(&self) -> &'static [&'static str] {
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]
    }

    fn field(&self, object: &Object, path: &str) -> String {
        match path {
            "source" => match text_at(object, "source.component") {
                text if text.is_empty() => text_at(object, "reportingComponent"),
                text => text,
            },
            path => text_at(object, path),
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let event: Event = object.decode().unwrap_or_default();
        let (first, last, count) = times(&event, now);
        let about = &event.involved_object;
        let kind = about.kind.as_deref().unwrap_or_default().to_lowercase();
        let target = match about.name.as_deref() {
            Some(name) if !name.is_empty() => format!("{kind}/{name}"),
            _ => kind,
        };
        vec![
            last.into(),
            event.type_.clone().unwrap_or_default().into(),
            event.reason.clone().unwrap_or_default().into(),
            target.into(),
            about.field_path.clone().unwrap_or_default().into(),
            source(&event).into(),
            event.message.as_deref().unwrap_or_default().trim().into(),
            first.into(),
            count.into(),
            object.name().into(),
        ]
    }
}

const COLUMNS: &[Column] = &[
    Column::text("Last Seen", "When it happened last."),
    Column::text("Type", "Normal or Warning."),
    Column::text("Reason", "What happened, in one word."),
    Column::text("Object", "What it happened to."),
    Column::text("Subobject", "Which part of that.").wide(),
    Column::text("Source", "Who tells it.").wide(),
    Column::text("Message", "What happened, for people."),
    Column::text("First Seen", "When it happened first.").wide(),
    Column::text("Count", "How often it has happened.").number().wide(),
    NAME.wide(),
];

/// Events of the newer form say who reports and what was done.
fn reported(object: &Object, errors: &mut Vec<Error>) {
    let component = text_at(object, "reportingComponent");
    checks::required_name(names::qualified, &component, &Path::new("reportingComponent"), errors);
    for (field, limit, required) in [
        ("reportingInstance", TEXT_MAX, true),
        ("action", TEXT_MAX, true),
        ("reason", TEXT_MAX, true),
        ("message", MESSAGE_MAX, false),
    ] {
        let (text, path) = (text_at(object, field), Path::new(field));
        if text.is_empty() && required {
            errors.push(Error::required(&path, ""));
        }
        if text.len() > limit {
            errors.push(Error::invalid(
                &path,
                "",
                format!("can have at most {limit} characters"),
            ));
        }
    }
}

/// First seen, last seen, how often; events of the newer form say it elsewhere.
fn times(event: &Event, now: Timestamp) -> (String, String, i32) {
    let shown = |time: Option<Timestamp>| duration::since_or_unknown(time, now);
    let happened = event.event_time.as_ref().map(|time| time.0);
    let first = shown(event.first_timestamp.as_ref().map(|time| time.0).or(happened));
    if let Some(series) = &event.series {
        let last = shown(series.last_observed_time.as_ref().map(|time| time.0));
        return (first, last, series.count.unwrap_or(0));
    }
    let last = match &event.last_timestamp {
        Some(time) => shown(Some(time.0)),
        None => first.clone(),
    };
    let count = event.count.filter(|count| *count != 0).unwrap_or(1);
    (first, last, count)
}

fn source(event: &Event) -> String {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let source = event.source.as_ref();
    let component = source
        .and_then(|source| filled(&source.component))
        .or_else(|| filled(&event.reporting_component));
    let host = source
        .and_then(|source| filled(&source.host))
        .or_else(|| filled(&event.reporting_instance));
    match (component.unwrap_or_default(), host) {
        (component, None) => component,
        (component, Some(host)) => format!("{component}, {host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, with};
    use serde_json::json;

    fn event() -> Value {
        json!({
            "metadata": {"name": "e", "namespace": "default"},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default", "fieldPath": "spec.containers{c}"},
            "reason": "Started", "message": "Started container c\n", "type": "Normal",
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:30Z", "count": 3,
            "source": {"component": "kubelet", "host": "n"}
        })
    }

    #[test]
    fn events_live_beside_what_they_are_about() {
        assert_eq!(created("Event", event()), Vec::<String>::new());
        assert_eq!(
            created("Event", with(event(), "/involvedObject/namespace", json!("other"))),
            ["involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"]
        );
        assert_eq!(
            created("Event", with(event(), "/eventTime", json!("2026-01-01T00:00:00.5Z"))),
            [
                "reportingComponent: Required value",
                "reportingInstance: Required value",
                "action: Required value",
            ]
        );
    }

    #[test]
    fn tables_tell_who_what_and_when() {
        let now = "2026-01-01T00:01:00Z".parse().expect("a time");
        let object = decoded("Event", event());
        assert_eq!(
            Events.cells(&object, now),
            [
                json!("30s"),
                json!("Normal"),
                json!("Started"),
                json!("pod/p"),
                json!("spec.containers{c}"),
                json!("kubelet, n"),
                json!("Started container c"),
                json!("60s"),
                json!(3),
                json!("e"),
            ]
        );
        assert_eq!(Events.field(&object, "source"), "kubelet");
        assert_eq!(Events.field(&object, "involvedObject.name"), "p");
    }
}
