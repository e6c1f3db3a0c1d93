//! Which images there are and what they are called: `images.json`, one file, replaced as a whole. So a tag that moves from one
//! image to another is never on both or on none, whenever the power goes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};

use super::content::Content;
use super::digest::{ChainId, Digest};
use super::reference::Reference;
use crate::snapshots::{Snapshots, durable};

/// Shortest part of an id that is taken for one.
const ID_PREFIX: usize = 3;

/// An image that containers can be made from.
#[derive(Clone, Debug)]
pub struct Image {
    /// Digest of the config blob, as everywhere in docker's world.
    pub id: Digest,
    /// `NAME:TAG`, in full form.
    pub tags: Vec<String>,
    /// `NAME@DIGEST`, in full form; the digest is that of the index or manifest that was pulled.
    pub digests: Vec<String>,
    /// Index or manifest that a tag stands for; a tag of an older version's may lack it.
    pub targets: BTreeMap<String, Digest>,
    /// Config and compressed layers.
    pub size_bytes: u64,
    /// What to run, and on which layers.
    pub config: ImageConfiguration,
    /// The topmost layer; none for an image without any.
    pub chain: Option<ChainId>,
    /// Never collected as garbage by the kubelet.
    pub pinned: bool,
    /// Blobs it consists of.
    pub(crate) content: Vec<Digest>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: Digest,
    tags: Vec<String>,
    digests: Vec<String>,
    #[serde(default)]
    targets: BTreeMap<String, Digest>,
    size_bytes: u64,
    pinned: bool,
    content: Vec<Digest>,
}

#[derive(Serialize, Deserialize, Default)]
struct Records {
    images: Vec<Record>,
}

/// All images, in memory and on disk.
#[derive(Debug)]
pub(super) struct Catalogue {
    path: PathBuf,
    images: RwLock<Vec<Arc<Image>>>,
    /// Held while the file is replaced, so that readers needn't wait for the disk.
    writing: std::sync::Mutex<()>,
}

/// What taking a name away did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// There is nothing of this name.
    NotFound,
    /// Part of an id that several images share.
    Ambiguous,
    /// Other names of the image stay.
    Untagged,
    /// The image is gone from the catalogue; its content can be collected.
    Removed,
}

/// What giving a name did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tagging {
    /// There is no image of the old name.
    NotFound,
    /// An image has the new name.
    Taken,
    /// It has it now.
    Tagged,
}

impl Image {
    /// The index or manifest that one of the image's names stands for; none if it isn't known.
    pub(crate) fn target(&self, name: &str) -> Option<&Digest> {
        let by = match name.rsplit_once('@') {
            Some(_) => By::Digest(name.to_owned()),
            None => By::Tag(name.to_owned()),
        };
        target(self, &by)
    }
}

