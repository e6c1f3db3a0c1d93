//! How fast and how small the API server is, over TLS, with a client certificate, with every acknowledged write on disk, and
//! with the client on the same machine: figures for the README, run by hand.
//!
//! `cargo bench -p minik-tests --bench api [NAME…]` prints min, median and max of each figure; `MINIKCTL=PATH` names another
//! executable than this tree's. Nothing here asserts a time.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod client;
#[path = "../../../apiserver/tests/support/credentials.rs"]
mod credentials;
mod fan_out;
mod growth;
mod idle;
mod program;
mod requests;

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use serde_json::json;

/// Where everything here is written.
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn main() {
    let asked: BTreeSet<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let figures: [(&str, fn()); 5] = [
        ("one", requests::one_connection),
        ("many", requests::many_connections),
        ("growth", growth::figure),
        ("fan-out", fan_out::figure),
        ("idle", idle::watches),
    ];
    for (name, figure) in figures {
        if asked.is_empty() || asked.contains(name) {
            figure();
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a tokio runtime").block_on(future)
}

/// A ConfigMap of 1 KiB.
fn map(name: &str) -> String {
    json!({"metadata": {"name": name}, "data": {"k": "x".repeat(1024)}}).to_string()
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{what:<50} min {:>7.2} ms, median {:>7.2} ms, p99 {:>7.2} ms, max {:>7.2} ms ({} times)",
        at(0),
        at(50),
        at(99),
        at(100),
        times.len()
    );
}
