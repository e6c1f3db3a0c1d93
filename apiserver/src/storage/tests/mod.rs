//! The store as a whole: against a model, against kills, against damage, on a full disk.

mod damage;
mod durability;
mod full_disk;
mod model;

use std::path::Path;

use minik_api::object::Object;
use serde_json::json;

use super::backend::suite;
use super::sled::SledBackend;
use super::*;

#[test]
fn sled_passes_the_suite() {
    suite::run(|path| Box::new(SledBackend::new(&path.join("store"))));
}

/// A ConfigMap with this in its data.
fn object(name: &str, value: &str) -> Object {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "labels": {"v": value}}, "data": {"v": value}});
    serde_json::from_value(object).expect("a ConfigMap")
}

fn key(name: &str) -> Key {
    Key::new("configmaps", "default", name)
}

fn put(name: &str, value: &str) -> Change {
    Change::Put(Box::new(object(name, value)))
}

fn open(directory: &Path) -> (Store, Writer) {
    Store::open(directory, |_, _| Vec::new()).expect("the store opens")
}

async fn close(store: Store, writer: Writer) {
    drop(store);
    writer.join().await;
}