impl Catalogue {
    /// Reads `images.json`. An image whose config or layers are missing is left out, with a warning: it is pulled again when
    /// somebody needs it.
    pub(super) fn open(path: PathBuf, content: &Content, snapshots: &Snapshots) -> io::Result<Self> {
        let records: Records = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Records::default(),
            Err(error) => return Err(error),
        };
        let mut images = Vec::with_capacity(records.images.len());
        for record in records.images {
            let (id, names) = (record.id.clone(), record.tags.clone());
            match load(record, content, snapshots)? {
                Some(image) => images.push(Arc::new(image)),
                None => {
                    tracing::warn!(%id, ?names, "this image lacks its config or a layer and is left out; pull it again")
                }
            }
        }
        Ok(Self {
            path,
            images: RwLock::new(images),
            writing: std::sync::Mutex::new(()),
        })
    }

    /// One that nothing is in, nor on disk.
    pub(super) fn empty(path: PathBuf) -> Self {
        Self {
            path,
            images: RwLock::default(),
            writing: std::sync::Mutex::default(),
        }
    }

    pub(super) fn list(&self) -> Vec<Arc<Image>> {
        self.images
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Image>> {
        find(&self.list(), name).ok().flatten().map(|(image, _)| image)
    }

    /// Adds an image, or names to one that is there already; takes its tags away from all others.
    pub(super) fn add(&self, image: Image) -> io::Result<Arc<Image>> {
        let id = image.id.clone();
        self.change(|images| *images = with(images, image))?;
        Ok(self
            .list()
            .into_iter()
            .find(|image| image.id == id)
            .expect("it was just added"))
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<Removal> {
        let mut removal = Removal::NotFound;
        self.change(|images| (*images, removal) = without(images, name))?;
        Ok(removal)
    }

    /// Gives the image `name` one more tag. From another image the tag is taken only with `force`.
    pub(super) fn tag(&self, name: &str, tag: &str, force: bool) -> io::Result<Tagging> {
        let mut tagging = Tagging::NotFound;
        self.change(|images| {
            tagging = match (find(images, name), find_tag(images, tag)) {
                (Ok(None) | Err(()), _) => Tagging::NotFound,
                (Ok(Some(_)), Some(_)) if !force => Tagging::Taken,
                (Ok(Some((image, by))), _) => {
                    let mut named = (*image).clone();
                    let target = target(&image, &by).cloned();
                    named.tags.push(tag.to_owned());
                    named.targets.extend(target.map(|target| (tag.to_owned(), target)));
                    *images = with(images, named);
                    Tagging::Tagged
                }
            };
        })?;
        Ok(tagging)
    }

    /// Writes the new list down, then shows it.
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Image>>)) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut images = self.list();
        change(&mut images);
        let record = |image: &Arc<Image>| Record {
            id: image.id.clone(),
            tags: image.tags.clone(),
            digests: image.digests.clone(),
            targets: image.targets.clone(),
            size_bytes: image.size_bytes,
            pinned: image.pinned,
            content: image.content.clone(),
        };
        let records = Records {
            images: images.iter().map(record).collect(),
        };
        durable::write_json(&self.path, &records)?;
        *self.images.write().unwrap_or_else(std::sync::PoisonError::into_inner) = images;
        Ok(())
    }
}

fn load(record: Record, content: &Content, snapshots: &Snapshots) -> io::Result<Option<Image>> {
    let Some(bytes) = content.read(&record.id)? else {
        return Ok(None);
    };
    let config: ImageConfiguration = serde_json::from_slice(&bytes)?;
    let diff_ids = config
        .rootfs()
        .diff_ids()
        .iter()
        .map(|id| id.parse())
        .collect::<Result<Vec<Digest>, _>>();
    let Ok(chains) = diff_ids.map(|ids| ChainId::stack(&ids)) else {
        return Ok(None);
    };
    if !chains.iter().all(|chain| snapshots.has(chain)) {
        return Ok(None);
    }
    Ok(Some(Image {
        id: record.id,
        tags: record.tags,
        digests: record.digests,
        targets: record.targets,
        size_bytes: record.size_bytes,
        config,
        chain: chains.into_iter().next_back(),
        pinned: record.pinned,
        content: record.content,
    }))
}

/// How a name names an image.
#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    Id,
    Tag(String),
    Digest(String),
}

/// A digest names its document itself. A tag of an older version's record has what was pulled last from its repository.
fn target<'a>(image: &'a Image, by: &By) -> Option<&'a Digest> {
    let known = match by {
        By::Tag(tag) => image.targets.get(tag),
        By::Digest(name) => {
            let digest = name.rsplit_once('@').map(|(_, digest)| digest);
            return image.content.iter().find(|known| digest == Some(known.as_str()));
        }
        By::Id => image.targets.values().next(),
    };
    let pulled = || {
        let digest = image.digests.last()?.rsplit_once('@')?.1;
        image.content.iter().find(|known| known.as_str() == digest)
    };
    known.or_else(pulled)
}

fn find_tag<'a>(images: &'a [Arc<Image>], tag: &str) -> Option<&'a Arc<Image>> {
    images.iter().find(|image| image.tags.iter().any(|own| own == tag))
}

