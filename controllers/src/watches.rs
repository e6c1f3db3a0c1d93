//! A watch of the metadata of every kind that is served; kinds come and go with their definitions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future;
use futures::stream::{BoxStream, SelectAll};
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::discovery::{ApiCapabilities, Discovery, Scope, verbs};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::garbage::Kind;

/// How long to wait before asking again what is served when that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What a watch says.
pub(crate) type Event = watcher::Event<PartialObjectMeta<DynamicObject>>;

/// What came of one watch.
pub(crate) struct Seen {
    /// Of which kind.
    pub(crate) kind: Arc<Kind>,
    /// What.
    pub(crate) event: Event,
}

/// All watches.
pub(crate) struct Watches {
    client: Client,
    streams: SelectAll<BoxStream<'static, Seen>>,
    /// A watch ends when its guard is dropped.
    running: HashMap<Arc<Kind>, DropGuard>,
}

impl Watches {
    /// None yet.
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            streams: SelectAll::new(),
            running: HashMap::new(),
        }
    }

    /// Watches these kinds and no others.
    pub(crate) fn set(&mut self, kinds: &[Arc<Kind>]) {
        self.running.retain(|kind, _| kinds.contains(kind));
        for kind in kinds {
            if !self.running.contains_key(kind) {
                let stop = CancellationToken::new();
                self.streams.push(watch(&self.client, kind, &stop));
                self.running.insert(Arc::clone(kind), stop.drop_guard());
            }
        }
    }

    /// The next thing that any of them says. Watches never end by themselves: they begin anew.
    pub(crate) async fn next(&mut self) -> Seen {
        match self.streams.next().await {
            Some(seen) => seen,
            None => future::pending().await,
        }
    }
}

fn watch(client: &Client, kind: &Arc<Kind>, stop: &CancellationToken) -> BoxStream<'static, Seen> {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), &resource(kind));
    let kind = Arc::clone(kind);
    watcher(api, watcher::Config::default())
        .default_backoff()
        .filter_map(move |event| {
            let kind = Arc::clone(&kind);
            future::ready(match event {
                Ok(event) => Some(Seen { kind, event }),
                Err(error) => {
                    tracing::debug!(kind = kind.kind, %error, "the watch broke; trying again");
                    None
                }
            })
        })
        .take_until(stop.clone().cancelled_owned())
        .boxed()
}

/// What kube calls the kind.
pub(crate) fn resource(kind: &Kind) -> ApiResource {
    ApiResource {
        group: kind.group.clone(),
        version: kind.version.clone(),
        api_version: match kind.group.as_str() {
            "" => kind.version.clone(),
            group => format!("{group}/{}", kind.version),
        },
        kind: kind.kind.clone(),
        plural: kind.plural.clone(),
    }
}

/// Every kind that can be watched and deleted; asks until there is an answer.
pub(crate) async fn discover(client: Client) -> Vec<Arc<Kind>> {
    loop {
        match Discovery::new(client.clone()).run_aggregated().await {
            Ok(served) => return kinds(&served),
            Err(error) => tracing::warn!(%error, "cannot ask the API server what it serves; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn kinds(served: &Discovery) -> Vec<Arc<Kind>> {
    let resources = served
        .groups()
        .flat_map(kube::discovery::ApiGroup::resources_by_stability);
    let mut kinds: Vec<Arc<Kind>> = resources.filter_map(|(resource, can)| kind(resource, &can)).collect();
    kinds.sort();
    kinds
}

fn kind(resource: ApiResource, can: &ApiCapabilities) -> Option<Arc<Kind>> {
    // Nothing owns events, and they own nothing: they go by their age.
    let is_event = resource.kind == "Event" && matches!(resource.group.as_str(), "" | "events.k8s.io");
    let is_kept = [verbs::LIST, verbs::WATCH, verbs::DELETE]
        .iter()
        .all(|verb| can.supports_operation(verb));
    (is_kept && !is_event).then(|| {
        Arc::new(Kind {
            group: resource.group,
            version: resource.version,
            kind: resource.kind,
            plural: resource.plural,
            namespaced: can.scope == Scope::Namespaced,
        })
    })
}
