//! `config set-credentials`: as whom to talk to a server: a token, a certificate, a program that gives credentials.

use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};

use super::edit::List;
use super::entries::{certificate, put};
use crate::cli::Global;

/// Arguments of `config set-credentials`.
#[derive(Args, Debug)]
pub struct SetCredentials {
    /// Their name.
    name: String,
    /// Put the certificate and the key into the file, in the place of their paths.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    embed_certs: bool,
    /// The program that gives credentials.
    #[arg(long, value_name = "COMMAND")]
    exec_command: Option<String>,
    /// In which version it speaks: client.authentication.k8s.io/v1.
    #[arg(long, value_name = "VERSION")]
    exec_api_version: Option<String>,
    /// Its arguments, in the place of those it had; may be repeated.
    #[arg(long, value_name = "ARGUMENT", value_delimiter = ',', allow_hyphen_values = true)]
    exec_arg: Vec<String>,
    /// An environment variable of it: NAME=VALUE; NAME- takes one away.
    #[arg(long, value_name = "VARIABLE", value_delimiter = ',')]
    exec_env: Vec<String>,
    /// Whether it may ask the user: Never, IfAvailable, Always.
    #[arg(long, value_name = "MODE")]
    exec_interactive_mode: Option<String>,
    /// Tell it about the cluster.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    exec_provide_cluster_info: Option<bool>,
    /// The provider of credentials that a client has built in: oidc.
    #[arg(long, value_name = "NAME")]
    auth_provider: Option<String>,
    /// What the provider has to know: NAME=VALUE; NAME- takes it away.
    #[arg(long, value_name = "ARGUMENT", value_delimiter = ',')]
    auth_provider_arg: Vec<String>,
}

impl SetCredentials {
    pub(super) fn change(self, global: &Global, config: &mut Value) -> anyhow::Result<String> {
        let connection = &global.connection;
        if connection.token.is_some() && connection.username.is_some() {
            bail!(
                "you cannot specify more than one authentication method at the same time: --token, --username/--password"
            );
        }
        let entry = List::Users.entry(config, &self.name);
        put(entry, "token", connection.token.as_ref());
        put(entry, "username", connection.username.as_ref());
        put(entry, "password", connection.password.as_ref());
        if connection.token.is_some() {
            entry.retain(|field, _| !matches!(field.as_str(), "username" | "password" | "tokenFile"));
        }
        if connection.username.is_some() {
            entry.retain(|field, _| !matches!(field.as_str(), "token" | "tokenFile"));
        }
        for (field, file) in [
            ("client-certificate", &connection.client_certificate),
            ("client-key", &connection.client_key),
        ] {
            if let Some(file) = file {
                certificate(entry, field, file, self.embed_certs)?;
            }
        }
        self.exec(entry)?;
        self.provider(entry)?;
        Ok(format!("User {:?} set.", self.name))
    }

    /// The program that gives credentials; its other fields are set only where there is one.
    fn exec(&self, entry: &mut Map<String, Value>) -> anyhow::Result<()> {
        if let Some(command) = &self.exec_command {
            let exec = entry.entry("exec").or_insert_with(
                || json!({"apiVersion": "", "args": null, "command": "", "env": null, "provideClusterInfo": false}),
            );
            exec["command"] = json!(command);
        }
        let Some(exec) = entry.get_mut("exec") else {
            return Ok(());
        };
        for (field, value) in [
            ("apiVersion", &self.exec_api_version),
            ("interactiveMode", &self.exec_interactive_mode),
        ] {
            if let Some(value) = value {
                exec[field] = json!(value);
            }
        }
        if !self.exec_arg.is_empty() {
            exec["args"] = json!(self.exec_arg);
        }
        if let Some(provide) = self.exec_provide_cluster_info {
            exec["provideClusterInfo"] = json!(provide);
        }
        let mut env = exec["env"].as_array().cloned().unwrap_or_default();
        for word in &self.exec_env {
            let (name, value) = setting(word)?;
            let known = env.iter().position(|variable| variable["name"] == name);
            match (known, value) {
                (Some(at), Some(value)) => env[at]["value"] = json!(value),
                (None, Some(value)) => env.push(json!({"name": name, "value": value})),
                (Some(at), None) => drop(env.remove(at)),
                (None, None) => {}
            }
        }
        if !self.exec_env.is_empty() {
            exec["env"] = json!(env);
        }
        Ok(())
    }

    /// The client's own provider; another one begins without what the last one knew.
    fn provider(&self, entry: &mut Map<String, Value>) -> anyhow::Result<()> {
        if let Some(name) = &self.auth_provider
            && entry
                .get("auth-provider")
                .is_none_or(|provider| provider["name"] != name.as_str())
        {
            entry.insert("auth-provider".to_owned(), json!({"config": {}, "name": name}));
        }
        let Some(provider) = entry.get_mut("auth-provider") else {
            return Ok(());
        };
        let mut config = provider["config"].as_object().cloned().unwrap_or_default();
        for word in &self.auth_provider_arg {
            match setting(word)? {
                (name, Some(value)) => drop(config.insert(name.to_owned(), json!(value))),
                (name, None) => drop(config.remove(name)),
            }
        }
        provider["config"] = Value::Object(config);
        Ok(())
    }
}

/// `NAME=VALUE`, or `NAME-` for one that goes.
fn setting(word: &str) -> anyhow::Result<(&str, Option<&str>)> {
    match (word.split_once('='), word.strip_suffix('-')) {
        (Some((name, value)), _) => Ok((name, Some(value))),
        (None, Some(name)) => Ok((name, None)),
        (None, None) => bail!("{word:?} is neither NAME=VALUE nor NAME-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        verb: SetCredentials,
    }

    fn change(config: &mut Value, line: &str) {
        let words = std::iter::once("set-credentials").chain(line.split_whitespace());
        let verb = Line::try_parse_from(words).expect(line).verb;
        verb.change(&Global::default(), config).expect(line);
    }

    #[test]
    fn a_program_gives_credentials() {
        let mut config = json!({});
        change(&mut config, "y --exec-env=A=b");
        assert_eq!(config["users"][0]["user"], json!({}), "there is no program yet");
        change(
            &mut config,
            "y --exec-command=tool --exec-arg=a,-b --exec-env=A=b --exec-env=C=d",
        );
        change(&mut config, "y --exec-api-version=v --exec-env=A- --exec-env=C=e");
        let exec = &config["users"][0]["user"]["exec"];
        assert_eq!(exec["args"], json!(["a", "-b"]));
        assert_eq!(exec["env"], json!([{"name": "C", "value": "e"}]));
        assert_eq!((&exec["command"], &exec["apiVersion"]), (&json!("tool"), &json!("v")));
    }

    #[test]
    fn another_provider_begins_anew() {
        let mut config = json!({});
        change(
            &mut config,
            "y --auth-provider=oidc --auth-provider-arg=a=b --auth-provider-arg=c=d",
        );
        change(&mut config, "y --auth-provider-arg=a-");
        let provider = |config: &Value| config["users"][0]["user"]["auth-provider"].clone();
        assert_eq!(provider(&config), json!({"name": "oidc", "config": {"c": "d"}}));
        change(&mut config, "y --auth-provider=other");
        assert_eq!(provider(&config), json!({"name": "other", "config": {}}));
    }
}
