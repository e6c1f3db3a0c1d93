//! Where a copy comes from or goes to: a file here, or `[NAMESPACE/]POD:FILE`. Pure.

use std::path::{Component, Path};
use std::str::FromStr;

use anyhow::bail;

/// One end of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A path on this machine.
    Here(String),
    /// A path in a container.
    There {
        /// The pod's namespace, where it was named.
        namespace: Option<String>,
        /// The pod's name.
        pod: String,
        /// The path, which a container always writes with slashes.
        path: String,
    },
}

impl FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What begins like a path is one, whatever colons it has.
        let is_path = ["/", "./", "../"].iter().any(|start| text.starts_with(start));
        let Some((before, path)) = text.split_once(':').filter(|_| !is_path) else {
            return Ok(Self::Here(text.to_owned()));
        };
        let (namespace, pod) = match before.split_once('/') {
            None => (None, before),
            Some((namespace, pod)) => (Some(namespace.to_owned()), pod),
        };
        if pod.is_empty() || pod.contains('/') || namespace.as_ref().is_some_and(String::is_empty) {
            bail!("filespec must match the canonical format: [[namespace/]pod:]file/path");
        }
        Ok(Self::There {
            namespace,
            pod: pod.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// The folder and the name of a path in a container.
#[must_use]
pub fn split(path: &str) -> (String, String) {
    match path.rsplit_once('/') {
        None => (".".to_owned(), path.to_owned()),
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((folder, name)) => (folder.to_owned(), name.to_owned()),
    }
}

/// What every name in the tar stream of a path begins with: tar takes a leading `/` and everything up to the last `..` away.
#[must_use]
pub fn prefix(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => parts.clear(),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kubectls() {
        let there = |namespace: Option<&str>, pod: &str, path: &str| Place::There {
            namespace: namespace.map(str::to_owned),
            pod: pod.to_owned(),
            path: path.to_owned(),
        };
        for (text, place) in [
            ("a", Place::Here("a".to_owned())),
            ("/a:b", Place::Here("/a:b".to_owned())),
            ("./a:b", Place::Here("./a:b".to_owned())),
            ("web:/etc/x", there(None, "web", "/etc/x")),
            ("dev/web:x:y", there(Some("dev"), "web", "x:y")),
            ("web:", there(None, "web", "")),
        ] {
            assert_eq!(text.parse::<Place>().expect(text), place, "{text}");
        }
        for bad in [":x", "a/b/c:x"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_taken_apart_as_tar_does() {
        let pair = |folder: &str, name: &str| (folder.to_owned(), name.to_owned());
        assert_eq!(split("/a/b"), pair("/a", "b"));
        assert_eq!(split("/a"), pair("/", "a"));
        assert_eq!(split("a"), pair(".", "a"));
        assert_eq!(prefix("/tmp/d/"), ["tmp", "d"]);
        assert_eq!(prefix("tmp/../etc"), ["etc"]);
        assert_eq!(prefix("."), Vec::<String>::new());
    }
}
