//! `image build`: an image from a Dockerfile. The runtime does the steps; here is what the user has: the folder, the secrets,
//! the screen.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use futures::StreamExt as _;
use minik_api::build::build_input::What as Sent;
use minik_api::build::build_output::What as Told;
use minik_api::build::{BuildInput, BuildRequest, Built, Step};
use tokio::sync::mpsc;

use crate::image::ignore::Ignore;
use crate::image::pack;
use crate::image::progress;
use crate::image::runtime::{Runtime, RuntimeError};
use crate::print::style::{FAINT, STRONG};

/// Messages between the disk and the runtime.
const PIECES: usize = 8;

/// Arguments of `image build`.
#[derive(Args, Debug)]
pub struct Build {
    /// The folder whose files the Dockerfile can copy.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The image's name; can be repeated.
    #[arg(short, long = "tag", value_name = "NAME[:TAG]", required = true)]
    tags: Vec<String>,
    /// The Dockerfile [default: FOLDER/Dockerfile]; - for what is piped in.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Value of an ARG; without a value, that of the environment.
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    arguments: Vec<String>,
    /// A secret for RUN --mount=type=secret: id=NAME,src=FILE or id=NAME,env=VARIABLE.
    #[arg(long = "secret", value_name = "id=NAME,…")]
    secrets: Vec<String>,
    /// A label of the image.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// The stage to build in the place of the last one.
    #[arg(long, value_name = "STAGE", default_value = "", hide_default_value = true)]
    target: String,
    /// Do every step, known or not.
    #[arg(long)]
    no_cache: bool,
    /// Ask the registry for base images that are here.
    #[arg(long)]
    pull: bool,
    /// What steps see of the network: the node's, or nothing.
    #[arg(long, value_parser = ["host", "none"], default_value = "host")]
    network: String,
    /// Say nothing but the image's id.
    #[arg(short, long)]
    quiet: bool,
}

impl Build {
    pub(super) async fn run(self, runtime: &Runtime) -> anyhow::Result<()> {
        let (request, ignore) = self.request()?;
        let name = request.names.first().cloned().unwrap_or_default();
        let what = format!("can't build {name}");
        let (sender, receiver) = mpsc::channel(PIECES);
        sender.send(input(Sent::Request(request))).await?;
        let inputs = futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<BuildInput>| async move {
            Some((receiver.recv().await?, receiver))
        });
        let answer = runtime.builder().build(inputs).await;
        let mut told = answer.map_err(RuntimeError::refused(what.clone()))?.into_inner();
        let mut sender = Some(sender);
        let mut screen = Screen::new(self.quiet);
        while let Some(message) = told.next().await {
            match message.map_err(RuntimeError::refused(what.clone()))?.what {
                Some(Told::Wanted(_)) => {
                    if let Some(sender) = sender.take() {
                        tokio::spawn(send(self.folder.clone(), ignore.clone(), sender));
                    }
                }
                Some(Told::Built(built)) => return finish(&built, self.quiet),
                Some(told) => screen.show(told),
                None => {}
            }
        }
        bail!("{what}: the runtime ended without saying why; see its log (`minikctl status`)")
    }

    /// What is asked for, and the lines of .dockerignore.
    fn request(&self) -> anyhow::Result<(BuildRequest, String)> {
        let folder = &self.folder;
        if !folder.is_dir() {
            bail!(
                "{} is no folder: give the one whose files the Dockerfile copies, such as .",
                folder.display()
            );
        }
        let file = self.file.clone().unwrap_or_else(|| folder.join("Dockerfile"));
        let mut dockerfile = Vec::new();
        if file.as_os_str() == "-" {
            std::io::stdin()
                .read_to_end(&mut dockerfile)
                .context("can't read the Dockerfile that is piped in")?;
        } else {
            dockerfile = std::fs::read(&file).with_context(|| format!("can't read {}", file.display()))?;
        }
        let name = match file.file_name() {
            Some(name) if name != "-" => name.to_string_lossy().into_owned(),
            _ => "Dockerfile".to_owned(),
        };
        let mut own = file.clone().into_os_string();
        own.push(".dockerignore");
        let ignore = std::fs::read_to_string(own).or_else(|_| std::fs::read_to_string(folder.join(".dockerignore")));
        let environment = |name: &str| std::env::var(name).ok();
        let mut arguments = std::collections::HashMap::new();
        for argument in &self.arguments {
            match argument.split_once('=') {
                Some((name, value)) => drop(arguments.insert(name.to_owned(), value.to_owned())),
                None => arguments.extend(environment(argument).map(|value| (argument.clone(), value))),
            }
        }
        let epoch = arguments
            .remove("SOURCE_DATE_EPOCH")
            .or_else(|| environment("SOURCE_DATE_EPOCH"));
        let epoch = epoch.map(|text| {
            text.parse()
                .with_context(|| format!("SOURCE_DATE_EPOCH={text} is no number of seconds"))
        });
        let labels = self.labels.iter().map(|label| {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            (name.to_owned(), value.to_owned())
        });
        let request = BuildRequest {
            namespace: String::new(),
            names: self.tags.clone(),
            dockerfile,
            dockerfile_name: name,
            arguments,
            target: self.target.clone(),
            no_cache: self.no_cache,
            pull: self.pull,
            secrets: self
                .secrets
                .iter()
                .map(|text| secret(text))
                .collect::<anyhow::Result<_>>()?,
            labels: labels.collect(),
            source_date_epoch: epoch.transpose()?,
            network_none: self.network == "none",
        };
        Ok((request, ignore.unwrap_or_default()))
    }
}

