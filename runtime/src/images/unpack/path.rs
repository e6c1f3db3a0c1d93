//! Where in a layer an entry goes: its path cut into plain names, once, before anything touches the disk.

use super::error::{UnpackError, shown};
use super::limits;

/// Path of an entry below the layer's root: names joined by `/`, without `.`, `..`, empty names or NUL. Empty for the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EntryPath(Vec<u8>);

impl EntryPath {
    /// Absolute paths are taken from the layer's root, as docker does; `..` is refused, since no honest layer has it.
    pub(super) fn parse(raw: &[u8]) -> Result<Self, UnpackError> {
        let limit = |limit| UnpackError::Limit {
            limit,
            path: shown(&raw[..raw.len().min(200)]),
        };
        if raw.len() > limits::PATH_BYTES {
            return Err(limit("the length of a path (4096 bytes)"));
        }
        let mut path = Vec::with_capacity(raw.len());
        for name in raw.split(|b| *b == b'/').filter(|name| !matches!(*name, b"" | b".")) {
            if name == b".." || name.contains(&0) {
                return Err(UnpackError::Escapes { path: shown(raw) });
            }
            if name.len() > limits::NAME_BYTES {
                return Err(limit("the length of a name (255 bytes)"));
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        Ok(Self(path))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The directory's path and the name in it; none for the root itself.
    pub(super) fn split(&self) -> Option<(EntryPath, &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.0.iter().rposition(|b| *b == b'/') {
            Some(slash) => (Self(self.0[..slash].to_vec()), &self.0[slash + 1..]),
            None => (Self(Vec::new()), &self.0),
        })
    }

    pub(super) fn join(&self, name: &[u8]) -> Self {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_cut_into_plain_names() {
        for (raw, path) in [
            ("./a/b", "a/b"),
            ("/etc//passwd", "etc/passwd"),
            ("./", ""),
            ("", ""),
            ("a/./b/", "a/b"),
        ] {
            assert_eq!(
                EntryPath::parse(raw.as_bytes()).expect(raw).as_bytes(),
                path.as_bytes(),
                "{raw}"
            );
        }
    }

    #[test]
    fn what_leads_out_is_refused() {
        for raw in ["..", "../etc/passwd", "a/../../b", "/..", "a/..", "a\0b"] {
            assert!(
                matches!(EntryPath::parse(raw.as_bytes()), Err(UnpackError::Escapes { .. })),
                "{raw}"
            );
        }
        let (long_name, long_path) = ("n".repeat(256), "a/".repeat(2049));
        for raw in [long_name, long_path] {
            assert!(matches!(
                EntryPath::parse(raw.as_bytes()),
                Err(UnpackError::Limit { .. })
            ));
        }
    }

    proptest! {
        #[test]
        fn what_parses_has_only_plain_names(raw in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(path) = EntryPath::parse(&raw) {
                prop_assert!(path.names().all(|name| !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/')));
                let mut joined = EntryPath(Vec::new());
                for name in path.names() {
                    joined = joined.join(name);
                }
                prop_assert_eq!(joined, path);
            }
        }
    }
}
