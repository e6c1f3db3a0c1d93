//! `image`: the node's images, straight from the runtime. `out` is where they go, `about` what they say, `space` what they take.

mod about;
mod build;
mod out;
mod space;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use futures::StreamExt as _;
use minik_api::cri::{Image, ImageSpec, ImageStatusRequest, ListImagesRequest, PullImageRequest, RemoveImageRequest};
use minik_api::images::{ImportChunk, Progress, PullRequest};
use tokio::io::AsyncReadExt as _;

use crate::cli::Global;
use crate::failure::Several;
use crate::image::progress::{self, View};
use crate::image::runtime::{Runtime, RuntimeError};
use crate::node::{Instance, Overrides};
use crate::print::gojson;
use crate::print::table::Grid;

/// How much of an archive goes in one message.
const CHUNK_BYTES: usize = 256 << 10;

/// The verbs of `image`.
#[derive(Subcommand, Debug)]
pub enum ImageVerb {
    /// Build an image from a Dockerfile
    #[command(after_help = "Examples:
  sudo minikctl image build -t app:1 .
  sudo minikctl image build -t app:1 -f deploy/Dockerfile --build-arg VERSION=2 .
  sudo minikctl image build -t app:1 --secret id=token,src=token.txt .")]
    Build(Box<build::Build>),
    /// Pull an image from its registry
    #[command(after_help = "Examples:
  sudo minikctl image pull nginx:stable
  sudo minikctl image pull registry.example.com/team/app@sha256:...")]
    Pull(Pull),
    /// List the images on the node
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Remove images from the node
    #[command(visible_alias = "remove")]
    Rm(Rm),
    /// Import an archive made by `docker save` or in OCI layout
    #[command(after_help = "Examples:
  sudo minikctl image import app.tar
  docker save app | sudo minikctl image import -")]
    #[command(visible_alias = "load")]
    Import(Import),
    /// Write images into an archive that `docker load` and `image import` read
    #[command(after_help = "Examples:
  sudo minikctl image save -o app.tar app:1
  sudo minikctl image save -o - app:1 | gzip > app.tar.gz")]
    Save(out::Save),
    /// Send an image to a registry
    #[command(after_help = "Examples:
  sudo minikctl image push registry.example.com/team/app:1
  sudo minikctl image push app:1 localhost:5000/app:1")]
    Push(out::Push),
    /// Give an image another name
    Tag(out::Tag),
    /// Show what an image's config says
    Inspect(about::Inspect),
    /// Show the steps that an image was built in
    History(about::History),
    /// Show what images take on the disk
    Usage(space::Usage),
    /// Remove images that no container needs
    Prune(space::Prune),
}

/// Arguments of `image pull`.
#[derive(Args, Debug)]
pub struct Pull {
    /// The images.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Ask the registry even if the image is here.
    #[arg(long)]
    always: bool,
    /// Say nothing but the image's id.
    #[arg(short, long)]
    quiet: bool,
}

/// Arguments of `image ls`.
#[derive(Args, Debug)]
pub struct Ls {
    /// Rows only.
    #[arg(long)]
    no_headers: bool,
    /// Only ids.
    #[arg(short, long)]
    quiet: bool,
    /// As JSON.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

/// Arguments of `image rm`.
#[derive(Args, Debug)]
pub struct Rm {
    /// The images: names or ids.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

/// Arguments of `image import`.
#[derive(Args, Debug)]
pub struct Import {
    /// The archive, plain or compressed; - for what is piped in.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl ImageVerb {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let runtime = connect(global).await?;
        match self {
            Self::Build(verb) => verb.run(&runtime).await,
            Self::Pull(verb) => verb.run(&runtime).await,
            Self::Ls(verb) => verb.run(&runtime).await,
            Self::Rm(verb) => verb.run(&runtime).await,
            Self::Import(verb) => verb.run(&runtime).await,
            Self::Save(verb) => verb.run(&runtime).await,
            Self::Push(verb) => verb.run(&runtime).await,
            Self::Tag(verb) => verb.run(&runtime).await,
            Self::Inspect(verb) => verb.run(&runtime).await,
            Self::History(verb) => verb.run(&runtime).await,
            Self::Usage(verb) => verb.run(&runtime).await,
            Self::Prune(verb) => verb.run(&runtime).await,
        }
    }
}

/// The runtime of the instance that the user works with.
///
/// # Errors
/// When it isn't there.
pub async fn connect(global: &Global) -> anyhow::Result<Runtime> {
    let instance = Instance::resolve(global.instance_name(), &Overrides::default())?;
    if let Some(url) = &instance.runtime_endpoint {
        anyhow::bail!("pods of this node run by {url}: their images are there, and its own tools manage them");
    }
    Ok(Runtime::connect(&instance.runtime_socket()).await?)
}

impl Pull {
    async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let mut view = View::new();
        for image in &self.images {
            let done = pull(runtime, image, self.always, &mut |progress| {
                if !self.quiet {
                    view.show(progress);
                }
            })
            .await?;
            view.finish(&done.image);
            if self.quiet {
                writeln!(anstream::stdout(), "{}", done.image_ref)?;
            } else {
                writeln!(anstream::stdout(), "{}", progress::done(&done.image, &done.image_ref))?;
            }
        }
        Ok(())
    }
}

