//! Devices and who has claimed them (`resource.k8s.io`): what is filled in, what stays, what tables show. Nothing on this node
//! hands out devices, so of the contents only what a table or an update relies on is checked.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::Value;

use super::fill::{self, Fields};
use super::{AGE, Column, NAME, Rules, age, checks, read};

const REQUESTS_MAX: usize = 32;
const ONE_FORM: &str = "exactly one of `exactly` or `firstAvailable` is required";

pub(super) struct DeviceClasses;

impl Rules for DeviceClasses {
    fn has_generation(&self) -> bool {
        true
    }
}

pub(super) struct ResourceClaims;

impl Rules for ResourceClaims {
    fn defaults(&self, object: &mut Object) {
        if let Some(spec) = fill::object(&mut object.body, "spec") {
            fill_claim(spec);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        check_claim(object.body.get("spec"), &Path::new("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        immutable_spec(new, old)
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("State", "Whether it has its devices, and whether they are used."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let deleted = object.metadata.deletion_timestamp.is_some();
        let allocated = object.at("status.allocation").is_some();
        let reserved = allocated && !read::is_empty(object.at("status.reservedFor"));
        let states = [
            (deleted, "deleted"),
            (!deleted && !allocated, "pending"),
            (allocated, "allocated"),
            (reserved, "reserved"),
        ];
        let states: Vec<&str> = states
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, state)| state)
            .collect();
        vec![object.name().into(), states.join(",").into(), age(object, now).into()]
    }
}

pub(super) struct ResourceClaimTemplates;

impl Rules for ResourceClaimTemplates {
    fn defaults(&self, object: &mut Object) {
        if let Some(template) = fill::object(&mut object.body, "spec")
            && let Some(spec) = fill::object(template, "spec")
        {
            fill_claim(spec);
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        check_claim(object.at("spec.spec"), &Path::new("spec").child("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        immutable_spec(new, old)
    }
}

pub(super) struct ResourceSlices;

impl Rules for ResourceSlices {
    fn has_generation(&self) -> bool {
        true
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        checks::csi_driver(read::text(object.at("spec.driver")), &path.child("driver"), &mut errors);
        checks::required(
            read::text(object.at("spec.pool.name")),
            &path.child("pool").child("name"),
            &mut errors,
        );
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = self.validate(new);
        for field in ["driver", "nodeName"] {
            let at = |object: &Object| read::at(object.body.get("spec"), field).cloned();
            checks::immutable(at(new).as_ref(), at(old).as_ref(), &path.child(field), &mut errors);
        }
        let pool = |object: &Object| object.at("spec.pool.name").cloned();
        let path = path.child("pool").child("name");
        checks::immutable(pool(new).as_ref(), pool(old).as_ref(), &path, &mut errors);
        errors
    }

    fn fields(&self) -> &'static [&'static str] {
        &["spec.driver", "spec.nodeName"]
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Node", "On which node they are."),
            Column::text("Driver", "Whose devices they are."),
            Column::text("Pool", "To which pool they belong."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let text = |path: &str| -> Value { read::text(object.at(path)).into() };
        vec![
            object.name().into(),
            text("spec.nodeName"),
            text("spec.driver"),
            text("spec.pool.name"),
            age(object, now).into(),
        ]
    }
}

/// A request is for one device unless it says otherwise.
fn fill_claim(spec: &mut Fields) {
    let Some(devices) = fill::object(spec, "devices") else {
        return;
    };
    for request in fill::items(devices, "requests") {
        if let Some(exactly) = fill::object(request, "exactly") {
            fill_request(exactly);
        }
        fill::items(request, "firstAvailable").for_each(fill_request);
    }
}

fn fill_request(request: &mut Fields) {
    if fill::text(request, "allocationMode").is_empty() {
        request.insert("allocationMode".to_owned(), "ExactCount".into());
    }
    if fill::text(request, "allocationMode") == "ExactCount" {
        fill::zero(request, "count", 1);
    }
    for toleration in fill::items(request, "tolerations") {
        if fill::text(toleration, "operator").is_empty() {
            toleration.insert("operator".to_owned(), "Equal".into());
        }
    }
}

fn check_claim(spec: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    let path = path.child("devices").child("requests");
    let requests = read::list(read::at(spec, "devices.requests"));
    if requests.len() > REQUESTS_MAX {
        errors.push(Error::too_many(&path, requests.len(), REQUESTS_MAX));
    }
    for (index, request) in requests.iter().enumerate() {
        let path = path.index(index);
        let name = read::text(request.get("name"));
        checks::required_name(names::label, name, &path.child("name"), errors);
        if requests[..index]
            .iter()
            .any(|other| read::text(other.get("name")) == name)
        {
            errors.push(Error::duplicate(&path, name));
        }
        match (request.get("exactly"), read::list(request.get("firstAvailable"))) {
            (None, []) => errors.push(Error::required(&path, ONE_FORM)),
            (Some(_), [_, ..]) => errors.push(Error::invalid(&path, request.clone(), ONE_FORM)),
            (Some(exactly), []) => check_request(exactly, &path.child("exactly"), errors),
            (None, several) => {
                for (index, one) in several.iter().enumerate() {
                    let path = path.child("firstAvailable").index(index);
                    checks::required_name(names::label, read::text(one.get("name")), &path.child("name"), errors);
                    check_request(one, &path, errors);
                }
            }
        }
    }
}

fn check_request(request: &Value, path: &Path, errors: &mut Vec<Error>) {
    let class = read::text(request.get("deviceClassName"));
    checks::required_name(names::subdomain, class, &path.child("deviceClassName"), errors);
    let mode = read::text(request.get("allocationMode"));
    checks::one_of(
        Some(mode),
        &["All", "ExactCount"],
        &path.child("allocationMode"),
        errors,
    );
    let count = request.get("count").and_then(Value::as_i64).unwrap_or(0);
    if mode == "ExactCount" && count <= 0 {
        errors.push(Error::invalid(&path.child("count"), count, "must be greater than zero"));
    }
    if mode == "All" && count != 0 {
        let detail = "must not be specified when allocationMode is 'All'";
        errors.push(Error::invalid(&path.child("count"), count, detail));
    }
}

fn immutable_spec(new: &Object, old: &Object) -> Vec<Error> {
    let mut errors = Vec::new();
    checks::immutable(
        new.body.get("spec"),
        old.body.get("spec"),
        &Path::new("spec"),
        &mut errors,
    );
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated, with};
    use serde_json::json;

    fn claim() -> Value {
        json!({"metadata": {"name": "c", "namespace": "default"}, "spec": {"devices": {"requests": [
            {"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}})
    }

    #[test]
    fn claims_ask_for_devices_for_good() {
        let object = decoded("ResourceClaim", claim());
        let request = &object.body["spec"]["devices"]["requests"][0]["exactly"];
        assert_eq!(
            (&request["allocationMode"], &request["count"]),
            (&json!("ExactCount"), &json!(1))
        );
        assert_eq!(created("ResourceClaim", claim()), Vec::<String>::new());
        let first = "/spec/devices/requests/0";
        for (pointer, value, expected) in [
            (
                format!("{first}/exactly"),
                Value::Null,
                "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
            ),
            (
                format!("{first}/exactly/deviceClassName"),
                json!(""),
                "spec.devices.requests[0].exactly.deviceClassName: Required value",
            ),
            (
                format!("{first}/exactly/count"),
                json!(-1),
                "spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero",
            ),
        ] {
            assert_eq!(
                created("ResourceClaim", with(claim(), &pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        let other = updated(
            "ResourceClaim",
            claim(),
            with(claim(), &format!("{first}/name"), json!("tpu")),
        );
        assert!(
            other[0].starts_with("spec: Invalid value") && other[0].ends_with("field is immutable"),
            "{other:?}"
        );
    }

    #[test]
    fn tables_show_what_became_of_a_claim() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cell = |value: Value| ResourceClaims.cells(&decoded("ResourceClaim", value), now)[1].clone();
        assert_eq!(cell(claim()), "pending");
        let status = json!({"allocation": {}, "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]});
        assert_eq!(cell(with(claim(), "/status", status)), "allocated,reserved");
    }
}
