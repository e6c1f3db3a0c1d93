//! Plugins: programs named `kubectl-NAME` or `minikctl-NAME` on the PATH are verbs too, and `plugin list` shows them.
//!
//! A verb that isn't ours is looked for as kubectl does it: the words up to the first flag, joined by `-`, the longest name that
//! is there; the rest of the line is the plugin's. A program of our own name goes before kubectl's.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;
use clap::{Args, CommandFactory as _, Subcommand};

/// How the names of plugins begin, the ones that go first first.
const PREFIXES: [&str; 2] = ["minikctl", "kubectl"];

/// The verbs of `plugin`.
#[derive(Subcommand, Debug)]
pub enum PluginVerb {
    /// Show the plugins on the PATH
    List(List),
}

/// Arguments of `plugin list`.
#[derive(Args, Debug)]
pub struct List {
    /// Only their names.
    #[arg(long)]
    name_only: bool,
}

impl PluginVerb {
    pub fn run(self) -> anyhow::Result<()> {
        let Self::List(list) = self;
        let mut found = Vec::new();
        for folder in folders() {
            match plugins_in(&folder) {
                Ok(plugins) => found.extend(plugins),
                // A PATH names folders that aren't there: nothing to tell.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => writeln!(
                    anstream::stderr(),
                    "Unable to read directory {:?} from your PATH: {error}. Skipping...",
                    folder.display().to_string()
                )?,
            }
        }
        if found.is_empty() {
            bail!("unable to find any minikctl or kubectl plugins in your PATH");
        }
        let command = crate::Minikctl::command();
        let verbs: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        let mut out = anstream::stdout();
        writeln!(out, "The following compatible plugins are available:\n")?;
        let (mut seen, mut wrong) = (BTreeSet::new(), 0);
        for path in found {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if list.name_only {
                writeln!(out, "{name}")?;
            } else {
                writeln!(out, "{}", path.display())?;
            }
            for warning in warnings(&path, &name, &verbs, !seen.insert(name.clone())) {
                wrong += 1;
                writeln!(anstream::stderr(), "  - warning: {warning}")?;
            }
        }
        match wrong {
            0 => Ok(()),
            1 => bail!("one plugin warning was found"),
            several => bail!("{several} plugin warnings were found"),
        }
    }
}

/// What keeps a plugin from being used.
fn warnings(path: &Path, name: &str, verbs: &[&str], is_shadowed: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if !is_executable(path) {
        warnings.push(format!(
            "{} identified as a plugin, but it is not executable",
            path.display()
        ));
    }
    if is_shadowed {
        warnings.push(format!(
            "{} is overshadowed by a plugin of the same name",
            path.display()
        ));
    }
    let verb = name.split_once('-').map_or("", |(_, verb)| verb);
    if verbs.contains(&verb) {
        warnings.push(format!("{name} overwrites existing command: \"minikctl {verb}\""));
    }
    warnings
}

fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut seen = BTreeSet::new();
    env::split_paths(&path)
        .filter(|folder| !folder.as_os_str().is_empty() && seen.insert(folder.clone()))
        .collect()
}

fn plugins_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| !path.is_dir())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            PREFIXES.iter().any(|prefix| {
                name.strip_prefix(prefix)
                    .is_some_and(|rest| rest.len() > 1 && rest.starts_with('-'))
            })
        })
        .collect();
    found.sort();
    Ok(found)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Becomes the plugin that a command line means; returns when there is none, or why it can't be started.
pub fn become_plugin(line: &[OsString]) -> Option<std::io::Error> {
    let words = line.get(1..)?;
    for (name, taken) in candidates(words) {
        for folder in folders() {
            let path = folder.join(&name);
            if is_executable(&path) {
                return Some(Command::new(path).args(&words[taken..]).exec());
            }
        }
    }
    None
}

/// The names that a plugin for these words could have, the best first, each with how many words it takes. Pure.
fn candidates(words: &[OsString]) -> Vec<(String, usize)> {
    let named: Vec<String> = words
        .iter()
        .map_while(|word| word.to_str().filter(|word| !word.starts_with('-')))
        // A dash of a word's own would look like one between words.
        .map(|word| word.replace('-', "_"))
        .take_while(|word| !word.is_empty() && Path::new(word).file_name() == Some(OsStr::new(word.as_str())))
        .collect();
    let lengths = (1..=named.len()).rev();
    lengths
        .flat_map(|taken| PREFIXES.map(|prefix| (format!("{prefix}-{}", named[..taken].join("-")), taken)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_goes_first() {
        let of = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            candidates(&words)
                .into_iter()
                .map(|(name, taken)| format!("{name}:{taken}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("my-tool do --flag x"),
            [
                "minikctl-my_tool-do:2",
                "kubectl-my_tool-do:2",
                "minikctl-my_tool:1",
                "kubectl-my_tool:1"
            ]
        );
        assert!(of("--flag x").is_empty());
        assert!(of("../x").is_empty(), "a name, not a way to somewhere");
    }

    #[test]
    fn what_cant_be_used_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kubectl-get");
        fs::write(&path, "").expect("written");
        fs::write(folder.path().join("kubectlx"), "").expect("written");
        assert_eq!(plugins_in(folder.path()).expect("there"), std::slice::from_ref(&path));
        assert_eq!(warnings(&path, "kubectl-get", &["get"], true).len(), 3);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        assert!(warnings(&path, "kubectl-other", &["get"], false).is_empty());
    }
}
