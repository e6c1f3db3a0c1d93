//! Namespaces: lists of images that don't know each other, on blobs and layers that all share. What one of them still names is
//! kept for all.
//!
//! The CRI's is `k8s.io`, as containerd has it, in `<root>/images.json`; any other is made by its first image, in
//! `<root>/namespaces/<name>.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::OpenError;
use super::catalogue::{Catalogue, Image};
use super::content::Content;
use crate::snapshots::Snapshots;

/// What pods run on.
pub(crate) const CRI: &str = "k8s.io";
/// containerd's limit for names of namespaces and containers.
const LENGTH: usize = 76;

/// A name that can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "namespace {0:?} is invalid: at most 76 letters and digits, with single dots, dashes or underscores between them"
)]
pub struct InvalidNamespace(pub(crate) String);

/// All lists.
#[derive(Debug)]
pub(super) struct Namespaces {
    directory: PathBuf,
    catalogues: Mutex<BTreeMap<Arc<str>, Arc<Catalogue>>>,
}

impl Namespaces {
    /// Reads the lists that there are.
    pub(super) fn open(root: &Path, content: &Content, snapshots: &Snapshots) -> Result<Self, OpenError> {
        let directory = root.join("namespaces");
        let read = |path: PathBuf| {
            let catalogue = Catalogue::open(path.clone(), content, snapshots);
            catalogue
                .map(Arc::new)
                .map_err(|source| OpenError::Catalogue { path, source })
        };
        let mut catalogues = BTreeMap::from([(Arc::from(CRI), read(root.join("images.json"))?)]);
        let failed = |source| OpenError::Catalogue {
            path: directory.clone(),
            source,
        };
        fs::create_dir_all(&directory).map_err(failed)?;
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json"));
            if let Some(name) = name.filter(|name| is_identifier(name)) {
                catalogues.insert(Arc::from(name), read(path.clone())?);
            }
        }
        Ok(Self {
            directory,
            catalogues: Mutex::new(catalogues),
        })
    }

    pub(super) fn of_cri(&self) -> (Arc<str>, Arc<Catalogue>) {
        self.get(CRI).expect("it is a name, and always there")
    }

    /// A list by its name. One that isn't there is empty, and on disk with its first image.
    pub(super) fn get(&self, name: &str) -> Result<(Arc<str>, Arc<Catalogue>), InvalidNamespace> {
        let name = if name.is_empty() { CRI } else { name };
        if !is_identifier(name) {
            return Err(InvalidNamespace(name.to_owned()));
        }
        let mut catalogues = self.catalogues();
        if let Some((name, catalogue)) = catalogues.get_key_value(name) {
            return Ok((Arc::clone(name), Arc::clone(catalogue)));
        }
        let made = Arc::new(Catalogue::empty(self.directory.join(format!("{name}.json"))));
        catalogues.insert(Arc::from(name), Arc::clone(&made));
        Ok((Arc::from(name), made))
    }

    /// Those that have images.
    pub(super) fn names(&self) -> Vec<String> {
        let catalogues = self.catalogues();
        let used = catalogues.iter().filter(|(_, catalogue)| !catalogue.list().is_empty());
        used.map(|(name, _)| name.to_string()).collect()
    }

    /// The images of all: what must not be collected.
    pub(super) fn all_images(&self) -> Vec<Arc<Image>> {
        let catalogues = self.catalogues();
        catalogues.values().flat_map(|catalogue| catalogue.list()).collect()
    }

    fn catalogues(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Catalogue>>> {
        // Each change under the lock is one insertion.
        self.catalogues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// containerd's rule for names of namespaces and containers: letters and digits, in between single separators.
pub(crate) fn is_identifier(name: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    name.len() <= LENGTH && name.split(['.', '_', '-']).all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers() {
        for name in ["default", "k8s.io", "a-b_c.d", "7", &"x".repeat(76)] {
            assert!(is_identifier(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "-a", "a-", "a..b", "../etc", "é", &"x".repeat(77)] {
            assert!(!is_identifier(name), "{name}");
        }
    }
}
