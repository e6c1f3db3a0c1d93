//! `demo`: start the node, run nginx and Python on it, and watch it happen.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use futures::StreamExt as _;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::apply::Apply;
use crate::commands::image;
use crate::commands::target::query;
use crate::demo::standin::{self, Recipe};
use crate::demo::story::Story;
use crate::demo::{MANIFESTS, root};
use crate::failure::Failure;
use crate::image::progress::{self, View};
use crate::image::runtime::Runtime;
use crate::manifest::{self, Document};
use crate::node::{self, Instance, Overrides, Progress, UpOptions};
use crate::print::style::{FAINT, GOOD, PENDING, STRONG};

/// A registry that says nothing for so long is taken for one that can't be reached.
const REGISTRY_SILENCE: Duration = Duration::from_secs(20);
/// Pods that aren't Ready by then have a reason that waiting doesn't cure.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// What runs answers at once; this is for what doesn't.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Lines of the Python pod's log to show.
const LOG_LINES: usize = 3;

/// Arguments of `demo`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cargo run --release -- demo
  minikctl demo --registry-mirror docker.io=http://127.0.0.1:5000
  minikctl demo --prepare        # build the stand-ins now, run the demo where there is no network")]
pub struct Demo {
    /// Don't try the registry: build the images from the distribution's packages.
    #[arg(long)]
    stand_ins: bool,
    /// Only build the images from the distribution's packages, and keep them for later demos.
    #[arg(long)]
    prepare: bool,
    #[command(flatten)]
    overrides: Overrides,
}

impl Demo {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        root::become_root(global)?;
        let documents = documents()?;
        if self.prepare {
            return prepare(&documents).await;
        }
        let mut overrides = self.overrides.clone();
        if overrides.kubeconfig.is_none() {
            overrides.kubeconfig.clone_from(&global.kubeconfig);
        }
        let instance = Instance::resolve(global.instance_name(), &overrides)?;
        let flag = instance.flag();
        heading("The node")?;
        let (session, instance) = start(instance, global).await?;
        heading("The images")?;
        let runtime = Runtime::connect(&instance.runtime_socket()).await?;
        images(&runtime, &documents, self.stand_ins).await?;
        heading("The pods")?;
        watch(&session, documents).await?;
        heading("The web page, through the API server (as `minikctl port-forward` does)")?;
        page(&session).await?;
        heading("The Python pod's log")?;
        log(&session).await?;
        next_steps(&flag)
    }
}

async fn start(instance: Instance, global: &Global) -> anyhow::Result<(Session, Instance)> {
    let options = UpOptions {
        instance: instance.clone(),
        use_context: false,
        foreground: false,
    };
    let steps = Progress::new();
    let up = node::up(&options, &steps).await?;
    steps.finish();
    let how = if up.already { "is up already" } else { "is up" };
    say(&format!("{GOOD}✓{GOOD:#} the node {} {how}", instance.node_name))?;
    let global = Global {
        kubeconfig: Some(up.kubeconfig),
        context: Some(instance.context.clone()),
        ..global.clone()
    };
    Ok((Session::open(&global).await?, instance))
}

fn documents() -> anyhow::Result<Vec<Document>> {
    let mut documents = Vec::new();
    for (file, text) in MANIFESTS {
        for document in manifest::parse(file, text) {
            documents.push(document?);
        }
    }
    Ok(documents)
}

/// The image of a pod's one container.
fn image_of(pod: &Document) -> &str {
    pod.text("/spec/containers/0/image")
}

/// Builds what a demo without a registry needs.
async fn prepare(pods: &[Document]) -> anyhow::Result<()> {
    for pod in pods {
        let image = image_of(pod);
        let spinner = spinner(image);
        let archive = build(image, &spinner).await;
        spinner.finish_and_clear();
        say(&format!("{GOOD}✓{GOOD:#} {image}  {}", archive?.display()))?;
    }
    Ok(())
}

/// Sees to it that the node has every image of the pods.
async fn images(runtime: &Runtime, pods: &[Document], no_registry: bool) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for pod in pods {
        let image = image_of(pod);
        if image::is_here(runtime, image).await? {
            say(&format!("{GOOD}✓{GOOD:#} {image} is here already"))?;
        } else {
            missing.push(image);
        }
    }
    if !no_registry {
        let mut view = View::new();
        while let Some(image) = missing.first() {
            match pull(runtime, image, &mut view).await {
                Ok(line) => {
                    say(&line)?;
                    missing.remove(0);
                }
                Err(error) => {
                    say(&format!("{PENDING}!{PENDING:#} {error:#}"))?;
                    say(
                        "  Docker Hub gives no images here (`minikctl doctor` says more): stand-ins are built from this \
                         distribution's packages instead.",
                    )?;
                    break;
                }
            }
        }
    }
    for image in missing {
        stand_in(runtime, image).await?;
    }
    Ok(())
}

