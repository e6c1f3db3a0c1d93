//! `run`: a pod of one image, and with `-it` a terminal in it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use futures::AsyncReadExt as _;
use http::Method;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::following::Followed;
use crate::commands::making::Making;
use crate::commands::removing::{Removing, gone, uid_of};
use crate::commands::streams::Streams;
use crate::commands::writing::DryRun;
use crate::commands::{duration, pod};
use crate::failure::Exit;
use crate::print::output::Output;
use crate::resources::Resource;

/// Arguments of `run`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl run nginx --image=nginx --port=80
  minikctl run -it --rm shell --image=busybox --restart=Never -- sh
  minikctl run job --image=busybox --restart=Never --env=A=b -- printenv A
  minikctl run nginx --image=nginx --dry-run=client -o yaml")]
pub struct Run {
    /// The pod's name.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The container's image.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// When images are pulled: Always, IfNotPresent, Never.
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<String>,
    /// The port that the container listens on.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// An environment variable: NAME=VALUE; may be repeated.
    #[arg(long, value_name = "VARIABLE")]
    env: Vec<String>,
    /// The pod's labels: app=web,tier=front.
    #[arg(short, long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// An annotation: NAME=VALUE; may be repeated.
    #[arg(long, value_name = "ANNOTATION")]
    annotations: Vec<String>,
    /// Whether a container that ended is started again: Always, OnFailure, Never.
    #[arg(long, default_value = "Always", value_parser = ["Always", "OnFailure", "Never"], value_name = "POLICY")]
    restart: String,
    /// The words behind -- are the command, in the place of the image's own; otherwise they are its arguments.
    #[arg(long)]
    command: bool,
    /// Let the container do everything that root on this machine can do.
    #[arg(long)]
    privileged: bool,
    /// Make a service for the port too.
    #[arg(long, requires = "port")]
    expose: bool,
    /// Delete the pod when the command has ended (with -i).
    #[arg(long = "rm")]
    remove: bool,
    #[command(flatten)]
    removing: Removing,
    /// Forget the pod at once, whatever becomes of its processes (with --rm).
    #[arg(long, requires = "remove")]
    force: bool,
    /// Join the container's output, as -i does.
    #[arg(long)]
    attach: bool,
    /// Keep the container's stdin open when the first who was attached goes.
    #[arg(long)]
    leave_stdin_open: bool,
    /// Pass stdin on.
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Use a terminal.
    #[arg(short = 't', long)]
    tty: bool,
    /// Say nothing but what the container says.
    #[arg(short, long)]
    quiet: bool,
    /// How long to wait until the pod runs.
    #[arg(long, value_parser = duration::parse, default_value = "1m0s", value_name = "DURATION")]
    pod_running_timeout: Duration,
    /// The words for the container, behind --.
    #[arg(last = true, value_name = "WORDS")]
    words: Vec<String>,
    #[command(flatten)]
    making: Making,
}

