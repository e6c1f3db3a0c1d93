//! `api-resources`: the kinds that the server has.

use std::collections::BTreeSet;
use std::rc::Rc;

use clap::Args;

use crate::cli::Global;
use crate::client::Session;
use crate::print::table::Grid;
use crate::resources::{Resource, Resources};

/// Arguments of `api-resources`.
#[derive(Args, Debug)]
pub struct ApiResources {
    /// Only kinds that do, or don't, live in namespaces.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    namespaced: Option<bool>,
    /// Only kinds of this group.
    #[arg(long, value_name = "GROUP")]
    api_group: Option<String>,
    /// Only kinds that can do this: list, get.
    #[arg(long, value_delimiter = ',', value_name = "VERB")]
    verbs: Vec<String>,
    /// Only kinds of these categories: all.
    #[arg(long, value_delimiter = ',', value_name = "CATEGORY")]
    categories: Vec<String>,
    /// What to sort by; otherwise it is the group, then the name.
    #[arg(long, value_name = "FIELD", value_parser = ["name", "kind"])]
    sort_by: Option<String>,
    /// What this machine knows already will do.
    #[arg(long)]
    cached: bool,
    /// Also show verbs and categories (wide), or the names alone (name).
    #[arg(short, long, value_parser = ["wide", "name"])]
    output: Option<String>,
    /// Rows only.
    #[arg(long)]
    no_headers: bool,
}

impl ApiResources {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let resources = if self.cached {
            session.resources().await?
        } else {
            Rc::new(Resources::fetch(&session).await?)
        };
        let shown = resources.all().iter().filter(|resource| {
            self.namespaced
                .is_none_or(|namespaced| namespaced == resource.namespaced)
                && self.api_group.as_deref().is_none_or(|group| group == resource.group)
                && self.verbs.iter().all(|verb| resource.can(verb))
                && self
                    .categories
                    .iter()
                    .all(|category| resource.categories.contains(category))
                && !resource.verbs.is_empty()
        });
        let mut shown: Vec<&Resource> = shown.collect();
        // Of a kind in several versions the one that the server prefers, which comes first.
        let mut seen = BTreeSet::new();
        shown.retain(|resource| seen.insert((&resource.group, &resource.plural)));
        shown.sort_by_key(|resource| match self.sort_by.as_deref() {
            Some("name") => (resource.plural.clone(), String::new()),
            Some(_) => (resource.kind.clone(), String::new()),
            None => (resource.group.clone(), resource.plural.clone()),
        });
        let mut out = anstream::stdout().lock();
        if self.output.as_deref() == Some("name") {
            let rows = shown.iter().map(|resource| vec![resource.qualified()]).collect();
            Grid { head: Vec::new(), rows }.write(&mut out, &[], None)?;
            return Ok(());
        }
        let wide = self.output.as_deref() == Some("wide");
        let mut head: Vec<&str> = vec!["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
        if wide {
            head.extend(["VERBS", "CATEGORIES"]);
        }
        let rows = shown.iter().map(|resource| {
            let mut row = vec![
                resource.plural.clone(),
                resource.short_names.join(","),
                resource.api_version(),
                resource.namespaced.to_string(),
                resource.kind.clone(),
            ];
            if wide {
                row.extend([resource.verbs.join(","), resource.categories.join(",")]);
            }
            row
        });
        let grid = Grid {
            rows: rows.collect(),
            head: if self.no_headers {
                Vec::new()
            } else {
                head.into_iter().map(str::to_owned).collect()
            },
        };
        grid.write(&mut out, &[], None)?;
        Ok(())
    }
}
