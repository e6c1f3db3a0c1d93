//! URL paths of resources: `/api/v1/namespaces/default/pods/nginx/log`, `/apis/coordination.k8s.io/v1/leases`.

use crate::kinds::{self, Kind};

/// Finds the kind served at a group, version and plural: [`kinds::at`], or a server's own catalogue.
pub type Find<'a> = dyn Fn(&str, &str, &str) -> Option<&'static Kind> + 'a;

/// What a resource path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourcePath {
    /// Which kind.
    pub kind: &'static Kind,
    /// In which namespace; `None`: a cluster kind, or all namespaces.
    pub namespace: Option<String>,
    /// Which object; `None`: the collection.
    pub name: Option<String>,
    /// Which subresource of it. What stands in the path behind `proxy` is no part of this.
    pub subresource: Option<String>,
}

impl ResourcePath {
    /// Reads a path of a built-in kind; see [`ResourcePath::parse_with`].
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        Self::parse_with(path, &kinds::at)
    }

    /// Reads a path, already percent-decoded; `None` when `find` knows no kind there. A cluster kind below a namespace, or an
    /// object of a namespaced kind without one, names nothing.
    #[must_use]
    pub fn parse_with(path: &str, find: &Find<'_>) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // `/namespaces/x/status` is a subresource of a namespace, `/namespaces/x/pods` a collection in it.
            ["namespaces", namespace, plural, below @ ..]
                if !(below.is_empty() && is_namespace_subresource(group, version, plural)) =>
            {
                (Some((*namespace).to_owned()), &rest[2..])
            }
            _ => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(*name), None),
            [plural, name, "proxy", ..] => (plural, Some(*name), Some("proxy")),
            [plural, name, subresource] => (plural, Some(*name), Some(*subresource)),
            _ => return None,
        };
        let parts = [Some(*plural), namespace.as_deref(), name, subresource];
        if parts.contains(&Some("")) {
            return None;
        }
        let kind = find(group, version, plural)?;
        let fits = if kind.namespaced {
            namespace.is_some() || name.is_none()
        } else {
            namespace.is_none()
        };
        fits.then(|| Self {
            kind,
            namespace,
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
        })
    }
}

fn is_namespace_subresource(group: &str, version: &str, name: &str) -> bool {
    let namespaces = kinds::at("", "v1", "namespaces");
    group.is_empty() && version == "v1" && namespaces.is_some_and(|kind| kind.subresource(name).is_some())
}

/// The path of the collection of `kind`, in `namespace` or in all.
#[must_use]
pub fn collection(kind: &Kind, namespace: Option<&str>) -> String {
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    match namespace {
        Some(namespace) if kind.namespaced => format!("{root}/namespaces/{namespace}/{}", kind.plural),
        _ => format!("{root}/{}", kind.plural),
    }
}

/// The path of one object.
#[must_use]
pub fn object(kind: &Kind, namespace: Option<&str>, name: &str) -> String {
    format!("{}/{name}", collection(kind, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, kind: &str, namespace: Option<&str>, name: Option<&str>, subresource: Option<&str>) {
        let found = ResourcePath::parse(path).expect(path);
        assert_eq!(found.kind.kind, kind, "{path}");
        assert_eq!(found.namespace.as_deref(), namespace, "{path}");
        assert_eq!(found.name.as_deref(), name, "{path}");
        assert_eq!(found.subresource.as_deref(), subresource, "{path}");
    }

    #[test]
    fn paths_name_what_kubernetes_says_they_name() {
        names("/api/v1/pods", "Pod", None, None, None);
        names("/api/v1/namespaces/a/pods", "Pod", Some("a"), None, None);
        names(
            "/api/v1/namespaces/a/pods/b/log",
            "Pod",
            Some("a"),
            Some("b"),
            Some("log"),
        );
        for below in ["", "/", "//c/d"] {
            let path = format!("/api/v1/namespaces/a/pods/b:80/proxy{below}");
            names(&path, "Pod", Some("a"), Some("b:80"), Some("proxy"));
        }
        names("/api/v1/namespaces/a", "Namespace", None, Some("a"), None);
        names(
            "/api/v1/namespaces/a/status",
            "Namespace",
            None,
            Some("a"),
            Some("status"),
        );
        names("/api/v1/nodes/n/status", "Node", None, Some("n"), Some("status"));
        names(
            "/apis/coordination.k8s.io/v1/namespaces/a/leases/l",
            "Lease",
            Some("a"),
            Some("l"),
            None,
        );
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in [
            "/api/v1/namespaces/a/nodes/n",
            "/api/v1/pods/b",
            "/api/v1/namespaces//pods/b",
            "/api/v1/namespaces/a/pods//log",
            "/api/v1/namespaces/a/pods/b/log/c",
            "/api/v2/pods",
            "/api/v1/",
            "/apis/v1/pods",
            "api",
        ] {
            assert_eq!(ResourcePath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn paths_are_built_as_they_are_read() {
        for row in kinds::all() {
            let namespace = row.namespaced.then_some("a");
            let read = ResourcePath::parse(&object(row, namespace, "x")).expect("own path");
            assert_eq!((read.kind, read.name.as_deref()), (row, Some("x")));
        }
    }
}
