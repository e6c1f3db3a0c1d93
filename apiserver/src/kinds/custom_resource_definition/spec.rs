//! What may stand in a definition besides schemas. The sentences are those of apiextensions' validation.

use minik_api::field::{Error, Path};
use minik_api::names;
use minik_api::object::Object;
use serde_json::{Map, Value};

use super::schema;
use crate::customs::JsonPath;
use crate::kinds::checks::{one_of, required};

const SCOPES: &[&str] = &["Cluster", "Namespaced"];
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = [
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
];
const SELECTABLE_FIELDS_MAX: usize = 8;
const APPROVED: &str = "api-approved.kubernetes.io";

/// What is wrong with a spec.
pub(super) fn validate(spec: &Map<String, Value>, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    validate_group(text(spec, "group"), &path.child("group"), errors);
    one_of(
        spec.get("scope").and_then(Value::as_str),
        SCOPES,
        &path.child("scope"),
        errors,
    );
    if spec.get("preserveUnknownFields") == Some(&Value::Bool(true)) {
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(Error::invalid(&path.child("preserveUnknownFields"), true, detail));
    }
    validate_versions(spec, &path.child("versions"), errors);
    let at = path.child("names");
    match spec.get("names").and_then(Value::as_object) {
        Some(names) => {
            for name in ["plural", "singular", "kind", "listKind"] {
                required(text(names, name), &at.child(name), errors);
            }
            validate_names(names, &at, errors);
        }
        None => errors.push(Error::required(&at, "")),
    }
    if let Some(Value::Object(conversion)) = spec.get("conversion") {
        validate_conversion(conversion, &path.child("conversion"), errors);
    }
}

/// What an update may not change.
pub(super) fn validate_update(new: &Object, old: &Object, errors: &mut Vec<Error>) {
    let established = old
        .at("status.conditions")
        .and_then(Value::as_array)
        .is_some_and(|conditions| {
            conditions
                .iter()
                .any(|one| one["type"] == "Established" && one["status"] == "True")
        });
    for (place, always) in [
        ("spec.scope", false),
        ("spec.names.kind", false),
        ("spec.group", true),
        ("spec.names.plural", true),
    ] {
        if (always || established) && new.at(place) != old.at(place) {
            let value = new.at(place).cloned().unwrap_or_default();
            errors.push(Error::invalid(&Path::new(place), value, "field is immutable"));
        }
    }
}

/// The names that a status says are accepted.
pub(super) fn validate_accepted_names(object: &Object, errors: &mut Vec<Error>) {
    if let Some(Value::Object(names)) = object.at("status.acceptedNames") {
        validate_names(names, &Path::new("status").child("acceptedNames"), errors);
    }
}

/// Versions in which objects may be stored can't go.
pub(super) fn validate_stored_versions(object: &Object, errors: &mut Vec<Error>) {
    let path = Path::new("status").child("storedVersions");
    let none = Vec::new();
    let list = |place: &str| object.at(place).and_then(Value::as_array).unwrap_or(&none);
    let (stored, versions) = (list("status.storedVersions"), list("spec.versions"));
    if stored.is_empty() {
        errors.push(Error::invalid(
            &path,
            Value::Array(Vec::new()),
            "must have at least one stored version",
        ));
        return;
    }
    for (index, version) in stored.iter().enumerate() {
        if !versions.iter().any(|one| one["name"] == *version) {
            let name = version.as_str().unwrap_or_default();
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a \
                 storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.push(Error::invalid(&path.index(index), name, detail));
        }
    }
}

/// Groups of the community's own domains are for what the community has agreed on, and say where.
pub(super) fn validate_approval(object: &Object, old: Option<&Object>, errors: &mut Vec<Error>) {
    let group = object.at("spec.group").and_then(Value::as_str).unwrap_or_default();
    let protected = ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        group
            .strip_suffix(domain)
            .is_some_and(|head| head.is_empty() || head.ends_with('.'))
    });
    let said = |object: &Object| {
        object
            .metadata
            .annotations
            .as_ref()
            .and_then(|map| map.get(APPROVED))
            .cloned()
    };
    let approval = said(object);
    if !protected || old.is_some_and(|old| said(old) == approval) {
        return;
    }
    let path = Path::new("metadata").child("annotations").key(APPROVED);
    match approval {
        None => {
            let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
                          https://github.com/kubernetes/enhancements/pull/1111";
            errors.push(Error::required(&path, detail));
        }
        Some(text) if text.starts_with("unapproved") => {}
        Some(text)
            if text
                .split_once("://")
                .is_some_and(|(_, rest)| !rest.trim_start_matches('/').is_empty()) => {}
        Some(text) => {
            let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a \
                          reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111";
            errors.push(Error::invalid(&path, text, detail));
        }
    }
}