/// Pulls an image; a registry that stays silent counts as one that can't be reached.
async fn pull(runtime: &Runtime, image: &str, view: &mut View) -> anyhow::Result<String> {
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let mut tell = |update: &minik_api::images::Progress| {
        view.show(update);
        // The receiver lives as long as the pull.
        let _ = heard.send(());
    };
    let mut pulling = Box::pin(image::pull(runtime, image, false, &mut tell));
    let done = loop {
        tokio::select! {
            done = &mut pulling => break done,
            silence = tokio::time::timeout(REGISTRY_SILENCE, hearing.recv()) => {
                if silence.is_err() {
                    break Err(anyhow!("can't pull {image}: the registry has said nothing for {} s", REGISTRY_SILENCE.as_secs()));
                }
            }
        }
    };
    drop(pulling);
    match done {
        Ok(done) => {
            view.finish(&done.image);
            Ok(progress::done(&done.image, &done.image_ref))
        }
        Err(error) => Err(error),
    }
}

/// Builds a stand-in, unless an earlier demo did.
async fn build(image: &str, spinner: &ProgressBar) -> anyhow::Result<PathBuf> {
    let recipe = Recipe::of(image).ok_or_else(|| anyhow!("there is no stand-in for {image}"))?;
    let (teller, mut told) = mpsc::unbounded_channel::<String>();
    let building = tokio::task::spawn_blocking(move || {
        let tell = |doing: &str| {
            // Told for show: nobody has to listen.
            let _ = teller.send(doing.to_owned());
        };
        recipe.build(Path::new(standin::KEPT), &tell)
    });
    while let Some(doing) = told.recv().await {
        spinner.set_message(doing);
    }
    Ok(building.await.context("building stopped")??)
}

/// Gives a stand-in to the node.
async fn stand_in(runtime: &Runtime, image: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    let spinner = spinner(image);
    let built = build(image, &spinner).await;
    if built.is_err() {
        spinner.finish_and_clear();
    }
    let archive = built?;
    spinner.set_message("importing it");
    let file = tokio::fs::File::open(&archive)
        .await
        .with_context(|| format!("can't open {}", archive.display()))?;
    let imported = image::import(runtime, &archive.display().to_string(), Box::new(file), &mut |_| {}).await;
    spinner.finish_and_clear();
    let size = std::fs::metadata(&archive).map_or(0, |metadata| metadata.len());
    for done in imported? {
        say(&format!(
            "{}  {FAINT}a stand-in of {} from this distribution's packages, {:.1} s{FAINT:#}",
            progress::done(&done.image, &done.image_ref),
            progress::size(size),
            began.elapsed().as_secs_f64()
        ))?;
    }
    Ok(())
}

fn spinner(image: &str) -> ProgressBar {
    // On no terminal indicatif draws nothing.
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner:.cyan} {prefix}  {msg}").expect("a fixed template"));
    bar.set_prefix(image.to_owned());
    bar.enable_steady_tick(Duration::from_millis(80));
    bar
}

