//! `top pod`.

use std::io::Write as _;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::amounts::{Amounts, By};
use super::{ask, metrics_root};
use crate::cli::Global;
use crate::client::Session;
use crate::commands::target::query;
use crate::print::table::Grid;
use crate::resources::escape;

/// Arguments of `top pod`.
#[derive(Args, Debug)]
pub struct TopPod {
    /// Only this pod.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only pods with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Only pods with these fields.
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// Each container by itself.
    #[arg(long)]
    containers: bool,
    /// The most first: cpu or memory.
    #[arg(long, value_name = "WHAT")]
    sort_by: Option<String>,
    /// All of them together below the rest.
    #[arg(long)]
    sum: bool,
    /// Whether metrics come in protobuf (they always come in JSON).
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    use_protocol_buffers: Option<bool>,
    /// Rows only.
    #[arg(long)]
    no_headers: bool,
}

impl TopPod {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let by = By::of(self.sort_by.as_deref())?;
        if self.name.is_some() && (self.selector.is_some() || self.field_selector.is_some()) {
            bail!("only one of NAME or selector can be provided");
        }
        let session = Session::open(global).await?;
        let root = metrics_root(&session).await?;
        let place = if self.all_namespaces {
            String::new()
        } else {
            format!("/namespaces/{}", escape(&session.namespace))
        };
        let name = self
            .name
            .as_ref()
            .map(|name| format!("/{}", escape(name)))
            .unwrap_or_default();
        let parameters = [
            ("labelSelector", &self.selector),
            ("fieldSelector", &self.field_selector),
        ];
        let parameters: Vec<(&str, &str)> = parameters
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect();
        let metrics = ask(&session, &format!("{root}{place}/pods{name}{}", query(&parameters))).await?;
        if metrics.is_empty() {
            let place = if self.all_namespaces {
                String::new()
            } else {
                format!(" in {} namespace", session.namespace)
            };
            writeln!(anstream::stderr(), "No resources found{place}.")?;
            return Ok(());
        }
        self.rows(&metrics, by).write(&mut anstream::stdout(), &[], None)?;
        Ok(())
    }

    /// The table. Pure.
    fn rows(&self, metrics: &[Value], by: By) -> Grid {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut rows: Vec<(Vec<String>, Amounts)> = Vec::new();
        let mut sum = Amounts::default();
        for pod in metrics {
            let mut front = Vec::new();
            front.extend(self.all_namespaces.then(|| text(&pod["metadata"]["namespace"])));
            front.push(text(&pod["metadata"]["name"]));
            let mut whole = Amounts::default();
            for container in pod["containers"].as_array().into_iter().flatten() {
                let used = Amounts::of(&container["usage"]);
                whole += used;
                if self.containers {
                    let mut cells = front.clone();
                    cells.push(text(&container["name"]));
                    rows.push((cells, used));
                }
            }
            sum += whole;
            if !self.containers {
                rows.push((front, whole));
            }
        }
        by.sort(&mut rows, |(cells, used)| (cells.join("\0"), *used));
        let finish = |(mut cells, used): (Vec<String>, Amounts)| {
            cells.extend([used.cpu(), used.memory()]);
            cells
        };
        let mut rows: Vec<Vec<String>> = rows.into_iter().map(finish).collect();
        let mut head: Vec<String> = Vec::new();
        head.extend(self.all_namespaces.then(|| "NAMESPACE".to_owned()));
        head.extend(
            if self.containers {
                vec!["POD", "NAME"]
            } else {
                vec!["NAME"]
            }
            .into_iter()
            .map(str::to_owned),
        );
        if self.sum {
            let blank = std::iter::repeat_n(String::new(), head.len());
            rows.push(
                blank
                    .clone()
                    .chain(["________".to_owned(), "________".to_owned()])
                    .collect(),
            );
            rows.push(blank.chain([sum.cpu(), sum.memory()]).collect());
        }
        head.extend(["CPU(cores)", "MEMORY(bytes)"].map(str::to_owned));
        Grid {
            head: if self.no_headers { Vec::new() } else { head },
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use serde_json::json;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        top: TopPod,
    }

    #[test]
    fn pods_are_the_sum_of_their_containers() {
        let container = |name: &str, cpu: &str| json!({"name": name, "usage": {"cpu": cpu, "memory": "1Mi"}});
        let pod = |name: &str, containers: Value| json!({"metadata": {"namespace": "n", "name": name}, "containers": containers});
        let metrics = [
            pod("b", json!([container("x", "1m"), container("y", "2m")])),
            pod("a", json!([container("x", "1m")])),
        ];
        let of = |line: &str| {
            let words = std::iter::once("top").chain(line.split_whitespace());
            let top = Line::parse_from(words).top;
            let by = By::of(top.sort_by.as_deref()).expect("known");
            top.rows(&metrics, by)
        };
        assert_eq!(of("").rows, [["a", "1m", "1Mi"], ["b", "3m", "2Mi"]]);
        assert_eq!(of("--sort-by=cpu").rows[0], ["b", "3m", "2Mi"]);
        assert_eq!(of("--containers -A").rows[2], ["n", "b", "y", "2m", "1Mi"]);
        assert_eq!(of("--sum").rows[3], ["", "4m", "3Mi"]);
        assert_eq!(
            of("--containers -A").head,
            ["NAMESPACE", "POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
        );
    }
}
