//! What is said besides results: to the file that `--log` names, in the shape that `--log-format` names, which containerd
//! and podman read; errors also to the user.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

/// Where to, and how.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) path: Option<PathBuf>,
    pub(super) json: bool,
    pub(super) debug: bool,
}

impl Log {
    pub(super) fn error(&self, message: &str) {
        self.write("error", message);
        if self.path.is_some() {
            eprintln!("{message}");
        }
    }

    /// To the log file alone: the streams are the container's, and what the host refuses a container is no part of its
    /// output.
    pub(super) fn warn(&self, message: &str) {
        if self.path.is_some() || self.debug {
            self.write("warning", message);
        }
    }

    pub(super) fn debug(&self, message: &str) {
        if self.debug {
            self.write("debug", message);
        }
    }

    fn write(&self, level: &str, message: &str) {
        let line = line(
            self.json,
            level,
            message,
            &jiff::Timestamp::now().strftime("%FT%TZ").to_string(),
        );
        let Some(path) = &self.path else {
            eprint!("{line}");
            return;
        };
        let opened = OpenOptions::new().append(true).create(true).open(path);
        if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("write to the log {}: {error}", path.display());
        }
    }
}

fn line(json: bool, level: &str, message: &str, time: &str) -> String {
    if json {
        format!("{}\n", json!({"level": level, "msg": message, "time": time}))
    } else {
        format!("time={time:?} level={level} msg={message:?}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_containerd_and_podman_read_them() {
        let time = "2026-01-02T03:04:05Z";
        assert_eq!(
            line(true, "error", "a \"b\"", time),
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\",\"time\":\"2026-01-02T03:04:05Z\"}\n"
        );
        assert_eq!(
            line(false, "warning", "a", time),
            "time=\"2026-01-02T03:04:05Z\" level=warning msg=\"a\"\n"
        );
    }
}
