//! API services: which server answers for a group and version (`apiregistration.k8s.io`). All that this server answers for
//! are local ones; what another server answers for is passed on to it (`crate::aggregated`). The sentences are those of
//! kube-aggregator's validation.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::kinds::Kind;
use minik_api::names;
use minik_api::object::Object;
use serde_json::{Value, json};

use super::{AGE, Column, NAME, NameRule, Rules, age, checks, fill, read};

const GROUP_PRIORITY_MAX: i64 = 20_000;
const VERSION_PRIORITY_MAX: i64 = 1000;

/// The service of a group and version that this server has; its priorities place it among the others as upstream's do.
pub(crate) fn local(kind: &Kind) -> Value {
    let (group_priority, version_priority) = priorities(kind);
    json!({
        "metadata": {"name": format!("{}.{}", kind.version, kind.group),
            "labels": {AUTOMANAGED: "onstart"}},
        "spec": {"group": kind.group, "version": kind.version, "groupPriorityMinimum": group_priority,
            "versionPriority": version_priority},
    })
}

/// Of those that come and go with what is defined.
pub(crate) const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// The service of a group and version of custom kinds (upstream's `crdregistration`).
pub(crate) fn of_custom(kind: &Kind) -> Value {
    json!({
        "metadata": {"name": format!("{}.{}", kind.version, kind.group), "labels": {AUTOMANAGED: "true"}},
        "spec": {"group": kind.group, "version": kind.version, "groupPriorityMinimum": 1000, "versionPriority": 100},
    })
}

/// Upstream's `apiVersionPriorities`: of the group among groups, and of the version within it.
fn priorities(kind: &Kind) -> (i64, i64) {
    let group = match kind.group {
        "" => return (18_000, 1),
        "apps" => 17_800,
        "events.k8s.io" => 17_750,
        "authentication.k8s.io" => 17_700,
        "authorization.k8s.io" => 17_600,
        "autoscaling" => 17_500,
        "batch" => 17_400,
        "certificates.k8s.io" => 17_300,
        "networking.k8s.io" => 17_200,
        "policy" => 17_100,
        "rbac.authorization.k8s.io" => 17_000,
        "storage.k8s.io" => 16_800,
        "admissionregistration.k8s.io" | "apiextensions.k8s.io" => 16_700,
        "scheduling.k8s.io" => 16_600,
        "coordination.k8s.io" => 16_500,
        "node.k8s.io" => 16_300,
        "discovery.k8s.io" => 16_200,
        "flowcontrol.apiserver.k8s.io" => 16_100,
        "resource.k8s.io" => 15_900,
        _ => 1000,
    };
    let version = match (kind.group, kind.version) {
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io", _) => 21,
        _ => 15,
    };
    (group, version)
}

pub(super) struct ApiServices;

impl Rules for ApiServices {
    fn name_rule(&self) -> NameRule {
        names::path_segment
    }

    fn defaults(&self, object: &mut Object) {
        // As old as the object, so that the server needs no clock here.
        let created = object.metadata.creation_timestamp.clone();
        let Some(spec) = fill::object(&mut object.body, "spec") else {
            return;
        };
        if let Some(service) = fill::object(spec, "service") {
            fill::absent(service, "port", 443);
        } else if let Some(created) = created
            && !object.body.contains_key("status")
        {
            let time = created.0.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let condition = json!({"type": "Available", "status": "True", "lastTransitionTime": time, "reason": "Local",
                "message": "Local APIServices are always available"});
            object
                .body
                .insert("status".to_owned(), json!({"conditions": [condition]}));
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        let part = |name: &str| read::at(object.body.get("spec"), name);
        let (group, version) = (read::text(part("group")), read::text(part("version")));
        let name = format!("{version}.{group}");
        if object.name() != name {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {name:?}");
            errors.push(Error::invalid(
                &Path::new("metadata").child("name"),
                object.name(),
                detail,
            ));
        }
        if group.is_empty() && version != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.push(Error::required(&path.child("group"), detail));
        }
        if !group.is_empty() {
            checks::name(names::subdomain, group, &path.child("group"), &mut errors);
        }
        checks::name(names::label_1035, version, &path.child("version"), &mut errors);
        for (field, most) in [
            ("groupPriorityMinimum", GROUP_PRIORITY_MAX),
            ("versionPriority", VERSION_PRIORITY_MAX),
        ] {
            let number = part(field).and_then(Value::as_i64).unwrap_or(0);
            if !(1..=most).contains(&number) {
                let detail = format!("must be positive and less than {most}");
                errors.push(Error::invalid(&path.child(field), number, detail));
            }
        }
        check_trust(object.body.get("spec"), &path, &mut errors);
        if let Some(service) = part("service") {
            check_service(service, &path.child("service"), &mut errors);
        }
        errors
    }

