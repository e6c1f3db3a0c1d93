//! Claims: the volume that somebody needs, whoever has it.

use jiff::Timestamp;
use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use minik_api::quantity::Quantity;
use serde_json::{Value, json};

use super::fill::{self, Fields};
use super::workload::selector;
use super::{AGE, Column, NAME, Rules, age, checks, fields, text_at};

/// As they are told, and as tables show them.
const ACCESS_MODES: [(&str, &str); 4] = [
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
];
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const IMMUTABLE: &str =
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

pub(super) struct Claims;

impl Rules for Claims {
    fn prepare_create(&self, object: &mut Object) {
        object.body.insert("status".to_owned(), json!({"phase": "Pending"}));
        mirror_source(object);
    }

    fn prepare_update(&self, new: &mut Object, old: &Object) {
        super::keep(new, old, "status");
        mirror_source(new);
    }

    fn defaults(&self, object: &mut Object) {
        defaults(&mut object.body);
    }

    fn validate(&self, object: &Object) -> Vec<Error> {
        let mut errors = Vec::new();
        spec(fields(object, "spec"), &Path::new("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<Error> {
        let mut errors = self.validate(new);
        change(new, old, &Path::new("spec"), &mut errors);
        errors
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Status", "Whether the claim has its volume."),
            Column::text("Volume", "The volume behind the claim."),
            Column::text("Capacity", "How much the volume holds."),
            Column::text("Access Modes", "How the volume can be used."),
            Column::text("StorageClass", "The class of the volume."),
            Column::text("VolumeAttributesClass", "The class of the volume's attributes."),
            AGE,
            Column::text("VolumeMode", "Whether the volume is a file system or a device.").wide(),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let volume = text_at(object, "spec.volumeName");
        let (mut capacity, mut modes) = (String::new(), String::new());
        if !volume.is_empty() {
            capacity = text_at(object, "status.capacity.storage");
            modes = access_modes_text(object.at("status.accessModes"));
            if capacity.is_empty() {
                capacity = "0".to_owned();
            }
        }
        vec![
            object.name().into(),
            phase(object).into(),
            volume.into(),
            capacity.into(),
            modes.into(),
            class(object).into(),
            or_unset(text_at(object, "spec.volumeAttributesClassName")).into(),
            age(object, now).into(),
            or_unset(text_at(object, "spec.volumeMode")).into(),
        ]
    }
}

/// What a claim, or the template of one, is filled in with.
pub(super) fn defaults(claim: &mut Fields) {
    if let Some(spec) = fill::object_or_empty(claim, "spec") {
        fill::absent(spec, "volumeMode", "Filesystem");
    }
    if let Some(status) = fill::object_or_empty(claim, "status") {
        fill::absent(status, "phase", "Pending");
    }
}

/// `dataSource` is the old form of `dataSourceRef`; within the namespace both are written.
fn mirror_source(object: &mut Object) {
    let Some(spec) = fill::object(&mut object.body, "spec") else {
        return;
    };
    let (old, new) = (spec.get("dataSource").cloned(), spec.get("dataSourceRef").cloned());
    match (old, new) {
        (Some(source), None) => {
            spec.insert("dataSourceRef".to_owned(), source);
        }
        (None, Some(source)) if source.get("namespace").is_none_or(|namespace| namespace == "") => {
            let known = source["kind"] == "PersistentVolumeClaim" || source["kind"] == "VolumeSnapshot";
            if known {
                spec.insert("dataSource".to_owned(), source);
            }
        }
        _ => {}
    }
}

/// What a claim asks for.
pub(super) fn spec(spec: Option<&Fields>, path: &Path, errors: &mut Vec<Error>) {
    let modes = spec.and_then(|spec| spec.get("accessModes"));
    if modes.and_then(Value::as_array).is_none_or(Vec::is_empty) {
        errors.push(Error::required(
            &path.child("accessModes"),
            "at least 1 access mode is required",
        ));
    }
    checks::label_selector(selector(spec).as_ref(), &path.child("selector"), errors);
    access_modes(modes, &path.child("accessModes"), errors);
    let storage_path = path.child("resources").key("storage");
    let storage = spec.and_then(|spec| spec.get("resources")?.get("requests")?.get("storage"));
    match storage {
        None => errors.push(Error::required(&storage_path, "")),
        Some(storage) => positive(storage, &storage_path, errors),
    }
    let text = |name: &str| spec.and_then(|spec| spec.get(name)?.as_str());
    if let Some(class) = text("storageClassName").filter(|class| !class.is_empty()) {
        checks::name(names::subdomain, class, &path.child("storageClassName"), errors);
    }
    checks::one_of_or_none(
        text("volumeMode"),
        &["Block", "Filesystem"],
        &path.child("volumeMode"),
        errors,
    );
    for name in ["dataSource", "dataSourceRef"] {
        if let Some(source) = spec.and_then(|spec| spec.get(name)) {
            data_source(source, &path.child(name), errors);
        }
    }
    if let Some(class) = text("volumeAttributesClassName").filter(|class| !class.is_empty()) {
        let path = path.child("volumeAttributesClassName");
        checks::name(names::subdomain, class, &path, errors);
    }
}

fn data_source(source: &Value, path: &Path, errors: &mut Vec<Error>) {
    let text = |name: &str| source[name].as_str().unwrap_or_default();
    for name in ["name", "kind"] {
        checks::required(text(name), &path.child(name), errors);
    }
    if text("apiGroup").is_empty() && text("kind") != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(Error::invalid(path, text("kind"), detail));
    }
}

/// How a volume can be used.
pub(super) fn access_modes(modes: Option<&Value>, path: &Path, errors: &mut Vec<Error>) {
    let modes: Vec<&str> = modes
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for mode in &modes {
        if !ACCESS_MODES.iter().any(|(name, _)| name == mode) {
            let mut supported = ACCESS_MODES.map(|(name, _)| name);
            supported.sort_unstable();
            errors.push(Error::not_supported(path, *mode, &supported));
        }
    }
    if modes.len() > 1 && modes.contains(&"ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(Error::forbidden(path, detail));
    }
}

/// An amount above zero.
pub(super) fn positive(amount: &Value, path: &Path, errors: &mut Vec<Error>) {
    let text = amount.as_str().unwrap_or_default();
    let amount: Quantity = text.parse().unwrap_or(Quantity::from_whole(0));
    if amount.is_negative() {
        errors.push(Error::invalid(path, text, "must be greater than or equal to 0"));
    }
    if amount.is_negative() || amount.is_zero() {
        errors.push(Error::invalid(path, text, "must be greater than zero"));
    }
}

/// A claim that is bound may grow; one that isn't gets its volume.
fn change(new: &Object, old: &Object, path: &Path, errors: &mut Vec<Error>) {
    let mut now = fields(new, "spec").cloned().unwrap_or_default();
    let mut before = fields(old, "spec").cloned().unwrap_or_default();
    if text_at(old, "spec.volumeName").is_empty() {
        before.remove("volumeName");
        now.remove("volumeName");
    }
    // The class once stood in an annotation.
    if text_at(old, "spec.storageClassName").is_empty() && class(old) == class(new) {
        before.remove("storageClassName");
        now.remove("storageClassName");
    }
    if text_at(new, "status.phase") == "Bound" {
        for spec in [&mut now, &mut before] {
            spec.remove("volumeAttributesClassName");
            let requests = fill::object(spec, "resources").and_then(|resources| fill::object(resources, "requests"));
            if let Some(requests) = requests {
                requests.remove("storage");
            }
        }
    }
    if now != before {
        let lines = super::pod::differences(&path.to_string(), &before.into(), &now.into());
        errors.push(Error::forbidden(path, format!("{IMMUTABLE}\n{lines}")));
    }
    let amount = |object: &Object, place: &str| text_at(object, place).parse::<Quantity>().ok();
    const REQUEST: &str = "spec.resources.requests.storage";
    if let (Some(now), Some(before)) = (amount(new, REQUEST), amount(old, REQUEST))
        && now < before
    {
        let has = amount(old, "status.capacity.storage");
        if has.is_none_or(|has| now <= has) {
            let path = path.child("resources").child("requests").child("storage");
            errors.push(Error::forbidden(&path, "field can not be less than status.capacity"));
        }
    }
    let mode = path.child("volumeMode");
    checks::immutable(new.at("spec.volumeMode"), old.at("spec.volumeMode"), &mode, errors);
}

/// The class of a claim or volume.
pub(super) fn class(object: &Object) -> String {
    let annotations = object.metadata.annotations.as_ref();
    let annotation = annotations.and_then(|annotations| annotations.get(CLASS_ANNOTATION));
    annotation
        .cloned()
        .unwrap_or_else(|| text_at(object, "spec.storageClassName"))
}

/// `RWO,ROX`, each once and in this order.
pub(super) fn access_modes_text(modes: Option<&Value>) -> String {
    let modes = modes.and_then(Value::as_array);
    let has = |name: &str| modes.into_iter().flatten().any(|mode| mode == name);
    let shown = ACCESS_MODES
        .iter()
        .filter(|(name, _)| has(name))
        .map(|(_, short)| *short);
    shown.collect::<Vec<_>>().join(",")
}

/// How a claim or volume is doing.
pub(super) fn phase(object: &Object) -> String {
    if object.metadata.deletion_timestamp.is_some() {
        "Terminating".to_owned()
    } else {
        text_at(object, "status.phase")
    }
}

pub(super) fn or_unset(text: String) -> String {
    if text.is_empty() { "<unset>".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{cells, created, decoded, updated, with};
    use serde_json::{Value, json};

    fn claim() -> Value {
        json!({"metadata": {"name": "c", "namespace": "default"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard", "resources": {"requests": {"storage": "1Gi"}}}})
    }

    #[test]
    fn claims_break_rules_in_the_words_of_kubernetes() {
        assert_eq!(created("PersistentVolumeClaim", claim()), Vec::<String>::new());
        for (pointer, value, expected) in [
            (
                "/spec/accessModes",
                json!([]),
                "spec.accessModes: Required value: at least 1 access mode is required",
            ),
            (
                "/spec/accessModes",
                json!(["Some"]),
                "spec.accessModes: Unsupported value: \"Some\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            ),
            (
                "/spec/accessModes",
                json!(["ReadWriteOncePod", "ReadWriteOnce"]),
                "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            ),
            ("/spec/resources", json!({}), "spec.resources[storage]: Required value"),
            (
                "/spec/resources/requests/storage",
                json!("0"),
                "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
            ),
            (
                "/spec/volumeMode",
                json!("Tape"),
                "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
            ),
            (
                "/spec/dataSource",
                json!({"kind": "X", "name": "x"}),
                "spec.dataSource: Invalid value: \"X\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            ),
        ] {
            assert_eq!(
                created("PersistentVolumeClaim", with(claim(), pointer, value)),
                [expected],
                "{pointer}"
            );
        }
    }

    #[test]
    fn a_bound_claim_may_grow() {
        let bound = with(
            claim(),
            "/status",
            json!({"phase": "Bound", "capacity": {"storage": "1Gi"}}),
        );
        let size = "/spec/resources/requests/storage";
        let told = |old: &Value, pointer: &str, value: Value| {
            updated("PersistentVolumeClaim", old.clone(), with(old.clone(), pointer, value))
        };
        assert_eq!(told(&bound, size, json!("2Gi")), Vec::<String>::new());
        assert_eq!(
            told(&bound, size, json!("1Mi")),
            ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
        );
        assert_eq!(told(&claim(), "/spec/volumeName", json!("v")), Vec::<String>::new());
        let refused = told(&claim(), size, json!("2Gi"));
        assert!(
            refused[0].starts_with("spec: Forbidden: spec is immutable after creation"),
            "{refused:?}"
        );
    }

    #[test]
    fn tables_show_the_volume() {
        let whole = decoded("PersistentVolumeClaim", claim());
        assert_eq!(whole.at("spec.volumeMode"), Some(&json!("Filesystem")));
        assert_eq!(
            cells("PersistentVolumeClaim", claim()),
            [
                "c",
                "Pending",
                "",
                "",
                "",
                "standard",
                "<unset>",
                "<unknown>",
                "Filesystem"
            ]
        );
        let mut bound = with(claim(), "/spec/volumeName", json!("v"));
        bound["status"] = json!({"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]});
        assert_eq!(
            cells("PersistentVolumeClaim", bound)[1..5],
            ["Bound", "v", "2Gi", "RWO,RWX"]
        );
    }
}
