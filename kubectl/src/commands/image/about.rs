//! `image inspect` and `history`: what an image's config says, as docker shows it.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::Args;
use minik_api::cri::{Image, ImageSpec, ImageStatusRequest};
use minik_api::images::ListRequest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::image::progress;
use crate::image::runtime::{Runtime, RuntimeError};
use crate::print::gojson;
use crate::print::table::Grid;

/// What a step of the history is shown with, at most.
const STEP: usize = 60;

/// Arguments of `image inspect`.
#[derive(Args, Debug)]
pub struct Inspect {
    /// The images: names or ids.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

/// Arguments of `image history`.
#[derive(Args, Debug)]
pub struct History {
    /// The image: a name or an id.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Steps in full.
    #[arg(long)]
    no_trunc: bool,
}

/// An image with its config.
async fn status(runtime: &Runtime, name: &str) -> anyhow::Result<(Image, Value)> {
    let request = ImageStatusRequest {
        image: Some(ImageSpec {
            image: name.to_owned(),
            ..ImageSpec::default()
        }),
        verbose: true,
    };
    let answer = runtime.cri().image_status(request).await;
    let answer = answer
        .map_err(RuntimeError::refused(format!("can't look for {name}")))?
        .into_inner();
    let Some(image) = answer.image else {
        bail!("there is no image {name:?} on this node: `minikctl image ls` lists what is there");
    };
    let info = answer
        .info
        .get("info")
        .context("this runtime doesn't show an image's config")?;
    let info: Value = serde_json::from_str(info).context("the image's config can't be read")?;
    Ok((image, info["imageSpec"].clone()))
}

impl Inspect {
    pub async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let mut shown = Vec::with_capacity(self.images.len());
        for name in &self.images {
            let (image, config) = status(runtime, name).await?;
            shown.push(inspected(&image, &config));
        }
        writeln!(anstream::stdout(), "{}", gojson::indented(&shown.into()))?;
        Ok(())
    }
}

/// docker's names of fields. Pure.
fn inspected(image: &Image, config: &Value) -> Value {
    json!({
        "Id": image.id, "RepoTags": image.repo_tags, "RepoDigests": image.repo_digests,
        "Created": config["created"], "Author": config["author"], "Architecture": config["architecture"],
        "Variant": config["variant"], "Os": config["os"], "Size": image.size, "Config": config["config"],
        "RootFS": {"Type": config["rootfs"]["type"], "Layers": config["rootfs"]["diff_ids"]},
    })
}

impl History {
    pub async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let (image, config) = status(runtime, &self.image).await?;
        let snapshots = runtime.images().list_snapshots(ListRequest::default()).await;
        let snapshots = snapshots
            .map_err(RuntimeError::refused("can't look at the layers"))?
            .into_inner()
            .snapshots;
        let size = |chain: &str| {
            let layer = snapshots.iter().find(|snapshot| snapshot.key == chain);
            layer.map(|snapshot| snapshot.size_bytes)
        };
        let grid = Grid {
            head: ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
                .map(str::to_owned)
                .to_vec(),
            rows: rows(&image.id, &config, size, self.no_trunc),
        };
        grid.write(&mut anstream::stdout().lock(), &[], None)?;
        Ok(())
    }
}

/// A row for each step, the latest first; the image's id stands at that. Pure.
fn rows(id: &str, config: &Value, size: impl Fn(&str) -> Option<u64>, whole: bool) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let diff_ids: Vec<String> = config["rootfs"]["diff_ids"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    let mut chains = chains(&diff_ids).into_iter();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for step in config["history"].as_array().into_iter().flatten() {
        let empty = step["empty_layer"].as_bool().unwrap_or_default();
        let bytes = if empty {
            Some(0)
        } else {
            chains.next().and_then(|chain| size(&chain))
        };
        let mut by = text(&step["created_by"]).replace(['\n', '\t'], " ");
        if !whole && by.chars().count() > STEP {
            by = by.chars().take(STEP - 1).chain(['…']).collect();
        }
        rows.push(vec![
            "<missing>".to_owned(),
            text(&step["created"]),
            by,
            bytes.map_or_else(|| "?".to_owned(), progress::size),
            text(&step["comment"]),
        ]);
    }
    // Layers that the history doesn't tell of.
    for chain in chains {
        let bytes = size(&chain).map_or_else(|| "?".to_owned(), progress::size);
        rows.push(vec![
            "<missing>".to_owned(),
            String::new(),
            String::new(),
            bytes,
            String::new(),
        ]);
    }
    rows.reverse();
    if let Some(latest) = rows.first_mut() {
        latest[0] = if whole {
            id.to_owned()
        } else {
            progress::short(id).to_owned()
        };
    }
    rows
}

/// Chain ids of a stack of layers (OCI image specification, "Layer ChainID").
fn chains(diff_ids: &[String]) -> Vec<String> {
    let mut chains: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let chain = match chains.last() {
            None => diff_id.clone(),
            Some(below) => {
                let digest = Sha256::digest(format!("{below} {diff_id}"));
                let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("sha256:{hex}")
            }
        };
        chains.push(chain);
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_its_layers_size() {
        let config = json!({
            "rootfs": {"diff_ids": ["sha256:a", "sha256:b", "sha256:c"]},
            "history": [
                {"created": "2024-01-01T00:00:00Z", "created_by": "COPY / /"},
                {"created_by": "ENV A=b", "empty_layer": true},
                {"created_by": format!("RUN {}", "x".repeat(100)), "comment": "buildkit"},
            ],
        });
        let all = chains(&["sha256:a".to_owned(), "sha256:b".to_owned()]);
        let size = |chain: &str| match chain {
            "sha256:a" => Some(1000),
            chain if chain == all[1] => Some(2000),
            _ => None,
        };
        let rows = rows("sha256:0123456789abcdef", &config, size, false);
        let sizes: Vec<&str> = rows.iter().map(|row| row[3].as_str()).collect();
        assert_eq!(sizes, ["?", "2.0kB", "0B", "1.0kB"]);
        assert_eq!(rows[0][0], "0123456789ab");
        assert_eq!((rows[1][2].chars().count(), rows[1][4].as_str()), (STEP, "buildkit"));
        assert_eq!(rows[3][1], "2024-01-01T00:00:00Z");
    }
}