fn input(what: Sent) -> BuildInput {
    BuildInput { what: Some(what) }
}

/// `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`.
fn secret(text: &str) -> anyhow::Result<(String, Vec<u8>)> {
    let field = |wanted: &[&str]| {
        let mut fields = text.split(',').filter_map(|field| field.split_once('='));
        fields
            .find(|(name, _)| wanted.contains(name))
            .map(|(_, value)| value.to_owned())
    };
    let id = field(&["id"]).with_context(|| format!("--secret {text} lacks id=NAME"))?;
    if let Some(variable) = field(&["env"]) {
        let value = std::env::var(&variable).with_context(|| format!("--secret {text}: {variable} is not set"))?;
        return Ok((id, value.into_bytes()));
    }
    let path = field(&["src", "source"]).unwrap_or_else(|| id.clone());
    let value = std::fs::read(&path).with_context(|| format!("--secret {text}: can't read {path}"))?;
    Ok((id, value))
}

/// Sends the folder; the end of the stream is its end.
async fn send(folder: PathBuf, ignore: String, sender: mpsc::Sender<BuildInput>) {
    let (pieces, mut packed) = mpsc::channel(PIECES);
    let packing = tokio::task::spawn_blocking(move || pack::pack(&folder, &Ignore::read(&ignore), pieces));
    while let Some(piece) = packed.recv().await {
        if sender.send(input(Sent::Context(piece))).await.is_err() {
            return;
        }
    }
    if let Ok(Err(error)) = packing.await {
        // The runtime says it in its answer.
        let _ = sender.send(input(Sent::Failed(format!("{error:#}")))).await;
    }
}

fn finish(built: &Built, quiet: bool) -> anyhow::Result<()> {
    for warning in &built.warnings {
        writeln!(anstream::stderr(), "warning: {warning}")?;
    }
    if quiet {
        writeln!(anstream::stdout(), "{}", built.image_ref)?;
        return Ok(());
    }
    for name in &built.names {
        writeln!(anstream::stdout(), "{}", progress::done(name, &built.image_ref))?;
    }
    Ok(())
}

/// What is seen of a build: a line a step, below it what its command writes.
struct Screen {
    quiet: bool,
    began: Instant,
    text: String,
    /// Whether the last line of a command's output isn't ended.
    open: bool,
}

impl Screen {
    fn new(quiet: bool) -> Self {
        Self {
            quiet,
            began: Instant::now(),
            text: String::new(),
            open: false,
        }
    }

    fn show(&mut self, told: Told) {
        if self.quiet {
            return;
        }
        let mut out = anstream::stderr().lock();
        // Nothing can be said when stderr is gone.
        let _ = match told {
            Told::Step(step) => {
                self.began = Instant::now();
                let line = line(&step);
                self.text = step.text;
                writeln!(out, "{}{line}{}", STRONG.render(), STRONG.render_reset())
            }
            Told::Log(bytes) => {
                self.open = !bytes.ends_with(b"\n");
                out.write_all(&bytes)
            }
            Told::Note(note) => writeln!(out, "{}  {note}{}", FAINT.render(), FAINT.render_reset()),
            Told::StepDone(done) => {
                let end = if std::mem::take(&mut self.open) { "\n" } else { "" };
                match self.end(done.cached) {
                    Some(word) => writeln!(out, "{end}{}  {word}{}", FAINT.render(), FAINT.render_reset()),
                    None => write!(out, "{end}"),
                }
            }
            Told::Wanted(_) | Told::Built(_) => Ok(()),
        };
    }

    /// Only what makes layers is worth a word.
    fn end(&self, cached: bool) -> Option<String> {
        let makes_a_layer = ["RUN", "COPY", "ADD", "WORKDIR"];
        let word = self.text.split_whitespace().next().unwrap_or_default().to_uppercase();
        if !makes_a_layer.contains(&word.as_str()) {
            return None;
        }
        Some(match cached {
            true => "cached".to_owned(),
            false => format!("done in {:.1} s", self.began.elapsed().as_secs_f32()),
        })
    }
}

/// `[2/5 build] RUN make`
fn line(step: &Step) -> String {
    let stage = if step.stage.is_empty() {
        String::new()
    } else {
        format!(" {}", step.stage)
    };
    format!("[{}/{}{stage}] {}", step.number, step.total, step.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_line() {
        let mut step = Step {
            number: 2,
            total: 5,
            stage: String::new(),
            text: "RUN make".to_owned(),
        };
        assert_eq!(line(&step), "[2/5] RUN make");
        step.stage = "build".to_owned();
        assert_eq!(line(&step), "[2/5 build] RUN make");
    }

    #[test]
    fn secrets_come_from_files() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "s3cret").expect("written");
        let given = format!("id=token,src={}", file.path().display());
        assert_eq!(
            secret(&given).expect("a secret"),
            ("token".to_owned(), b"s3cret".to_vec())
        );
        assert!(secret("src=x").is_err() && secret("id=x,src=/nowhere").is_err());
    }
}
