//! `logs`: what containers printed, and print from now on.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use futures::future::try_join_all;
use http::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::{duration, pod, target};
use crate::failure::Failure;

/// Arguments of `logs`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl logs python -f
  minikctl logs nginx --tail=20 --timestamps
  minikctl logs nginx -c setup --previous
  minikctl logs -l app=web --all-containers --prefix")]
pub struct Logs {
    /// The pod: nginx, pod/nginx, or one of service/web.
    #[arg(
        value_name = "POD",
        required_unless_present = "selector",
        conflicts_with = "selector"
    )]
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
    #[arg(long, value_parser = duration::parse, value_name = "DURATION", conflicts_with = "since_time")]
    since: Option<Duration>,
    /// Only what is newer than this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since_time: Option<String>,
    /// At most so many bytes.
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<u64>,
    /// With the time of each line.
    #[arg(long)]
    timestamps: bool,
    /// Of the container's previous life, if it was restarted.
    #[arg(short, long)]
    previous: bool,
    /// Of all containers of the pod.
    #[arg(long, conflicts_with_all = ["container", "container_argument"])]
    all_containers: bool,
    /// With pod and container before each line.
    #[arg(long)]
    prefix: bool,
    /// Of all pods with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Go on with the others when one fails.
    #[arg(long)]
    ignore_errors: bool,
}

/// One container's log.
struct Source {
    path: String,
    prefix: String,
}

impl Logs {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let pods = self.pods(&session).await?;
        let mut sources = Vec::new();
        for pod in &pods {
            for container in self.containers(pod)? {
                sources.push(self.source(&session, pod, &container));
            }
        }
        if sources.is_empty() {
            bail!("No resources found in {} namespace.", session.namespace);
        }
        if self.follow {
            try_join_all(sources.iter().map(|source| self.copy(&session, source))).await?;
            return Ok(());
        }
        for source in &sources {
            self.copy(&session, source).await?;
        }
        Ok(())
    }

    async fn pods(&self, session: &Session) -> anyhow::Result<Vec<Value>> {
        if let Some(word) = &self.pod {
            return Ok(vec![pod::find(session, word).await?]);
        }
        let selector = self.selector.as_deref().unwrap_or_default();
        let pods = session.called("pods").await?.remove(0);
        let path = format!(
            "{}{}",
            pods.collection(Some(&session.namespace)),
            target::query(&[("labelSelector", selector)])
        );
        let list = session.get(&path).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    fn containers(&self, pod: &Value) -> anyhow::Result<Vec<String>> {
        if self.all_containers {
            return Ok(pod::containers(pod).into_iter().map(|(name, _)| name).collect());
        }
        let named = self.container.as_deref().or(self.container_argument.as_deref());
        if self.selector.is_some() {
            return Ok(vec![pod::choose(pod, named)?.0]);
        }
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
            prefix: if self.prefix {
                format!("[pod/{name}/{container}] ")
            } else {
                String::new()
            },
        }
    }

    async fn copy(&self, session: &Session, source: &Source) -> anyhow::Result<()> {
        match copy(session, source).await {
            Err(error) if self.ignore_errors => {
                use std::io::Write as _;
                writeln!(anstream::stderr(), "{}", crate::failure::message(&error))?;
                Ok(())
            }
            other => other,
        }
    }
}

async fn copy(session: &Session, source: &Source) -> anyhow::Result<()> {
    let request = session.request(Method::GET, &source.path, "*/*").body(Vec::new())?;
    let stream = session.kube.request_stream(request).await;
    let stream = stream.map_err(|error| Failure::from_kube(error, &session.server_address()))?;
    let mut reader = BufReader::new(stream.compat());
    let mut out = tokio::io::stdout();
    if source.prefix.is_empty() {
        tokio::io::copy_buf(&mut reader, &mut out).await?;
    } else {
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).await? > 0 {
            // In one write, so that lines of several containers don't mix.
            line.splice(0..0, source.prefix.bytes());
            out.write_all(&line).await?;
            line.clear();
        }
    }
    out.flush().await?;
    Ok(())
}
