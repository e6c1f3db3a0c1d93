//! `state` and `list`: what is there.
#![allow(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::fs;

use super::flags::{Given, switch, value};
use super::record::Place;
use super::{CommandError, Context, Outcome, Verb};
use crate::cgroup;
use crate::oci::State;

pub(super) const STATE: Verb = Verb {
    name: "state",
    about: "print the state of a container",
    flags: &[],
    arguments: (1, 1),
    wanted: "exactly 1 argument: the container's id",
    run: state,
    failure: 1,
};

pub(super) const LIST: Verb = Verb {
    name: "list",
    about: "list the containers of this root",
    flags: &[
        value("format", "f", "table (the default) or json"),
        switch("quiet", "q", "ids alone"),
    ],
    arguments: (0, 0),
    wanted: "no arguments",
    run: list,
    failure: 1,
};

fn state(context: &Context, given: &Given) -> Outcome {
    let (place, record) = context.container(given)?;
    print_json(&context.state(&place, &record));
    Ok(0)
}

/// Readable, as people look at it too.
pub(super) fn print_json(value: &impl serde::Serialize) {
    println!(
        "{}",
        serde_json::to_string_pretty(value).expect("it holds strings and numbers")
    );
}

fn list(context: &Context, given: &Given) -> Outcome {
    let containers = containers(context)?;
    match given.get("format") {
        _ if given.is("quiet") => containers.iter().for_each(|state| println!("{}", state.id)),
        Some("json") => println!(
            "{}",
            serde_json::to_string(&containers).expect("states hold strings and numbers")
        ),
        None | Some("table") => table(&containers),
        Some(_) => return Err(CommandError::Refused("--format", "table and json are known")),
    }
    Ok(0)
}

fn containers(context: &Context) -> Result<Vec<State>, CommandError> {
    let cgroups = cgroup::mounted().ok();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entries = match fs::read_dir(&context.root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(CommandError::file("read", &context.root))?,
    };
    let mut all = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Ok(place) = Place::of(&context.root, &name.to_string_lossy()) else {
            continue;
        };
        // One that is being made or removed at this moment isn't there.
        let Ok(record) = place.load() else { continue };
        let annotations = place.spec().ok().and_then(|spec| spec.annotations().clone());
        let mut state = record.state(record.status(cgroups.as_deref()), annotations.unwrap_or_default());
        state.owner = user_name(&users, record.owner);
        all.push(state);
    }
    all.sort_by(|a, b| a.created.cmp(&b.created));
    Ok(all)
}

fn user_name(passwd: &str, uid: u32) -> String {
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    };
    passwd.lines().find_map(name).unwrap_or_else(|| format!("#{uid}"))
}

fn table(containers: &[State]) {
    let rows = containers.iter().map(|state| {
        [
            state.id.clone(),
            state.pid.to_string(),
            state.status.word().to_owned(),
            state.bundle.display().to_string(),
            state.created.clone(),
            state.owner.clone(),
        ]
    });
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    // As runc: at least 12 wide, 3 between.
    let width = |column: usize| rows.iter().map(|row| row[column].len() + 3).max().unwrap_or(0).max(12);
    for row in &rows {
        let (last, cells) = row.split_last().expect("a row has six cells");
        let cells: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
            .collect();
        println!("{}{last}", cells.concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_have_names() {
        let passwd = "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000), "ada");
        assert_eq!(user_name(passwd, 7), "#7");
    }
}
