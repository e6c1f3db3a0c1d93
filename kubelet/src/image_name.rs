//! Image names as users write them, in their full form.

/// `nginx` is `docker.io/library/nginx:latest`.
pub(crate) fn full(name: &str) -> String {
    // Only a host has upper-case letters (distribution/reference).
    let is_host = |first: &str| {
        first.contains(['.', ':']) || first == "localhost" || first.contains(|letter: char| letter.is_ascii_uppercase())
    };
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest.to_owned()),
        Some(_) => ("docker.io", name.to_owned()),
        None => ("docker.io", format!("library/{name}")),
    };
    let registry = if registry == "index.docker.io" {
        "docker.io"
    } else {
        registry
    };
    if tag(&path).is_some() || path.contains('@') {
        format!("{registry}/{path}")
    } else {
        format!("{registry}/{path}:latest")
    }
}

/// The registry that it comes from.
pub(crate) fn registry(name: &str) -> String {
    let full = full(name);
    full.split('/').next().unwrap_or_default().to_owned()
}

/// The part after the last colon, unless that is a registry's port.
pub(crate) fn tag(name: &str) -> Option<&str> {
    let name = name.split('@').next().unwrap_or(name);
    let (_, tag) = name.rsplit_once(':')?;
    (!tag.contains('/')).then_some(tag)
}

/// Whether it may be another image tomorrow: no tag, or `latest`, and no digest.
pub(crate) fn is_latest(name: &str) -> bool {
    !name.contains('@') && tag(name).is_none_or(|tag| tag == "latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_full_form() {
        for (name, expected) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:stable", "docker.io/library/nginx:stable"),
            ("grafana/grafana", "docker.io/grafana/grafana:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("registry:5000/a", "registry:5000/a:latest"),
            ("ghcr.io/a/b@sha256:00", "ghcr.io/a/b@sha256:00"),
            ("localhost/a", "localhost/a:latest"),
            ("Registry/a", "Registry/a:latest"),
        ] {
            assert_eq!(full(name), expected, "{name}");
        }
    }

    #[test]
    fn latest_is_told_from_the_rest() {
        assert!(is_latest("nginx") && is_latest("nginx:latest") && is_latest("localhost:5000/nginx"));
        assert!(!is_latest("nginx:stable") && !is_latest("nginx@sha256:00"));
        assert_eq!(registry("localhost:5000/a"), "localhost:5000");
    }
}
