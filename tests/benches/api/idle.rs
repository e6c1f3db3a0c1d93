//! What those cost who are there and do nothing.

use crate::program::Program;
use crate::{MAPS, block_on, growth};

const WATCHES: usize = 900;

/// Memory of watches on which nothing happens, each on a connection of its own.
pub(crate) fn watches() {
    let program = Program::start();
    block_on(async {
        let _ = program.open().await;
        let before = program.pss_bytes();
        let mut watches = Vec::with_capacity(WATCHES);
        for _ in 0..WATCHES {
            let connection = program.door().open().await;
            watches.push(connection.watch(&format!("{MAPS}?watch=1&resourceVersion=1")).await);
        }
        let after = program.pss_bytes();
        println!(
            "{WATCHES} idle watches on as many connections: {:.1} MB PSS, {:.1} MB before, {:.1} kB each",
            growth::megabytes(after),
            growth::megabytes(before),
            (after - before) as f64 / WATCHES as f64 / 1e3,
        );
    });
}
