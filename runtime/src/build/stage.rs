//! A stage on its way: its config, its layers, the variables that its next step sees. Pure.
//!
//! Instructions that change the config alone are done here; RUN, COPY, ADD and the directory of a WORKDIR are the engine's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::config::{self, Config};
use super::dockerfile::{Act, Command, Option_};
use super::expand::expand;
use crate::images::compose::Layer;
use crate::images::digest::{ChainId, Digest};

/// Proxies that every command sees without an ARG, and that no key knows.
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) config: Config,
    pub(super) layers: Vec<Layer>,
    pub(super) chain: Option<ChainId>,
    /// All that went in so far.
    pub(super) key: Digest,
    /// ARGs that have been met, with their values.
    pub(super) arguments: BTreeMap<String, String>,
    /// Whether this Dockerfile has said what to run: a new ENTRYPOINT takes the base's CMD away.
    pub(super) has_command: bool,
}

/// What the client and the lines before the first FROM give.
pub(super) struct Given<'a> {
    pub(super) arguments: &'a BTreeMap<String, String>,
    pub(super) global: &'a BTreeMap<String, String>,
}

impl Stage {
    pub(super) fn expand(&self, word: &str) -> Result<String, String> {
        expand(word, &|name| self.value(name))
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        let variable = self.config.variable(name);
        variable.or_else(|| self.arguments.get(name).cloned())
    }

