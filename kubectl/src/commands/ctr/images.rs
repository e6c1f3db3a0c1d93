//! `ctr image …`: images of a namespace.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures::StreamExt as _;
use minik_api::images::{
    ExportRequest, ImportChunk, ListRequest, Named, Progress, PullRequest, PushRequest, RemoveRequest, TagRequest,
};
use tokio::io::AsyncReadExt as _;

use super::status::{self, Table};
use super::tabs::{NARROW, binary};
use super::{Client, mounts};

const CHUNK_BYTES: usize = 256 << 10;

/// The verbs of `ctr image`.
#[derive(Subcommand, Debug)]
pub(super) enum ImagesVerb {
    /// Pull an image from its registry
    Pull(Pull),
    /// List images
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Push an image to a registry
    Push(Push),
    /// Import an archive of images
    Import(Import),
    /// Write images into an archive
    Export(Export),
    /// Give an image more names
    Tag(Tag),
    /// Remove images by name
    #[command(visible_aliases = ["remove", "delete", "del"])]
    Rm(Rm),
    /// Mount an image at a directory
    Mount(mounts::Mount),
    /// Unmount what `mount` did
    Unmount(mounts::Unmount),
    /// Tell whether all of each image is here
    Check(Ls),
    /// Tell how much an image takes
    Usage(Usage),
}

/// How a registry is spoken to.
#[derive(Args, Debug)]
pub(super) struct Registry {
    /// USER[:PASSWORD] for the registry.
    #[arg(short, long, value_name = "USER[:PASSWORD]")]
    user: Option<String>,
    /// Speak http without TLS.
    #[arg(long)]
    plain_http: bool,
    /// Done by the runtime in any case.
    #[arg(long, hide = true)]
    local: bool,
}

#[derive(Args, Debug)]
pub(super) struct Pull {
    #[arg(value_name = "REF")]
    image: String,
    #[command(flatten)]
    registry: Registry,
    /// Only this machine's platform can be run, and is pulled.
    #[arg(long, value_name = "PLATFORM")]
    platform: Vec<String>,
    #[arg(long, hide = true)]
    all_platforms: bool,
}

#[derive(Args, Debug)]
pub(super) struct Ls {
    /// Names only.
    #[arg(short, long)]
    quiet: bool,
    /// Only names that contain one of these, after an optional `name~=`.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Push {
    /// Where to.
    #[arg(value_name = "REMOTE")]
    remote: String,
    /// What; without it, the image that has the remote name.
    #[arg(value_name = "REF")]
    image: Option<String>,
    #[command(flatten)]
    registry: Registry,
    #[arg(long, hide = true)]
    platform: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Import {
    /// The archive; - for what is piped in.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[arg(long, hide = true)]
    local: bool,
    #[arg(long, hide = true)]
    all_platforms: bool,
    #[arg(long, hide = true)]
    platform: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Export {
    /// The archive; - for standard output.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    #[arg(value_name = "REF", required = true)]
    images: Vec<String>,
    #[arg(long, hide = true)]
    local: bool,
    #[arg(long, hide = true)]
    all_platforms: bool,
    #[arg(long, hide = true)]
    platform: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Tag {
    #[arg(value_name = "REF")]
    image: String,
    #[arg(value_name = "NEW", required = true)]
    names: Vec<String>,
    /// Take a name away from the image that has it.
    #[arg(long)]
    force: bool,
    #[arg(long, hide = true)]
    local: bool,
}

#[derive(Args, Debug)]
pub(super) struct Rm {
    #[arg(value_name = "REF", required = true)]
    images: Vec<String>,
    /// Always so: what nothing needs is gone when this ends.
    #[arg(long, hide = true)]
    sync: bool,
}

#[derive(Args, Debug)]
pub(super) struct Usage {
    #[arg(value_name = "REF")]
    image: String,
}

impl ImagesVerb {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::Pull(verb) => verb.run(client).await,
            Self::Ls(verb) => verb.list(client).await,
            Self::Push(verb) => verb.run(client).await,
            Self::Import(verb) => verb.run(client).await,
            Self::Export(verb) => verb.run(client).await,
            Self::Tag(verb) => verb.run(client).await,
            Self::Rm(verb) => verb.run(client).await,
            Self::Mount(verb) => verb.run(client).await,
            Self::Unmount(verb) => verb.run(client).await,
            Self::Check(verb) => verb.check(client).await,
            Self::Usage(verb) => verb.run(client).await,
        }
    }
}

impl Registry {
    fn login(&self) -> (String, String) {
        let user = self.user.clone().unwrap_or_default();
        match user.split_once(':') {
            Some((name, password)) => (name.to_owned(), password.to_owned()),
            None => (user, String::new()),
        }
    }
}

impl Pull {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        refuse_platforms(&self.platform)?;
        if self.all_platforms {
            // What a tutorial goes on with works all the same.
            writeln!(anstream::stderr(), "warning: only {} is pulled", platform())?;
        }
        let (username, password) = self.registry.login();
        let request = PullRequest {
            image: self.image.clone(),
            always: true,
            username,
            password,
            namespace: client.namespace.clone(),
            plain_http: self.registry.plain_http,
        };
        let updates = client.runtime.images().pull(request).await?.into_inner();
        let (last, unpacking) = follow(updates, Table::new(Some(self.image))).await?;
        let mut out = anstream::stdout();
        if let Some(digest) = status::resolved(&last) {
            writeln!(out, "unpacking {} {digest}...", platform())?;
        }
        writeln!(out, "done: {unpacking:?}\t")?;
        Ok(())
    }
}

