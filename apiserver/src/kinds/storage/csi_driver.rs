//! CSI drivers: what a driver needs from the cluster.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::object::Object;
use serde_json::{Value, json};

use crate::kinds::{AGE, Column, NAME, Rules, age, checks, fill, read};

const POLICIES: &[&str] = &["File", "None", "ReadWriteOnceWithFSType"];
const MODES: &[&str] = &["Persistent", "Ephemeral"];
const TOKEN_SECONDS: std::ops::RangeInclusive<i64> = 600..=1 << 32;
const UPDATE_SECONDS_MIN: i64 = 10;

pub(in crate::kinds) struct CsiDrivers;

impl Rules for CsiDrivers {
    fn has_generation(&self) -> bool {
        true
    }

    fn defaults(&self, object: &mut Object) {
        let Some(spec) = fill::object_or_empty(&mut object.body, "spec") else {
            return;
        };
        fill::absent(spec, "attachRequired", true);
        for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
            fill::absent(spec, field, false);
        }
        fill::absent(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        if read::is_empty(spec.get("volumeLifecycleModes")) {
            spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
        }
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let path = Path::new("spec");
        let mut errors = Vec::new();
        let policy = object.at("spec.fsGroupPolicy").and_then(Value::as_str);
        checks::one_of_or_none(policy, POLICIES, &path.child("fsGroupPolicy"), &mut errors);
        check_tokens(
            object.at("spec.tokenRequests"),
            &path.child("tokenRequests"),
            &mut errors,
        );
        for mode in read::texts(object.at("spec.volumeLifecycleModes")) {
            if !MODES.contains(&mode) {
                errors.push(Error::not_supported(&path.child("volumeLifecycleModes"), mode, MODES));
            }
        }
        let seconds = object
            .at("spec.nodeAllocatableUpdatePeriodSeconds")
            .and_then(Value::as_i64);
        if let Some(seconds) = seconds.filter(|&seconds| seconds < UPDATE_SECONDS_MIN) {
            let path = path.child("nodeAllocatableUpdatePeriodSeconds");
            let detail = "must be greater than or equal to 10 seconds";
            errors.push(Error::invalid(&path, seconds, detail));
        }
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        // Upstream's path of the first has this spelling.
        for (field, shown) in [
            ("spec.attachRequired", "attachedRequired"),
            ("spec.volumeLifecycleModes", "volumeLifecycleModes"),
        ] {
            let path = Path::new("spec").child(shown);
            checks::immutable(new.at(field), old.at(field), &path, &mut errors);
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text(
                "AttachRequired",
                "Whether volumes are attached before they are mounted.",
            )
            .flag(),
            Column::text("PodInfoOnMount", "Whether it is told about the pod.").flag(),
            Column::text("StorageCapacity", "Whether it tells how much room there is.").flag(),
            Column::text("TokenRequests", "Tokens for which audiences it gets."),
            Column::text("RequiresRepublish", "Whether volumes are published again and again.").flag(),
            Column::text("Modes", "The kinds of volumes that it makes."),
            AGE,
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let flag =
            |field: &str| -> Value { (read::at(object.body.get("spec"), field) == Some(&Value::Bool(true))).into() };
        let joined = |texts: Vec<&str>, none: &str| -> Value {
            if texts.is_empty() {
                none.into()
            } else {
                texts.join(",").into()
            }
        };
        let requests = read::list(object.at("spec.tokenRequests")).iter();
        let audiences = requests.map(|request| read::text(request.get("audience"))).collect();
        vec![
            object.name().into(),
            flag("attachRequired"),
            flag("podInfoOnMount"),
            flag("storageCapacity"),
            joined(audiences, "<unset>"),
            flag("requiresRepublish"),
            joined(read::texts(object.at("spec.volumeLifecycleModes")), "<none>"),
            age(object, now).into(),
        ]
    }
}

/// One token an audience, for a time that makes sense.
fn check_tokens(requests: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    let mut audiences = Vec::new();
    for (index, request) in read::list(requests).iter().enumerate() {
        let path = path.index(index);
        let audience = read::text(request.get("audience"));
        if audiences.contains(&audience) {
            errors.push(Error::duplicate(&path.child("audience"), audience));
            continue;
        }
        audiences.push(audience);
        let Some(seconds) = request.get("expirationSeconds").and_then(Value::as_i64) else {
            continue;
        };
        let path = path.child("expirationSeconds");
        if seconds < *TOKEN_SECONDS.start() {
            let detail = "may not specify a duration less than 10 minutes";
            errors.push(Error::invalid(&path, seconds, detail));
        }
        if seconds > *TOKEN_SECONDS.end() {
            let detail = "may not specify a duration larger than 2^32 seconds";
            errors.push(Error::invalid(&path, seconds, detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{created, decoded, updated, with};

    fn driver() -> Value {
        json!({"metadata": {"name": "disk.example.com"}, "spec": {"tokenRequests": [{"audience": "a"}, {"audience": "b"}]}})
    }

    #[test]
    fn drivers_say_what_they_need() {
        assert_eq!(created("CSIDriver", driver()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/spec/fsGroupPolicy",
                json!("Some"),
                "spec.fsGroupPolicy: Unsupported value: \"Some\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
            ),
            (
                "/spec/tokenRequests/1/audience",
                json!("a"),
                "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            ),
            (
                "/spec/tokenRequests/0/expirationSeconds",
                json!(60),
                "spec.tokenRequests[0].expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
            ),
        ] {
            assert_eq!(
                created("CSIDriver", with(driver(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
        assert_eq!(
            updated(
                "CSIDriver",
                driver(),
                with(driver(), "/spec/attachRequired", json!(false))
            ),
            ["spec.attachedRequired: Invalid value: false: field is immutable"]
        );
    }

    #[test]
    fn tables_show_what_is_needed() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let cells = CsiDrivers.cells(&decoded("CSIDriver", driver()), now);
        let expected = [
            json!(true),
            json!(false),
            json!(false),
            json!("a,b"),
            json!(false),
            json!("Persistent"),
        ];
        assert_eq!(cells[1..7], expected);
    }
}