/// Pulls an image, telling how far it is.
///
/// # Errors
/// Why the registry or the runtime didn't give it.
pub async fn pull(
    runtime: &Runtime,
    image: &str,
    always: bool,
    tell: &mut impl FnMut(&Progress),
) -> anyhow::Result<Progress> {
    let request = PullRequest {
        image: image.to_owned(),
        always,
        ..PullRequest::default()
    };
    let what = format!("can't pull {image}");
    let answer = match runtime.images().pull(request).await {
        Err(status) if status.code() == tonic::Code::Unimplemented => return pull_plainly(runtime, image).await,
        answer => answer.map_err(RuntimeError::refused(what.clone()))?,
    };
    let mut updates = answer.into_inner();
    while let Some(update) = updates.next().await {
        let update = update.map_err(RuntimeError::refused(what.clone()))?;
        tell(&update);
        if !update.image_ref.is_empty() {
            return Ok(update);
        }
    }
    bail!("{what}: the runtime ended without saying why; see its log (`minikctl status`)")
}

/// Pulls as any runtime can, which says nothing until it is done.
async fn pull_plainly(runtime: &Runtime, image: &str) -> anyhow::Result<Progress> {
    let request = PullImageRequest {
        image: Some(ImageSpec {
            image: image.to_owned(),
            ..ImageSpec::default()
        }),
        ..PullImageRequest::default()
    };
    let pulled = runtime.cri().pull_image(request).await;
    let pulled = pulled.map_err(RuntimeError::refused(format!("can't pull {image}")))?;
    Ok(Progress {
        image: image.to_owned(),
        image_ref: pulled.into_inner().image_ref,
        ..Progress::default()
    })
}

impl Ls {
    async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let answer = runtime.cri().list_images(ListImagesRequest::default()).await;
        let mut images = answer
            .map_err(RuntimeError::refused("can't list the images"))?
            .into_inner()
            .images;
        images.sort_by(|a, b| a.repo_tags.cmp(&b.repo_tags).then(a.id.cmp(&b.id)));
        let mut out = anstream::stdout().lock();
        if self.output.is_some() {
            let images: Vec<serde_json::Value> = images.iter().map(as_json).collect();
            writeln!(out, "{}", gojson::indented(&images.into()))?;
            return Ok(());
        }
        if self.quiet {
            for image in images {
                writeln!(out, "{}", image.id)?;
            }
            return Ok(());
        }
        let head = ["IMAGE", "TAG", "IMAGE ID", "SIZE"].map(str::to_owned).to_vec();
        let grid = Grid {
            rows: images.iter().flat_map(rows).collect(),
            head: if self.no_headers { Vec::new() } else { head },
        };
        grid.write(&mut out, &[], crate::commands::get::terminal_columns())?;
        Ok(())
    }
}