fn validate_group(group: &str, path: &Path, errors: &mut Vec<Error>) {
    let broken = names::subdomain(group);
    if group.is_empty() {
        errors.push(Error::required(path, ""));
    } else if !broken.is_empty() {
        errors.push(Error::invalid(path, group, broken.join(",")));
    } else if !group.contains('.') {
        errors.push(Error::invalid(path, group, "should be a domain with at least one dot"));
    }
}

fn validate_names(names: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    let mut check = |value: &str, path: Path, prefix: &str| {
        let broken = names::label_1035(&if prefix.is_empty() {
            value.to_owned()
        } else {
            value.to_lowercase()
        });
        if !value.is_empty() && !broken.is_empty() {
            errors.push(Error::invalid(&path, value, format!("{prefix}{}", broken.join(","))));
        }
    };
    let mixed = "may have mixed case, but should otherwise match: ";
    check(text(names, "plural"), path.child("plural"), "");
    check(text(names, "singular"), path.child("singular"), "");
    check(text(names, "kind"), path.child("kind"), mixed);
    check(text(names, "listKind"), path.child("listKind"), mixed);
    for list in ["shortNames", "categories"] {
        for (index, name) in items(names, list).enumerate() {
            check(name.as_str().unwrap_or_default(), path.child(list).index(index), "");
        }
    }
    let (kind, list_kind) = (text(names, "kind"), text(names, "listKind"));
    if !kind.is_empty() && kind == list_kind {
        let detail = "kind and listKind may not be the same";
        errors.push(Error::invalid(&path.child("listKind"), list_kind, detail));
    }
}

fn validate_versions(spec: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    let shown = || spec.get("versions").cloned().unwrap_or_default();
    let mut seen = Vec::new();
    let (mut unique, mut storage) = (true, 0);
    for (index, version) in items(spec, "versions").enumerate() {
        let at = path.index(index);
        let name = version["name"].as_str().unwrap_or_default();
        unique &= !seen.contains(&name);
        seen.push(name);
        storage += usize::from(version["storage"] == true);
        let broken = names::label_1035(name);
        if !broken.is_empty() {
            errors.push(Error::invalid(&at.child("name"), name, broken.join(",")));
        }
        if let Some(version) = version.as_object() {
            validate_version(version, &at, errors);
        }
    }
    if !unique {
        errors.push(Error::invalid(path, shown(), "must contain unique version names"));
    }
    if storage != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(Error::invalid(path, shown(), detail));
    }
}

fn validate_version(version: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    if let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) {
        let at = path.child("deprecationWarning");
        let rules = [
            (
                version.get("deprecated") != Some(&Value::Bool(true)),
                "can only be set for deprecated versions",
            ),
            (warning.len() > 256, "must be <= 256 characters long"),
            (warning.is_empty(), "must not be an empty string"),
            (
                warning.chars().any(char::is_control),
                "must only contain printable UTF-8 characters",
            ),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(broken, _)| *broken) {
            errors.push(Error::invalid(&at, warning, rule));
        }
    }
    let at = path.child("schema").child("openAPIV3Schema");
    let has_status = version
        .get("subresources")
        .is_some_and(|subresources| subresources["status"].is_object());
    match version
        .get("schema")
        .and_then(|schema| schema.get("openAPIV3Schema"))
        .and_then(Value::as_object)
    {
        Some(schema) => schema::validate(schema, has_status, &at, errors),
        None => errors.push(Error::required(&at, "")),
    }
    if let Some(Value::Object(scale)) = version
        .get("subresources")
        .and_then(|subresources| subresources.get("scale"))
    {
        validate_scale(scale, &path.child("subresources"), errors);
    }
    for (index, column) in items(version, "additionalPrinterColumns").enumerate() {
        if let Some(column) = column.as_object() {
            validate_column(column, &path.child("additionalPrinterColumns").index(index), errors);
        }
    }
    validate_selectable(version, &path.child("selectableFields"), errors);
}

fn validate_scale(scale: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    let roots = [
        ("specReplicasPath", &[".spec."][..], "should be a json path under .spec"),
        (
            "statusReplicasPath",
            &[".status."],
            "should be a json path under .status",
        ),
        (
            "labelSelectorPath",
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
        ),
    ];
    for (name, roots, detail) in roots {
        let (value, at) = (text(scale, name), path.child(&format!("scale.{name}")));
        if value.is_empty() {
            if name != "labelSelectorPath" {
                errors.push(Error::required(&at, ""));
            }
        } else if !value.starts_with('.') {
            errors.push(Error::invalid(&at, value, "must be a simple json path starting with ."));
        } else if !roots.iter().any(|root| value.starts_with(root)) {
            errors.push(Error::invalid(&at, value, detail));
        }
    }
}