/// Shows pictures to the last one.
async fn follow(
    mut updates: tonic::Streaming<Progress>,
    mut table: Table,
) -> anyhow::Result<(Progress, std::time::Duration)> {
    let mut last = Progress::default();
    while let Some(update) = updates.next().await {
        let update = update?;
        table.show(&update)?;
        if !update.documents.is_empty() {
            last = update;
        }
    }
    Ok((last, table.finish()?))
}

/// This machine's, in Go's words.
fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux/{architecture}")
}

fn refuse_platforms(asked: &[String]) -> anyhow::Result<()> {
    let own = platform();
    match asked.iter().find(|asked| **asked != own) {
        Some(other) => {
            anyhow::bail!("this runtime keeps images for {own} alone, not for {other}: leave --platform out")
        }
        None => Ok(()),
    }
}

impl Client {
    async fn named(&self, filters: &[String]) -> anyhow::Result<Vec<Named>> {
        let request = ListRequest {
            namespace: self.namespace.clone(),
        };
        let mut images = self.runtime.images().list(request).await?.into_inner().images;
        let part = |filter: &String| {
            let text = filter.trim_start_matches("name~=").trim_start_matches("name==");
            text.trim_matches(['"', '/']).to_owned()
        };
        let parts: Vec<String> = filters.iter().map(part).collect();
        images.retain(|image| parts.is_empty() || parts.iter().any(|part| image.name.contains(part)));
        Ok(images)
    }
}

impl Ls {
    async fn list(self, client: &Client) -> anyhow::Result<()> {
        let images = client.named(&self.filters).await?;
        if self.quiet {
            return write_names(&images);
        }
        let mut text = "REF\tTYPE\tDIGEST\tSIZE\tPLATFORMS\tLABELS\t\n".to_owned();
        for image in images {
            let (size, platforms) = (binary(image.size_bytes), image.platforms.join(","));
            let (name, kind, digest) = (image.name, image.media_type, image.digest);
            text.push_str(&format!("{name}\t{kind}\t{digest}\t{size}\t{platforms}\t-\t\n"));
        }
        write(&NARROW.format(&text))
    }

