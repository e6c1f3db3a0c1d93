//! `auth whoami`: as whom the server knows you.

use anyhow::anyhow;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::print::output::Output;
use crate::print::table::Grid;

/// Arguments of `auth whoami`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl auth whoami
  minikctl auth whoami -o yaml")]
pub struct Whoami {
    /// yaml, json, jsonpath=...
    #[arg(short, long)]
    output: Option<Output>,
}

impl Whoami {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let answer = session.send(Method::POST, path, "application/json", &review).await;
        let answer = answer.map_err(|failure| match failure.code() {
            Some(404) => anyhow!("the selfsubjectreviews API is not enabled in the cluster"),
            _ => failure.into(),
        })?;
        let mut out = anstream::stdout();
        if let Some(output) = &self.output {
            return Ok(output.write(&mut out, &answer)?);
        }
        grid(&answer["status"]["userInfo"]).write(&mut out, &[], None)?;
        Ok(())
    }
}

/// The table of a user's attributes. Pure.
fn grid(user: &Value) -> Grid {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| {
        let values = value.as_array().into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        format!("[{}]", values.join(" "))
    };
    let mut rows = vec![("Username".to_owned(), text(&user["username"]))];
    if user["uid"].as_str().is_some_and(|uid| !uid.is_empty()) {
        rows.push(("UID".to_owned(), text(&user["uid"])));
    }
    if user["groups"].is_array() {
        rows.push(("Groups".to_owned(), list(&user["groups"])));
    }
    let mut extra: Vec<(String, String)> = user["extra"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, values)| (format!("Extra: {name}"), list(values)))
        .collect();
    extra.sort();
    rows.extend(extra);
    Grid {
        head: vec!["ATTRIBUTE".to_owned(), "VALUE".to_owned()],
        rows: rows.into_iter().map(|(name, value)| vec![name, value]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_rows() {
        let user = json!({"username": "jane", "groups": ["a", "b"], "extra": {"x": ["1"]}});
        assert_eq!(
            grid(&user).rows,
            [["Username", "jane"], ["Groups", "[a b]"], ["Extra: x", "[1]"]]
        );
    }
}