impl Run {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let object = self.object()?;
        let attach = self.attach || self.stdin;
        self.check(attach)?;
        self.exposed(global, &object).await?;
        if !attach {
            self.making.create(global, "kubectl-run", object, "created").await?;
            return Ok(());
        }
        let (resource, made) = self.making.send(global, "kubectl-run", object).await?;
        let session = Session::open(global).await?;
        let joined = self.join(&session, &resource, &made).await;
        if self.remove {
            self.delete(&session, &resource, &made).await?;
        }
        joined
    }

    /// Refuses what contradicts itself, in kubectl's words.
    fn check(&self, attach: bool) -> anyhow::Result<()> {
        if self.tty && !self.stdin {
            bail!("-i/--stdin is required for containers with -t/--tty=true");
        }
        if self.making.writing.dry_run != DryRun::None {
            if attach {
                bail!(
                    "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)"
                );
            }
            if self.remove {
                bail!("--rm should only be used for attached containers");
            }
        }
        if self.remove && !attach {
            bail!("--rm should only be used for attached containers");
        }
        Ok(())
    }

    /// The pod. Pure.
    fn object(&self) -> anyhow::Result<Value> {
        let name = self.name.as_ref().ok_or_else(|| anyhow!("NAME is required for run"))?;
        let image = self
            .image
            .as_ref()
            .ok_or_else(|| anyhow!("required flag(s) \"image\" not set"))?;
        if image.is_empty() {
            bail!("--image is required");
        }
        let mut container = json!({"name": name, "image": image, "resources": {}});
        if !self.words.is_empty() {
            container[if self.command { "command" } else { "args" }] = json!(self.words);
        }
        if !self.env.is_empty() {
            let pairs = pairs(&self.env, "env")?.into_iter();
            container["env"] = pairs
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
        }
        if let Some(port) = self.port {
            container["ports"] = json!([{"containerPort": port}]);
        }
        if let Some(policy) = &self.image_pull_policy {
            container["imagePullPolicy"] = json!(policy);
        }
        if self.privileged {
            container["securityContext"] = json!({"privileged": true});
        }
        for (field, set) in [
            ("stdin", self.stdin),
            ("stdinOnce", self.stdin && !self.leave_stdin_open),
            ("tty", self.tty),
        ] {
            if set {
                container[field] = json!(true);
            }
        }
        let labels = if self.labels.is_empty() {
            BTreeMap::from([("run".to_owned(), name.clone())])
        } else {
            pairs(&self.labels, "label")?.into_iter().collect()
        };
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"creationTimestamp": null, "name": name, "labels": labels},
            "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": self.restart},
            "status": {},
        });
        if !self.annotations.is_empty() {
            let annotations: BTreeMap<String, String> = pairs(&self.annotations, "annotation")?.into_iter().collect();
            object["metadata"]["annotations"] = json!(annotations);
        }
        Ok(object)
    }

    /// The service that `--expose` asks for.
    async fn exposed(&self, global: &Global, made: &Value) -> anyhow::Result<()> {
        let Some(port) = self.port.filter(|_| self.expose) else {
            return Ok(());
        };
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"creationTimestamp": null, "name": made["metadata"]["name"]},
            "spec": {"ports": [{"port": port, "protocol": "TCP", "targetPort": port}], "selector": made["metadata"]["labels"]},
            "status": {"loadBalancer": {}},
        });
        let plain = Making {
            writing: self.making.writing.clone(),
            ..Making::default()
        };
        plain.create(global, "kubectl-run", service, "created").await?;
        if matches!(self.making.writing.output, Some(Output::Yaml)) {
            writeln!(anstream::stdout(), "---")?;
        }
        Ok(())
    }

    /// Deletes the pod whose command has ended.
    async fn delete(&self, session: &Session, resource: &Resource, made: &Value) -> anyhow::Result<()> {
        let text = |field: &str| made["metadata"][field].as_str().unwrap_or_default();
        let pod = Followed {
            resource,
            namespace: text("namespace"),
            name: text("name"),
        };
        let path = resource.object(pod.namespace, pod.name);
        let mut options = self.removing.options();
        if self.force && options["gracePeriodSeconds"].is_null() {
            options["gracePeriodSeconds"] = json!(0);
        }
        let uid = match session.send(Method::DELETE, &path, "application/json", &options).await {
            Err(failure) if !failure.is_not_found() => return Err(failure.into()),
            answer => uid_of(&answer.unwrap_or_default()).to_owned(),
        };
        if !self.quiet {
            writeln!(anstream::stdout(), "pod {:?} deleted", pod.name)?;
        }
        if self.removing.wait {
            self.removing.in_time(gone(session, pod, &uid)).await?;
        }
        Ok(())
    }

    /// Joins the container's streams until it ends; its exit code becomes ours.
    async fn join(&self, session: &Session, resource: &Resource, made: &Value) -> anyhow::Result<()> {
        let text = |field: &str| made["metadata"][field].as_str().unwrap_or_default();
        let followed = Followed {
            resource,
            namespace: text("namespace"),
            name: text("name"),
        };
        let running = followed.until(session, |pod| running(pod, followed.name));
        let running = tokio::time::timeout(self.pod_running_timeout, running).await;
        let pod = running.map_err(|_| anyhow!("timed out waiting for the condition"))??;
        let container = pod::choose(&pod, None)?.0;
        let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let streams = Streams {
            container: Some(container.clone()),
            stdin: self.stdin,
            tty: self.tty,
            quiet: self.quiet,
            pod_running_timeout: self.pod_running_timeout,
        };
        if ended {
            log(session, &pod, &container).await?;
        } else if let Err(error) = streams.attach(session, &pod, container.clone()).await {
            if error.downcast_ref::<Exit>().is_some() && self.restart == "Always" {
                return Err(error);
            }
            if error.downcast_ref::<Exit>().is_none() {
                writeln!(
                    anstream::stderr(),
                    "warning: couldn't attach to pod/{}, falling back to streaming logs: {error:#}",
                    followed.name
                )?;
                log(session, &pod, &container).await?;
            }
        }
        if self.restart == "Always" {
            if !self.quiet && !self.remove && self.stdin {
                let (namespace, name) = (followed.namespace, followed.name);
                let tty = if self.tty { " -t" } else { "" };
                writeln!(
                    anstream::stderr(),
                    "Session ended, resume using 'minikctl attach {name} -c {container} -i{tty} -n {namespace}' command when the pod is running"
                )?;
            }
            return Ok(());
        }
        let (code, reason) = followed.until(session, |pod| ended_with(pod, &container)).await?;
        if code == 0 {
            return Ok(());
        }
        if !self.quiet {
            writeln!(
                anstream::stderr(),
                "pod {}/{} terminated ({reason})",
                followed.namespace,
                followed.name
            )?;
        }
        Err(Exit(u8::try_from(code & 0xff).expect("eight bits are a u8")).into())
    }
}