    async fn check(self, client: &Client) -> anyhow::Result<()> {
        let images = client.named(&self.filters).await?;
        if self.quiet {
            return write_names(&images);
        }
        let mut text = "REF\tTYPE\tDIGEST\tSTATUS\tSIZE\tUNPACKED\t\n".to_owned();
        for image in images {
            let word = if image.present == image.needed {
                "complete"
            } else {
                "incomplete"
            };
            let status = format!("{word} ({}/{})", image.present, image.needed);
            let size = format!("{}/{}", binary(image.present_bytes), binary(image.needed_bytes));
            let (name, kind, digest) = (image.name, image.media_type, image.digest);
            // An image is listed only once it is unpacked.
            text.push_str(&format!("{name}\t{kind}\t{digest}\t{status}\t{size}\ttrue\n"));
        }
        write(&NARROW.format(&text))
    }
}

fn write_names(images: &[Named]) -> anyhow::Result<()> {
    let lines: String = images.iter().map(|image| format!("{}\n", image.name)).collect();
    write(&lines)
}

pub(super) fn write(text: &str) -> anyhow::Result<()> {
    anstream::stdout().write_all(text.as_bytes())?;
    Ok(())
}

impl Push {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        refuse_platforms(&self.platform)?;
        let (username, password) = self.registry.login();
        let request = PushRequest {
            namespace: client.namespace.clone(),
            image: self.image.unwrap_or_else(|| self.remote.clone()),
            name: self.remote,
            username,
            password,
            plain_http: self.registry.plain_http,
        };
        let updates = client.runtime.images().push(request).await?.into_inner();
        follow(updates, Table::new(None)).await?;
        Ok(())
    }
}

impl Import {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        refuse_platforms(&self.platform)?;
        let name = self.file.display().to_string();
        let file: Box<dyn tokio::io::AsyncRead + Send + Unpin> = if name == "-" {
            Box::new(tokio::io::stdin())
        } else {
            let opened = tokio::fs::File::open(&self.file).await;
            Box::new(opened.with_context(|| format!("open {name}"))?)
        };
        let namespace = client.namespace.clone();
        let chunks = futures::stream::unfold(file, move |mut file| {
            let namespace = namespace.clone();
            async move {
                let mut data = vec![0; CHUNK_BYTES];
                // A file that can't be read to its end is refused by the runtime as cut off.
                let length = file.read(&mut data).await.unwrap_or(0);
                data.truncate(length);
                (length > 0).then_some((ImportChunk { data, namespace }, file))
            }
        });
        let mut updates = client.runtime.images().import(chunks).await?.into_inner();
        let mut imported = Vec::new();
        while let Some(update) = updates.next().await {
            let update = update?;
            if !update.image_ref.is_empty() {
                imported.push(update.image);
            }
        }
        let named = client.named(&[]).await?;
        let mut out = anstream::stdout();
        for name in imported {
            let digest = named.iter().find(|image| image.name == name);
            let digest = digest.map_or("", |image| image.digest.as_str());
            writeln!(out, "unpacking {name} ({digest})...done")?;
        }
        Ok(())
    }
}

impl Export {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        refuse_platforms(&self.platform)?;
        let request = ExportRequest {
            namespace: client.namespace.clone(),
            images: self.images,
        };
        crate::image::archive::save(&client.runtime, request, &self.out).await
    }
}

impl Tag {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        for name in self.names {
            let request = TagRequest {
                namespace: client.namespace.clone(),
                image: self.image.clone(),
                name: name.clone(),
                force: self.force,
            };
            client.runtime.images().tag(request).await?;
            writeln!(anstream::stdout(), "{name}")?;
        }
        Ok(())
    }
}

impl Rm {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        for image in self.images {
            let request = RemoveRequest {
                namespace: client.namespace.clone(),
                image: image.clone(),
            };
            match client.runtime.images().remove(request).await {
                Ok(_) => writeln!(anstream::stdout(), "{image}")?,
                // ctr's rule: what isn't there is no failure.
                Err(status) if status.code() == tonic::Code::NotFound => {
                    writeln!(anstream::stderr(), "warning: {image}: image not found")?;
                }
                Err(status) => return Err(status.into()),
            }
        }
        Ok(())
    }
}

impl Usage {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let images = client.named(&[]).await?;
        let image = images.iter().find(|image| image.name == self.image);
        let image = image.with_context(|| format!("image {:?}: not found", self.image))?;
        write(&format!("{}\n", binary(image.unpacked_bytes)))
    }
}
