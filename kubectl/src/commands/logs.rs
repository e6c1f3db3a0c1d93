//! `logs`: what containers printed, and print from now on.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::{duration, pod, target, workload};
use crate::failure::{self, Failure};

/// A line longer than this is passed on in parts.
const LONGEST_LINE: usize = 1 << 20;

/// Arguments of `logs`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl logs python -f
  minikctl logs nginx --tail=20 --timestamps
  minikctl logs nginx -c setup --previous
  minikctl logs deploy/web --since=1h
  minikctl logs -l app=web --all-containers --prefix")]
pub struct Logs {
    /// The pod: nginx, pod/nginx, or one of service/web, deploy/web, job/once.
    #[arg(value_name = "POD")]
    pod: Option<String>,
    /// The container, where the pod has several.
    #[arg(value_name = "CONTAINER")]
    container_argument: Option<String>,
    /// The container, where the pod has several.
    #[arg(short, long)]
    container: Option<String>,
    /// Go on as the container prints.
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines; -1 means all.
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Only what is newer than this: 5s, 2m, 1h.
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    since: Option<Duration>,
    /// Only what is newer than this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since_time: Option<String>,
    /// At most so many bytes.
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    limit_bytes: Option<i64>,
    /// With the time of each line.
    #[arg(long)]
    timestamps: bool,
    /// Of the container's previous life, if it was restarted.
    #[arg(short, long)]
    previous: bool,
    /// Of all containers of the pod.
    #[arg(long)]
    all_containers: bool,
    /// Of all pods of the service, the deployment or the job.
    #[arg(long)]
    all_pods: bool,
    /// With pod and container before each line.
    #[arg(long)]
    prefix: bool,
    /// Of all pods with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Go on with the others when one fails.
    #[arg(long)]
    ignore_errors: bool,
    /// How many logs may be followed at once (with -l).
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    max_log_requests: usize,
    /// How long to wait until there is a pod.
    #[arg(long, value_parser = duration::parse, default_value = "20s", value_name = "DURATION")]
    pod_running_timeout: Duration,
    /// Let the server take any kubelet for the right one.
    #[arg(long)]
    insecure_skip_tls_verify_backend: bool,
}

/// One container's log.
struct Source {
    path: String,
    prefix: String,
}

impl Logs {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        self.check()?;
        let session = Session::open(global).await?;
        let pods = self.pods(&session).await?;
        let mut sources = Vec::new();
        for pod in &pods {
            for container in self.containers(pod)? {
                sources.push(self.source(&session, pod, &container));
            }
        }
        if sources.is_empty() {
            writeln!(
                anstream::stderr(),
                "No resources found in {} namespace.",
                session.namespace
            )?;
            return Ok(());
        }
        if self.follow && sources.len() > 1 {
            if sources.len() > self.max_log_requests {
                bail!(
                    "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, use \
                     --max-log-requests to increase the limit",
                    sources.len(),
                    self.max_log_requests
                );
            }
            try_join_all(sources.iter().map(|source| self.copy(&session, source))).await?;
            return Ok(());
        }
        for source in &sources {
            self.copy(&session, source).await?;
        }
        Ok(())
    }

    /// Refuses what contradicts itself, in kubectl's words.
    fn check(&self) -> anyhow::Result<()> {
        if self.pod.is_none() && self.selector.is_none() {
            bail!(
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n\
                 POD or TYPE/NAME is a required argument for the logs command"
            );
        }
        if self.pod.is_some() && self.selector.is_some() {
            bail!("only a selector (-l) or a POD name is allowed");
        }
        if self.container.is_some() && self.container_argument.is_some() {
            bail!("only one of -c or an inline [CONTAINER] arg is allowed");
        }
        let named = self.container.as_ref().or(self.container_argument.as_ref());
        if let Some(container) = named.filter(|_| self.all_containers) {
            bail!("--all-containers=true should not be specified with container name {container}");
        }
        if self.since.is_some() && self.since_time.is_some() {
            bail!("at most one of `sinceTime` or `sinceSeconds` may be specified");
        }
        if self.limit_bytes.is_some_and(|bytes| bytes < 1) {
            bail!("--limit-bytes must be greater than 0");
        }
        if self.tail.is_some_and(|lines| lines < -1) {
            bail!("--tail must be greater than or equal to -1");
        }
        if let Some(time) = &self.since_time {
            let read: Result<Timestamp, _> = time.parse();
            read.map_err(|_| anyhow!("--since-time: {time:?} is no time: write it as 2006-01-02T15:04:05Z"))?;
        }
        Ok(())
    }

    async fn pods(&self, session: &Session) -> anyhow::Result<Vec<Value>> {
        if let Some(selector) = &self.selector {
            return workload::pods(session, selector).await;
        }
        let word = self.pod.as_deref().unwrap_or_default();
        let (resource, object) = pod::named(session, word)
            .await
            .map_err(|error| in_namespace(error, &session.namespace))?;
        if resource.kind == "Pod" {
            return Ok(vec![object]);
        }
        let selector = workload::selector_for(&resource, &object, "get the logs from")?;
        if self.all_pods {
            return workload::pods(session, &selector).await;
        }
        let (pod, of) = workload::first_pod(session, &selector, self.pod_running_timeout).await?;
        if of > 1 {
            let name = pod::name(&pod);
            writeln!(anstream::stderr(), "Found {of} pods, using pod/{name}")?;
        }
        Ok(vec![pod])
    }

    fn containers(&self, pod: &Value) -> anyhow::Result<Vec<String>> {
        if self.all_containers {
            return Ok(pod::containers(pod).into_iter().map(|(name, _)| name).collect());
        }
        let named = self.container.as_deref().or(self.container_argument.as_deref());
        Ok(vec![pod::choose_and_tell(pod, named)?])
    }

    fn source(&self, session: &Session, pod: &Value, container: &str) -> Source {
        let name = pod::name(pod);
        let mut parameters: Vec<(&str, String)> = vec![("container", container.to_owned())];
        let mut flag = |name, set: bool| {
            if set {
                parameters.push((name, "true".to_owned()));
            }
        };
        flag("follow", self.follow);
        flag("previous", self.previous);
        flag("timestamps", self.timestamps);
        flag("insecureSkipTLSVerifyBackend", self.insecure_skip_tls_verify_backend);
        // Of many pods nobody wants everything.
        let tail = self
            .tail
            .or(self.selector.is_some().then_some(10))
            .filter(|lines| *lines >= 0);
        let numbers = [
            ("tailLines", tail.map(|lines| lines.to_string())),
            // At least a second, which is the finest the API knows.
            (
                "sinceSeconds",
                self.since.map(|since| since.as_secs_f64().ceil().max(1.0).to_string()),
            ),
            ("sinceTime", self.since_time.clone()),
            ("limitBytes", self.limit_bytes.map(|bytes| bytes.to_string())),
        ];
        parameters.extend(
            numbers
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name, value))),
        );
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let namespace = crate::resources::escape(&session.namespace);
        Source {
            path: format!(
                "/api/v1/namespaces/{namespace}/pods/{name}/log{}",
                target::query(&parameters)
            ),
            prefix: if self.prefix || self.all_pods {
                format!("[pod/{name}/{container}] ")
            } else {
                String::new()
            },
        }
    }

    async fn copy(&self, session: &Session, source: &Source) -> anyhow::Result<()> {
        match copy(session, source).await {
            Err(error) if self.ignore_errors => {
                writeln!(anstream::stderr(), "{}", failure::message(&error))?;
                Ok(())
            }
            other => other,
        }
    }
}

