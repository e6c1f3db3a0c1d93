//! The build itself: stage by stage, step by step; what is known is taken from the cache, the rest is done.
//!
//! Whatever happens, the work folder and the secrets are gone at the end, and the layers of steps that were done are kept: a
//! build that failed goes on where it failed.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use minik_api::build::build_output::What;
use minik_api::build::{BuildOutput, BuildRequest, Built, Step as Told, StepDone, Wanted};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::cache::{Cache, Made};
use super::config::Config;
use super::dockerfile::{self, Act, Dockerfile, Step};
use super::expand::expand;
use super::run::RunError;
use super::stage::{Given, Stage};
use super::{NAMESPACE, Wrong, context, graph};
use crate::cri::with_code;
use crate::daemon::{Daemon, new_id, now_nanos};
use crate::images::compose::Layer;
use crate::images::digest::{ChainId, Digest};
use crate::images::error::chain;
use crate::images::platform::Platform;
use crate::images::reference::Reference;
use crate::images::{Image, Images};
use crate::snapshots::View;

/// Images that keep the layers of stages for the next build.
const KEPT_STAGES: usize = 64;

/// The client's end of its stream.
pub(super) struct Teller(pub(super) mpsc::Sender<Result<BuildOutput, Status>>);

impl Teller {
    /// Fails when the client is gone: then nobody wants the image.
    pub(super) async fn say(&self, what: What) -> Result<(), Status> {
        let sent = self.0.send(Ok(BuildOutput { what: Some(what) })).await;
        sent.map_err(|_| Status::cancelled("the client is gone"))
    }
}

/// Pieces of the context as the client sends them.
pub(super) type Pieces = mpsc::Receiver<std::io::Result<Bytes>>;

pub(super) struct Engine {
    pub(super) daemon: Arc<Daemon>,
    /// Of the namespace in which the image gets its names.
    pub(super) images: Images,
    pub(super) request: BuildRequest,
    pub(super) tell: Teller,
    /// On a tmpfs.
    pub(super) secrets: PathBuf,
    pub(super) work: PathBuf,
    arguments: BTreeMap<String, String>,
    global: BTreeMap<String, String>,
    cache: Cache,
    pieces: Option<Pieces>,
    context: Option<View>,
    file: Dockerfile,
    done: HashMap<usize, Stage>,
    number: u32,
    total: u32,
    warnings: Vec<String>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        for directory in [&self.work, &self.secrets] {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %directory.display(), %error, "remove a build's folder");
                }
                _ => {}
            }
        }
    }
}

impl Engine {
    pub(super) fn new(
        daemon: &Arc<Daemon>,
        request: BuildRequest,
        pieces: Pieces,
        tell: Teller,
    ) -> Result<Engine, Status> {
        let images = daemon.images.in_namespace(&request.namespace);
        let id = new_id();
        Ok(Engine {
            images: images.map_err(|error| Status::invalid_argument(error.to_string()))?,
            secrets: daemon.config.state.join("build").join(&id),
            work: daemon.config.root.join("build/work").join(&id),
            arguments: request.arguments.clone().into_iter().collect(),
            global: BTreeMap::new(),
            cache: Cache::open(&daemon.config.root).map_err(|error| with_code(Code::Internal)(&error))?,
            daemon: Arc::clone(daemon),
            pieces: Some(pieces),
            context: None,
            file: Dockerfile::default(),
            done: HashMap::new(),
            number: 0,
            total: 0,
            warnings: Vec::new(),
            request,
            tell,
        })
    }

