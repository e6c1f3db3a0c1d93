//! End to end: the real executable as root, on nodes of its own, seen from outside.

mod accounts;
mod bad_input;
mod build;
mod clients;
mod completion;
mod ctr;
mod daily;
mod demo;
mod garbage;
mod images;
mod isolation;
mod kubectl;
mod machine;
mod node;
mod pods;
mod restarts;
mod scheduling;
mod side_by_side;
mod swaps;
mod verbs;
mod wishes;

use std::sync::OnceLock;

use minik_tests::{World, images as made};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// The name that most tests give their image.
const BUSYBOX: &str = "test/busybox:1";

/// A node that is up and has [`BUSYBOX`].
fn node() -> World {
    let world = World::up();
    let _ = world.minikctl(["image", "import"]).args([archive()]).ok();
    world
}

/// The archive of [`BUSYBOX`], made once.
fn archive() -> &'static PathBuf {
    static ARCHIVE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, archive) = ARCHIVE.get_or_init(|| {
        let folder = TempDir::with_prefix("minik-image-").expect("a temporary folder");
        let archive = made::busybox(folder.path(), BUSYBOX, &json!({}));
        (folder, archive)
    });
    archive
}

/// A pod of one container that runs a shell script; `change` is merged into it.
fn pod(name: &str, script: &str, change: Value) -> String {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sh", "-c", script]}],
        },
    });
    merge(&mut pod, change);
    pod.to_string() + "\n"
}

/// Like a JSON merge patch, but lists are merged element by element.
fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(change)) => {
            for (index, value) in change.into_iter().enumerate() {
                match into.get_mut(index) {
                    Some(element) => merge(element, value),
                    None => into.push(value),
                }
            }
        }
        (into, change) => *into = change,
    }
}

/// A script that runs until it is told to end.
const SERVE: &str = "trap 'exit 0' TERM; echo started; while true; do sleep 1000 & wait $!; done";
