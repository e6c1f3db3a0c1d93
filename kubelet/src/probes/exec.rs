//! A command in the container, as a probe or hook: success is exit code 0.

use std::time::Duration;

use crate::cri::Runtime;

/// As much of the output as an event shows.
const SHOWN_BYTES: usize = 1024;

/// Runs it; zero is no limit.
pub(crate) async fn run(
    runtime: &dyn Runtime,
    container_id: &str,
    command: Vec<String>,
    limit: Duration,
) -> Result<(), String> {
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
    let shown = command.join(" ");
    let answer = runtime.exec_sync(container_id, command, seconds).await;
    let answer = answer.map_err(|error| match error.code {
        tonic::Code::DeadlineExceeded => format!("command timed out: \"{shown}\" timed out after {seconds}s"),
        _ => error.message,
    })?;
    if answer.exit_code == 0 {
        return Ok(());
    }
    let mut output = String::from_utf8_lossy(&answer.stdout).into_owned();
    output.push_str(&String::from_utf8_lossy(&answer.stderr));
    let end = (0..=output.len().min(SHOWN_BYTES))
        .rev()
        .find(|at| output.is_char_boundary(*at))
        .unwrap_or(0);
    output.truncate(end);
    match output.trim() {
        "" => Err(format!("\"{shown}\" ended with exit code {}", answer.exit_code)),
        output => Err(output.to_owned()),
    }
}