    /// Builds, and tells the client what it has now.
    pub(super) async fn build(&mut self) -> Result<(), Status> {
        let names = self.request.names.iter().map(|name| name.parse::<Reference>());
        let names = names
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Status::invalid_argument(chain(&error)))?;
        // Until the image has a name, nothing but this keeps its layers.
        let _busy = self.images.busy().await;
        let text = String::from_utf8(std::mem::take(&mut self.request.dockerfile)).map_err(|_| {
            Status::invalid_argument(format!("{}: this is no text in UTF-8", self.request.dockerfile_name))
        })?;
        self.file = dockerfile::read(&text).map_err(|wrong| self.at(&wrong))?;
        let bases = self.bases().map_err(|wrong| self.at(&wrong))?;
        let target = graph::target(&self.file, &self.request.target).map_err(|wrong| self.at(&wrong))?;
        let needed = graph::needed(&self.file, &bases, target);
        let steps = needed.iter().map(|number| 1 + self.file.stages[*number].steps.len());
        self.total = u32::try_from(steps.sum::<usize>()).unwrap_or(u32::MAX);
        for number in needed {
            let built = self.stage(number, &bases[number]).await;
            self.keep(number).await;
            built?;
        }
        if let Err(error) = self.cache.trim() {
            tracing::warn!(%error, "trim the cache of builds");
        }
        let stage = self
            .done
            .remove(&target)
            .expect("the target is the last stage that was built");
        let (image, digest) = self.image(stage, &names).await?;
        let unused = self
            .arguments
            .keys()
            .filter(|name| !text.contains(name.as_str()) && !name.to_lowercase().ends_with("_proxy"));
        self.warnings
            .extend(unused.map(|name| format!("--build-arg {name}: the Dockerfile has no ARG of this name")));
        let built = Built {
            image_ref: image.id.to_string(),
            digest: digest.to_string(),
            names: names.iter().filter_map(Reference::tagged).collect(),
            warnings: std::mem::take(&mut self.warnings),
        };
        self.tell.say(What::Built(built)).await
    }

    pub(super) fn given(&self) -> Given<'_> {
        Given {
            arguments: &self.arguments,
            global: &self.global,
        }
    }

    /// What a stack of layers shows.
    pub(super) fn view(&self, top: Option<&ChainId>) -> Result<View, Status> {
        let view = self.images.snapshots().view(top);
        view.map_err(|error| with_code(Code::Internal)(&error))
    }

    /// Where files come from: the context, a stage, or an image; with what says which content it has, if that is known.
    pub(super) async fn source(&mut self, from: Option<&str>) -> Result<(View, Option<String>), Status> {
        let Some(from) = from else {
            return Ok((self.context().await?, None));
        };
        let current = self.done.len().max(self.file.stages.len());
        let stage = graph::stage_of(&self.file, from, current).and_then(|number| self.done.get(&number));
        let top = match stage {
            Some(stage) => stage.chain.clone(),
            None => self.pulled(from).await?.chain.clone(),
        };
        let known = top.as_ref().map_or("scratch".to_owned(), ToString::to_string);
        Ok((self.view(top.as_ref())?, Some(known)))
    }

    /// The FROMs with their variables replaced; only ARGs before the first of them count.
    fn bases(&mut self) -> Result<Vec<String>, Wrong> {
        let platform = Platform::host();
        let own = platform.to_string();
        for (name, value) in [
            ("TARGETPLATFORM", own.as_str()),
            ("BUILDPLATFORM", own.as_str()),
            ("TARGETOS", "linux"),
            ("BUILDOS", "linux"),
            ("TARGETARCH", platform.architecture.as_str()),
            ("BUILDARCH", platform.architecture.as_str()),
        ] {
            self.global.insert(name.to_owned(), value.to_owned());
        }
        for (name, default) in &self.file.arguments {
            let default = default
                .as_ref()
                .map(|word| expand(word, &|name| self.global.get(name).cloned()));
            let default = default
                .transpose()
                .map_err(|what| Wrong::new(1, format!("ARG {name}: {what}")))?;
            if let Some(value) = self.arguments.get(name).cloned().or(default) {
                self.global.insert(name.clone(), value);
            }
        }
        let base = |stage: &dockerfile::Stage| {
            let wrong = |what: String| Wrong::new(stage.line, format!("{}: {what}", stage.text));
            let expanded = |word: &str| expand(word, &|name| self.global.get(name).cloned()).map_err(wrong);
            let asked = stage.platform.as_deref().map(expanded).transpose()?.unwrap_or_default();
            if !asked.is_empty() && asked != own {
                return Err(wrong(format!("steps run on this machine, which is {own}, not {asked}")));
            }
            match expanded(&stage.base)? {
                base if base.is_empty() => Err(wrong(
                    "the image's name is empty: is its ARG before the first FROM?".to_owned(),
                )),
                base => Ok(base),
            }
        };
        self.file.stages.iter().map(base).collect()
    }

    async fn stage(&mut self, number: usize, base: &str) -> Result<(), Status> {
        let (line, text) = (self.file.stages[number].line, self.file.stages[number].text.clone());
        let name = self.file.stages[number].name.clone();
        let shown = match (&name, self.file.stages.len()) {
            (Some(name), _) => name.clone(),
            (None, 1) => String::new(),
            (None, _) => format!("stage-{number}"),
        };
        self.begin(&shown, &text).await?;
        let mut stage = self.base(number, base).await.map_err(|status| {
            Status::new(
                status.code(),
                format!("{}:{line}: {text}: {}", self.request.dockerfile_name, status.message()),
            )
        })?;
        self.tell.say(What::StepDone(StepDone { cached: true })).await?;
        let mut steps = self.file.stages[number].steps.clone();
        let triggers = stage.config.words("OnBuild");
        stage.config.take("OnBuild");
        for (place, trigger) in triggers.iter().enumerate() {
            let step = dockerfile::read_trigger(trigger);
            let step =
                step.map_err(|wrong| self.at(&Wrong::new(line, format!("ONBUILD of {base}: {}", wrong.what))))?;
            self.total += 1;
            steps.insert(place, Step { line, ..step });
        }
        self.done.insert(number, stage.clone());
        for step in steps {
            self.begin(&shown, &step.text).await?;
            let cached = self.step(&mut stage, &step).await;
            // What was done so far is kept, whatever came after it.
            self.done.insert(number, stage.clone());
            let cached = cached.map_err(|error| match error {
                RunError::Wrong(what) => self.at(&Wrong::new(step.line, format!("{}: {what}", step.text))),
                RunError::Failed(status) if status.code() == Code::Cancelled => status,
                RunError::Failed(status) => {
                    let (file, line) = (&self.request.dockerfile_name, step.line);
                    Status::new(
                        status.code(),
                        format!("{file}:{line}: {}: {}", step.text, status.message()),
                    )
                }
            })?;
            self.tell.say(What::StepDone(StepDone { cached })).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, stage: &str, text: &str) -> Result<(), Status> {
        self.number += 1;
        let step = Told {
            number: self.number,
            total: self.total,
            stage: stage.to_owned(),
            text: text.to_owned(),
        };
        self.tell.say(What::Step(step)).await
    }

    /// What a stage begins with.
    async fn base(&mut self, number: usize, base: &str) -> Result<Stage, Status> {
        let epoch = format!("{:?}", self.request.source_date_epoch);
        let mut stage = if let Some(earlier) = graph::stage_of(&self.file, base, number) {
            self.done
                .get(&earlier)
                .expect("stages are built in their order")
                .clone()
        } else if base == "scratch" {
            Stage {
                config: Config::scratch(&Platform::host().architecture),
                layers: Vec::new(),
                chain: None,
                key: Digest::of(format!("1 scratch {epoch}").as_bytes()),
                arguments: BTreeMap::new(),
                has_command: false,
            }
        } else {
            let image = self.pulled(base).await?;
            let parts = self.images.parts(&image);
            let (layers, config) = parts.map_err(|error| with_code(Code::FailedPrecondition)(&error))?;
            let mut config = Config::of(config);
            config.fill_history(layers.len());
            Stage {
                config,
                layers,
                chain: image.chain.clone(),
                key: Digest::of(format!("1 {} {epoch}", image.id).as_bytes()),
                arguments: BTreeMap::new(),
                has_command: false,
            }
        };
        stage.arguments.clear();
        stage.has_command = false;
        Ok(stage)
    }

    /// An image that is here, or has come now.
    async fn pulled(&self, name: &str) -> Result<Arc<Image>, Status> {
        let reference: Reference = name
            .parse()
            .map_err(|error| Status::invalid_argument(format!("{name:?} is neither a stage nor an image: {error}")))?;
        if let Some(image) = self.images.find(&reference.to_string()).filter(|_| !self.request.pull) {
            return Ok(image);
        }
        self.tell.say(What::Note(format!("pulling {reference}"))).await?;
        let pulled = self.images.pull(&reference, None).await;
        pulled.map_err(|error| error.to_status())
    }

    /// Does a step, or takes what it has made before. True for the latter.
    async fn step(&mut self, stage: &mut Stage, step: &Step) -> Result<bool, RunError> {
        let given = Given {
            arguments: &self.arguments,
            global: &self.global,
        };
        let simple = stage.apply(&step.act, &given).map_err(RunError::Wrong)?;
        let seen = match &step.act {
            // All that a command may depend on beside the steps before.
            Act::Run(_) => format!("{:?} {}", stage.arguments, self.request.network_none),
            Act::Copy(copy) => self.fingerprint(stage, copy).await?,
            Act::Arg(_) => String::new(),
            _ => stage.config.part(),
        };
        let key = format!("{} {:?} {:?} {seen}", stage.key, stage.chain, step.act);
        stage.key = Digest::of(key.as_bytes());
        let (created, text) = (self.created(), step.text.clone());
        if simple && !matches!(step.act, Act::Workdir(_)) {
            if !matches!(step.act, Act::Arg(_)) {
                stage.config.add_history(&created, &text, true);
            }
            return Ok(true);
        }
        let known = self.cache.get(&stage.key, &self.images, stage.chain.as_ref());
        let known = known.filter(|_| !self.request.no_cache);
        let cached = known.is_some();
        let layer = match known {
            Some(made) => made.layer,
            None => {
                let layer = match &step.act {
                    Act::Run(run) => self.run(stage, run).await?,
                    Act::Copy(copy) => self.copy(stage, copy).await?,
                    _ => self.directory(stage).await?,
                };
                let made = Made { layer };
                let put = self.cache.put(&stage.key, &made);
                put.map_err(|error| RunError::Wrong(format!("remember what it made: {error}")))?;
                made.layer
            }
        };
        stage.config.add_history(&created, &text, layer.is_none());
        if let Some(layer) = layer {
            stage.chain = Some(ChainId::extend(stage.chain.as_ref(), &layer.diff_id));
            stage.layers.push(layer);
        }
        Ok(cached)
    }

    async fn context(&mut self) -> Result<View, Status> {
        if let Some(context) = &self.context {
            return Ok(context.clone());
        }
        let pieces = self
            .pieces
            .take()
            .ok_or_else(|| Status::internal("the context came already"))?;
        self.tell.say(What::Wanted(Wanted {})).await?;
        let directory = self.work.join("context");
        let unpacked = directory.clone();
        let received = blocking(move || context::receive(pieces, &unpacked)).await?;
        received.map_err(|what| Status::invalid_argument(format!("the context: {what}")))?;
        let view = View { lower: vec![directory] };
        self.context = Some(view.clone());
        Ok(view)
    }

    /// The image of a stage that is done.
    async fn image(&self, mut stage: Stage, names: &[Reference]) -> Result<(Arc<Image>, Digest), Status> {
        stage.config.add_labels_if_any(&self.request.labels);
        let (images, created, names) = (self.images.clone(), self.created(), names.to_vec());
        let made = blocking(move || finish(&images, stage, &created, &names).map_err(|error| chain(&error)));
        made.await?
            .map_err(|what| Status::internal(format!("make the image: {what}")))
    }

    /// Has an image of its own keep a stage's layers, in the place of the one of the last build of this name.
    async fn keep(&self, number: usize) {
        let Some(stage) = self.done.get(&number).cloned() else {
            return;
        };
        let built = self.request.names.first().map_or("", String::as_str);
        let name =
            Digest::of(format!("{} {built} {}", self.request.namespace, self.request.dockerfile_name).as_bytes());
        let name = format!("{NAMESPACE}/{}:{number}", &name.hex()[..16]);
        let (Ok(images), Ok(name)) = (self.daemon.images.in_namespace(NAMESPACE), name.parse::<Reference>()) else {
            return;
        };
        let of_stage = images.clone();
        let kept =
            blocking(move || finish(&of_stage, stage, "1970-01-01T00:00:00Z", &[name]).map_err(|error| chain(&error)));
        if let Ok(Err(error)) = kept.await {
            tracing::warn!(error, "keep a stage's layers for the next build");
        }
        let all = images.list();
        for image in all.iter().take(all.len().saturating_sub(KEPT_STAGES)) {
            let _ = images.remove(image.id.as_str()).await;
        }
    }

    fn created(&self) -> String {
        let now = now_nanos() / 1_000_000_000;
        let seconds = self.request.source_date_epoch.unwrap_or(now);
        jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
    }

    fn at(&self, wrong: &Wrong) -> Status {
        let name = &self.request.dockerfile_name;
        Status::invalid_argument(format!("{name}:{}: {}", wrong.line, wrong.what))
    }
}

fn finish(
    images: &Images,
    mut stage: Stage,
    created: &str,
    names: &[Reference],
) -> Result<(Arc<Image>, Digest), crate::images::compose::ComposeError> {
    let diff_ids: Vec<&str> = stage
        .layers
        .iter()
        .map(|layer: &Layer| layer.diff_id.as_str())
        .collect();
    stage.config.finish(created, &diff_ids);
    images.add_image(&stage.config.document(), &stage.layers, names)
}

/// Work on files, off the threads that wait for sockets.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(format!("the runtime failed on this build: {error}")))
}
