//! A kill -9 at any moment loses no acknowledged write.
//!
//! The test runs itself again as a child that writes and says on its standard output what was acknowledged, kills it, opens
//! what is left, and compares.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::Rng;

use super::*;

/// Set in the child; the store's directory.
const CHILD: &str = "MINIK_TEST_STORE_WRITER";
const ROUNDS: usize = 60;

#[test]
fn no_acknowledged_write_is_lost_by_a_kill() {
    if let Ok(directory) = std::env::var(CHILD) {
        return child(Path::new(&directory));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut acknowledged = BTreeMap::new();
    let mut total = 0;
    for round in 0..ROUNDS {
        let after = Duration::from_micros(rand::rng().random_range(500..40_000));
        let said = run_and_kill(directory.path(), after);
        total += said.len();
        acknowledged.extend(said);
        runtime.block_on(async {
            let (store, writer) = open(directory.path());
            for (name, (revision, value)) in &acknowledged {
                let stored = store
                    .get(&key(name))
                    .unwrap_or_else(|| panic!("{name} is gone after round {round}"));
                // A later write of the same name may be there without having been acknowledged in time.
                assert!(
                    stored.revision >= *revision,
                    "{name} is older than acknowledged after round {round}"
                );
                if stored.revision == *revision {
                    assert_eq!(
                        stored.object().at("data.v").and_then(|value| value.as_str()),
                        Some(value.as_str())
                    );
                }
            }
            assert!(acknowledged.values().all(|(revision, _)| *revision <= store.revision()));
            close(store, writer).await;
        });
    }
    let aside = std::fs::read_dir(directory.path()).expect("the directory").flatten();
    let aside: Vec<_> = aside
        .filter(|entry| entry.file_name().to_string_lossy().contains("damaged"))
        .collect();
    assert!(aside.is_empty(), "a kill isn't damage: {aside:?}");
    assert!(
        total > ROUNDS,
        "the writers hardly wrote: {total} writes in {ROUNDS} rounds"
    );
}

/// Starts a writer, kills it some time after its first write, and gives what it said was acknowledged.
fn run_and_kill(directory: &Path, after: Duration) -> BTreeMap<String, (Revision, String)> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "storage::tests::durability::no_acknowledged_write_is_lost_by_a_kill",
            "--nocapture",
        ])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test starts again");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut said = BTreeMap::new();
    let mut hear = |line: std::io::Result<String>| {
        let line = line.unwrap_or_default();
        // A line that the kill cut off wasn't said.
        let Some(rest) = line
            .strip_prefix("acknowledged ")
            .and_then(|rest| rest.strip_suffix('.'))
        else {
            return false;
        };
        let parts: Vec<&str> = rest.split(' ').collect();
        let revision = Revision(parts[1].parse().expect("a revision"));
        said.insert(parts[0].to_owned(), (revision, parts[2].to_owned()));
        true
    };
    while !lines.next().is_some_and(&mut hear) {}
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        child.kill().expect("the child is ours");
        child.wait().expect("the child ends");
    });
    for line in lines {
        hear(line);
    }
    killer.join().expect("the child is killed");
    said
}

/// Writes until it is killed, 16 at a time.
fn child(directory: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (store, _writer) = open(directory);
        let writers = (0..16).map(|writer| tokio::spawn(write_forever(store.clone(), writer)));
        futures::future::join_all(writers).await;
    });
}

async fn write_forever(store: Store, writer: usize) {
    for round in 0.. {
        let name = format!("w{writer}-{}", round % 7);
        let value = rand::rng().random_range(0..u64::MAX).to_string();
        let expect = store
            .get(&key(&name))
            .map_or(Expect::Absent, |stored| Expect::At(stored.revision));
        let stored = store
            .write(key(&name), expect, put(&name, &value))
            .await
            .expect("the only writer of this name");
        let line = format!("acknowledged {name} {} {value}.\n", stored.revision);
        std::io::stdout()
            .lock()
            .write_all(line.as_bytes())
            .expect("the parent listens");
    }
}
