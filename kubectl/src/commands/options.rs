//! `options`: the flags that every verb has.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};

/// Arguments of `options`.
#[derive(Args, Debug)]
pub struct Options {}

impl Options {
    pub fn run(self) -> anyhow::Result<()> {
        let command = crate::Minikctl::command();
        let mut out = anstream::stdout();
        writeln!(out, "The following options can be passed to any command:\n")?;
        let mut shown: Vec<(String, String)> = command
            .get_arguments()
            .filter(|flag| flag.is_global_set())
            .filter_map(|flag| {
                let long = flag.get_long()?;
                let short = flag.get_short().map_or_else(String::new, |short| format!("-{short}, "));
                let values = flag.get_value_names().unwrap_or_default();
                let value = values.first().filter(|_| flag.get_action().takes_values());
                let value = value.map_or_else(String::new, |name| format!("={name}"));
                let about = flag.get_help().map(ToString::to_string).unwrap_or_default();
                Some((long.to_owned(), format!("    {short}--{long}{value}:\n\t{about}\n")))
            })
            .collect();
        shown.sort();
        for (_, text) in shown {
            writeln!(out, "{text}")?;
        }
        Ok(())
    }
}
