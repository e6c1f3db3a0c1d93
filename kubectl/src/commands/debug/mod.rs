//! `debug`: a container beside those of a pod, in a copy of the pod, or with the whole node in view.
//!
//! ```text
//!   pod             ── patch ephemeralcontainers ──┐
//!   pod --copy-to   ── create the copy ────────────┼─> wait until it runs ─> attach
//!   node/NAME       ── create a pod there ─────────┘
//! ```
//! What the containers and pods look like is decided in `shape`, by the profile.

mod custom;
mod shape;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::following::Followed;
use crate::commands::objects::Files;
use crate::commands::pod;
use crate::commands::streams::Streams;
use crate::failure::Failure;
use shape::{Copying, Profile, Wish};

/// How long a debug container may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// Arguments of `debug`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl debug -it nginx --image=busybox --target=nginx
  minikctl debug nginx -it --image=busybox --copy-to=nginx-debug
  minikctl debug nginx -it --copy-to=nginx-debug --container=nginx -- sh
  minikctl debug node/mynode -it --image=busybox")]
pub struct Debug {
    /// The pod, or node/NAME.
    #[arg(value_name = "POD")]
    word: Option<String>,
    /// The words behind -- are arguments, not the command.
    #[arg(long)]
    arguments_only: bool,
    /// Join the container's output, as -i does.
    #[arg(long)]
    attach: bool,
    /// The debug container's name.
    #[arg(short, long)]
    container: Option<String>,
    /// The debug container's image.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// When the image is pulled: Always, IfNotPresent, Never.
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<String>,
    /// An environment variable: NAME=VALUE; may be repeated.
    #[arg(long, value_name = "VARIABLE")]
    env: Vec<String>,
    /// The container whose processes the debug container sees.
    #[arg(long, value_name = "CONTAINER")]
    target: Option<String>,
    /// What the debug container may do.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// A file with a part of a container's specification, as YAML or JSON, that goes over what the profile says.
    #[arg(long, value_name = "FILE")]
    custom: Option<PathBuf>,
    /// A file that names the pod or the node.
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<String>,
    /// Make a copy of the pod with this name.
    #[arg(long, value_name = "NAME")]
    copy_to: Option<String>,
    #[command(flatten)]
    copying: Copying,
    /// Delete the pod of which this is a copy.
    #[arg(long)]
    replace: bool,
    /// Pass stdin on.
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Use a terminal.
    #[arg(short = 't', long)]
    tty: bool,
    /// Say nothing but what the container says.
    #[arg(short, long)]
    quiet: bool,
    /// The command, behind --.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Debug {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        self.check()?;
        if self.profile == Profile::Legacy {
            writeln!(
                anstream::stderr(),
                "--profile=legacy is deprecated and will be removed in the future. It is recommended to explicitly specify a \
                 profile, for example \"--profile=general\".",
            )?;
        }
        let mut session = Session::open(global).await?;
        let (resource, object) = match &self.word {
            Some(word) => pod::named(&session, word).await?,
            None => {
                let files = Files {
                    filename: self.filename.clone(),
                    recursive: false,
                };
                pod::in_files(&mut session, &files).await?
            }
        };
        let (pod, container) = match (resource.kind.as_str(), &self.copy_to) {
            ("Pod", None) => self.beside(&session, &object).await?,
            ("Pod", Some(name)) => self.in_copy(&session, &object, name).await?,
            ("Node", _) => self.on_node(&session, pod::name(&object)).await?,
            (kind, _) => bail!("{kind:?} not supported by debug"),
        };
        if !self.attach && !self.stdin {
            return Ok(());
        }
        self.join(&session, &pod, &container).await
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.word.is_none() && self.filename.is_empty() {
            bail!("NAME or filename is required for debug");
        }
        let word = self.word.as_deref().unwrap_or_default();
        let is_node = ["node/", "nodes/", "no/"].iter().any(|start| word.starts_with(start));
        if self.image.is_none() && (self.copy_to.is_none() || is_node) {
            bail!("you must specify --image when not using --copy-to.");
        }
        if self.image.is_none() && self.container.is_none() && self.copying.set_image.is_empty() {
            bail!("you must specify an existing container or a new image when using args.");
        }
        if self.tty && !self.stdin {
            bail!("-i/--stdin is required for containers with -t/--tty=true");
        }
        if self.copy_to.is_some() && self.target.is_some() {
            bail!("--target is incompatible with --copy-to. Use --share-processes instead.");
        }
        if self.copy_to.is_none() && (self.replace || self.copying.same_node || !self.copying.set_image.is_empty()) {
            bail!("--replace, --same-node and --set-image may only be used with --copy-to.");
        }
        Ok(())
    }

    /// What the debug container is to be.
    fn wish(&self, name: &str) -> anyhow::Result<Wish> {
        let pairs = self.env.iter().map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| anyhow!("invalid env: {pair}"))?;
            Ok::<_, anyhow::Error>(json!({"name": name, "value": value}))
        });
        Ok(Wish {
            name: name.to_owned(),
            image: self.image.clone(),
            pull_policy: self.image_pull_policy.clone(),
            env: pairs.collect::<Result<_, _>>()?,
            words: self.command.clone(),
            words_are_arguments: self.arguments_only,
            stdin: self.stdin,
            tty: self.tty,
            profile: self.profile,
            custom: self.custom.as_deref().map(custom::read).transpose()?,
        })
    }

    fn name_for(&self, pod: &Value) -> anyhow::Result<String> {
        if let Some(name) = &self.container {
            return Ok(name.clone());
        }
        let name = loop {
            let name = format!("debugger-{}", suffix());
            if pod::container(pod, &name).is_none() {
                break name;
            }
        };
        self.say(&format!("Defaulting debug container name to {name}."))?;
        Ok(name)
    }

    async fn beside(&self, session: &Session, pod: &Value) -> anyhow::Result<(Value, String)> {
        let name = self.name_for(pod)?;
        let mut container = shape::container(&self.wish(&name)?)?;
        if let Some(target) = &self.target {
            self.say(&format!(
                "Targeting container {target:?}. If you don't see processes from this container it may be because the \
                 container runtime doesn't support this feature."
            ))?;
            container["targetContainerName"] = json!(target);
        }
        let pods = session.called("pods").await?.remove(0);
        let path = format!(
            "{}/ephemeralcontainers",
            pods.object(&session.namespace, pod::name(pod))
        );
        let patch = json!({"spec": {"ephemeralContainers": [container]}});
        let kind = "application/strategic-merge-patch+json";
        let patched = session.send(Method::PATCH, &path, kind, &patch).await;
        let patched = patched.map_err(|failure| match failure {
            // The server misses the path, not the pod.
            Failure::Api(status) if status.code == 404 && !status.message.contains(pod::name(pod)) => anyhow!(
                "ephemeral containers are disabled for this cluster (error from server: {:?}).",
                status.message
            ),
            failure => failure.into(),
        })?;
        Ok((patched, name))
    }

    async fn in_copy(&self, session: &Session, pod: &Value, copy: &str) -> anyhow::Result<(Value, String)> {
        let existing = self
            .container
            .as_ref()
            .filter(|name| pod::container(pod, name).is_some());
        let name = match (&self.image, existing) {
            // No new container: the command and the image of one that is there are others.
            (None, existing) => existing.cloned().unwrap_or_default(),
            (Some(_), _) => self.name_for(pod)?,
        };
        let mut made = shape::copy(pod, copy, &self.copying)?;
        if !name.is_empty() {
            shape::put_container(&mut made, &self.wish(&name)?)?;
        }
        let pods = session.called("pods").await?.remove(0);
        let collection = pods.collection(Some(&session.namespace));
        let created = session
            .send(Method::POST, &collection, "application/json", &made)
            .await?;
        if self.replace {
            let path = pods.object(&session.namespace, pod::name(pod));
            session
                .send(Method::DELETE, &path, "application/json", &json!({}))
                .await?;
        }
        let name = if name.is_empty() {
            pod::choose(&created, None)?.0
        } else {
            name
        };
        Ok((created, name))
    }

    async fn on_node(&self, session: &Session, node: &str) -> anyhow::Result<(Value, String)> {
        let name = format!("node-debugger-{node}-{}", suffix());
        let container = self.container.clone().unwrap_or_else(|| "debugger".to_owned());
        let made = shape::on_node(&name, node, &self.wish(&container)?)?;
        let pods = session.called("pods").await?.remove(0);
        let collection = pods.collection(Some(&session.namespace));
        let created = session
            .send(Method::POST, &collection, "application/json", &made)
            .await?;
        self.say(&format!(
            "Creating debugging pod {name} with container {container} on node {node}."
        ))?;
        Ok((created, container))
    }

    async fn join(&self, session: &Session, pod: &Value, container: &str) -> anyhow::Result<()> {
        let resource = session.called("pods").await?.remove(0);
        let followed = Followed {
            resource: &resource,
            namespace: &session.namespace,
            name: pod::name(pod),
        };
        let started = followed.until(session, |pod| started(pod, container));
        let started = tokio::time::timeout(PATIENCE, started).await;
        let pod = started.map_err(|_| anyhow!("timed out waiting for the condition"))??;
        let streams = Streams {
            container: Some(container.to_owned()),
            stdin: self.stdin,
            tty: self.tty,
            quiet: self.quiet,
            pod_running_timeout: PATIENCE,
        };
        streams.attach(session, &pod, container.to_owned()).await
    }

    fn say(&self, text: &str) -> anyhow::Result<()> {
        if !self.quiet {
            writeln!(anstream::stdout(), "{text}")?;
        }
        Ok(())
    }
}

