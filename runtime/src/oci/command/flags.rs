//! The command line in runc's grammar: options of the program, a verb, options of the verb, arguments.
//!
//! Each verb's options are a table. Options have one dash or two, take their value after `=` or a blank, and end at the first
//! argument: what follows belongs to the container. A parser of the size of a page keeps the start of each container short.

use std::collections::HashMap;

use super::CommandError;

/// One option.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// A letter for it; empty when there is none.
    pub(super) short: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

/// What comes with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or `=true` or `=false`.
    Switch,
    /// A value; the last one counts.
    Value,
    /// A value; all count.
    Values,
}

pub(super) const fn switch(name: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        short,
        kind: Kind::Switch,
        help,
    }
}

pub(super) const fn value(name: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        short,
        kind: Kind::Value,
        help,
    }
}

pub(super) const fn values(name: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        short,
        kind: Kind::Values,
        help,
    }
}

/// Options and arguments, sorted.
#[derive(Debug, Default)]
pub(super) struct Given {
    flags: HashMap<&'static str, Vec<String>>,
    /// All from the first that isn't an option.
    pub(super) rest: Vec<String>,
}

impl Given {
    pub(super) fn parse(table: &[Flag], line: &[String]) -> Result<Self, CommandError> {
        let mut given = Self::default();
        let mut line = line.iter();
        while let Some(word) = line.next() {
            let Some(option) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                given.rest.push(word.clone());
                break;
            };
            if option == "-" {
                break;
            }
            let option = option.strip_prefix('-').unwrap_or(option);
            let (name, joined) = option
                .split_once('=')
                .map_or((option, None), |(name, value)| (name, Some(value)));
            let matches = |flag: &&Flag| flag.name == name || (!flag.short.is_empty() && flag.short == name);
            let Some(flag) = table.iter().find(matches) else {
                return Err(CommandError::Flag(word.clone()));
            };
            let value = match (flag.kind, joined) {
                (Kind::Switch, joined) => joined.unwrap_or("true").to_owned(),
                (_, Some(joined)) => joined.to_owned(),
                (_, None) => line
                    .next()
                    .cloned()
                    .ok_or_else(|| CommandError::NoValue(word.clone()))?,
            };
            given.flags.entry(flag.name).or_default().push(value);
        }
        given.rest.extend(line.cloned());
        Ok(given)
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| matches!(value, "true" | "1" | "t" | "TRUE" | "True"))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.flags.get(name)?.last().map(String::as_str)
    }

    pub(super) fn all(&self, name: &str) -> &[String] {
        self.flags.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// A number; `default` when the option isn't given.
    pub(super) fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<Option<N>, CommandError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| CommandError::Number {
                flag: name,
                value: text.to_owned(),
            })
        };
        self.get(name).map(parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [Flag; 4] = [
        value("bundle", "b", ""),
        switch("detach", "d", ""),
        values("env", "e", ""),
        value("preserve-fds", "", ""),
    ];

    fn parsed(line: &str) -> Result<Given, CommandError> {
        let line: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Given::parse(&TABLE, &line)
    }

    #[test]
    fn options_end_at_the_first_argument() {
        let given = parsed("-b /x --detach -e A=1 --env=B=2 id sh -c x").expect("it parses");
        assert_eq!(given.get("bundle"), Some("/x"));
        assert!(given.is("detach"));
        assert_eq!(given.all("env"), ["A=1", "B=2"]);
        assert_eq!(given.rest, ["id", "sh", "-c", "x"]);
        let given = parsed("--detach=false -- -b").expect("it parses");
        assert!(!given.is("detach"));
        assert_eq!(given.rest, ["-b"]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(matches!(parsed("--nope id"), Err(CommandError::Flag(flag)) if flag == "--nope"));
        assert!(matches!(parsed("--bundle"), Err(CommandError::NoValue(_))));
        let given = parsed("--preserve-fds x").expect("it parses");
        assert!(given.number::<u32>("preserve-fds").is_err());
    }
}