/// Applies the manifests and tells what happens until all pods are Ready.
async fn watch(session: &Session, documents: Vec<Document>) -> anyhow::Result<()> {
    let names = documents
        .iter()
        .map(|document| document.text("/metadata/name").to_owned())
        .collect();
    let mut story = Story::of(names);
    let pods = session
        .called("pods")
        .await?
        .remove(0)
        .collection(Some(&session.namespace));
    let events = session
        .called("events")
        .await?
        .remove(0)
        .collection(Some(&session.namespace));
    let version_of = async |path: &str| -> Result<String, Failure> {
        // The version alone is wanted: one object is enough to ask for.
        let list = session.get(&format!("{path}?limit=1")).await?;
        Ok(list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    };
    let since_event = version_of(&events).await?;
    let event_query = query(&[("watch", "true"), ("resourceVersion", &since_event)]);
    // Opened before the apply, so that nothing is missed; the pods that are there come first.
    let mut event_stream = Box::pin(
        session
            .follow(&format!("{events}{event_query}"), "application/json")
            .await?,
    );
    let mut pod_stream = Box::pin(
        session
            .follow(&format!("{pods}?watch=true"), "application/json")
            .await?,
    );
    let began = Instant::now();
    let apply = Apply::default();
    for document in documents {
        apply.tell(&apply.document(session, Ok(document)).await?)?;
    }
    let deadline = tokio::time::sleep(READY_WITHIN);
    tokio::pin!(deadline);
    while !story.is_over() {
        let line = tokio::select! {
            Some(event) = pod_stream.next() => story.pod(&event?["object"], began.elapsed()),
            Some(event) = event_stream.next() => story.event(&event?["object"], began.elapsed()),
            () = &mut deadline => bail!(
                "after {} s not all pods are Ready: {}\n`minikctl describe pod` says more",
                READY_WITHIN.as_secs(),
                story.missing()
            ),
            else => bail!("the server ended the watches; is the node still up? `minikctl status` tells"),
        };
        if let Some(line) = line {
            say(&line)?;
        }
    }
    Ok(())
}

/// Fetches nginx's page and shows what it is.
async fn page(session: &Session) -> anyhow::Result<()> {
    let began = Instant::now();
    let answer = tokio::time::timeout(ANSWER_WITHIN, fetch(session)).await;
    let answer = answer.map_err(|_| anyhow!("nginx did not answer within {} s", ANSWER_WITHIN.as_secs()))??;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200 ") {
        bail!("nginx answered {status:?}");
    }
    let server = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("server:"))
        .unwrap_or_default();
    let title = between(body, "<title>", "</title>").unwrap_or("a page without a title");
    let (bytes, took) = (body.len(), began.elapsed().as_millis());
    say(&format!("  {GOOD}{status}{GOOD:#}  {server}"))?;
    say(&format!(
        "  {STRONG}{title}{STRONG:#}  {FAINT}{bytes} bytes in {took} ms{FAINT:#}"
    ))
}

/// What nginx answers on a connection through the API server and the kubelet into the pod.
async fn fetch(session: &Session) -> anyhow::Result<String> {
    let api: Api<Pod> = Api::namespaced(session.kube.clone(), &session.namespace);
    let forwarded = api.portforward("nginx", &[80]).await;
    let mut forwarder = forwarded.map_err(|error| Failure::from_kube(error, &session.server_address()))?;
    let mut stream = forwarder
        .take_stream(80)
        .ok_or_else(|| anyhow!("the server opened no stream"))?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: nginx\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inside, _)| inside.trim())
}

/// Shows the Python pod's next lines as they come.
async fn log(session: &Session) -> anyhow::Result<()> {
    use futures::AsyncBufReadExt as _;
    let pods = session.called("pods").await?.remove(0);
    let query = query(&[("follow", "true"), ("tailLines", "2")]);
    let path = format!("{}/log{query}", pods.object(&session.namespace, "python"));
    let request = session.request(Method::GET, &path, "*/*").body(Vec::new())?;
    let stream = session.kube.request_stream(request).await;
    let stream = stream.map_err(|error| Failure::from_kube(error, &session.server_address()))?;
    let mut lines = stream.lines().take(LOG_LINES);
    let shown = async {
        while let Some(line) = lines.next().await {
            say(&format!("  {}", line?))?;
        }
        Ok::<_, anyhow::Error>(())
    };
    // It says something each second.
    match tokio::time::timeout(ANSWER_WITHIN, shown).await {
        Ok(shown) => shown,
        Err(_) => bail!("the Python pod has said nothing for 10 s; `minikctl describe pod python` says more"),
    }
}

fn next_steps(flag: &str) -> anyhow::Result<()> {
    heading("What to try next")?;
    let mut rows = Vec::new();
    for (command, what) in [
        ("get pods -o wide", "the pods, with their addresses"),
        ("describe pod nginx", "everything about one, with its events"),
        ("logs python -f", "what it says, as it says it"),
        ("exec -it nginx -- sh", "a shell in the container"),
        ("port-forward pod/nginx 8080:80", "then open http://localhost:8080"),
        ("delete pod nginx python", "and they are gone"),
    ] {
        rows.push((format!("minikctl{flag} {command}"), what));
    }
    rows.push((format!("sudo minikctl{flag} status"), "the processes behind it"));
    rows.push((format!("sudo minikctl{flag} down"), "stops everything, keeps the data"));
    let width = rows.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    for (command, what) in rows {
        say(&format!(
            "  {STRONG}{command:<width$}{STRONG:#}  {FAINT}{what}{FAINT:#}"
        ))?;
    }
    Ok(())
}

fn heading(text: &str) -> anyhow::Result<()> {
    say(&format!("\n{STRONG}{text}{STRONG:#}"))
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(anstream::stdout(), "{line}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_found() {
        assert_eq!(
            between("<html><title> Welcome </title>", "<title>", "</title>"),
            Some("Welcome")
        );
        assert_eq!(between("<html>", "<title>", "</title>"), None);
    }
}
