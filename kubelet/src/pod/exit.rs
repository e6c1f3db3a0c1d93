//! What an exit code means, in words that name the cause.

use super::observed::Container;

/// Reason and message of a run that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// `Completed`, `OOMKilled`, `Error`, or the runtime's own.
    pub(crate) reason: String,
    /// Empty when there is nothing to say.
    pub(crate) message: String,
}

/// Explains an exit. `written` is what the container left in its termination log.
pub(crate) fn explain(container: &Container, code: i32, written: Option<&str>) -> Exit {
    let reason = match (container.reason.as_str(), code) {
        ("", 0) => "Completed",
        ("", _) => "Error",
        (reason, _) => reason,
    };
    let own = written.filter(|text| !text.is_empty());
    let said = Some(container.message.as_str()).filter(|text| !text.is_empty());
    let message = match (own, said) {
        (Some(own), _) => own.to_owned(),
        (None, Some(said)) => said.to_owned(),
        (None, None) => meaning(reason, code),
    };
    Exit {
        reason: reason.to_owned(),
        message,
    }
}

/// What the number says by itself: bash's and Docker's conventions, and signals.
fn meaning(reason: &str, code: i32) -> String {
    match code {
        _ if reason == "OOMKilled" => {
            "a process used more memory than the container's limit and was killed: raise resources.limits.memory, or use less"
                .into()
        }
        125 => "the container could not be started".into(),
        126 => "the command was found but can't be executed: is it executable, and for this CPU architecture?".into(),
        127 => {
            "a command was not found: check the spelling of command and args, and what the image has in its PATH".into()
        }
        137 => "killed by SIGKILL (137 = 128 + 9), not for want of memory within its limit".into(),
        143 => "ended by SIGTERM (143 = 128 + 15)".into(),
        129..=192 => format!("ended by signal {} ({})", code - 128, signal_name(code - 128)),
        _ => String::new(),
    }
}

fn signal_name(number: i32) -> &'static str {
    nix::sys::signal::Signal::try_from(number).map_or("a real-time signal", nix::sys::signal::Signal::as_str)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::observed::ContainerState;
    use super::*;

    fn ended(code: i32, reason: &str, message: &str) -> Container {
        Container {
            id: "c".into(),
            sandbox_id: "s".into(),
            name: "main".into(),
            attempt: 0,
            state: ContainerState::Exited {
                code,
                finished_at_nanos: 1,
            },
            created_at_nanos: 0,
            started_at_nanos: 0,
            reason: reason.into(),
            message: message.into(),
            image: String::new(),
            image_ref: String::new(),
            log_path: String::new(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn codes_are_decoded() {
        for (code, reason, words) in [
            (0, "Completed", ""),
            (1, "Error", ""),
            (127, "Error", "not found"),
            (126, "Error", "can't be executed"),
            (137, "Error", "SIGKILL"),
            (139, "Error", "SIGSEGV"),
            (143, "Error", "SIGTERM"),
        ] {
            let exit = explain(&ended(code, "", ""), code, None);
            assert_eq!(exit.reason, reason, "{code}");
            assert!(exit.message.contains(words), "{code}: {}", exit.message);
        }
    }

    #[test]
    fn memory_and_a_plain_kill_are_told_apart() {
        let oom = explain(&ended(137, "OOMKilled", ""), 137, None);
        assert_eq!(oom.reason, "OOMKilled");
        assert!(oom.message.contains("memory"), "{}", oom.message);
        assert!(
            !explain(&ended(137, "Error", ""), 137, None)
                .message
                .contains("limits.memory")
        );
    }

    #[test]
    fn the_containers_own_words_come_first_then_the_runtimes() {
        let container = ended(127, "StartError", "exec: \"nginxx\": not found, did you mean nginx?");
        assert_eq!(explain(&container, 127, Some("mine")).message, "mine");
        assert!(explain(&container, 127, None).message.contains("did you mean"));
        assert_eq!(explain(&container, 127, Some("")).reason, "StartError");
    }
}
