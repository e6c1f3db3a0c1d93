//! `rollout history`: the revisions of an object, or what one of them was.

use std::io::Write as _;

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::Value;

use super::revisions;
use crate::cli::Global;
use crate::client::Session;
use crate::commands::objects::{Files, Named, Selection, Wanted, finish};
use crate::print::output::Output;

/// Arguments of `rollout history`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl rollout history deployment/web
  minikctl rollout history deployment/web --revision=3 -o yaml")]
pub struct History {
    /// The objects: deployment/web, daemonset web.
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    selection: Selection,
    /// Show what this revision was.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    revision: i64,
    /// How to show the revisions: yaml, json, ...
    #[arg(short, long)]
    output: Option<Output>,
}

impl History {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.words.is_empty() && self.files.filename.is_empty() {
            bail!("required resource not specified");
        }
        let session = Session::open(global).await?;
        let wanted = Wanted {
            words: &self.words,
            files: &self.files,
            selection: &self.selection,
            kind_is_enough: true,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        for named in found {
            if let Err(error) = self.one(&session, &named).await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    async fn one(&self, session: &Session, named: &Named) -> anyhow::Result<()> {
        let object = named.fetch(session).await?;
        let known = revisions::of(session, &named.resource, &object).await?;
        let mut out = anstream::stdout();
        let wanted = if self.revision > 0 {
            let revision = known.get(&self.revision);
            Some(revision.ok_or_else(|| anyhow!("unable to find the specified revision"))?)
        } else {
            None
        };
        if let Some(output) = &self.output {
            for revision in wanted.map_or_else(|| known.values().collect(), |revision| vec![revision]) {
                output.write(&mut out, revision)?;
            }
            return Ok(());
        }
        if let Some(revision) = wanted {
            writeln!(out, "{} with revision #{}", named.shown(), self.revision)?;
            return write!(out, "{}", described(&revisions::shown(revision))).map_err(Into::into);
        }
        writeln!(out, "{} ", named.shown())?;
        writeln!(out, "REVISION  CHANGE-CAUSE")?;
        for (number, revision) in &known {
            writeln!(out, "{number:<10}{}", revisions::cause_of(revision))?;
        }
        writeln!(out)?;
        Ok(())
    }
}

/// A pod template for people: what tells revisions apart. Pure.
fn described(template: &Value) -> String {
    let mut lines = vec!["Pod Template:".to_owned()];
    for (title, map) in [
        ("Labels", &template["metadata"]["labels"]),
        ("Annotations", &template["metadata"]["annotations"]),
    ] {
        let pairs = map.as_object().into_iter().flatten();
        for (index, (name, value)) in pairs.enumerate() {
            let sign = if title == "Labels" { "=" } else { ": " };
            let title = if index == 0 {
                format!("  {title}:")
            } else {
                String::new()
            };
            lines.push(format!("{title}\t{name}{sign}{}", value.as_str().unwrap_or_default()));
        }
    }
    for (title, list) in [("Init Containers", "initContainers"), ("Containers", "containers")] {
        let containers = template["spec"][list].as_array().into_iter().flatten();
        for (index, container) in containers.enumerate() {
            if index == 0 {
                lines.push(format!("  {title}:"));
            }
            lines.extend(container_lines(container));
        }
    }
    lines.extend(pod_lines(&template["spec"]));
    lines.push(String::new());
    lines.join("\n")
}

/// What concerns all containers.
fn pod_lines(spec: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let volumes: Vec<String> = volumes
        .map(|volume| {
            let of = volume.as_object().into_iter().flatten();
            let kind = of.map(|(field, _)| field.as_str()).find(|field| *field != "name");
            let name = volume["name"].as_str().unwrap_or_default();
            format!("   {name}:\n    Type:\t{}", kind.unwrap_or("emptyDir"))
        })
        .collect();
    lines.push(format!(
        "  Volumes:{}",
        if volumes.is_empty() { "\t<none>" } else { "" }
    ));
    lines.extend(volumes);
    let labels = spec["nodeSelector"].as_object().into_iter().flatten();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    let or_none = |list: &[String]| {
        if list.is_empty() {
            "<none>".to_owned()
        } else {
            list.join("\n\t")
        }
    };
    lines.push(format!("  Node-Selectors:\t{}", or_none(&labels)));
    let tolerations = spec["tolerations"].as_array().into_iter().flatten();
    let tolerations: Vec<String> = tolerations
        .map(|toleration| {
            let text = |field: &str| toleration[field].as_str().unwrap_or_default();
            let sign = if text("value").is_empty() { "" } else { "=" };
            let effect = if text("effect").is_empty() {
                String::new()
            } else {
                format!(":{}", text("effect"))
            };
            let exists = if text("operator") == "Exists" { " op=Exists" } else { "" };
            format!("{}{sign}{}{effect}{exists}", text("key"), text("value"))
        })
        .collect();
    lines.push(format!("  Tolerations:\t{}", or_none(&tolerations)));
    lines
}

fn container_lines(container: &Value) -> Vec<String> {
    let text = |field: &str| container[field].as_str().unwrap_or_default();
    let mut lines = vec![
        format!("   {}:", text("name")),
        format!("    Image:\t{}", text("image")),
    ];
    let ports = container["ports"].as_array().into_iter().flatten();
    let (inside, outside): (Vec<String>, Vec<String>) = ports
        .map(|port| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            let host = port["hostPort"].as_u64().unwrap_or(0);
            (
                format!("{}/{protocol}", port["containerPort"]),
                format!("{host}/{protocol}"),
            )
        })
        .unzip();
    if !inside.is_empty() {
        let plural = if inside.len() > 1 { "s" } else { "" };
        lines.push(format!("    Port{plural}:\t{}", inside.join(", ")));
        lines.push(format!("    Host Port{plural}:\t{}", outside.join(", ")));
    }
    for (title, field) in [("Command", "command"), ("Args", "args")] {
        let words = container[field].as_array().into_iter().flatten();
        let words: Vec<String> = words
            .filter_map(|word| Some(format!("      {}", word.as_str()?)))
            .collect();
        if !words.is_empty() {
            lines.push(format!("    {title}:"));
            lines.extend(words);
        }
    }
    for (title, field) in [("Limits", "limits"), ("Requests", "requests")] {
        let amounts = container["resources"][field].as_object().into_iter().flatten();
        let amounts: Vec<String> = amounts
            .map(|(name, amount)| format!("      {name}:\t{}", amount.as_str().unwrap_or_default()))
            .collect();
        if !amounts.is_empty() {
            lines.push(format!("    {title}:"));
            lines.extend(amounts);
        }
    }
    let variables = container["env"].as_array().into_iter().flatten();
    let variables: Vec<String> = variables
        .map(|variable| {
            let text = |field: &str| variable[field].as_str().unwrap_or_default();
            format!("      {}:\t{}", text("name"), text("value"))
        })
        .collect();
    lines.push(format!(
        "    Environment:{}",
        if variables.is_empty() { "\t<none>" } else { "" }
    ));
    lines.extend(variables);
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let mounts: Vec<String> = mounts
        .map(|mount| {
            let text = |field: &str| mount[field].as_str().unwrap_or_default();
            format!("      {} from {}", text("mountPath"), text("name"))
        })
        .collect();
    lines.push(format!(
        "    Mounts:{}",
        if mounts.is_empty() { "\t<none>" } else { "" }
    ));
    lines.extend(mounts);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_revision_is_shown_by_its_template() {
        let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [
            {"name": "web", "image": "nginx", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "b"}]}]}});
        assert_eq!(
            described(&template),
            "Pod Template:\n  Labels:\tapp=a\n  Containers:\n   web:\n    Image:\tnginx\n    Port:\t80/TCP\n    \
             Host Port:\t0/TCP\n    Environment:\n      A:\tb\n    Mounts:\t<none>\n  Volumes:\t<none>\n  \
             Node-Selectors:\t<none>\n  Tolerations:\t<none>\n"
        );
    }
}
