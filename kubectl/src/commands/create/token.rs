//! `create token`: a service account's token, for as long as is asked for.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::duration;
use crate::failure::Failure;
use crate::print::output::Output;
use crate::resources::escape;

/// Arguments of `create token`.
#[derive(Args, Debug)]
pub struct Token {
    /// The service account.
    name: String,
    /// Who is to take the token; may be repeated.
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,
    /// How long it is to hold: 10m.
    #[arg(long, value_parser = duration::parse, default_value = "0s", hide_default_value = true, value_name = "DURATION")]
    duration: Duration,
    /// The kind of the object with which the token ends: `Pod`, `Secret` or `Node`.
    #[arg(long, value_name = "KIND", value_parser = ["Node", "Pod", "Secret"])]
    bound_object_kind: Option<String>,
    /// Its name.
    #[arg(long, value_name = "NAME")]
    bound_object_name: Option<String>,
    /// Its uid.
    #[arg(long, value_name = "UID")]
    bound_object_uid: Option<String>,
    /// How to show the answer: yaml, json, jsonpath=...
    #[arg(short, long)]
    output: Option<Output>,
}

impl Token {
    pub async fn run(&self, global: &Global) -> anyhow::Result<()> {
        let request = self.request()?;
        let session = Session::open(global).await?;
        let (namespace, name) = (escape(&session.namespace), escape(&self.name));
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let answer = session.send(Method::POST, &path, "application/json", &request).await;
        let answer = answer.map_err(|failure| match failure {
            Failure::Api(status) => anyhow!("failed to create token: {}", status.message),
            other => other.into(),
        })?;
        if let Some(output) = &self.output {
            return Ok(output.write(&mut anstream::stdout(), &answer)?);
        }
        let token = answer["status"]["token"].as_str().filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| anyhow!("failed to create token: no token in server response"))?;
        anstream::println!("{token}");
        Ok(())
    }

    fn request(&self) -> anyhow::Result<Value> {
        if self.audience.iter().any(String::is_empty) {
            bail!("--audience must not be an empty string");
        }
        if self.duration.subsec_nanos() > 0 {
            bail!("--duration cannot be expressed in units less than seconds");
        }
        let mut spec = Map::new();
        if !self.audience.is_empty() {
            spec.insert("audiences".to_owned(), json!(self.audience));
        }
        if !self.duration.is_zero() {
            spec.insert("expirationSeconds".to_owned(), json!(self.duration.as_secs()));
        }
        match (&self.bound_object_kind, &self.bound_object_name, &self.bound_object_uid) {
            (None, None, None) => {}
            (None, Some(_), _) => bail!("--bound-object-name can only be set if --bound-object-kind is provided"),
            (None, None, Some(_)) => bail!("--bound-object-uid can only be set if --bound-object-kind is provided"),
            (Some(_), None, _) => bail!("--bound-object-name is required if --bound-object-kind is provided"),
            (Some(kind), Some(name), uid) => {
                let mut bound = json!({"kind": kind, "apiVersion": "v1", "name": name});
                if let Some(uid) = uid {
                    bound["uid"] = json!(uid);
                }
                spec.insert("boundObjectRef".to_owned(), bound);
            }
        }
        Ok(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}))
    }
}
