//! One object, one writer, many who watch.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::Door;
use crate::program::Program;
use crate::{MAPS, block_on, map, report};

const WATCHERS: usize = 100;
const WRITES: usize = 5000;

/// How many events arrive in a second, and how long after the acknowledgement of their writes.
pub(crate) fn figure() {
    let program = Program::start();
    block_on(async {
        let mut client = program.open().await;
        client.send("POST", MAPS, "application/json", &map("fan")).await;
    });
    let door = program.door();
    let acknowledged = Arc::new(Mutex::new(Vec::with_capacity(WRITES)));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let watching = std::thread::spawn({
        let door = door.clone();
        move || block_on(watch(&door, &ready))
    });
    is_ready.recv().expect("the watchers are there");
    let busy = program.busy();
    let begin = Instant::now();
    // A thread of its own: its answers don't wait for those who watch.
    block_on(write(&door, &acknowledged));
    let written = begin.elapsed();
    let arrived = watching.join().expect("the watchers go on");
    let all = begin.elapsed();
    let acknowledged = acknowledged.lock().expect("nobody panicked");
    let mut times: Vec<Duration> = Vec::with_capacity(WATCHERS * WRITES);
    for arrived in &arrived {
        // An event may be there before the answer to its write is.
        let after = arrived.iter().zip(acknowledged.iter());
        times.extend(after.map(|(arrived, written)| arrived.saturating_duration_since(*written)));
    }
    let events = (WATCHERS * WRITES) as f64;
    println!(
        "{WATCHERS} watchers, one writer: {:.0} events/s, {:.0} writes/s, {:.1} µs of the server for an event",
        events / all.as_secs_f64(),
        WRITES as f64 / written.as_secs_f64(),
        (program.busy() - busy).as_secs_f64() * 1e6 / events,
    );
    report("  event after its acknowledgement", &mut times);
}

async fn watch(door: &Door, ready: &std::sync::mpsc::Sender<()>) -> Vec<Vec<Instant>> {
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let connection = door.open().await;
        let mut watch = connection
            .watch(&format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Dfan"))
            .await;
        assert_eq!(watch.events().await, 1, "the object as it is");
        watchers.push(watch);
    }
    ready.send(()).expect("the writer waits");
    let watching = watchers.into_iter().map(|mut watch| {
        tokio::spawn(async move {
            let mut arrived = Vec::with_capacity(WRITES);
            while arrived.len() < WRITES {
                let events = watch.events().await;
                let now = Instant::now();
                arrived.extend(std::iter::repeat_n(now, events));
            }
            arrived
        })
    });
    let arrived = futures::future::join_all(watching.collect::<Vec<_>>()).await;
    arrived.into_iter().map(|one| one.expect("the watch goes on")).collect()
}

async fn write(door: &Door, acknowledged: &Mutex<Vec<Instant>>) {
    let mut writer = door.open().await;
    for number in 0..WRITES {
        let patch = format!(r#"{{"data":{{"n":"{number}"}}}}"#);
        writer
            .send("PATCH", &format!("{MAPS}/fan"), "application/merge-patch+json", &patch)
            .await;
        acknowledged.lock().expect("nobody panicked").push(Instant::now());
    }
}
