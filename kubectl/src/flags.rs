//! kubectl's way with flags that are on or off: `--all=true`, `--watch=false`, where clap knows `--all` alone.
//!
//! The command line is rewritten before clap reads it. Pure; what clap then makes of it is its own business.

use std::ffi::{OsStr, OsString};

use clap::{ArgAction, Command};

/// The command line with `--flag=true` as `--flag` and `--flag=false` as nothing, for the flags of `command` and of the
/// subcommands that the line names. Nothing behind `--` is touched.
#[must_use]
pub fn plain(command: impl FnOnce() -> Command, line: Vec<OsString>) -> Vec<OsString> {
    let end = line.iter().position(|word| word == "--").unwrap_or(line.len());
    if !line[..end].iter().any(|word| switch(word).is_some()) {
        return line;
    }
    let command = command();
    let path = path(&command, &line[1.min(end)..end]);
    let is_switch = |name: &str| {
        let arguments = path.iter().flat_map(|command| command.get_arguments());
        let mut named = arguments.filter(|argument| {
            argument.get_long() == Some(name) || argument.get_all_aliases().is_some_and(|all| all.contains(&name))
        });
        named.any(|argument| matches!(argument.get_action(), ArgAction::SetTrue))
    };
    let words = line.iter().enumerate().filter_map(|(at, word)| match switch(word) {
        Some((name, on)) if at < end && is_switch(name) => on.then(|| OsString::from(format!("--{name}"))),
        _ => Some(word.clone()),
    });
    words.collect()
}

/// The command and those below it that the words name.
fn path<'a>(command: &'a Command, words: &[OsString]) -> Vec<&'a Command> {
    let mut path = vec![command];
    for word in words.iter().filter_map(|word| word.to_str()) {
        let here = path[path.len() - 1];
        path.extend(here.find_subcommand(word));
    }
    path
}

/// The name and the value of a `--name=VALUE` whose value is one of Go's for a bool.
fn switch(word: &OsStr) -> Option<(&str, bool)> {
    let (name, value) = word.to_str()?.strip_prefix("--")?.split_once('=')?;
    match value {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Some((name, true)),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Some((name, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    #[test]
    fn switches_may_have_values() {
        let command = || {
            let get = Command::new("get").arg(Arg::new("all").long("all").action(ArgAction::SetTrue));
            Command::new("m").subcommand(get.arg(Arg::new("tail").long("tail")))
        };
        for (before, after) in [
            ("m get --all", "m get --all"),
            ("m get --all=true", "m get --all"),
            ("m get --all=false x", "m get x"),
            ("m get --tail=1 --all=1", "m get --tail=1 --all"),
            ("m --all=true", "m --all=true"),
            ("m get -- --all=false", "m get -- --all=false"),
            ("m get --all=maybe", "m get --all=maybe"),
        ] {
            let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(plain(command, words(before)), words(after), "{before}");
        }
    }
}