/// kubectl's sentence for a pod that isn't there: it tells the namespace.
fn in_namespace(error: anyhow::Error, namespace: &str) -> anyhow::Error {
    match error.downcast_ref() {
        Some(Failure::Api(status)) if status.code == 404 => anyhow!(
            "error from server ({}): {} in namespace {namespace:?}",
            status.reason,
            status.message
        ),
        _ => error,
    }
}

async fn copy(session: &Session, source: &Source) -> anyhow::Result<()> {
    let mut reader = session.stream(&source.path).await?.compat();
    let mut out = tokio::io::stdout();
    let mut part = Vec::new();
    let mut begins = true;
    while next_part(&mut reader, &mut part).await? {
        // In one write, so that lines of several containers don't mix.
        if begins {
            part.splice(0..0, source.prefix.bytes());
        }
        begins = part.ends_with(b"\n");
        out.write_all(&part).await?;
        out.flush().await?;
    }
    Ok(())
}

/// The next line, or the next part of one that is too long to be kept; false at the end.
async fn next_part(reader: &mut (impl AsyncBufRead + Unpin), part: &mut Vec<u8>) -> std::io::Result<bool> {
    part.clear();
    loop {
        let there = reader.fill_buf().await?;
        let newline = there.iter().position(|byte| *byte == b'\n');
        let end = newline.map_or(there.len(), |at| at + 1);
        part.extend_from_slice(&there[..end]);
        reader.consume(end);
        if end == 0 || newline.is_some() || part.len() >= LONGEST_LINE {
            return Ok(!part.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        logs: Logs,
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let of = |line: &str| {
            let words = std::iter::once("logs").chain(line.split_whitespace());
            let parsed = Line::try_parse_from(words).expect(line);
            parsed.logs.check().map_err(|error| error.to_string())
        };
        assert_eq!(of("a"), Ok(()));
        assert_eq!(of("-l app=a --tail=-1"), Ok(()));
        for (line, part) in [
            ("", "POD or TYPE/NAME is a required argument"),
            ("a -l x=y", "only a selector"),
            ("a one -c two", "only one of -c"),
            (
                "a one --all-containers",
                "should not be specified with container name one",
            ),
            ("a --since=1s --since-time=2020-01-01T00:00:00Z", "at most one of"),
            ("a --since-time=yesterday", "no time"),
            ("a --tail=-2", "--tail must be"),
            ("a --limit-bytes=0", "--limit-bytes must be"),
        ] {
            let problem = of(line).expect_err(line);
            assert!(problem.contains(part), "{line}: {problem}");
        }
    }

    #[tokio::test]
    async fn lines_come_whole_and_a_last_one_without_an_end_too() {
        let mut reader: &[u8] = b"one\ntwo\nthree";
        let mut parts = Vec::new();
        let mut part = Vec::new();
        while next_part(&mut reader, &mut part).await.expect("a slice reads") {
            parts.push(String::from_utf8(part.clone()).expect("text"));
        }
        assert_eq!(parts, ["one\n", "two\n", "three"]);

        let long = vec![b'x'; LONGEST_LINE * 2 + 1];
        let mut reader = tokio::io::BufReader::new(long.as_slice());
        assert!(next_part(&mut reader, &mut part).await.expect("a slice reads"));
        assert!(
            part.len() < LONGEST_LINE * 2,
            "a line without an end takes no more memory than this"
        );
    }
}
