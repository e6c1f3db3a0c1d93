//! The services of the cluster, followed for the environment of containers.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tracing::warn;

use crate::spec::service_env::Services;

/// What is known; none before the first listing is complete.
pub(crate) type Known = Option<Arc<Services>>;

/// Follows them until the process ends.
pub(crate) async fn follow(client: Client, known: watch::Sender<Known>) {
    let api: Api<Service> = Api::all(client);
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut listing = Services::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listing = Services::new(),
            Ok(Event::InitApply(service)) => drop(listing.insert(key(&service), service)),
            Ok(Event::InitDone) => drop(known.send_replace(Some(Arc::new(std::mem::take(&mut listing))))),
            Ok(Event::Apply(service)) => change(&known, |services| drop(services.insert(key(&service), service))),
            Ok(Event::Delete(service)) => change(&known, |services| drop(services.remove(&key(&service)))),
            Err(error) => warn!(%error, "services can't be watched; trying again"),
        }
    }
}

fn change(known: &watch::Sender<Known>, change: impl FnOnce(&mut Services)) {
    known.send_modify(|known| change(Arc::make_mut(known.get_or_insert_default())));
}

fn key(service: &Service) -> (String, String) {
    let metadata = &service.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&metadata.namespace), text(&metadata.name))
}