/// `Err` where a part of an id fits several.
fn find(images: &[Arc<Image>], name: &str) -> Result<Option<(Arc<Image>, By)>, ()> {
    let with_id = |id: &str| {
        images
            .iter()
            .find(|image| image.id.as_str() == id || image.id.hex() == id)
    };
    if let Some(image) = with_id(name) {
        return Ok(Some((Arc::clone(image), By::Id)));
    }
    if let Ok(reference) = name.parse::<Reference>() {
        let digest = reference
            .digest()
            .map(|digest| format!("{}@{digest}", reference.name()));
        let by = match (digest, reference.tagged()) {
            (Some(digest), _) => By::Digest(digest),
            (None, Some(tag)) => By::Tag(tag),
            (None, None) => unreachable!("a reference has a tag or a digest"),
        };
        let has = |image: &&Arc<Image>| match &by {
            By::Digest(digest) => image.digests.contains(digest),
            By::Tag(tag) => image.tags.contains(tag),
            By::Id => false,
        };
        if let Some(image) = images.iter().find(has) {
            return Ok(Some((Arc::clone(image), by)));
        }
    }
    let prefix = name.strip_prefix("sha256:").unwrap_or(name);
    if prefix.len() < ID_PREFIX {
        return Ok(None);
    }
    let mut fitting = images.iter().filter(|image| image.id.hex().starts_with(prefix));
    match (fitting.next(), fitting.next()) {
        (Some(image), None) => Ok(Some((Arc::clone(image), By::Id))),
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(()),
    }
}

fn with(images: &[Arc<Image>], mut new: Image) -> Vec<Arc<Image>> {
    let mut list = Vec::with_capacity(images.len() + 1);
    for image in images {
        if image.id == new.id {
            let add = |to: &mut Vec<String>, from: &[String]| {
                for name in from
                    .iter()
                    .filter(|name| !to.contains(name))
                    .cloned()
                    .collect::<Vec<_>>()
                {
                    to.push(name);
                }
            };
            add(&mut new.tags, &image.tags);
            add(&mut new.digests, &image.digests);
            for (tag, target) in &image.targets {
                new.targets.entry(tag.clone()).or_insert_with(|| target.clone());
            }
            new.content.extend(image.content.iter().cloned());
            new.content.sort();
            new.content.dedup();
            new.pinned |= image.pinned;
            continue;
        }
        let mut image = Arc::clone(image);
        if image.tags.iter().any(|tag| new.tags.contains(tag)) {
            let image = Arc::make_mut(&mut image);
            image.tags.retain(|tag| !new.tags.contains(tag));
            image.targets.retain(|tag, _| !new.tags.contains(tag));
        }
        if has_name(&image) {
            list.push(image);
        }
    }
    list.push(Arc::new(new));
    list
}

/// Taking an id away takes all names. Taking the last tag of a repository takes the repository's digests too: docker and
/// people think of them as one.
fn without(images: &[Arc<Image>], name: &str) -> (Vec<Arc<Image>>, Removal) {
    let (found, by) = match find(images, name) {
        Ok(Some(found)) => found,
        Ok(None) => return (images.to_vec(), Removal::NotFound),
        Err(()) => return (images.to_vec(), Removal::Ambiguous),
    };
    let mut left = (*found).clone();
    match by {
        By::Id => (left.tags, left.digests) = (Vec::new(), Vec::new()),
        By::Digest(digest) => left.digests.retain(|other| *other != digest),
        By::Tag(tag) => {
            left.tags.retain(|other| *other != tag);
            let repository = tag.rsplit_once(':').map_or(tag.as_str(), |(repository, _)| repository);
            let of_repository =
                |name: &String, mark| name.strip_prefix(repository).is_some_and(|rest| rest.starts_with(mark));
            if !left.tags.iter().any(|tag| of_repository(tag, ':')) {
                left.digests.retain(|digest| !of_repository(digest, '@'));
            }
        }
    }
    left.targets.retain(|tag, _| left.tags.contains(tag));
    let removal = if has_name(&left) {
        Removal::Untagged
    } else {
        Removal::Removed
    };
    let mut list: Vec<_> = images.iter().filter(|image| image.id != found.id).cloned().collect();
    if removal == Removal::Untagged {
        list.push(Arc::new(left));
    }
    (list, removal)
}