/// The pod, once something of it runs or has run. Pure.
fn running(pod: Option<&Value>, name: &str) -> anyhow::Result<Option<Value>> {
    let pod = pod.ok_or_else(|| anyhow!("pods {name:?} not found: it was deleted"))?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut states = statuses.map(|status| &status["state"]);
    let runs = states.all(|state| state.get("waiting").is_none()) && phase == "Running";
    Ok((runs || phase == "Succeeded" || phase == "Failed").then(|| pod.clone()))
}

/// The container's exit code and why it ended, once it has for good. Pure.
fn ended_with(pod: Option<&Value>, container: &str) -> anyhow::Result<Option<(i64, String)>> {
    let pod = pod.ok_or_else(|| anyhow!("the pod was deleted"))?;
    if !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return Ok(None);
    }
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut statuses = statuses.filter(|status| status["name"] == container);
    let ended = statuses.next().map(|status| &status["state"]["terminated"]);
    let code = ended.and_then(|ended| ended["exitCode"].as_i64());
    let reason = ended.and_then(|ended| ended["reason"].as_str()).unwrap_or("Error");
    let failed = i64::from(pod["status"]["phase"] == "Failed");
    Ok(Some((code.unwrap_or(failed), reason.to_owned())))
}

/// What the container printed, as far as it goes.
async fn log(session: &Session, pod: &Value, container: &str) -> anyhow::Result<()> {
    let resource = session.called("pods").await?.remove(0);
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or(&session.namespace);
    let path = format!(
        "{}/log?container={container}&follow=true",
        resource.object(namespace, pod::name(pod))
    );
    let mut stream = session.stream(&path).await?;
    let mut out = anstream::stdout();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..length])?;
        out.flush()?;
    }
}

/// `NAME=VALUE`s. Pure.
fn pairs(words: &[String], what: &str) -> anyhow::Result<Vec<(String, String)>> {
    let pair = |word: &String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(anyhow!("invalid {what}: {word}")),
    };
    words.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        run: Run,
    }

    fn run(line: &str) -> Run {
        let words = std::iter::once("run").chain(line.split_whitespace());
        Line::try_parse_from(words).expect(line).run
    }

    #[test]
    fn the_pod_is_kubectls() {
        let made = run("x --image=foo --port=80 --env=A=B --labels=a=b -- c d")
            .object()
            .expect("made");
        assert_eq!(
            made,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"creationTimestamp": null, "name": "x", "labels": {"a": "b"}},
                "spec": {"containers": [{"name": "x", "image": "foo", "args": ["c", "d"], "env": [{"name": "A", "value": "B"}],
                    "ports": [{"containerPort": 80}], "resources": {}}], "dnsPolicy": "ClusterFirst", "restartPolicy": "Always"},
                "status": {}})
        );
        let made = run("x --image=foo -it --restart=Never --command -- sh")
            .object()
            .expect("made");
        let container = &made["spec"]["containers"][0];
        assert_eq!(container["command"], json!(["sh"]));
        assert_eq!(
            (&container["stdin"], &container["stdinOnce"], &container["tty"]),
            (&json!(true), &json!(true), &json!(true))
        );
        assert_eq!(made["metadata"]["labels"], json!({"run": "x"}));
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(run("x").object().is_err());
        assert!(run("--image=y").object().is_err());
        for (line, attach) in [
            ("x --image=y -t", false),
            ("x --image=y --rm", false),
            ("x --image=y -i --dry-run=client", true),
        ] {
            assert!(run(line).check(attach).is_err(), "{line}");
        }
        assert!(run("x --image=y -it --rm").check(true).is_ok());
    }

    #[test]
    fn a_pod_runs_and_ends() {
        let pod = |phase: &str, state: Value| json!({"status": {"phase": phase, "containerStatuses": [{"name": "c", "state": state}]}});
        let waiting = pod("Pending", json!({"waiting": {}}));
        assert!(running(Some(&waiting), "p").expect("fine").is_none());
        let runs = pod("Running", json!({"running": {}}));
        assert!(running(Some(&runs), "p").expect("fine").is_some());
        assert_eq!(ended_with(Some(&runs), "c").expect("fine"), None);
        let ended = pod("Failed", json!({"terminated": {"exitCode": 7, "reason": "Error"}}));
        assert_eq!(
            ended_with(Some(&ended), "c").expect("fine"),
            Some((7, "Error".to_owned()))
        );
        assert!(running(None, "p").is_err() && ended_with(None, "c").is_err());
    }
}
