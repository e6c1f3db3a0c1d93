//! `ps`: the processes of a container.
#![allow(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::process::Command;

use super::flags::{Given, value};
use super::{CommandError, Context, Outcome, Verb};

pub(super) const PS: Verb = Verb {
    name: "ps",
    about: "list the processes of a container",
    flags: &[value("format", "f", "table (the default) or json: process ids alone")],
    arguments: (1, usize::MAX),
    wanted: "the container's id, and options of ps(1)",
    run: ps,
    failure: 1,
};

fn ps(context: &Context, given: &Given) -> Outcome {
    let (_, record) = context.container(given)?;
    let path = record
        .cgroup()
        .ok_or(CommandError::Refused("ps", "the container has no cgroup of its own"))?;
    let pids: Vec<i32> = context
        .cgroups()?
        .processes(&path)?
        .into_iter()
        .map(nix::unistd::Pid::as_raw)
        .collect();
    if given.get("format") == Some("json") {
        println!("{}", serde_json::to_string(&pids).expect("numbers"));
        return Ok(0);
    }
    let options = &given.rest[1..];
    let mut command = Command::new("ps");
    if options.is_empty() {
        command.arg("-ef");
    }
    let output = command
        .args(options)
        .output()
        .map_err(CommandError::file("run", "ps"))?;
    if !output.status.success() {
        let path = "ps".into();
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(CommandError::Config { path, reason });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = of_these(&text, &pids).ok_or(CommandError::Refused("ps", "its output has no column PID"))?;
    lines.iter().for_each(|line| println!("{line}"));
    Ok(0)
}

/// The heading, and the lines of these processes.
fn of_these<'t>(text: &'t str, pids: &[i32]) -> Option<Vec<&'t str>> {
    let mut lines = text.lines();
    let head = lines.next()?;
    let column = head.split_whitespace().position(|word| word == "PID")?;
    let wanted = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    Some(std::iter::once(head).chain(lines.filter(wanted)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_their_pid() {
        let text = "UID   PID  PPID CMD\nroot   12     1 sleep 7\nroot    7    12 sh\n";
        assert_eq!(
            of_these(text, &[7]),
            Some(vec!["UID   PID  PPID CMD", "root    7    12 sh"])
        );
        assert_eq!(of_these("CMD\nsh\n", &[7]), None);
    }
}
