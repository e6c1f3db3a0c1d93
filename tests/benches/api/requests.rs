//! Requests one after another, from one connection and from many at once.

use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::program::Program;
use crate::{MAPS, block_on, map, report};

const ONE: usize = 2000;
const CONNECTIONS: usize = 32;
const EACH: usize = 500;

/// What is done to an object, in the order in which it has to be done.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    Create,
    Get,
    Patch,
}

impl Act {
    pub(crate) const ALL: [(Self, &str); 3] = [
        (Self::Create, "create"),
        (Self::Get, "get"),
        (Self::Patch, "merge patch"),
    ];

    /// Does it, and tells how long the answer took.
    pub(crate) async fn on(self, name: &str, connection: &mut Connection) -> Duration {
        let path = format!("{MAPS}/{name}");
        let (method, path, media_type, body) = match self {
            Self::Create => ("POST", MAPS, "application/json", map(name)),
            Self::Get => ("GET", &*path, "application/json", String::new()),
            Self::Patch => (
                "PATCH",
                &*path,
                "application/merge-patch+json",
                r#"{"data":{"n":"1"}}"#.to_owned(),
            ),
        };
        let begin = Instant::now();
        connection.send(method, path, media_type, &body).await;
        begin.elapsed()
    }
}

/// The one connection of a patient client.
pub(crate) fn one_connection() {
    let program = Program::start();
    block_on(async {
        let mut connection = program.open().await;
        for (act, name) in Act::ALL {
            let begin = Instant::now();
            let mut times = Vec::with_capacity(ONE);
            for number in 0..ONE {
                times.push(act.on(&format!("one-{number}"), &mut connection).await);
            }
            let rate = ONE as f64 / begin.elapsed().as_secs_f64();
            report(&format!("{name}, one connection: {rate:.0}/s"), &mut times);
        }
    });
}

/// Many connections at once, each with its own objects.
pub(crate) fn many_connections() {
    let program = Program::start();
    block_on(async {
        let first = program.open().await;
        let mut connections = vec![first];
        while connections.len() < CONNECTIONS {
            connections.push(program.door().open().await);
        }
        for (act, name) in Act::ALL {
            let begin = Instant::now();
            let tasks = connections.into_iter().enumerate().map(|(number, mut connection)| {
                tokio::spawn(async move {
                    let mut times = Vec::with_capacity(EACH);
                    for n in 0..EACH {
                        times.push(act.on(&format!("many-{number}-{n}"), &mut connection).await);
                    }
                    (connection, times)
                })
            });
            let ended = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
            let rate = (CONNECTIONS * EACH) as f64 / begin.elapsed().as_secs_f64();
            let mut times = Vec::with_capacity(CONNECTIONS * EACH);
            connections = Vec::new();
            for ended in ended {
                let (connection, taken) = ended.expect("the requests succeed");
                connections.push(connection);
                times.extend(taken);
            }
            report(&format!("{name}, {CONNECTIONS} connections: {rate:.0}/s"), &mut times);
        }
    });
}
