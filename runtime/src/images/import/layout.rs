//! Which images an archive holds and what they are called, from its descriptions. Pure.
//!
//! An archive may be both kinds at once, as newer versions of docker write it: then the OCI index is the truth about digests,
//! and docker's manifest.json about names where the index has none.

use std::fmt;

use serde::Deserialize;

use super::ImportError;
use super::spool::Spooled;
use crate::images::digest::Digest;
use crate::images::manifest;
use crate::images::reference::Reference;

/// Full names by containerd and docker; the specification's own annotation may be a tag alone.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
const OCI_NAME: &str = "org.opencontainers.image.ref.name";

/// An image in an archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) tags: Vec<Reference>,
    pub(super) member: Member,
}

/// Where its parts are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// Index or manifest.
    Oci(Digest),
    /// Config, and layers with their lengths.
    Docker { config: Digest, layers: Vec<(Digest, u64)> },
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oci(digest) | Self::Docker { config: digest, .. } => digest.fmt(f),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

pub(super) fn images(archive: &Spooled) -> Result<Vec<Found>, ImportError> {
    let oci = match archive.descriptions.get("index.json") {
        Some(index) => from_index(index)?,
        None => Vec::new(),
    };
    if !oci.is_empty() && oci.iter().all(|found| !found.tags.is_empty()) {
        return Ok(oci);
    }
    match archive.descriptions.get("manifest.json") {
        Some(manifest) => from_docker(manifest, archive),
        None if oci.is_empty() => Err(ImportError::NoImages),
        None => Err(ImportError::Broken(format!(
            "no name for {}; write it again with one ({OCI_NAME})",
            oci.iter()
                .filter(|found| found.tags.is_empty())
                .map(|found| found.member.to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

fn from_index(index: &[u8]) -> Result<Vec<Found>, ImportError> {
    let index: oci_spec::image::ImageIndex = serde_json::from_slice(index).map_err(|source| ImportError::Parse {
        name: "index.json".to_owned(),
        source,
    })?;
    let mut found: Vec<Found> = Vec::new();
    for descriptor in index.manifests() {
        let annotations = descriptor.annotations().clone().unwrap_or_default();
        let name = annotations.get(CONTAINERD_NAME).or_else(|| annotations.get(OCI_NAME));
        // A tag alone names nothing; names that can't be parsed are other tools' business.
        let tag = name
            .filter(|name| name.contains(['/', ':']))
            .and_then(|name| name.parse::<Reference>().ok());
        let member =
            Member::Oci(manifest::digest_of(descriptor).map_err(|error| ImportError::Broken(error.to_string()))?);
        match found.iter_mut().find(|other| other.member == member) {
            Some(same) => same.tags.extend(tag),
            None => found.push(Found {
                tags: tag.into_iter().collect(),
                member,
            }),
        }
    }
    Ok(found)
}

fn from_docker(manifest: &[u8], archive: &Spooled) -> Result<Vec<Found>, ImportError> {
    let images: Vec<DockerImage> = serde_json::from_slice(manifest).map_err(|source| ImportError::Parse {
        name: "manifest.json".to_owned(),
        source,
    })?;
    let file = |name: &String| {
        let found = archive.file(name).cloned();
        found.ok_or_else(|| ImportError::Broken(format!("{name} is not in the archive")))
    };
    let image = |image: DockerImage| {
        let tags = image.repo_tags.unwrap_or_default();
        let tags = tags
            .iter()
            .map(|tag| tag.parse::<Reference>())
            .collect::<Result<Vec<_>, _>>();
        let tags = tags.map_err(|error| ImportError::Broken(error.to_string()))?;
        if tags.is_empty() {
            return Err(ImportError::Broken(
                "an image in it has no name; save it by its name, not its id".to_owned(),
            ));
        }
        Ok(Found {
            tags,
            member: Member::Docker {
                config: file(&image.config)?.0,
                layers: image.layers.iter().map(file).collect::<Result<_, _>>()?,
            },
        })
    };
    let images: Vec<Found> = images.into_iter().map(image).collect::<Result<_, _>>()?;
    if images.is_empty() {
        Err(ImportError::NoImages)
    } else {
        Ok(images)
    }
}
