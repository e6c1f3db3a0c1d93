//! Measurements, run by hand: `cargo test --release -p minik-runtime --test shim -- bench`.

use std::time::{Duration, Instant};

use super::pod::Pod;

const ROUNDS: usize = 50;

/// Prints the times of a sandbox and of a container's start and exec, and an idle shim's memory.
pub(crate) fn run() {
    let mut spawns = Vec::new();
    for _ in 0..ROUNDS / 5 {
        let begun = Instant::now();
        let pod = Pod::new();
        spawns.push(begun.elapsed());
        drop(pod);
    }
    print("layer, shim exec to ready, connect", &mut spawns);
    let mut pod = Pod::new();
    println!("idle shim: PSS {} kB", pss(pod.shim_pid()));
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let id = format!("c{round}");
        let bundle = pod.prepare(&id, &["sleep", "1000"], |_| {});
        let begun = Instant::now();
        pod.wait(pod.shim.start(&id, &bundle)).unwrap();
        starts.push(begun.elapsed());
        let begun = Instant::now();
        pod.wait(pod.shim.kill(&id, libc::SIGKILL, false)).unwrap();
        pod.ended(&id);
        ends.push(begun.elapsed());
    }
    print("start: request to execve to answer", &mut starts);
    print("SIGKILL to exit event", &mut ends);
    println!("shim after {ROUNDS} containers: PSS {} kB", pss(pod.shim_pid()));
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort();
    let [min, median, max] = [times[0], times[times.len() / 2], times[times.len() - 1]];
    println!(
        "{what}: min {min:.2?}, median {median:.2?}, max {max:.2?} ({} rounds)",
        times.len()
    );
}

fn pss(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap().to_owned();
    line.split_whitespace().nth(1).unwrap().to_owned()
}