    /// What a command gets beside the image's own variables.
    pub(super) fn environment(&self, given: &Given<'_>) -> Vec<String> {
        let proxies = given
            .arguments
            .iter()
            .filter(|(name, _)| PROXIES.contains(&name.as_str()));
        let all: BTreeMap<&String, &String> = proxies.chain(&self.arguments).collect();
        let own = all.into_iter().filter(|(name, _)| self.config.variable(name).is_none());
        own.map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// A path of the image as it is written.
    pub(super) fn path(&self, written: &str) -> Result<PathBuf, String> {
        Ok(self.config.path(&self.expand(written)?))
    }

    /// Does what an instruction asks for; false for those that are more than config. A WORKDIR's directory may be missing
    /// after it.
    pub(super) fn apply(&mut self, act: &Act, given: &Given<'_>) -> Result<bool, String> {
        match act {
            Act::Arg(arguments) => self.declare(arguments, given)?,
            Act::Env(pairs) => {
                // All see what was there before.
                for (name, value) in self.pairs(pairs)? {
                    self.config.set_variable(&name, &value);
                }
            }
            Act::Label(pairs) => {
                let labels = self.pairs(pairs)?;
                self.config.add_labels(labels);
            }
            Act::Workdir(written) => {
                let path = self.path(written)?;
                self.config.set("WorkingDir", path.to_string_lossy().into());
            }
            Act::User(user) => {
                let user = self.expand(user)?;
                self.config.set("User", user.into());
            }
            Act::Cmd(command) => {
                self.has_command = true;
                let words = self.words(command);
                self.config.set("Cmd", words);
            }
            Act::Entrypoint(command) => {
                if !self.has_command {
                    self.config.take("Cmd");
                }
                let words = self.words(command);
                self.config.set("Entrypoint", words);
            }
            Act::Expose(written) => {
                let mut ports = Vec::new();
                for port in self.expanded(written)? {
                    ports.extend(config::ports(&port)?);
                }
                self.config.add_names("ExposedPorts", ports);
            }
            Act::Volume(paths) => {
                let paths = self.expanded(paths)?;
                self.config.add_names("Volumes", paths);
            }
            Act::Shell(words) => self.config.set("Shell", json!(words)),
            Act::StopSignal(signal) => {
                let signal = self.expand(signal)?;
                self.config.set("StopSignal", signal.into());
            }
            Act::Healthcheck(options, command) => {
                let check = healthcheck(options, command.as_ref())?;
                self.config.set("Healthcheck", check);
            }
            Act::OnBuild(trigger) => {
                let mut triggers = self.config.words("OnBuild");
                triggers.push(trigger.clone());
                self.config.set("OnBuild", json!(triggers));
            }
            Act::Maintainer(name) => self.config.set_author(name),
            Act::Run(_) | Act::Copy(_) => return Ok(false),
        }
        Ok(true)
    }

    /// The client's value wins over that before the first FROM, and that over the default.
    fn declare(&mut self, arguments: &[(String, Option<String>)], given: &Given<'_>) -> Result<(), String> {
        for (name, default) in arguments {
            let default = default.as_ref().map(|word| self.expand(word)).transpose()?;
            let global = || given.global.get(name).cloned();
            let value = given.arguments.get(name).cloned();
            let value = value.or_else(|| default.clone().or_else(global));
            if let Some(value) = value {
                self.arguments.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    fn pairs(&self, pairs: &[(String, String)]) -> Result<Vec<(String, String)>, String> {
        let expanded = |(name, value): &(String, String)| Ok((self.expand(name)?, self.expand(value)?));
        pairs.iter().map(expanded).collect()
    }

    pub(super) fn expanded(&self, words: &[String]) -> Result<Vec<String>, String> {
        words.iter().map(|word| self.expand(word)).collect()
    }

    fn words(&self, command: &Command) -> Value {
        match command {
            Command::Exec(words) => json!(words),
            Command::Shell(line) => {
                let mut words = self.config.shell();
                words.push(line.clone());
                json!(words)
            }
        }
    }
}

/// Kept for those who look at it: Kubernetes has probes in its place.
fn healthcheck(options: &[Option_], command: Option<&Command>) -> Result<Value, String> {
    let mut check = Map::new();
    let test = match command {
        None => json!(["NONE"]),
        Some(Command::Shell(line)) => json!(["CMD-SHELL", line]),
        Some(Command::Exec(words)) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend(words.iter().cloned());
            json!(test)
        }
    };
    check.insert("Test".to_owned(), test);
    for (name, value) in options {
        let field = match name.as_str() {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => {
                let retries: u64 = value.parse().map_err(|_| format!("--retries={value} is no number"))?;
                check.insert("Retries".to_owned(), retries.into());
                continue;
            }
            other => return Err(format!("HEALTHCHECK has no option --{other}")),
        };
        check.insert(field.to_owned(), config::nanoseconds(value)?.into());
    }
    Ok(Value::Object(check))
}

#[cfg(test)]
mod tests {
    use super::super::dockerfile;
    use super::*;

    fn after(text: &str) -> Stage {
        let file = dockerfile::read(&format!("FROM scratch\n{text}")).expect("a Dockerfile");
        let mut stage = Stage {
            config: Config::scratch("amd64"),
            layers: Vec::new(),
            chain: None,
            key: Digest::of(b""),
            arguments: BTreeMap::new(),
            has_command: false,
        };
        stage.config.set("Cmd", json!(["base"]));
        let of_client = BTreeMap::from([
            ("V".to_owned(), "2".to_owned()),
            ("http_proxy".to_owned(), "p".to_owned()),
        ]);
        let global = BTreeMap::from([("G".to_owned(), "3".to_owned())]);
        let given = Given {
            arguments: &of_client,
            global: &global,
        };
        for step in &file.stages[0].steps {
            stage.apply(&step.act, &given).expect("applied");
        }
        stage.config.set("environment", json!(stage.environment(&given)));
        stage
    }

    #[test]
    fn variables_and_arguments_meet() {
        let stage = after("ARG V=1 W=w\nARG G\nARG N\nENV W=env X=$V$G$N\nLABEL l=\"$X $W\"\nUSER $W\n");
        assert_eq!(stage.config.variable("X").as_deref(), Some("23"));
        assert_eq!(stage.config.get("Labels"), Some(&json!({"l": "23 env"})));
        assert_eq!(stage.config.text("User"), "env");
        // What ENV has, ARG doesn't change.
        assert_eq!(stage.config.words("environment"), ["G=3", "V=2", "http_proxy=p"]);
    }

    #[test]
    fn an_entrypoint_takes_the_bases_command_away_but_not_an_own_one() {
        let stage = after("ENTRYPOINT [\"/e\"]\n");
        assert_eq!(
            (stage.config.get("Cmd"), stage.config.words("Entrypoint")),
            (None, vec!["/e".to_owned()])
        );
        let stage = after("CMD echo 1\nENTRYPOINT [\"/e\"]\n");
        assert_eq!(stage.config.words("Cmd"), ["/bin/sh", "-c", "echo 1"]);
        let stage = after("SHELL [\"/bin/bash\", \"-ec\"]\nCMD echo 1\n");
        assert_eq!(stage.config.words("Cmd"), ["/bin/bash", "-ec", "echo 1"]);
    }

    #[test]
    fn the_rest_is_kept_for_who_runs_it() {
        let stage = after(
            "WORKDIR /a\nWORKDIR b\nEXPOSE 80 90/udp\nVOLUME [\"/v\"]\nSTOPSIGNAL SIGINT\nHEALTHCHECK --interval=5s --retries=2 CMD true\nONBUILD RUN x\n",
        );
        assert_eq!(stage.config.text("WorkingDir"), "/a/b");
        assert_eq!(
            stage.config.get("ExposedPorts"),
            Some(&json!({"80/tcp": {}, "90/udp": {}}))
        );
        assert_eq!(stage.config.get("Volumes"), Some(&json!({"/v": {}})));
        assert_eq!(stage.config.text("StopSignal"), "SIGINT");
        let check = json!({"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_u64, "Retries": 2});
        assert_eq!(stage.config.get("Healthcheck"), Some(&check));
        assert_eq!(stage.config.words("OnBuild"), ["RUN x"]);
    }
}
