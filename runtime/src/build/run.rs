//! RUN: a command in a container upon the stage's layers, and what it has changed as the next layer.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use minik_api::build::build_output::What;
use minik_api::containers::{CreateRequest, Mount as Mounted};
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::Spec;
use tokio::sync::mpsc;
use tonic::Status;

use super::NAMESPACE;
use super::copy;
use super::diff::Diff;
use super::dockerfile::{Command, Run};
use super::engine::{Engine, blocking};
use super::mounts::{self, Mount};
use super::stage::Stage;
use super::tarball::Tarball;
use crate::ctr::Foreground;
use crate::daemon::new_id;
use crate::images::compose::Layer;
use crate::images::digest::{ChainId, Digest};
use crate::images::error::chain;

/// Where a script with an interpreter of its own is seen by its container.
const SCRIPT: &str = "/.build-script";
/// Last bytes of a command's output that its failure repeats.
const TAIL_BYTES: usize = 2048;

/// Why a command didn't do its work.
pub(super) enum RunError {
    /// What the Dockerfile says can't be done.
    Wrong(String),
    Failed(Status),
}

impl From<Status> for RunError {
    fn from(status: Status) -> Self {
        Self::Failed(status)
    }
}

impl Engine {
    /// Runs a command; gives the layer of what it changed, none if that is nothing.
    pub(super) async fn run(&mut self, stage: &Stage, run: &Run) -> Result<Option<Layer>, RunError> {
        let mut request = CreateRequest {
            namespace: NAMESPACE.to_owned(),
            id: new_id(),
            env: stage.environment(&self.given()),
            net_host: !self.request.network_none,
            hostname: "build".to_owned(),
            ..CreateRequest::default()
        };
        request.args = self.arguments(stage, run, &mut request.mounts)?;
        for mount in mounts::of(run).map_err(RunError::Wrong)? {
            self.mount(stage, mount, &mut request).await?;
        }
        let config: ImageConfiguration = serde_json::from_value(stage.config.document())
            .map_err(|error| RunError::Wrong(format!("the image's config can't be used: {error}")))?;
        let container = Foreground::make(&self.daemon, request, stage.chain.clone(), config, adjust).await?;
        let ran = self.to_the_end(&container, stage.chain.clone()).await;
        let removed = container.remove().await;
        let layer = ran?;
        removed?;
        Ok(layer)
    }

    async fn to_the_end(&self, container: &Foreground, parent: Option<ChainId>) -> Result<Option<Layer>, RunError> {
        let (sender, mut output) = mpsc::channel::<Vec<u8>>(8);
        let mut tail = Vec::new();
        let telling = async {
            while let Some(piece) = output.recv().await {
                tail.extend_from_slice(&piece);
                let surplus = tail.len().saturating_sub(TAIL_BYTES);
                tail.drain(..surplus);
                if self.tell.say(What::Log(piece)).await.is_err() {
                    // Ends the command, too.
                    output.close();
                }
            }
        };
        let running = async move { container.run(&sender).await };
        let (code, ()) = tokio::join!(running, telling);
        let code = code?;
        if code != 0 {
            let said = String::from_utf8_lossy(&tail);
            let lines: Vec<&str> = said.trim_end().lines().collect();
            let last = lines[lines.len().saturating_sub(8)..].join("\n  ");
            let told = if last.is_empty() {
                "it wrote nothing".to_owned()
            } else {
                format!("its last words:\n  {last}")
            };
            return Err(RunError::Wrong(format!("exit code {code}; {told}")));
        }
        let (upper, mounted) = (container.upper()?, container.mounted());
        let (images, epoch) = (self.images.clone(), self.request.source_date_epoch);
        let below = self.view(parent.as_ref())?;
        let made = blocking(move || {
            let layer = images.add_layer(parent.as_ref(), |out| {
                let mut tarball = Tarball::new(out, epoch);
                let mut diff = Diff {
                    below: &below,
                    upper: &upper,
                    mounted: &mounted,
                    links: HashMap::new(),
                };
                diff.write(&mut tarball)?;
                tarball.finish()
            });
            layer.map_err(|error| chain(&error))
        });
        made.await?
            .map_err(|what| RunError::Wrong(format!("keep what it changed: {what}")))
    }

    /// The command line: by the shell, or as it is written.
    fn arguments(&self, stage: &Stage, run: &Run, mounts: &mut Vec<Mounted>) -> Result<Vec<String>, RunError> {
        let mut words = stage.config.shell();
        match (&run.script, &run.command) {
            (Some(script), _) if script.starts_with("#!") => {
                let path = self.secret_file(script.as_bytes(), 0o755)?;
                mounts.push(bind(&path, SCRIPT, true));
                words = vec![SCRIPT.to_owned()];
            }
            (Some(script), _) => words.push(script.clone()),
            (None, Command::Shell(line)) => words.push(line.clone()),
            (None, Command::Exec(exec)) => words = exec.clone(),
        }
        if words.is_empty() {
            return Err(RunError::Wrong("there is no command".to_owned()));
        }
        Ok(words)
    }