fn validate_column(column: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    required(text(column, "name"), &path.child("name"), errors);
    let (kind, format, json_path) = (text(column, "type"), text(column, "format"), text(column, "jsonPath"));
    let must = format!("must be one of {}", COLUMN_TYPES.join(","));
    if kind.is_empty() {
        errors.push(Error::required(&path.child("type"), must));
    } else if !COLUMN_TYPES.contains(&kind) {
        errors.push(Error::invalid(&path.child("type"), kind, must));
    }
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let must = format!("must be one of {}", COLUMN_FORMATS.join(","));
        errors.push(Error::invalid(&path.child("format"), format, must));
    }
    let at = path.child("JSONPath");
    if json_path.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if !json_path.starts_with('.') {
        errors.push(Error::invalid(
            &at,
            json_path,
            "must be a simple json path starting with .",
        ));
    } else if let Err(error) = JsonPath::parse(json_path) {
        errors.push(Error::invalid(&at, json_path, error.to_string()));
    }
}

fn validate_selectable(version: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    let schema = version.get("schema").map(|schema| &schema["openAPIV3Schema"]);
    let mut seen: Vec<&str> = Vec::new();
    for (index, field) in items(version, "selectableFields").enumerate() {
        let at = path.index(index).child("jsonPath");
        let json_path = field["jsonPath"].as_str().unwrap_or_default();
        if json_path.is_empty() {
            errors.push(Error::required(&at, ""));
            continue;
        }
        let found = match json_path.strip_prefix('.') {
            None => Err(format!("expected [ or . but got: {json_path}")),
            Some(rest) => rest
                .split('.')
                .try_fold(schema.unwrap_or(&Value::Null), |schema, name| {
                    schema["properties"].get(name)
                })
                .ok_or_else(|| "does not refer to a valid field".to_owned()),
        };
        match found {
            Err(why) => {
                errors.push(Error::invalid(&at, json_path, format!("is an invalid path: {why}")));
                continue;
            }
            Ok(schema) if !matches!(schema["type"].as_str(), Some("string" | "boolean" | "integer")) => {
                let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                              formats are allowed.";
                errors.push(Error::invalid(&at, json_path, detail));
            }
            Ok(_) => {}
        }
        if json_path.starts_with(".metadata.") {
            errors.push(Error::invalid(&at, json_path, "must not point to fields in metadata"));
        }
        if seen.contains(&json_path) {
            errors.push(Error::duplicate(&at, json_path));
        }
        seen.push(json_path);
    }
    if seen.len() > SELECTABLE_FIELDS_MAX {
        errors.push(Error::too_many(path, seen.len(), SELECTABLE_FIELDS_MAX));
    }
}

fn validate_conversion(conversion: &Map<String, Value>, path: &Path, errors: &mut Vec<Error>) {
    let strategy = conversion.get("strategy").and_then(Value::as_str);
    one_of(strategy, &["None", "Webhook"], &path.child("strategy"), errors);
    let webhook = conversion.get("webhook").and_then(Value::as_object);
    let at = path.child("webhookClientConfig");
    if strategy != Some("Webhook") {
        if webhook.is_some() {
            errors.push(Error::forbidden(
                &at,
                "should not be set when strategy is not set to Webhook",
            ));
        }
        return;
    }
    match webhook.and_then(|webhook| webhook.get("clientConfig")) {
        None => errors.push(Error::required(&at, "required when strategy is set to Webhook")),
        Some(client) if client.get("url").is_some() == client.get("service").is_some() => {
            errors.push(Error::required(&at, "exactly one of url or service is required"));
        }
        Some(_) => {}
    }
    let at = path.child("conversionReviewVersions");
    let versions: Vec<&Value> = webhook
        .into_iter()
        .flat_map(|webhook| items(webhook, "conversionReviewVersions"))
        .collect();
    if versions.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if !versions
        .iter()
        .any(|version| matches!(version.as_str(), Some("v1" | "v1beta1")))
    {
        let shown = Value::Array(versions.into_iter().cloned().collect());
        errors.push(Error::invalid(&at, shown, "must include at least one of v1, v1beta1"));
    }
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> &'a str {
    map.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(map: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    map.get(name).and_then(Value::as_array).into_iter().flatten()
}
