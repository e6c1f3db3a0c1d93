//! How far image pulls are, in words for a container's waiting message.
//!
//! Our runtime tells it beside the CRI; with another runtime there is none and everything goes on without.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use minik_api::images::{Progress, layer::State};
use tokio::sync::watch;
use tonic::Code;
use tracing::debug;

use crate::cri::Runtime;

/// Between attempts to reach a runtime that is away.
const RECONNECT: Duration = Duration::from_secs(1);

/// Full image name to progress, of every pull under way.
pub(crate) type Pulls = BTreeMap<String, Progress>;

/// Keeps `pulls` current. Ends when the runtime has no such service.
pub(crate) async fn follow(runtime: Arc<dyn Runtime>, pulls: watch::Sender<Pulls>) {
    loop {
        match runtime.pull_progress().await {
            Ok(mut stream) => {
                while let Some(Ok(progress)) = stream.next().await {
                    let is_over = !progress.image_ref.is_empty() || !progress.error.is_empty();
                    pulls.send_modify(|pulls| match is_over {
                        true => drop(pulls.remove(&progress.image)),
                        false => drop(pulls.insert(progress.image.clone(), progress)),
                    });
                }
                pulls.send_replace(Pulls::new());
            }
            Err(error) if error.code == Code::Unimplemented => return,
            Err(error) => debug!(%error, "the progress of pulls can't be followed"),
        }
        tokio::select! {
            () = tokio::time::sleep(RECONNECT) => {}
            () = pulls.closed() => return,
        }
    }
}

/// `pulling nginx:stable: 2 of 5 layers, 12.3 of 45.1 MB (27%)`
pub(crate) fn in_words(image: &str, progress: &Progress) -> String {
    let layers = progress.layers.len();
    if layers == 0 {
        return format!("pulling {image}: reading its manifest");
    }
    let done = progress
        .layers
        .iter()
        .filter(|layer| matches!(layer.state(), State::Done | State::Exists))
        .count();
    let fresh = || progress.layers.iter().filter(|layer| layer.state() != State::Exists);
    let arrived: u64 = fresh().map(|layer| layer.offset_bytes.min(layer.total_bytes)).sum();
    let total: u64 = fresh().map(|layer| layer.total_bytes).sum();
    let percent = (arrived * 100).checked_div(total).unwrap_or(100);
    format!(
        "pulling {image}: {done} of {layers} layers, {} of {} MB ({percent}%)",
        megabytes(arrived),
        megabytes(total)
    )
}

/// Decimal, with one digit after the point.
pub(crate) fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use minik_api::images::Layer;

    use super::*;

    fn layer(state: State, offset_bytes: u64, total_bytes: u64) -> Layer {
        Layer {
            digest: String::new(),
            state: state.into(),
            offset_bytes,
            total_bytes,
            ..Layer::default()
        }
    }

    #[test]
    fn progress_reads_well() {
        let progress = Progress {
            layers: vec![
                layer(State::Exists, 0, 9_000_000),
                layer(State::Done, 10_000_000, 10_000_000),
                layer(State::Downloading, 2_300_000, 35_100_000),
            ],
            ..Default::default()
        };
        assert_eq!(
            in_words("nginx:stable", &progress),
            "pulling nginx:stable: 2 of 3 layers, 12.3 of 45.1 MB (27%)"
        );
        assert_eq!(in_words("x", &Progress::default()), "pulling x: reading its manifest");
    }
}
