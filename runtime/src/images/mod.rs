//! Images: from a name that a user writes to layers that a container can be started on.
//!
//! ```text
//! reference -> registry (endpoints, login, manifests) -> manifest (platform, plan) -> assemble -> catalogue
//!                                                                                      | 3 at once
//!                                      network -> digest -> decompress -> diff id -> unpack -> snapshots
//! ```
//! - `reference`, `digest`, `platform`, `manifest`, `catalogue`'s rules: pure
//! - `registry/`: the distribution specification's client
//! - `layer`, `unpack/`: one layer from compressed bytes to a directory, in one pass
//! - `content`: blobs by digest; `../snapshots`: unpacked layers by chain id; `catalogue`: which images there are
//! - `import`: archives in a registry's place; `progress`: what watchers see
//! - `namespaces`: lists of images that don't know each other, on the same blobs and layers; `listing`: what a list tells
//! - `push`, `export`: the way back, from blobs to a registry or an archive
//! - `compose`: images that are made here, layer by layer
//!
//! Nothing here knows the CRI or containers; a running container keeps its layers by its snapshot.

mod assemble;
mod busy;
mod catalogue;
pub(crate) mod compose;
pub(crate) mod content;
pub mod digest;
pub mod error;
mod export;
mod import;
mod layer;
mod listing;
mod locks;
pub(crate) mod manifest;
pub(crate) mod namespaces;
pub mod platform;
pub(crate) mod progress;
mod pull;
mod push;
pub mod reference;
pub mod registry;
mod service;
pub mod unpack;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use minik_api::images::Progress;
use tokio::sync::broadcast;

use crate::snapshots::trash::Trash;
use crate::snapshots::{SnapshotError, Snapshots, Usage};
use busy::Activity;
pub(crate) use busy::Busy;
pub use catalogue::Image;
use catalogue::{Catalogue, Removal, Tagging};
use content::Content;
use digest::ChainId;
pub use error::PullError;
pub use export::ExportError;
pub use import::{ImportError, SpoolError};
use layer::Destination;
pub(crate) use layer::decompressed;
use locks::Locks;
use namespaces::{InvalidNamespace, Namespaces};
use platform::Platform;
use progress::Board;
pub use push::PushError;
use reference::Reference;
use registry::{Access, Clients, Credentials, Registries};
pub use service::ImagesService;

/// The images of one namespace in a data directory. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Images {
    inner: Arc<Inner>,
    namespace: Arc<str>,
    catalogue: Arc<Catalogue>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    host: Platform,
    registries: Registries,
    clients: Clients,
    destination: Destination,
    trash: Arc<Trash>,
    namespaces: Namespaces,
    board: Arc<Board>,
    layer_locks: Locks<ChainId>,
    running: Mutex<HashMap<Wanted, WeakShared<Running>>>,
    activity: Activity,
}

/// containerd's lease for a pull lasts as long.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 60 * 60);

/// Pulls with other credentials are other pulls: nobody gets an image by somebody else's login.
type Wanted = (Arc<str>, Reference, Access);
type Running = BoxFuture<'static, Result<Arc<Image>, PullError>>;

