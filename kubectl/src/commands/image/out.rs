//! `image push`, `save` and `tag`: images under other names and elsewhere.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use futures::StreamExt as _;
use minik_api::images::{ExportRequest, PushRequest, TagRequest};

use crate::image::archive;
use crate::image::progress::{self, View};
use crate::image::runtime::{Runtime, RuntimeError};

/// Arguments of `image push`.
#[derive(Args, Debug)]
pub struct Push {
    /// The image, by a name that says where to.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Push it under this name instead.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// USER:PASSWORD for the registry, in the place of the node's own logins.
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Option<String>,
    /// Speak http without TLS.
    #[arg(long)]
    plain_http: bool,
    /// Say nothing but the digest.
    #[arg(short, long)]
    quiet: bool,
}

/// Arguments of `image save`.
#[derive(Args, Debug)]
pub struct Save {
    /// The images.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// The archive; - for standard output.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Arguments of `image tag`.
#[derive(Args, Debug)]
pub struct Tag {
    /// The image: a name or an id.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Its new name; an image that has it loses it.
    #[arg(value_name = "NAME")]
    name: String,
}

impl Push {
    pub async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let what = format!("can't push {}", self.image);
        let (username, password) = match self.creds.as_deref().map(|creds| creds.split_once(':')) {
            None => (String::new(), String::new()),
            Some(Some((username, password))) => (username.to_owned(), password.to_owned()),
            Some(None) => bail!("--creds is USER:PASSWORD"),
        };
        let request = PushRequest {
            image: self.image.clone(),
            name: self.name.unwrap_or_default(),
            username,
            password,
            plain_http: self.plain_http,
            ..PushRequest::default()
        };
        let answer = runtime.images().push(request).await;
        let mut updates = answer.map_err(RuntimeError::refused(what.clone()))?.into_inner();
        let mut view = View::new();
        while let Some(update) = updates.next().await {
            let update = update.map_err(RuntimeError::refused(what.clone()))?;
            if !self.quiet {
                view.show(&update);
            }
            if update.image_ref.is_empty() {
                continue;
            }
            view.finish(&update.image);
            let text = if self.quiet {
                update.image_ref
            } else {
                format!(
                    "{}@{}",
                    progress::done(&update.image, &update.image_ref),
                    update.image_ref
                )
            };
            writeln!(anstream::stdout(), "{text}")?;
            return Ok(());
        }
        bail!("{what}: the runtime ended without saying why; see its log (`minikctl status`)")
    }
}

impl Save {
    pub async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let request = ExportRequest {
            namespace: String::new(),
            images: self.images,
        };
        let saved = archive::save(runtime, request, &self.output).await;
        saved.map_err(|error| match error.downcast::<tonic::Status>() {
            Ok(status) => RuntimeError::refused("can't save")(status).into(),
            Err(error) => error,
        })
    }
}

impl Tag {
    pub async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let what = format!("can't tag {}", self.image);
        let request = TagRequest {
            namespace: String::new(),
            image: self.image,
            name: self.name,
            force: true,
        };
        runtime
            .images()
            .tag(request)
            .await
            .map_err(RuntimeError::refused(what))?;
        Ok(())
    }
}
