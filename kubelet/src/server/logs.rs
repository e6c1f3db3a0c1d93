//! `GET /containerLogs/NAMESPACE/POD/CONTAINER`: what a container wrote, now or as it comes.

use std::path::PathBuf;
use std::sync::Arc;

use http_body_util::{BodyExt, StreamBody};
use hyper::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::Shared;
use super::answer::{Body, Refusal, text};
use super::follow::{self, Source};
use super::log_line::Wanted;
use super::route::{Query, flag, look, option};
use crate::pod::Pod;
use crate::spec;

/// Chunks that may wait for a slow client; then reading waits too.
const CHUNKS: usize = 8;

/// Answers with the log of the newest run, or of the one before.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    pod: &Pod,
    container: &str,
    query: &Query,
) -> Result<Response<Body>, Refusal> {
    if pod.container(container).is_none() {
        return Err(Refusal::bad_request(format!(
            "container {container} is not valid for pod {}",
            pod.name
        )));
    }
    let wanted = wanted(query, Timestamp::now())?;
    let observed = look(shared, pod).await?;
    let previous = flag(query, &["previous"]);
    let run = observed.runs(container).nth(usize::from(previous));
    let Some(run) = run else {
        return Err(Refusal::bad_request(missing(pod, container, previous)));
    };
    let log_dir = shared.context.node.log_dir(pod);
    let named = Some(&run.log_path)
        .filter(|path| path.starts_with('/'))
        .map(PathBuf::from);
    let path = named.unwrap_or_else(|| log_dir.join(spec::log_path(container, run.attempt)));
    let lines = number(query, "tailLines")?;
    let source = Source {
        path,
        container_id: run.id.clone(),
        follow: flag(query, &["follow"]) && run.is_alive(),
        tail_lines: lines,
        wanted,
    };
    let (chunks, receiver) = tokio::sync::mpsc::channel(CHUNKS);
    tokio::spawn(follow::read(Arc::clone(shared), source, chunks));
    let frames = ReceiverStream::new(receiver).map(|chunk| chunk.map(hyper::body::Frame::data));
    let mut response = text("");
    *response.body_mut() = BodyExt::boxed(StreamBody::new(frames));
    Ok(response)
}

fn missing(pod: &Pod, container: &str, previous: bool) -> String {
    if previous {
        return format!(
            "previous terminated container \"{container}\" in pod \"{}\" not found",
            pod.name
        );
    }
    let statuses = pod
        .status
        .init_container_statuses
        .iter()
        .chain(&pod.status.container_statuses)
        .flatten();
    let waiting = statuses.into_iter().find(|status| status.name == container);
    let waiting = waiting.and_then(|status| status.state.as_ref()?.waiting.as_ref());
    let reason = waiting
        .and_then(|waiting| waiting.reason.clone())
        .unwrap_or_else(|| "ContainerCreating".into());
    let message = waiting
        .and_then(|waiting| waiting.message.clone())
        .map_or(String::new(), |message| format!(" ({message})"));
    format!(
        "container \"{container}\" in pod \"{}\" is waiting to start: {reason}{message}",
        pod.name
    )
}

fn wanted(query: &Query, now: Timestamp) -> Result<Wanted, Refusal> {
    let since = match (option(query, "sinceTime"), number(query, "sinceSeconds")?) {
        (Some(_), Some(_)) => {
            return Err(invalid(
                "at most one of sinceTime or sinceSeconds may be specified".into(),
            ));
        }
        (Some(time), None) => Some(
            time.parse()
                .map_err(|_| invalid(format!("sinceTime {time:?} is no time in RFC 3339")))?,
        ),
        (None, Some(seconds)) => {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            Some(
                now.saturating_sub(SignedDuration::from_secs(seconds))
                    .unwrap_or(Timestamp::MIN),
            )
        }
        (None, None) => None,
    };
    Ok(Wanted {
        timestamps: flag(query, &["timestamps"]),
        since,
        stream: option(query, "stream")
            .filter(|stream| *stream != "All")
            .map(str::to_lowercase),
        limit_bytes: number(query, "limitBytes")?,
    })
}

fn number(query: &Query, name: &str) -> Result<Option<usize>, Refusal> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| invalid(format!("{name} must be a number of at least 0, not {text:?}")))
    };
    option(query, name).map(parse).transpose()
}

fn invalid(message: String) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message)
}

#[cfg(test)]
mod tests {
    use super::super::route::parse_query;
    use super::*;

    #[test]
    fn options_are_read_and_refused() {
        let now = Timestamp::from_second(100).expect("in range");
        let read = wanted(&parse_query("sinceSeconds=10&timestamps=true&limitBytes=5"), now).expect("good options");
        assert_eq!(read.since.map(Timestamp::as_second), Some(90));
        assert!(read.timestamps && read.limit_bytes == Some(5));
        for bad in [
            "sinceSeconds=x",
            "limitBytes=-1",
            "sinceTime=yesterday",
            "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
        ] {
            assert!(wanted(&parse_query(bad), now).is_err(), "{bad}");
        }
    }
}