/// Why the images couldn't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Where removed things wait.
    #[error("can't open the trash {path}", path = .path.display())]
    Trash {
        /// Its directory.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// The content store.
    #[error("can't open the content store {path}", path = .path.display())]
    Content {
        /// Its directory.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// The snapshots.
    #[error("can't open the snapshots")]
    Snapshots(#[from] SnapshotError),
    /// The list of images.
    #[error("can't read the list of images {path}; if it is damaged, remove it and pull again", path = .path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
}

/// Why an image couldn't be given a name.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// There is nothing of this name.
    #[error("no image named {0:?}")]
    NotFound(String),
    /// Another image has the new name.
    #[error("image {0:?}: already exists")]
    Taken(String),
    /// The list of images couldn't be written.
    #[error("can't write the list of images")]
    Catalogue(#[source] io::Error),
}

/// Why an image couldn't be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// There is nothing of this name.
    #[error("no image named {0:?}")]
    NotFound(String),
    /// A part of an id that several images share.
    #[error("several images have ids that begin with {0:?}; write more of it")]
    Ambiguous(String),
    /// The list of images couldn't be written.
    #[error("can't write the list of images")]
    Catalogue(#[source] io::Error),
    /// Layers couldn't be removed.
    #[error("can't remove the image's layers; the rest is removed with the next image")]
    Snapshots(#[source] SnapshotError),
    /// Blobs couldn't be removed.
    #[error("can't remove the image's content; the rest is removed with the next image")]
    Content(#[source] io::Error),
}

impl Images {
    /// Opens `<root>/content`, `<root>/snapshots`, `<root>/trash` and the lists of images; what is missing is made, what a
    /// crash left unfinished is removed. Gives the CRI's images. Blocks.
    ///
    /// # Errors
    /// The disk refuses, or what is there can't be read.
    pub fn open(root: &Path, registries: Registries) -> Result<Self, OpenError> {
        let path = root.join("trash");
        let trash = Arc::new(Trash::open(&path).map_err(|source| OpenError::Trash { path, source })?);
        let path = root.join("content");
        let content = Content::open(&path, Arc::clone(&trash)).map_err(|source| OpenError::Content { path, source })?;
        let snapshots = Snapshots::open(&root.join("snapshots"), Arc::clone(&trash))?;
        let namespaces = Namespaces::open(root, &content, &snapshots)?;
        let (namespace, catalogue) = namespaces.of_cri();
        let inner = Inner {
            root: root.to_owned(),
            host: Platform::host(),
            clients: Clients::new(registries.patience),
            registries,
            destination: Destination {
                content: Arc::new(content),
                snapshots: Arc::new(snapshots),
            },
            trash,
            namespaces,
            board: Board::new(),
            layer_locks: Locks::default(),
            running: Mutex::default(),
            activity: Activity::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            namespace,
            catalogue,
        })
    }

    /// The same blobs and layers with another namespace's list of images; without a name, the CRI's.
    ///
    /// # Errors
    /// That is no name of a namespace.
    pub fn in_namespace(&self, name: &str) -> Result<Self, InvalidNamespace> {
        let (namespace, catalogue) = self.inner.namespaces.get(name)?;
        Ok(Self {
            inner: Arc::clone(&self.inner),
            namespace,
            catalogue,
        })
    }

    /// Names of namespaces that have images.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.inner.namespaces.names()
    }

    /// Pulls an image, or waits for a pull of the same reference with the same credentials that is running already. When the
    /// last one who waits goes away, the pull is canceled.
    ///
    /// # Errors
    /// See [`PullError`].
    pub async fn pull(&self, reference: &Reference, credentials: Option<Credentials>) -> Result<Arc<Image>, PullError> {
        self.pull_by(reference, Access::with(credentials)).await
    }

    /// As [`Images::pull`], by any way to the registry.
    ///
    /// # Errors
    /// See [`PullError`].
    pub async fn pull_by(&self, reference: &Reference, access: Access) -> Result<Arc<Image>, PullError> {
        let wanted = (Arc::clone(&self.namespace), reference.clone(), access);
        let pull = self.join_or_start(wanted);
        let result = pull.await;
        self.running()
            .retain(|_, running| running.upgrade().is_some_and(|running| running.peek().is_none()));
        result
    }

    /// How far each running pull and import is, and all that changes from now on. A picture is whole: who misses some loses
    /// nothing but time.
    #[must_use]
    pub fn watch(&self) -> (Vec<Progress>, broadcast::Receiver<Progress>) {
        self.inner.board.watch()
    }

    /// What changes from now on; see [`Images::watch`].
    #[must_use]
    pub fn progress(&self) -> broadcast::Receiver<Progress> {
        self.watch().1
    }

    /// All images.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Image>> {
        self.catalogue.list()
    }

    /// By tag or digest reference, id, or the beginning of an id that no other has (at least three digits).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Image>> {
        self.catalogue.find(name)
    }

    /// Takes a name away: a tag, a digest, or with an id all of them. With its last name the image goes, and what no other
    /// image and no container needs of it; the disk gets its space back a little later.
    ///
    /// # Errors
    /// There is no such image, or the disk refuses.
    pub async fn remove(&self, name: &str) -> Result<(), RemoveError> {
        let (images, wanted) = (self.clone(), name.to_owned());
        let removal = tokio::task::spawn_blocking(move || images.catalogue.remove(&wanted)).await;
        match removal
            .expect("removing doesn't panic")
            .map_err(RemoveError::Catalogue)?
        {
            Removal::NotFound => Err(RemoveError::NotFound(name.to_owned())),
            Removal::Ambiguous => Err(RemoveError::Ambiguous(name.to_owned())),
            Removal::Untagged => Ok(()),
            Removal::Removed => self.collect().await,
        }
    }

    /// Gives an image one more name; takes that from another image only with `force`. Blocks until it is on disk.
    ///
    /// # Errors
    /// There is no such image, the name is taken, or the disk refuses.
    pub fn tag(&self, name: &str, tag: &Reference, force: bool) -> Result<(), TagError> {
        let tag = tag.tagged().unwrap_or_else(|| tag.to_string());
        match self.catalogue.tag(name, &tag, force).map_err(TagError::Catalogue)? {
            Tagging::Tagged => Ok(()),
            Tagging::NotFound => Err(TagError::NotFound(name.to_owned())),
            Tagging::Taken => Err(TagError::Taken(tag)),
        }
    }

    /// What blobs and unpacked layers take. Reads a directory.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (bytes, inodes) = self.inner.destination.content.usage().unwrap_or_default();
        [self.snapshots().layers_usage(), Usage { bytes, inodes }]
            .into_iter()
            .sum()
    }

    /// The unpacked layers and the containers' writable ones.
    #[must_use]
    pub fn snapshots(&self) -> &Snapshots {
        &self.inner.destination.snapshots
    }

    fn join_or_start(&self, wanted: Wanted) -> Shared<Running> {
        let mut running = self.running();
        // One that has ended is history: a new pull asks the registry again.
        let joined = running
            .get(&wanted)
            .and_then(WeakShared::upgrade)
            .filter(|pull| pull.peek().is_none());
        joined.unwrap_or_else(|| {
            let pull = pull::run(self.clone(), wanted.1.clone(), wanted.2.clone())
                .boxed()
                .shared();
            running.insert(wanted, pull.downgrade().expect("it hasn't run yet"));
            pull
        })
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<Wanted, WeakShared<Running>>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that layers are being made which no image names yet.
    pub(crate) async fn busy(&self) -> Busy {
        self.inner.activity.begin(self.clone()).await
    }

    /// Waits until the space of everything removed is free; gives whether anything still had to be.
    async fn trash_is_emptied(&self) -> bool {
        let trash = Arc::clone(&self.inner.trash);
        let emptied = tokio::task::spawn_blocking(move || trash.await_empty()).await;
        emptied.expect("waiting doesn't panic")
    }

    /// Removes what a program that ended in the middle of a pull has left, unless that was a short while ago: then the next
    /// attempt goes on with it.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn collect_left_behind(&self) -> Result<(), RemoveError> {
        self.collect_older(LEFT_BEHIND).await
    }

    /// Removes what nothing needs, now or when the last running pull has ended.
    async fn collect(&self) -> Result<(), RemoveError> {
        self.collect_older(Duration::ZERO).await
    }

    async fn collect_older(&self, age: Duration) -> Result<(), RemoveError> {
        let Some(_alone) = self.inner.activity.alone().await else {
            return Ok(());
        };
        let images = self.clone();
        let collected = tokio::task::spawn_blocking(move || {
            let list = images.inner.namespaces.all_images();
            let mut chains: HashSet<ChainId> = list.iter().filter_map(|image| image.chain.clone()).collect();
            chains.extend(images.snapshots().younger(age));
            let blobs = list.iter().flat_map(|image| image.content.iter().cloned()).collect();
            images
                .inner
                .destination
                .snapshots
                .retain(&chains)
                .map_err(RemoveError::Snapshots)?;
            images
                .inner
                .destination
                .content
                .retain(&blobs, age)
                .map_err(RemoveError::Content)
        });
        collected.await.expect("collecting doesn't panic")
    }
}

impl Inner {
    /// The login that the node has for a registry.
    fn configured(&self, host: &str) -> Result<Option<Credentials>, PullError> {
        match &self.registries.docker_config {
            Some(path) => {
                registry::credentials_for(path, host).map_err(|error| PullError::DockerConfig(Arc::new(error)))
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
