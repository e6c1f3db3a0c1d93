//! The calls that its steps make, each of which succeeds or fails the test.

use std::fmt::Debug;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Error;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Seconds that a watch lasts at most.
const BOUND: u32 = 30;

pub(super) fn map(name: &str, data: Value) -> Value {
    json!({"metadata": {"name": name}, "data": data})
}

pub(super) fn pairs(map: &ConfigMap) -> String {
    let data = map.data.iter().flatten();
    let pairs: Vec<String> = data.map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}

/// What every kind of object that the scenario handles is.
pub(super) trait Kind: kube::Resource + Clone + Debug + serde::Serialize + DeserializeOwned {}

impl<K: kube::Resource + Clone + Debug + serde::Serialize + DeserializeOwned> Kind for K {}

pub(super) async fn try_make<K: Kind>(api: &Api<K>, body: Value) -> Result<K, Error> {
    let body = serde_json::from_value(body).expect("an object of the kind");
    api.create(&PostParams::default(), &body).await
}

pub(super) async fn make<K: Kind>(api: &Api<K>, body: Value) -> K {
    try_make(api, body).await.expect("it is created")
}

pub(super) async fn merge<K: Kind>(api: &Api<K>, name: &str, change: Value) -> K {
    let patched = api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
    patched.expect("it is patched")
}

/// Watches one object until `enough` holds of an event.
pub(super) async fn watched<K: Kind>(
    api: &Api<K>,
    name: &str,
    since: &str,
    mut enough: impl FnMut(&WatchEvent<K>) -> bool,
) {
    let parameters = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(BOUND);
    let mut events = api.watch(&parameters, since).await.expect("a watch").boxed();
    while let Some(event) = events.try_next().await.expect("an event") {
        if enough(&event) {
            return;
        }
    }
    panic!("the watch of {name} has ended without it");
}

/// Waits until an object is gone.
pub(super) async fn gone<K: Kind>(api: &Api<K>, name: &str) {
    let parameters = ListParams::default().fields(&format!("metadata.name={name}"));
    let list = api.list(&parameters).await.expect("a list");
    if list.items.is_empty() {
        return;
    }
    let since = list.metadata.resource_version.expect("a list has a version");
    watched(api, name, &since, |event| matches!(event, WatchEvent::Deleted(_))).await;
}
