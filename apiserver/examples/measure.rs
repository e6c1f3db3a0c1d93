//! How fast the API server is over TLS, with every acknowledged write on disk. Run by hand, on a machine that does nothing else:
//!
//!     cargo run --release -p minik-apiserver --example measure
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "figures are its output; what fails ends it"
)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "../tests/support/mod.rs"]
mod support;

use support::{Client, Server};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ONE: usize = 1000;
const CONNECTIONS: usize = 32;
const EACH: usize = 200;
const WATCHERS: usize = 100;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let mut times = Vec::new();
    for n in 0..ONE {
        let begin = Instant::now();
        client.create(MAPS, &map(&format!("one-{n}"))).await;
        times.push(begin.elapsed());
    }
    report("create, one connection", &mut times, 1);
    let mut times = Vec::new();
    for n in 0..ONE {
        let begin = Instant::now();
        client.get(&format!("{MAPS}/one-{n}")).await;
        times.push(begin.elapsed());
    }
    report("get, one connection", &mut times, 1);
    let mut times = Vec::new();
    for n in 0..ONE {
        let begin = Instant::now();
        client
            .merge(&format!("{MAPS}/one-{n}"), &json!({"data": {"n": n.to_string()}}))
            .await;
        times.push(begin.elapsed());
    }
    report("merge patch, one connection", &mut times, 1);
    at_once(&server, "create", |mut client, number, n| async move {
        client.create(MAPS, &map(&many(number, n))).await;
        client
    })
    .await;
    at_once(&server, "get", |mut client, number, n| async move {
        client.get(&format!("{MAPS}/{}", many(number, n))).await;
        client
    })
    .await;
    at_once(&server, "merge patch", |mut client, number, n| async move {
        let patch = json!({"data": {"n": n.to_string()}});
        client.merge(&format!("{MAPS}/{}", many(number, n)), &patch).await;
        client
    })
    .await;
    let begin = Instant::now();
    let answer = client.get(MAPS).await;
    let items = answer.json()["items"].as_array().unwrap().len();
    println!(
        "list of {items}: {:.1} ms, {} bytes",
        begin.elapsed().as_secs_f64() * 1e3,
        answer.body.len()
    );
    watch(&server).await;
    fan_out(&server).await;
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let memory = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    println!("memory of this process, clients included: {memory}");
}

/// Many connections at once, each with its own objects.
async fn at_once<F: Future<Output = Client> + Send>(
    server: &Server,
    what: &str,
    act: impl Fn(Client, usize, usize) -> F + Copy + Send + 'static,
) {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(server.admin().await);
    }
    let begin = Instant::now();
    let tasks = clients.into_iter().enumerate().map(|(number, mut client)| {
        tokio::spawn(async move {
            let mut times = Vec::new();
            for n in 0..EACH {
                let begin = Instant::now();
                client = act(client, number, n).await;
                times.push(begin.elapsed());
            }
            times
        })
    });
    let mut times: Vec<Duration> = futures::future::join_all(tasks)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    let rate = times.len() as f64 / begin.elapsed().as_secs_f64();
    let what = format!("{what}, {CONNECTIONS} connections, {rate:.0}/s");
    report(&what, &mut times, CONNECTIONS);
}

/// One writer and many who watch: how many events arrive, and how long after the write was acknowledged.
async fn fan_out(server: &Server) {
    let mut client = server.admin().await;
    client.create(MAPS, &map("fan")).await;
    let acknowledged = Arc::new(Mutex::new(vec![None; ONE]));
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let mut watching = server.admin().await;
        let mut watch = watching
            .watch(&format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Dfan"))
            .await;
        watch.next().await.unwrap();
        watchers.push(tokio::spawn(async move {
            let mut arrived = Vec::with_capacity(ONE);
            for _ in 0..ONE {
                watch.next().await.unwrap();
                arrived.push(Instant::now());
            }
            drop(watching);
            arrived
        }));
    }
    let begin = Instant::now();
    for n in 0..ONE {
        let patch = json!({"data": {"n": n.to_string()}});
        client.merge(&format!("{MAPS}/fan"), &patch).await;
        acknowledged.lock().unwrap()[n] = Some(Instant::now());
    }
    let arrived = futures::future::join_all(watchers).await;
    let rate = (WATCHERS * ONE) as f64 / begin.elapsed().as_secs_f64();
    let acknowledged = acknowledged.lock().unwrap();
    let mut times = Vec::new();
    for arrived in arrived {
        // An event may be there before the answer to its write is.
        let after = arrived.unwrap().into_iter().zip(acknowledged.iter().flatten());
        times.extend(after.map(|(arrived, written)| arrived.saturating_duration_since(*written)));
    }
    let what = format!("{WATCHERS} watchers, {rate:.0} events/s; after the acknowledgement");
    report(&what, &mut times, 1);
}

/// From before a write is sent to when its event is there.
async fn watch(server: &Server) {
    let mut client: Client = server.admin().await;
    let mut watching = server.admin().await;
    let mut watch = watching
        .watch(&format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Dwatched"))
        .await;
    client.create(MAPS, &map("watched")).await;
    watch.next().await.unwrap();
    let mut times = Vec::new();
    for n in 0..ONE {
        let begin = Instant::now();
        let patch = json!({"data": {"n": n.to_string()}});
        let path = format!("{MAPS}/watched");
        let (event, _) = tokio::join!(watch.next(), client.merge(&path, &patch));
        event.unwrap();
        times.push(begin.elapsed());
    }
    report("patch until its event and its answer are there", &mut times, 1);
}

fn many(number: usize, n: usize) -> String {
    format!("many-{number}-{n}")
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"k": "x".repeat(1024)}})
}

fn report(what: &str, times: &mut [Duration], connections: usize) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    let total: Duration = times.iter().sum();
    let rate = times.len() as f64 * connections as f64 / total.as_secs_f64();
    println!(
        "{what}: min {:.2} p50 {:.2} p99 {:.2} max {:.2} ms, {rate:.0}/s",
        at(0),
        at(50),
        at(99),
        at(100)
    );
}
