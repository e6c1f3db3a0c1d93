//! What things are called in OpenAPI: definitions after their Go packages (`io.k8s.api.core.v1.Pod`), operations after what
//! they do (`listCoreV1NamespacedPod`), documents after their path.

use minik_api::kinds::Kind;
use minik_api::schema::Definition;

/// The name of a definition of the table of shapes.
pub(super) fn definition(definition: &Definition) -> String {
    let (group, version, name) = (definition.group, definition.version, definition.name);
    match group {
        "meta" => format!("io.k8s.apimachinery.pkg.apis.meta.{version}.{name}"),
        "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{name}")
        }
        "apiregistration.k8s.io" => format!("io.k8s.kube-aggregator.pkg.apis.apiregistration.{version}.{name}"),
        _ => {
            let (package, _) = group.split_once('.').unwrap_or((group, ""));
            format!("io.k8s.api.{package}.{version}.{name}")
        }
    }
}

/// The name of the schema of a kind's objects.
pub(super) fn object(kind: &Kind) -> String {
    if let Some(shape) = minik_api::schema::of(kind) {
        return definition(shape);
    }
    // As upstream names customs: the group backwards.
    let mut parts: Vec<&str> = kind.group.split('.').collect();
    parts.reverse();
    format!("{}.{}.{}", parts.join("."), kind.version, kind.kind)
}

/// The group and version that a definition of the table is sent with.
pub(super) fn group_version(definition: &Definition) -> (&'static str, &'static str) {
    match definition.group {
        "core" | "meta" => ("", definition.version),
        group => (group, definition.version),
    }
}

/// `api/v1`, `apis/apps/v1`: which document tells of a kind.
pub(super) fn document(kind: &Kind) -> String {
    if kind.group.is_empty() {
        format!("api/{}", kind.version)
    } else {
        format!("apis/{}/{}", kind.group, kind.version)
    }
}

/// `CoreV1`, `RbacAuthorizationV1`: the middle of an operation's name.
pub(super) fn camel_group_version(kind: &Kind) -> String {
    let group = if kind.group.is_empty() { "core" } else { kind.group };
    let group = group.strip_suffix(".k8s.io").unwrap_or(group);
    group.split(['.', '-']).chain([kind.version]).map(capital).collect()
}

/// `Log` of `log`.
pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use minik_api::kinds;

    #[test]
    fn names_are_upstreams() {
        for (group, version, kind, name, operation) in [
            ("", "v1", "Pod", "io.k8s.api.core.v1.Pod", "CoreV1"),
            ("apps", "v1", "Deployment", "io.k8s.api.apps.v1.Deployment", "AppsV1"),
            (
                "coordination.k8s.io",
                "v1",
                "Lease",
                "io.k8s.api.coordination.v1.Lease",
                "CoordinationV1",
            ),
            (
                "rbac.authorization.k8s.io",
                "v1",
                "Role",
                "io.k8s.api.rbac.v1.Role",
                "RbacAuthorizationV1",
            ),
        ] {
            let kind = kinds::of(group, version, kind).expect("it is served");
            assert_eq!(
                (object(kind).as_str(), camel_group_version(kind).as_str()),
                (name, operation)
            );
        }
    }
}
