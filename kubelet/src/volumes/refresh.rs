//! Notices when a config map or secret that a pod's volumes show has changed.
//!
//! One watch for each such object, for as long as the pod is there; each change brings the volumes up to date.

use std::fmt::Debug;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use crate::spec::references::References;

/// Watches all of these; sends `changed()` for each change. The watches end when the set is dropped.
pub(crate) fn watch<M: Send + 'static>(
    client: &Client,
    namespace: &str,
    references: &References,
    changed: &Sender<M>,
    message: fn() -> M,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for name in &references.config_maps {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        tasks.spawn(one(api, name.clone(), changed.clone(), message));
    }
    for name in &references.secrets {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        tasks.spawn(one(api, name.clone(), changed.clone(), message));
    }
    tasks
}

async fn one<K, M>(api: Api<K>, name: String, changed: Sender<M>, message: fn() -> M)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    M: Send,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher(api, config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        // After a listing too: the object may have changed before the watch began, and unchanged files are left alone.
        let is_change = matches!(event, Ok(Event::Apply(_) | Event::Delete(_) | Event::InitDone));
        if is_change && changed.send(message()).await.is_err() {
            return;
        }
    }
}
