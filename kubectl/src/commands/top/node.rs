//! `top node`.

use std::collections::HashMap;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::amounts::{Amounts, By, percent};
use super::{ask, metrics_root};
use crate::cli::Global;
use crate::client::Session;
use crate::commands::target::query;
use crate::print::table::Grid;
use crate::resources::escape;

/// Arguments of `top node`.
#[derive(Args, Debug)]
pub struct TopNode {
    /// Only this node.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Only nodes with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// The most first: cpu or memory.
    #[arg(long, value_name = "WHAT")]
    sort_by: Option<String>,
    /// Whether metrics come in protobuf (they always come in JSON).
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    use_protocol_buffers: Option<bool>,
    /// Rows only.
    #[arg(long)]
    no_headers: bool,
    /// Of what the machine has, in the place of what pods may use of it.
    #[arg(long)]
    show_capacity: bool,
}

impl TopNode {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let by = By::of(self.sort_by.as_deref())?;
        if self.name.is_some() && self.selector.is_some() {
            bail!("only one of NAME or --selector can be provided");
        }
        let session = Session::open(global).await?;
        let root = metrics_root(&session).await?;
        let name = self
            .name
            .as_ref()
            .map(|name| format!("/{}", escape(name)))
            .unwrap_or_default();
        let labels = self.selector.as_deref().map(|labels| ("labelSelector", labels));
        let query = query(&labels.into_iter().collect::<Vec<_>>());
        let metrics = ask(&session, &format!("{root}/nodes{name}{query}")).await?;
        let nodes = ask(&session, &format!("/api/v1/nodes{name}{query}")).await?;
        let field = if self.show_capacity { "capacity" } else { "allocatable" };
        rows(metrics, &nodes, field, by, self.no_headers).write(&mut anstream::stdout(), &[], None)?;
        Ok(())
    }
}

/// The table. A node without metrics is shown as unknown. Pure.
fn rows(metrics: Vec<Value>, nodes: &[Value], field: &str, by: By, no_headers: bool) -> Grid {
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let has: HashMap<String, Amounts> = nodes
        .iter()
        .map(|node| (name(node), Amounts::of(&node["status"][field])))
        .collect();
    let mut used: Vec<(String, Amounts)> = metrics
        .iter()
        .map(|metrics| (name(metrics), Amounts::of(&metrics["usage"])))
        .collect();
    by.sort(&mut used, Clone::clone);
    let mut rows: Vec<Vec<String>> = used
        .iter()
        .map(|(name, used)| {
            let all = has.get(name).copied().unwrap_or_default();
            vec![
                name.clone(),
                used.cpu(),
                percent(used.cpu_millis, all.cpu_millis),
                used.memory(),
                percent(used.memory_bytes, all.memory_bytes),
            ]
        })
        .collect();
    let without = nodes
        .iter()
        .map(name)
        .filter(|name| !used.iter().any(|(known, _)| known == name));
    rows.extend(without.map(|name| {
        let unknown = std::iter::repeat_n("<unknown>".to_owned(), 4);
        std::iter::once(name).chain(unknown).collect()
    }));
    let head = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
    Grid {
        head: if no_headers {
            Vec::new()
        } else {
            head.map(str::to_owned).to_vec()
        },
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_are_shown_with_their_share() {
        let node =
            |name: &str| json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}});
        let metrics = vec![json!({"metadata": {"name": "a"}, "usage": {"cpu": "500m", "memory": "1Gi"}})];
        let grid = rows(metrics, &[node("a"), node("b")], "allocatable", By::Name, false);
        assert_eq!(grid.rows[0], ["a", "500m", "25%", "1024Mi", "25%"]);
        assert_eq!(grid.rows[1], ["b", "<unknown>", "<unknown>", "<unknown>", "<unknown>"]);
    }
}
