//! A run's last words: what it wrote to its termination log, or the end of its output.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::pod::Pod;
use crate::pod::observed::Container;
use crate::spec::Node;
use crate::volumes::files::termination_log_path;

/// As much as Kubernetes shows of a termination log.
const MESSAGE_BYTES: u64 = 4096;
/// As much as it shows of the output instead.
const LOG_BYTES: u64 = 2048;
/// And no more lines than this.
const LOG_LINES: usize = 80;

/// Empty if it left none.
pub(crate) fn last(pod: &Pod, run: &Container, node: &Node) -> String {
    let written = tail(&termination_log_path(pod, &run.name, run.attempt, node), MESSAGE_BYTES);
    let container = pod.container(&run.name);
    let falls_back = container
        .is_some_and(|container| container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError"));
    if !written.is_empty() || !falls_back || run.exit_code() == Some(0) {
        return written;
    }
    let log = node.log_dir(pod).join(crate::spec::log_path(&run.name, run.attempt));
    let lines = tail(&log, 2 * LOG_BYTES);
    // The CRI's log lines are `TIME STREAM TAG TEXT`.
    let lines: Vec<&str> = lines.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    let text = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    let from = text
        .len()
        .saturating_sub(usize::try_from(LOG_BYTES).unwrap_or(usize::MAX));
    let from = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    text[from..].to_owned()
}

/// The end of a file; a file that can't be read has none.
fn tail(path: &Path, bytes: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        let mut content = Vec::new();
        file.take(bytes).read_to_end(&mut content)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&content).into_owned())
    };
    read().unwrap_or_default()
}
