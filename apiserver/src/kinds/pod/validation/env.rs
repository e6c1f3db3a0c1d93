//! Environment variables and where their values come from; the downward API, which volumes use too.

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector};
use minik_api::field::{Error, Path};
use minik_api::names::{config_key, env_var, qualified, subdomain};

use super::checks;

/// Fields of the pod that a variable can show.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields of the pod that a file can show.
pub(super) const VOLUME_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

const RESOURCE_FIELDS: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const CPU_DIVISORS: &[&str] = &["1m", "1"];
const BYTE_DIVISORS: &[&str] = &[
    "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
];

pub(super) fn check(container: &Container, path: &Path, errors: &mut Vec<Error>) {
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let path = path.child("env").index(index);
        checks::required_name(env_var, &variable.name, &path.child("name"), errors);
        if let Some(source) = &variable.value_from {
            value_from(variable, source, &path.child("valueFrom"), errors);
        }
    }
    env_from(container, &path.child("envFrom"), errors);
}

fn value_from(variable: &EnvVar, source: &EnvVarSource, path: &Path, errors: &mut Vec<Error>) {
    if let Some(reference) = &source.field_ref {
        field_reference(reference, ENV_FIELDS, &path.child("fieldRef"), errors);
    }
    if let Some(reference) = &source.resource_field_ref {
        resource_reference(reference, false, &path.child("resourceFieldRef"), errors);
    }
    if let Some(reference) = &source.config_map_key_ref {
        key_reference(&reference.name, &reference.key, &path.child("configMapKeyRef"), errors);
    }
    if let Some(reference) = &source.secret_key_ref {
        key_reference(&reference.name, &reference.key, &path.child("secretKeyRef"), errors);
    }
    let sources = [
        source.field_ref.is_some(),
        source.resource_field_ref.is_some(),
        source.config_map_key_ref.is_some(),
        source.secret_key_ref.is_some(),
        source.file_key_ref.is_some(),
    ];
    let detail = match sources.into_iter().filter(|there| *there).count() {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if variable.value.as_ref().is_some_and(|value| !value.is_empty()) => {
            "may not be specified when `value` is not empty"
        }
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(Error::invalid(path, "", detail));
}

fn env_from(container: &Container, path: &Path, errors: &mut Vec<Error>) {
    for (index, source) in container.env_from.iter().flatten().enumerate() {
        let own_path = path.index(index);
        if let Some(prefix) = &source.prefix {
            checks::name(env_var, prefix, &own_path.child("prefix"), errors);
        }
        if let Some(reference) = &source.config_map_ref {
            checks::required_name(
                subdomain,
                &reference.name,
                &own_path.child("configMapRef").child("name"),
                errors,
            );
        }
        if let Some(reference) = &source.secret_ref {
            checks::required_name(
                subdomain,
                &reference.name,
                &own_path.child("secretRef").child("name"),
                errors,
            );
        }
        match (&source.config_map_ref, &source.secret_ref) {
            (None, None) => errors.push(Error::invalid(
                path,
                "",
                "must specify one of: `configMapRef` or `secretRef`",
            )),
            (Some(_), Some(_)) => {
                errors.push(Error::invalid(
                    path,
                    "",
                    "may not have more than one field specified at a time",
                ));
            }
            _ => {}
        }
    }
}

fn key_reference(name: &str, key: &str, path: &Path, errors: &mut Vec<Error>) {
    checks::name(subdomain, name, &path.child("name"), errors);
    checks::required_name(config_key, key, &path.child("key"), errors);
}

/// A `fieldRef`: one of `fields`, or one label or annotation (`metadata.labels['app']`).
pub(super) fn field_reference(reference: &ObjectFieldSelector, fields: &[&str], path: &Path, errors: &mut Vec<Error>) {
    let field = reference.field_path.as_str();
    let path_field = path.child("fieldPath");
    match reference.api_version.as_deref() {
        None | Some("") => return errors.push(Error::required(&path.child("apiVersion"), "")),
        Some("v1") => {}
        Some(version) => {
            let detail = format!("error converting fieldPath: unsupported pod version: {version}");
            return errors.push(Error::invalid(&path_field, field, detail));
        }
    }
    if field.is_empty() {
        return errors.push(Error::required(&path_field, ""));
    }
    match subscript(field) {
        Some(("metadata.annotations", key)) => checks::name(qualified, &key.to_lowercase(), path, errors),
        Some(("metadata.labels", key)) => checks::name(qualified, key, path, errors),
        Some((other, _)) => errors.push(Error::invalid(path, other, "does not support subscript")),
        None if fields.contains(&field) => {}
        None if ENV_FIELDS.contains(&field) || VOLUME_FIELDS.contains(&field) => {
            errors.push(Error::not_supported(&path_field, field, fields));
        }
        None => {
            let detail = format!("error converting fieldPath: field label not supported: {field}");
            errors.push(Error::invalid(&path_field, field, detail));
        }
    }
}

/// `metadata.labels['app']` as `metadata.labels` and `app`.
fn subscript(field: &str) -> Option<(&str, &str)> {
    field.strip_suffix("']")?.split_once("['")
}

/// A `resourceFieldRef`; in a volume it has to name the container.
pub(super) fn resource_reference(
    reference: &ResourceFieldSelector,
    volume: bool,
    path: &Path,
    errors: &mut Vec<Error>,
) {
    let resource = reference.resource.as_str();
    let huge_pages = resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-");
    if volume && reference.container_name.is_none() {
        errors.push(Error::required(&path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(Error::required(&path.child("resource"), ""));
    } else if !huge_pages && !RESOURCE_FIELDS.contains(&resource) {
        errors.push(Error::not_supported(&path.child("resource"), resource, RESOURCE_FIELDS));
    }
    let (divisors, named) = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => (CPU_DIVISORS, "cpu"),
        "memory" => (BYTE_DIVISORS, "memory"),
        "ephemeral-storage" => (BYTE_DIVISORS, "local ephemeral storage"),
        _ if huge_pages => (BYTE_DIVISORS, "hugepages"),
        _ => return,
    };
    let divisor = reference.divisor.as_ref().map_or("0", |divisor| divisor.0.as_str());
    if divisor != "0" && !divisors.contains(&divisor) {
        let list = if named == "cpu" {
            "1m and 1".to_owned()
        } else {
            divisors.join(", ")
        };
        let detail = format!("only divisor's values {list} are supported with the {named} resource");
        errors.push(Error::invalid(&path.child("divisor"), resource, detail));
    }
}
