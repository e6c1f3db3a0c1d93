//! What a list of names tells of each: the document it stands for, what that offers, and how much of it is here.

use std::collections::BTreeSet;
use std::io;

use minik_api::images::Named;

use super::Images;
use super::catalogue::Image;
use super::content::Content;
use super::digest::Digest;
use super::manifest::{self, Document};
use super::namespaces::CRI;
use super::platform::Platform;

/// The documents of an image for this machine, from what a name stands for down to its manifest.
#[derive(Debug)]
pub(super) struct Documents {
    /// Each with its media type and bytes.
    pub(super) all: Vec<(Digest, String, Vec<u8>)>,
    /// Config first, then layers: digests, media types and lengths.
    pub(super) parts: Vec<(Digest, String, u64)>,
    /// What the topmost one offers.
    pub(super) platforms: Vec<String>,
}

impl Images {
    /// Every name in this namespace, sorted. Reads the documents.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn named(&self) -> io::Result<Vec<Named>> {
        let mut rows = Vec::new();
        for image in self.list() {
            for name in self.names_of(&image) {
                rows.push(self.row(&image, name)?);
            }
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    }

    /// containerd lists what the CRI has by its digests and id, too; elsewhere a digest is a name only where there is no tag.
    fn names_of(&self, image: &Image) -> Vec<String> {
        let mut names = image.tags.clone();
        if &*self.namespace == CRI {
            names.extend(image.digests.iter().cloned());
            names.push(image.id.to_string());
        } else if names.is_empty() {
            names.extend(image.digests.iter().cloned());
        }
        names
    }

    fn row(&self, image: &Image, name: String) -> io::Result<Named> {
        let content = &self.inner.destination.content;
        let documents = match image.target(&name) {
            Some(target) => documents(content, target, image)?,
            None => None,
        };
        let Some(documents) = documents else {
            // An archive's image of an older version: there is no manifest to tell of.
            return Ok(Named {
                name,
                digest: image.id.to_string(),
                media_type: "application/vnd.oci.image.config.v1+json".to_owned(),
                size_bytes: image.size_bytes,
                platforms: vec![self.inner.host.to_string()],
                id: image.id.to_string(),
                ..Named::default()
            });
        };
        let (digest, media_type, _) = &documents.all[0];
        let of_documents = documents
            .all
            .iter()
            .map(|(digest, _, bytes)| (digest, bytes.len() as u64));
        let of_parts = documents.parts.iter().map(|(digest, _, bytes)| (digest, *bytes));
        let mut row = Named {
            name,
            digest: digest.to_string(),
            media_type: media_type.clone(),
            platforms: documents.platforms.clone(),
            id: image.id.to_string(),
            unpacked_bytes: self.snapshots().stack_usage(image.chain.as_ref()).bytes,
            ..Named::default()
        };
        row.size_bytes = of_documents.map(|(_, bytes)| bytes).sum();
        let mut seen = BTreeSet::new();
        for (digest, bytes) in of_parts.filter(|(digest, _)| seen.insert(*digest)) {
            row.needed += 1;
            row.needed_bytes += bytes;
            if content.has(digest) {
                row.present += 1;
                row.present_bytes += bytes;
            }
        }
        row.size_bytes += row.present_bytes;
        Ok(row)
    }

    /// The documents of one of an image's names.
    pub(super) fn documents(&self, image: &Image, name: &str) -> io::Result<Option<Documents>> {
        match image.target(name) {
            Some(target) => documents(&self.inner.destination.content, target, image),
            None => Ok(None),
        }
    }
}

/// Follows an index to the manifest that is the image's; none where a document is missing or unreadable.
pub(super) fn documents(content: &Content, target: &Digest, image: &Image) -> io::Result<Option<Documents>> {
    let mut found = Documents {
        all: Vec::new(),
        parts: Vec::new(),
        platforms: Vec::new(),
    };
    let mut next = target.clone();
    // As deep as a pull goes.
    for _ in 0..3 {
        let Some(bytes) = content.read(&next)? else {
            return Ok(None);
        };
        let media_type = manifest::media_type(&bytes);
        let document = manifest::read(&bytes, "");
        found.all.push((next, media_type, bytes));
        match document {
            Ok(Document::Index(manifests)) => {
                if found.platforms.is_empty() {
                    let platforms = manifests.iter().filter_map(|entry| entry.platform().as_ref());
                    found.platforms = platforms
                        .map(|p| Platform::stated(p.os(), p.architecture(), p.variant().as_deref()).to_string())
                        .collect();
                    // What carries attestations says so by an architecture that no machine has.
                    found.platforms.retain(|platform| !platform.contains("unknown"));
                }
                let kept = manifests.iter().filter_map(|entry| manifest::digest_of(entry).ok());
                match kept.into_iter().find(|digest| image.content.contains(digest)) {
                    Some(digest) => next = digest,
                    None => return Ok(None),
                }
            }
            Ok(Document::Manifest(manifest)) => {
                if found.platforms.is_empty() {
                    let config = &image.config;
                    let own = Platform::stated(config.os(), config.architecture(), config.variant().as_deref());
                    found.platforms = vec![own.to_string()];
                }
                for part in std::iter::once(manifest.config()).chain(manifest.layers()) {
                    let Ok(digest) = manifest::digest_of(part) else {
                        return Ok(None);
                    };
                    found.parts.push((digest, part.media_type().to_string(), part.size()));
                }
                return Ok(Some(found));
            }
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}