/// A row for each name of an image; one for an image without.
fn rows(image: &Image) -> Vec<Vec<String>> {
    let row = |name: &str, tag: &str| {
        vec![
            name.to_owned(),
            tag.to_owned(),
            progress::short(&image.id).to_owned(),
            progress::size(image.size),
        ]
    };
    if image.repo_tags.is_empty() {
        let name = image
            .repo_digests
            .first()
            .and_then(|digest| digest.split_once('@'))
            .map_or("<none>", |(name, _)| name);
        return vec![row(name, "<none>")];
    }
    let split = |tag: &String| {
        tag.rsplit_once(':')
            .map_or_else(|| row(tag, ""), |(name, tag)| row(name, tag))
    };
    image.repo_tags.iter().map(split).collect()
}

fn as_json(image: &Image) -> serde_json::Value {
    serde_json::json!({
        "id": image.id, "repoTags": image.repo_tags, "repoDigests": image.repo_digests,
        "size": image.size.to_string(), "pinned": image.pinned, "username": image.username,
    })
}

impl Rm {
    async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let mut errors = Vec::new();
        for name in self.images {
            match remove(runtime, &name).await {
                Ok(()) => writeln!(anstream::stdout(), "image {name:?} removed")?,
                Err(error) => errors.push(error),
            }
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Several(errors).into()),
        }
    }
}

async fn remove(runtime: &Runtime, name: &str) -> anyhow::Result<()> {
    let image = Some(ImageSpec {
        image: name.to_owned(),
        ..ImageSpec::default()
    });
    // CRI calls the removal of what is not there a success; a person wants to know.
    if !is_here(runtime, name).await? {
        bail!("there is no image {name:?} on this node: `minikctl image ls` lists what is there");
    }
    let removed = runtime.cri().remove_image(RemoveImageRequest { image }).await;
    removed.map_err(RuntimeError::refused(format!("can't remove {name}")))?;
    Ok(())
}

/// Whether the node has an image.
///
/// # Errors
/// Those of asking the runtime.
pub async fn is_here(runtime: &Runtime, name: &str) -> anyhow::Result<bool> {
    let request = ImageStatusRequest {
        image: Some(ImageSpec {
            image: name.to_owned(),
            ..ImageSpec::default()
        }),
        verbose: false,
    };
    let status = runtime.cri().image_status(request).await;
    let status = status.map_err(RuntimeError::refused(format!("can't look for {name}")))?;
    Ok(status.into_inner().image.is_some())
}

impl Import {
    async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let mut view = View::new();
        for file in &self.files {
            let name = file.display().to_string();
            let reader: Box<dyn tokio::io::AsyncRead + Send + Unpin> = if name == "-" {
                Box::new(tokio::io::stdin())
            } else {
                Box::new(
                    tokio::fs::File::open(file)
                        .await
                        .with_context(|| format!("can't open {name}"))?,
                )
            };
            for done in import(runtime, &name, reader, &mut |progress| view.show(progress)).await? {
                view.finish(&done.image);
                writeln!(anstream::stdout(), "{}", progress::done(&done.image, &done.image_ref))?;
            }
        }
        Ok(())
    }
}

fn chunk(data: Vec<u8>) -> ImportChunk {
    ImportChunk {
        data,
        ..ImportChunk::default()
    }
}

/// Sends an archive to the runtime and gives back the last word on each image in it.
///
/// # Errors
/// When the archive can't be read, or the runtime finds it wrong.
pub async fn import(
    runtime: &Runtime,
    name: &str,
    reader: Box<dyn tokio::io::AsyncRead + Send + Unpin>,
    tell: &mut impl FnMut(&Progress),
) -> anyhow::Result<Vec<Progress>> {
    let chunks = futures::stream::unfold(reader, |mut reader| async move {
        let mut data = vec![0; CHUNK_BYTES];
        // A file that can't be read to its end is refused by the runtime as cut off.
        let length = reader.read(&mut data).await.unwrap_or(0);
        data.truncate(length);
        (length > 0).then_some((chunk(data), reader))
    });
    let what = format!("can't import {name}");
    let answer = runtime
        .images()
        .import(chunks)
        .await
        .map_err(RuntimeError::refused(what.clone()))?;
    let mut updates = answer.into_inner();
    let mut done = Vec::new();
    while let Some(update) = updates.next().await {
        let update = update.map_err(RuntimeError::refused(what.clone()))?;
        tell(&update);
        if !update.image_ref.is_empty() {
            done.push(update);
        }
    }
    if done.is_empty() {
        bail!("{what}: there is no image in it");
    }
    Ok(done)
}