    async fn mount(&mut self, stage: &Stage, mount: Mount, request: &mut CreateRequest) -> Result<(), RunError> {
        let path = |written: &str| stage.path(written).map_err(RunError::Wrong);
        let shown = |path: PathBuf| path.to_string_lossy().into_owned();
        match mount {
            Mount::Bind { from, source, target } => {
                let target = shown(path(&target)?);
                let source = stage.expand(&source).map_err(RunError::Wrong)?;
                let view = self.source(from.as_deref()).await?.0;
                let chosen = copy::choose(&view, &source).map_err(|error| RunError::Wrong(error.to_string()))?;
                let Some(chosen) = chosen.first() else {
                    return Err(RunError::Wrong(format!("--mount: there is no {source}")));
                };
                if chosen.is_dir() && view.lower.len() > 1 {
                    return Err(RunError::Wrong(format!(
                        "--mount: {source} is a folder of an image with several layers, which can't be bound yet; COPY --from it"
                    )));
                }
                request.mounts.push(bind(chosen.on_disk(), &target, true));
            }
            Mount::Cache { id, target, mode } => {
                let directory = self
                    .daemon
                    .config
                    .root
                    .join("build/mounts")
                    .join(Digest::of(id.as_bytes()).hex());
                if !directory.exists() {
                    let made = fs::create_dir_all(&directory);
                    made.and_then(|()| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)))
                        .map_err(|error| RunError::Wrong(format!("--mount=type=cache: make its folder: {error}")))?;
                }
                request.mounts.push(bind(&directory, &shown(path(&target)?), false));
            }
            Mount::Secret {
                id,
                target,
                variable,
                required,
                mode,
            } => {
                let Some(secret) = self.request.secrets.get(&id) else {
                    if required {
                        return Err(RunError::Wrong(format!(
                            "the secret {id} is missing: give it with --secret id={id},src=FILE"
                        )));
                    }
                    return Ok(());
                };
                if let Some(variable) = &variable {
                    let value = String::from_utf8_lossy(secret);
                    request.env.push(format!("{variable}={}", value.trim_end_matches('\n')));
                }
                if target.is_some() || variable.is_none() {
                    let target = target.unwrap_or_else(|| format!("/run/secrets/{id}"));
                    let file = self.secret_file(secret, mode)?;
                    request.mounts.push(bind(&file, &shown(path(&target)?), true));
                }
            }
            Mount::Tmpfs { target, size_bytes } => {
                let size = size_bytes.map(|size| format!("size={size}"));
                request.mounts.push(Mounted {
                    r#type: "tmpfs".to_owned(),
                    source: "tmpfs".to_owned(),
                    destination: shown(path(&target)?),
                    options: ["nosuid".to_owned()].into_iter().chain(size).collect(),
                });
            }
        }
        Ok(())
    }

    /// A file that is in memory alone and gone with the build.
    fn secret_file(&self, content: &[u8], mode: u32) -> Result<PathBuf, RunError> {
        let path = self.secrets.join(new_id());
        let written = fs::create_dir_all(&self.secrets).and_then(|()| {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path)?;
            file.write_all(content)
        });
        written.map_err(|error| RunError::Wrong(format!("write {}: {error}", path.display())))?;
        Ok(path)
    }
}

fn bind(source: &Path, target: &str, read_only: bool) -> Mounted {
    let access = if read_only { "ro" } else { "rw" };
    Mounted {
        r#type: "bind".to_owned(),
        source: source.to_string_lossy().into_owned(),
        destination: target.to_owned(),
        options: vec!["rbind".to_owned(), access.to_owned()],
    }
}

/// What a build has otherwise than a container: /run is the image's own, and programs may become another user.
fn adjust(spec: &mut Spec) {
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    let of_container = |mount: &oci_spec::runtime::Mount| {
        mount.destination() == Path::new("/run") && mount.source().as_deref() == Some(Path::new("tmpfs"))
    };
    if let Some(place) = mounts.iter().position(of_container) {
        mounts.remove(place);
    }
    spec.set_mounts(Some(mounts));
    if let Some(process) = spec.process_mut() {
        process.set_no_new_privileges(Some(false));
        // Those of the daemon: a compiler opens more files than a container's default allows.
        process.set_rlimits(None);
    }
}