fn has_name(image: &Image) -> bool {
    !image.tags.is_empty() || !image.digests.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(content: &str, tags: &[&str], digests: &[&str]) -> Image {
        Image {
            id: Digest::of(content.as_bytes()),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            digests: digests
                .iter()
                .map(|name| format!("{name}@{}", Digest::of(content.as_bytes())))
                .collect(),
            targets: BTreeMap::new(),
            size_bytes: 1,
            config: ImageConfiguration::default(),
            chain: None,
            pinned: false,
            content: Vec::new(),
        }
    }

    const NGINX: &str = "docker.io/library/nginx";

    #[test]
    fn a_tag_moves_to_the_newer_image() {
        let list = with(&[], image("old", &["docker.io/library/nginx:1"], &[NGINX]));
        let list = with(&list, image("untraceable", &["docker.io/library/a:1"], &[]));
        let list = with(
            &list,
            image("new", &["docker.io/library/nginx:1", "docker.io/library/a:1"], &[NGINX]),
        );
        // The first keeps its digest as a name; the second has none left.
        assert_eq!(list.len(), 2);
        assert!(list[0].tags.is_empty() && !list[0].digests.is_empty());
        assert_eq!(
            find(&list, "nginx:1").expect("one").expect("found").0.id,
            Digest::of(b"new")
        );
    }

    #[test]
    fn images_are_found_by_every_name() {
        let list = with(&[], image("x", &["docker.io/library/nginx:1"], &[NGINX]));
        let id = Digest::of(b"x");
        for name in [
            "nginx:1",
            "docker.io/nginx:1",
            id.as_str(),
            id.hex(),
            &id.hex()[..12],
            &format!("nginx@{id}"),
        ] {
            assert!(matches!(find(&list, name), Ok(Some(_))), "{name}");
        }
        for name in ["nginx", "nginx:2", "", &id.hex()[..2], "sha256:"] {
            assert!(matches!(find(&list, name), Ok(None)), "{name}");
        }
    }

    #[test]
    fn a_part_of_an_id_must_be_unambiguous() {
        let mut list = Vec::new();
        // Enough images that two of them begin with the same three digits, by the birthday paradox; seen to be so below.
        for number in 0..300 {
            list = with(
                &list,
                image(&number.to_string(), &[&format!("docker.io/library/a:{number}")], &[]),
            );
        }
        let mut prefixes: Vec<&str> = list.iter().map(|image| &image.id.hex()[..3]).collect();
        prefixes.sort_unstable();
        let twice = prefixes.windows(2).find(|pair| pair[0] == pair[1]).expect("two alike")[0].to_owned();
        assert!(find(&list, &twice).is_err());
        assert_eq!(without(&list, &twice).1, Removal::Ambiguous);
    }

    #[test]
    fn a_new_name_stands_for_what_the_old_one_does() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("images.json");
        let catalogue = Catalogue::empty(path);
        let manifest = Digest::of(b"manifest");
        let mut first = image("x", &["docker.io/library/a:1"], &[]);
        first
            .targets
            .insert("docker.io/library/a:1".to_owned(), manifest.clone());
        catalogue.add(first).expect("added");
        catalogue
            .add(image("y", &["docker.io/library/b:1"], &[]))
            .expect("added");
        let tag = |name: &str, tag: &str, force| catalogue.tag(name, tag, force).expect("written");
        assert_eq!(tag("a:2", "docker.io/library/c:1", false), Tagging::NotFound);
        assert_eq!(tag("a:1", "docker.io/library/b:1", false), Tagging::Taken);
        assert_eq!(tag("a:1", "docker.io/library/c:1", false), Tagging::Tagged);
        assert_eq!(tag("a:1", "docker.io/library/b:1", true), Tagging::Tagged);
        let list = catalogue.list();
        assert_eq!(list.len(), 1, "the other image has no name left");
        for name in &list[0].tags {
            assert_eq!(list[0].target(name), Some(&manifest), "{name}");
        }
    }

    #[test]
    fn the_last_tag_takes_the_image_along() {
        let names = ["docker.io/library/nginx:1", "docker.io/library/nginx:2"];
        let list = with(&[], image("x", &names, &[NGINX]));
        let (list, removal) = without(&list, "nginx:1");
        assert_eq!(
            (removal, list[0].tags.len(), list[0].digests.len()),
            (Removal::Untagged, 1, 1)
        );
        let (list, removal) = without(&list, "nginx:2");
        assert_eq!((removal, list.len()), (Removal::Removed, 0));
        assert_eq!(without(&list, "nginx:2").1, Removal::NotFound);
    }

    #[test]
    fn an_id_takes_all_names_along_and_another_repository_keeps_its_own() {
        let names = ["docker.io/library/nginx:1", "quay.io/a/nginx:1"];
        let list = with(&[], image("x", &names, &[NGINX, "quay.io/a/nginx"]));
        let (left, removal) = without(&list, "nginx:1");
        assert_eq!((removal, left[0].digests.len()), (Removal::Untagged, 1));
        assert_eq!(without(&list, Digest::of(b"x").as_str()).1, Removal::Removed);
    }
}
