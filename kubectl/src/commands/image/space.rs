//! `image usage` and `prune`: what images take on the disk, and giving it back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use clap::Args;
use minik_api::containers::ListRequest as ContainersRequest;
use minik_api::cri::{
    Image, ImageFsInfoRequest, ImageSpec, ListContainersRequest, ListImagesRequest, RemoveImageRequest,
};
use minik_api::images::ListRequest;

use crate::image::progress;
use crate::image::runtime::{Runtime, RuntimeError};
use crate::print::table::Grid;

/// Arguments of `image usage`.
#[derive(Args, Debug)]
pub struct Usage {}

/// Arguments of `image prune`.
#[derive(Args, Debug)]
pub struct Prune {
    /// Also images that have a tag.
    #[arg(short, long)]
    all: bool,
}

/// The node's images, and those of them that a container of a pod was made from.
async fn images(runtime: &Runtime) -> anyhow::Result<(Vec<Image>, BTreeSet<String>)> {
    let listed = runtime.cri().list_images(ListImagesRequest::default()).await;
    let images = listed
        .map_err(RuntimeError::refused("can't list the images"))?
        .into_inner()
        .images;
    let listed = runtime.pods().list_containers(ListContainersRequest::default()).await;
    let containers = listed
        .map_err(RuntimeError::refused("can't list the containers"))?
        .into_inner()
        .containers;
    let names: BTreeSet<&String> = containers
        .iter()
        .flat_map(|container| [&container.image_id, &container.image_ref])
        .collect();
    let is_used =
        |image: &&Image| names.contains(&image.id) || image.repo_digests.iter().any(|name| names.contains(name));
    let used = images.iter().filter(is_used).map(|image| image.id.clone()).collect();
    Ok((images, used))
}

async fn taken(runtime: &Runtime) -> anyhow::Result<u64> {
    let info = runtime.cri().image_fs_info(ImageFsInfoRequest {}).await;
    let info = info
        .map_err(RuntimeError::refused("can't measure the images"))?
        .into_inner();
    let used = info
        .image_filesystems
        .iter()
        .filter_map(|usage| usage.used_bytes.as_ref());
    Ok(used.map(|used| used.value).sum())
}

impl Usage {
    pub async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let refused = |what: &'static str| RuntimeError::refused(what);
        let (images, used) = images(runtime).await?;
        let listed = runtime.containers().list(ContainersRequest::default()).await;
        let mut namespaces = listed
            .map_err(refused("can't list the namespaces"))?
            .into_inner()
            .namespaces;
        // Pods' images, of which there may be none.
        namespaces.push(String::new());
        let (mut blobs, mut layers, mut writable) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for namespace in namespaces {
            let request = ListRequest { namespace };
            let content = runtime.images().list_content(request.clone()).await;
            let content = content.map_err(refused("can't list the blobs"))?.into_inner().blobs;
            blobs.extend(content.into_iter().map(|blob| (blob.digest, blob.size_bytes)));
            let snapshots = runtime.images().list_snapshots(request).await;
            let snapshots = snapshots
                .map_err(refused("can't list the layers"))?
                .into_inner()
                .snapshots;
            for snapshot in snapshots {
                let kind = if snapshot.kind == "Committed" {
                    &mut layers
                } else {
                    &mut writable
                };
                kind.insert(snapshot.key, snapshot.size_bytes);
            }
        }
        let row = |what: &str, sizes: &BTreeMap<String, u64>| {
            let total: u64 = sizes.values().sum();
            vec![what.to_owned(), sizes.len().to_string(), progress::size(total)]
        };
        let unused: Vec<&Image> = images.iter().filter(|image| !used.contains(&image.id)).collect();
        let grid = Grid {
            head: ["WHAT", "COUNT", "SIZE"].map(str::to_owned).to_vec(),
            rows: vec![
                row("blobs, as they came", &blobs),
                row("layers, unpacked", &layers),
                row("containers' own", &writable),
            ],
        };
        let mut out = anstream::stdout().lock();
        grid.write(&mut out, &[], None)?;
        let (images, unused) = (images.len(), unused.len());
        writeln!(
            out,
            "\n{images} images for pods, {unused} of them without a container (`minikctl image prune --all` removes those)"
        )?;
        Ok(())
    }
}

impl Prune {
    pub async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let before = taken(runtime).await?;
        let (images, used) = images(runtime).await?;
        let mut out = anstream::stdout();
        for image in images.iter().filter(|image| goes(image, &used, self.all)) {
            let request = RemoveImageRequest {
                image: Some(ImageSpec {
                    image: image.id.clone(),
                    ..ImageSpec::default()
                }),
            };
            let removed = runtime.cri().remove_image(request).await;
            removed.map_err(RuntimeError::refused(format!("can't remove {}", image.id)))?;
            let names = if image.repo_tags.is_empty() {
                &image.repo_digests
            } else {
                &image.repo_tags
            };
            let name = names.first().unwrap_or(&image.id);
            writeln!(out, "image {name:?} removed")?;
        }
        let freed = before.saturating_sub(taken(runtime).await?);
        writeln!(out, "{} are free again", progress::size(freed))?;
        Ok(())
    }
}

/// docker's rule: what no container needs and nothing names; with `all`, tags don't count. Pure.
fn goes(image: &Image, used: &BTreeSet<String>, all: bool) -> bool {
    !image.pinned && !used.contains(&image.id) && (all || image.repo_tags.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_needs_goes() {
        let image = |id: &str, tags: &[&str], pinned| Image {
            id: id.to_owned(),
            repo_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            pinned,
            ..Image::default()
        };
        let used = BTreeSet::from(["used".to_owned()]);
        for (image, default, all) in [
            (image("used", &[], false), false, false),
            (image("pinned", &[], true), false, false),
            (image("tagged", &["a:1"], false), false, true),
            (image("dangling", &[], false), true, true),
        ] {
            assert_eq!(goes(&image, &used, false), default, "{}", image.id);
            assert_eq!(goes(&image, &used, true), all, "{}", image.id);
        }
    }
}
