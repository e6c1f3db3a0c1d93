//! `update`: other limits for a container that is there.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};

use super::flags::{Given, value};
use super::{CommandError, Context, Outcome, Verb};

pub(super) const UPDATE: Verb = Verb {
    name: "update",
    about: "change the limits of a container",
    flags: &[
        value(
            "resources",
            "r",
            "file with linux.resources, or - for standard input; no other option counts then",
        ),
        value("blkio-weight", "", "weight on the disk, 10 to 1000"),
        value("cpu-period", "", "period of the CPU limit in microseconds"),
        value("cpu-quota", "", "CPU time within a period"),
        value("cpu-share", "", "CPU shares"),
        value("cpu-rt-period", "", "period of real time"),
        value("cpu-rt-runtime", "", "real time within a period"),
        value("cpuset-cpus", "", "CPUs"),
        value("cpuset-mems", "", "memory nodes"),
        value("memory", "", "memory in bytes"),
        value("memory-reservation", "", "memory that is guaranteed"),
        value("memory-swap", "", "memory and swap together; -1 is no limit"),
        value("pids-limit", "", "processes and threads"),
        value("l3-cache-schema", "", "refused: no resctrl filesystem is driven"),
        value("mem-bw-schema", "", "refused: no resctrl filesystem is driven"),
    ],
    arguments: (1, 1),
    wanted: "exactly 1 argument: the container's id",
    run: update,
    failure: 1,
};

/// Largest list of limits.
const LARGEST: u64 = 1 << 20;

fn update(context: &Context, given: &Given) -> Outcome {
    let (_, record) = context.container(given)?;
    if given.get("l3-cache-schema").is_some() || given.get("mem-bw-schema").is_some() {
        return Err(CommandError::Refused("intelRdt", "no resctrl filesystem is driven"));
    }
    let resources = match given.get("resources") {
        Some("-") => parse("standard input".into(), &read(std::io::stdin())?)?,
        Some(path) => {
            let file = fs::File::open(path).map_err(CommandError::file("read", path))?;
            parse(path.into(), &read(file)?)?
        }
        None => of_options(given)?,
    };
    let path = record.cgroup().ok_or(CommandError::Refused(
        "update",
        "the container has no cgroup of its own",
    ))?;
    for note in context.cgroups()?.apply(&path, &resources)? {
        context.log.warn(&note);
    }
    Ok(0)
}

fn read(from: impl Read) -> Result<Vec<u8>, CommandError> {
    let mut text = Vec::new();
    from.take(LARGEST)
        .read_to_end(&mut text)
        .map_err(CommandError::file("read", "resources"))?;
    Ok(text)
}

fn parse(path: PathBuf, text: &[u8]) -> Result<LinuxResources, CommandError> {
    serde_json::from_slice(text).map_err(|error| CommandError::Config {
        path,
        reason: error.to_string(),
    })
}

/// The options as the JSON that a file would hold.
fn of_options(given: &Given) -> Result<LinuxResources, CommandError> {
    let table = [
        ("blkio-weight", "blockIO", "weight"),
        ("cpu-period", "cpu", "period"),
        ("cpu-quota", "cpu", "quota"),
        ("cpu-share", "cpu", "shares"),
        ("cpu-rt-period", "cpu", "realtimePeriod"),
        ("cpu-rt-runtime", "cpu", "realtimeRuntime"),
        ("memory", "memory", "limit"),
        ("memory-reservation", "memory", "reservation"),
        ("memory-swap", "memory", "swap"),
        ("pids-limit", "pids", "limit"),
    ];
    let mut all = json!({});
    for (flag, section, field) in table {
        if let Some(number) = given.number::<i64>(flag)? {
            all[section][field] = json!(number);
        }
    }
    for (flag, field) in [("cpuset-cpus", "cpus"), ("cpuset-mems", "mems")] {
        if let Some(list) = given.get(flag) {
            all["cpu"][field] = Value::from(list);
        }
    }
    parse("the options of update".into(), all.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_the_fields_of_a_file() {
        let line = ["--memory", "1024", "--cpu-quota=-1", "--cpuset-cpus", "0", "id"].map(str::to_owned);
        let given = Given::parse(UPDATE.flags, &line).expect("it parses");
        let resources = of_options(&given).expect("resources");
        assert_eq!(
            resources.memory().as_ref().and_then(|memory| memory.limit()),
            Some(1024)
        );
        let cpu = resources.cpu().as_ref().expect("cpu");
        assert_eq!((cpu.quota(), cpu.cpus().as_deref()), (Some(-1), Some("0")));
        let given = Given::parse(UPDATE.flags, &["--cpu-period=-1".to_owned(), "id".to_owned()]).expect("it parses");
        assert!(of_options(&given).is_err(), "a period is not negative");
    }
}