/// The pod, once the container runs; an error when it ended or can't start. Pure.
fn started(pod: Option<&Value>, container: &str) -> anyhow::Result<Option<Value>> {
    let pod = pod.ok_or_else(|| anyhow!("the pod was deleted"))?;
    let lists = [
        "containerStatuses",
        "ephemeralContainerStatuses",
        "initContainerStatuses",
    ];
    let mut statuses = lists
        .iter()
        .flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    let Some(status) = statuses.find(|status| status["name"] == container) else {
        return Ok(None);
    };
    let state = &status["state"];
    if let Some(ended) = state.get("terminated") {
        let reason = ended["reason"].as_str().unwrap_or("Error");
        bail!("container {container} has ended already ({reason}); `minikctl logs` shows what it printed");
    }
    Ok(state.get("running").map(|_| pod.clone()))
}

/// Five characters as Kubernetes makes them for names: none that could make a word, none that look alike.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut number = RandomState::new().build_hasher().finish();
    let mut text = String::with_capacity(5);
    for _ in 0..5 {
        let count = u64::try_from(LETTERS.len()).expect("a few letters");
        let at = usize::try_from(number % count).expect("less than the letters");
        text.push(char::from(LETTERS[at]));
        number /= count;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        debug: Debug,
    }

    #[test]
    fn contradictions_are_refused() {
        let of = |line: &str| {
            let words = std::iter::once("debug").chain(line.split_whitespace());
            Line::try_parse_from(words).expect(line).debug.check()
        };
        for fine in [
            "p --image=x",
            "p --copy-to=q -c web -- sh",
            "node/n --image=x -it",
            "p --copy-to=q --set-image=*=x",
        ] {
            assert!(of(fine).is_ok(), "{fine}");
        }
        for bad in [
            "",
            "p",
            "p --image=x -t",
            "node/n --copy-to=q",
            "p --image=x --copy-to=q --target=c",
            "p --image=x --replace",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_container_starts_in_any_list() {
        let pod = |state: Value| json!({"status": {"ephemeralContainerStatuses": [{"name": "d", "state": state}]}});
        assert!(
            started(Some(&pod(json!({"waiting": {}}))), "d")
                .expect("fine")
                .is_none()
        );
        assert!(
            started(Some(&pod(json!({"running": {}}))), "d")
                .expect("fine")
                .is_some()
        );
        assert!(started(Some(&pod(json!({"terminated": {"reason": "Error"}}))), "d").is_err());
        assert!(started(Some(&json!({})), "d").expect("fine").is_none());
        assert!(started(None, "d").is_err());
        assert_eq!(suffix().len(), 5);
    }
}
