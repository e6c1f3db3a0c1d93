//! What the store addresses objects by, and what it counts changes with.

use std::fmt;
use std::sync::Arc;

/// Where an object is: `pods/default/nginx`, `nodes/n1`. Keys of one resource sort by namespace, then name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(Arc<str>);

impl Key {
    /// The key of an object; `namespace` is empty for cluster kinds.
    pub(crate) fn new(resource: &str, namespace: &str, name: &str) -> Self {
        let mut text = prefix(resource, namespace);
        text.push_str(name);
        Self(text.into())
    }

    /// Reads a key as it stands on disk; `None` when the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let shape = matches!(parts.len(), 2 | 3) && parts.iter().all(|part| !part.is_empty());
        shape.then(|| Self(text.into()))
    }

    /// A place in the order of keys, where no object has to be.
    pub(super) fn bound(text: &str) -> Self {
        Self(text.into())
    }

    /// `pods`, `leases.coordination.k8s.io`.
    pub(crate) fn resource(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(resource, _)| resource)
    }

    /// Empty for cluster kinds.
    pub(crate) fn namespace(&self) -> &str {
        let mut parts = self.0.splitn(3, '/').skip(1);
        match (parts.next(), parts.next()) {
            (Some(namespace), Some(_)) => namespace,
            _ => "",
        }
    }

    /// The object's own name.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// As it stands on disk.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the keys of a resource, or of a namespace in it, begin with.
pub(crate) fn prefix(resource: &str, namespace: &str) -> String {
    if namespace.is_empty() {
        format!("{resource}/")
    } else {
        format!("{resource}/{namespace}/")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a change: one counter for everything, strictly increasing, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Revision(pub(crate) u64);

impl Revision {
    /// The one after this.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_their_parts() {
        let pod = Key::new("pods", "default", "nginx");
        assert_eq!(
            (pod.resource(), pod.namespace(), pod.name()),
            ("pods", "default", "nginx")
        );
        let node = Key::new("nodes", "", "n1");
        assert_eq!((node.resource(), node.namespace(), node.name()), ("nodes", "", "n1"));
        assert_eq!(Key::parse(pod.as_str()), Some(pod));
        for bad in ["", "pods", "pods/", "/a", "a//b", "a/b/c/d"] {
            assert_eq!(Key::parse(bad), None, "{bad}");
        }
    }
}
