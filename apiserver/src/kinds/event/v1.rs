//! Events in their newer form, `events.k8s.io/v1`: the same objects under other names, with stricter rules for who creates them.

use minik_api::field::{Error, Path};
use minik_api::object::Object;

use super::{Events, TEXT_MAX};
use crate::kinds::{Column, Rules, checks, read, text_at};
use jiff::Timestamp;
use serde_json::Value;

/// What a field is called here, and in the core group, where events are kept.
const NAMES: [(&str, &str); 7] = [
    ("deprecatedCount", "count"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedSource", "source"),
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
];

/// To the core group's names.
pub(in crate::kinds) fn to_stored(object: &mut Object) {
    for (here, stored) in NAMES {
        rename(object, here, stored);
    }
}

/// From the core group's names.
pub(in crate::kinds) fn from_stored(object: &mut Object) {
    for (here, stored) in NAMES {
        rename(object, stored, here);
    }
}

fn rename(object: &mut Object, from: &str, to: &str) {
    if let Some(value) = object.body.remove(from) {
        object.body.insert(to.to_owned(), value);
    }
}

/// The rules for events that come in this form.
pub(in crate::kinds) struct NewEvents;

impl Rules for NewEvents {
    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Events.validate(object);
        if object.at("eventTime").is_none() {
            errors.push(Error::required(&Path::new("eventTime"), ""));
        }
        let kind = text_at(object, "type");
        if !["Normal", "Warning"].contains(&kind.as_str()) {
            let detail = format!("has invalid value: {kind}");
            errors.push(Error::invalid(&Path::new("type"), "", detail));
        }
        for (field, shown) in [
            ("firstTimestamp", "firstTimestamp"),
            ("lastTimestamp", "lastTimestamp"),
            ("count", "count"),
            ("source", "source"),
        ] {
            if object.at(field).is_some_and(|value| !is_zero(value)) {
                errors.push(Error::invalid(&Path::new(shown), "", "needs to be unset"));
            }
        }
        errors
    }

    /// Of an event only how often it happened changes.
    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        for field in [
            "involvedObject",
            "reason",
            "message",
            "source",
            "firstTimestamp",
            "lastTimestamp",
            "count",
            "reportingComponent",
            "reportingInstance",
            "eventTime",
            "action",
            "related",
            "type",
        ] {
            checks::immutable(new.at(field), old.at(field), &Path::new(field), &mut errors);
        }
        if let Some(series) = new.at("series") {
            let path = Path::new("series");
            let count = series.get("count").and_then(Value::as_i64).unwrap_or(0);
            if count < 2 {
                let detail = "should be at least 2";
                errors.push(Error::invalid(&path.child("count"), "", detail));
            }
            if read::is_empty(series.get("lastObservedTime")) {
                errors.push(Error::required(&path.child("lastObservedTime"), ""));
            }
        }
        if text_at(new, "reason").len() > TEXT_MAX {
            let detail = format!("can have at most {TEXT_MAX} characters");
            errors.push(Error::invalid(&Path::new("reason"), "", detail));
        }
        errors
    }

    fn fields(&self) -> &'static [&'static str] {
        Events.fields()
    }

    fn stored_field(&self, path: &str) -> Option<&'static str> {
        let stored = |name: &str| Events.fields().iter().find(|field| **field == name).copied();
        match path.strip_prefix("regarding.") {
            Some(part) => stored(&format!("involvedObject.{part}")),
            None if path == "reportingController" => stored("reportingComponent"),
            None => None,
        }
    }

    fn columns(&self) -> &'static [Column] {
        Events.columns()
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        Events.cells(object, now)
    }
}

fn is_zero(value: &Value) -> bool {
    read::is_empty(Some(value)) || value.as_i64() == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;
    use crate::kinds::{rules, versions};
    use minik_api::kinds;
    use serde_json::json;

    fn event() -> Value {
        json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "example.com/c", "reportingInstance": "c-1",
            "action": "Start", "reason": "Started", "note": "It runs.", "type": "Normal",
            "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}})
    }

    fn told(value: Value) -> Vec<String> {
        let kind = kinds::of("events.k8s.io", "v1", "Event").expect("events are served");
        let (mut object, unknown) = decode::object(kind, value).expect("an event");
        assert_eq!(unknown, Vec::<String>::new());
        versions::to_stored(kind, &mut object);
        rules(kind).validate(&object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_forms_are_the_same_object() {
        let kind = kinds::of("events.k8s.io", "v1", "Event").expect("events are served");
        let mut object: Object = serde_json::from_value(event()).expect("an event");
        versions::to_stored(kind, &mut object);
        assert_eq!(object.api_version, "v1");
        assert_eq!(object.at("involvedObject.name"), Some(&json!("p")));
        assert_eq!(object.at("message"), Some(&json!("It runs.")));
        assert_eq!(object.at("reportingComponent"), Some(&json!("example.com/c")));
        versions::from_stored(kind, &mut object);
        assert_eq!(object.to_value(), event());
    }

    #[test]
    fn who_uses_the_newer_form_says_more() {
        assert_eq!(told(event()), Vec::<String>::new());
        let mut old = event();
        old["deprecatedCount"] = 3.into();
        assert_eq!(told(old), ["count: Invalid value: \"\": needs to be unset"]);
        let mut odd = event();
        odd["type"] = "Odd".into();
        assert_eq!(told(odd), ["type: Invalid value: \"\": has invalid value: Odd"]);
    }
}