    fn validate_status_update(&self, new: &Object, _old: &Object) -> Vec<Error> {
        let path = Path::new("status").child("conditions");
        let mut errors = Vec::new();
        for (index, condition) in read::list(new.at("status.conditions")).iter().enumerate() {
            let (status, known) = (read::text(condition.get("status")), ["True", "False", "Unknown"]);
            if !known.contains(&status) {
                errors.push(Error::not_supported(&path.index(index).child("status"), status, &known));
            }
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Service", "Who answers."),
            Column::text("Available", "Whether it answers."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let service = object.at("spec.service").map_or("Local".to_owned(), |service| {
            let part = |name: &str| read::text(service.get(name));
            format!("{}/{}", part("namespace"), part("name"))
        });
        let conditions = read::list(object.at("status.conditions"));
        let condition = conditions.iter().find(|condition| condition["type"] == "Available");
        let part = |name: &str| read::text(read::at(condition, name));
        let available = match (part("status"), part("reason")) {
            ("", _) => "Unknown".to_owned(),
            (status, reason) if status != "True" && !reason.is_empty() => format!("{status} ({reason})"),
            (status, _) => status.to_owned(),
        };
        vec![
            object.name().into(),
            service.into(),
            available.into(),
            age(object, now).into(),
        ]
    }
}

/// Whom to trust matters only when it is another server.
fn check_trust(spec: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    let insecure = read::at(spec, "insecureSkipTLSVerify") == Some(&Value::Bool(true));
    let bundle = read::text(read::at(spec, "caBundle"));
    let insecure_path = path.child("insecureSkipTLSVerify");
    if read::at(spec, "service").is_some() {
        if insecure && !bundle.is_empty() {
            let detail = "may not be true if caBundle is present";
            errors.push(Error::invalid(&insecure_path, true, detail));
        }
        return;
    }
    if !bundle.is_empty() {
        let shown = format!("{} bytes", super::config_map::decoded_len(bundle));
        let detail = "local APIServices may not have a caBundle";
        errors.push(Error::invalid(&path.child("caBundle"), shown, detail));
    }
    if insecure {
        let detail = "local APIServices may not have insecureSkipTLSVerify";
        errors.push(Error::invalid(&insecure_path, true, detail));
    }
}

fn check_service(service: &Value, path: &Path, errors: &mut Vec<Error>) {
    for field in ["namespace", "name"] {
        checks::required(read::text(service.get(field)), &path.child(field), errors);
    }
    let port = service.get("port").and_then(Value::as_i64).unwrap_or(0);
    if !(1..=65_535).contains(&port) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(Error::invalid(&path.child("port"), port, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, with};
    use minik_api::kinds;

    #[test]
    fn every_group_that_is_served_has_a_good_local_service() {
        for kind in kinds::all() {
            assert_eq!(
                created("APIService", local(kind)),
                Vec::<String>::new(),
                "{}",
                kind.api_version()
            );
        }
        let leases = kinds::of("coordination.k8s.io", "v1", "Lease").expect("leases are served");
        let mut service = with(
            local(leases),
            "/metadata/creationTimestamp",
            json!("2026-01-01T00:00:00Z"),
        );
        let now = "2026-01-01T00:00:05Z".parse().expect("a time");
        let cells = ApiServices.cells(&decoded("APIService", service.clone()), now);
        assert_eq!(cells, ["v1.coordination.k8s.io", "Local", "True", "5s"]);
        service["spec"]["service"] = json!({"namespace": "n", "name": "s"});
        let cells = ApiServices.cells(&decoded("APIService", service), now);
        assert_eq!(cells[1..3], ["n/s", "Unknown"]);
    }

    #[test]
    fn services_break_rules_in_the_words_of_kubernetes() {
        let service = json!({"metadata": {"name": "v1.example.com"}, "spec": {"group": "example.com", "version": "v1",
            "groupPriorityMinimum": 10, "versionPriority": 10}});
        assert_eq!(created("APIService", service.clone()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/metadata/name",
                json!("x"),
                "metadata.name: Invalid value: \"x\": must be `spec.version+\".\"+spec.group`: \"v1.example.com\"",
            ),
            (
                "/spec/versionPriority",
                json!(0),
                "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
            ),
            (
                "/spec/caBundle",
                json!("YQ=="),
                "spec.caBundle: Invalid value: \"1 bytes\": local APIServices may not have a caBundle",
            ),
            (
                "/spec/service",
                json!({"name": "s"}),
                "spec.service.namespace: Required value",
            ),
        ] {
            assert_eq!(
                created("APIService", with(service.clone(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
    }
}
