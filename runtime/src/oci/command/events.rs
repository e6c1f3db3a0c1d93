//! `events`: figures of a container at intervals, and when the kernel kills in it for want of memory.
#![allow(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::flags::{Given, switch, value};
use super::{CommandError, Context, Outcome, Verb};
use crate::cgroup::Stats;
use crate::oci::Status;
use crate::sys::pidfd;

pub(super) const EVENTS: Verb = Verb {
    name: "events",
    about: "print figures of a container, a JSON line each time",
    flags: &[
        value("interval", "", "time between figures (default 5s)"),
        switch("stats", "", "print figures once"),
    ],
    arguments: (1, 1),
    wanted: "exactly 1 argument: the container's id",
    run: events,
    failure: 1,
};

fn events(context: &Context, given: &Given) -> Outcome {
    let (_, record) = context.container(given)?;
    let interval = interval(given.get("interval").unwrap_or("5s")).ok_or(CommandError::Refused(
        "--interval",
        "a time is like 500ms, 5s or 1m, and more than nothing",
    ))?;
    let driver = context.cgroups()?;
    if record.status(Some(driver.as_ref())) == Status::Stopped {
        return Err(CommandError::NotRunning);
    }
    let path = record.cgroup().ok_or(CommandError::Refused(
        "events",
        "the container has no cgroup of its own",
    ))?;
    let process = pidfd::open(Pid::from_raw(record.pid)).map_err(|_| CommandError::NotRunning)?;
    let mut killed = driver.oom_kills(&path);
    loop {
        let stats = driver.stats(&path)?;
        println!("{}", json!({"type": "stats", "id": record.id, "data": figures(&stats)}));
        if given.is("stats") {
            return Ok(0);
        }
        let mut ended = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        let ended = poll(&mut ended, interval).map_err(CommandError::system("wait"))? > 0;
        let now = driver.oom_kills(&path);
        if now > killed {
            println!("{}", json!({"type": "oom", "id": record.id}));
            killed = now;
        }
        if ended {
            return Ok(0);
        }
    }
}

/// In runc's shape, with what the host tells.
fn figures(stats: &Stats) -> Value {
    let limit = stats.memory_limit_bytes.unwrap_or(u64::MAX);
    let mut memory = json!({
        "usage": {"usage": stats.memory_usage_bytes, "limit": limit},
        "raw": {
            "rss": stats.memory_rss_bytes, "pgfault": stats.page_faults.0, "pgmajfault": stats.page_faults.1,
            "working_set": stats.memory_working_set_bytes,
        },
    });
    if let Some(swap) = stats.swap_usage_bytes {
        memory["swap"] = json!({"usage": swap});
    }
    json!({
        "cpu": {"usage": {"total": stats.cpu_usage_nanos}},
        "memory": memory,
        "pids": {"current": stats.tasks},
    })
}

/// As Go writes times: a number and its unit.
fn interval(text: &str) -> Option<PollTimeout> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let time = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
    let timeout = PollTimeout::try_from(time).ok()?;
    (timeout != PollTimeout::ZERO).then_some(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_numbers_with_units() {
        assert_eq!(interval("1.5s"), Some(PollTimeout::from(1500_u16)));
        assert_eq!(interval("200ms"), Some(PollTimeout::from(200_u8)));
        for wrong in ["", "5", "s", "0s", "-1s", "5x", "1e9h"] {
            assert_eq!(interval(wrong), None, "{wrong}");
        }
    }
}
