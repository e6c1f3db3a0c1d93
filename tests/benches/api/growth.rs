//! What 10,000 objects cost: memory, a list, a start, and each request beside what it costs among 100.

use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::program::Program;
use crate::requests::Act;
use crate::{MAPS, block_on, report};

const FEW: usize = 100;
const MANY: usize = 10_000;
/// How often each is done.
const TIMES: usize = 500;
const LISTS: usize = 20;
const STARTS: usize = 5;
/// Who fills the store.
const WRITERS: usize = 16;

pub(crate) fn figure() {
    let mut program = Program::start();
    block_on(async {
        let mut connection = program.open().await;
        for objects in [FEW, MANY] {
            fill(&program, objects).await;
            println!("with {objects} objects: {:.1} MB PSS", megabytes(program.pss_bytes()));
            for (act, name) in Act::ALL {
                let mut times = Vec::with_capacity(TIMES);
                for number in 0..TIMES {
                    times.push(act.on(&format!("more-{objects}-{number}"), &mut connection).await);
                }
                report(&format!("  {name}"), &mut times);
            }
            for number in 0..TIMES {
                let path = format!("{MAPS}/more-{objects}-{number}");
                connection.send("DELETE", &path, "application/json", "").await;
            }
            repeated("  list of the first 50", &mut connection, &format!("{MAPS}?limit=50")).await;
            let bytes = repeated("  list of all", &mut connection, MAPS).await;
            println!(
                "  after the lists: {:.1} MB PSS; the list has {:.1} MB, and three times that and 20 MB are {:.1}",
                megabytes(program.pss_bytes()),
                megabytes(bytes as u64),
                megabytes(bytes as u64) * 3.0 + 20.0,
            );
        }
        let mut times = Vec::new();
        for _ in 0..STARTS {
            times.push(program.restart().await);
        }
        report(&format!("start with {MANY} objects to the first answer"), &mut times);
        println!("  after the start: {:.1} MB PSS", megabytes(program.pss_bytes()));
    });
}

/// So that there are so many objects.
async fn fill(program: &Program, objects: usize) {
    let tasks = (0..WRITERS).map(|writer| {
        let door = program.door();
        tokio::spawn(async move {
            let mut connection = door.open().await;
            let first = if objects == MANY { FEW } else { 0 };
            for number in (first..objects).filter(|number| number % WRITERS == writer) {
                Act::Create.on(&format!("filled-{number}"), &mut connection).await;
            }
        })
    });
    for ended in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
        ended.expect("the store takes them");
    }
}

async fn repeated(what: &str, connection: &mut Connection, path: &str) -> usize {
    let mut bytes = 0;
    let mut times: Vec<Duration> = Vec::with_capacity(LISTS);
    for _ in 0..LISTS {
        let begin = Instant::now();
        bytes = connection.get(path).await;
        times.push(begin.elapsed());
    }
    report(what, &mut times);
    bytes
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
