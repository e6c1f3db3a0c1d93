//! What can go wrong between the user and the server, in kubectl's words and with what to do next.
//!
//! kubectl's shapes are kept because people and scripts know them: `Error from server (NotFound): ...`, `The Pod "x" is
//! invalid: ...`, `error: ...`. The advice stands on a line of its own below.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use kube::core::Status;

/// A request did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server answered with a Status.
    #[error("{}", api_message(.0))]
    Api(Box<Status>),
    /// Nobody listens there.
    #[error(
        "The connection to the server {server} was refused - did you specify the right host or port?\n\
         The node is not running, or this context belongs to another one: start it with `sudo minikctl up`."
    )]
    Refused {
        /// Host and port of the kubeconfig's cluster.
        server: String,
    },
    /// TLS did not come about.
    #[error("Unable to connect to the server: tls: {problem}\n{advice}")]
    Tls {
        /// What TLS says.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// Any other way in which no answer came.
    #[error(
        "Unable to connect to the server: {problem}\nIs the node running? `minikctl status` tells, `sudo minikctl up` starts it."
    )]
    Unreachable {
        /// The innermost cause.
        problem: String,
    },
    /// No kubeconfig, or one that can't be used.
    #[error(
        "error: {problem}\nStart the node with `sudo minikctl up`: it writes the context \"minik\" to your kubeconfig."
    )]
    Kubeconfig {
        /// What is wrong with it.
        problem: String,
    },
    /// The server is another one than the user insists on.
    #[error("error: {problem}")]
    Version {
        /// Which one it is.
        problem: String,
    },
    /// The answer is not what the protocol says.
    #[error("error: the server answered {what} with something unreadable: {problem}")]
    Answer {
        /// The request.
        what: String,
        /// Why it can't be read.
        problem: String,
    },
}

/// The process ends with this code and says nothing more: the command in the pod failed, or all has been said already.
#[derive(Debug, thiserror::Error)]
#[error("exit code {0}")]
pub struct Exit(pub u8);

/// Several things failed, each with its own message.
#[derive(Debug, thiserror::Error)]
#[error("{} errors", .0.len())]
pub struct Several(pub Vec<anyhow::Error>);

impl Failure {
    /// The HTTP code of the server's Status, if it is one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// Whether the server said that the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Puts `error when creating "file": ` before the server's message, as kubectl does.
    #[must_use]
    pub fn when(self, doing: &str, source: &str) -> Self {
        match self {
            Self::Api(mut status) => {
                status.message = format!("error when {doing} {source}: {}", status.message);
                Self::Api(status)
            }
            other => other,
        }
    }

    /// The fields that the server complains about.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        let Self::Api(status) = self else { return Vec::new() };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let mut fields: Vec<&str> = causes
            .map(|cause| cause.field.as_str())
            .filter(|field| !field.is_empty())
            .collect();
        // Strict decoding names its fields in the message alone: `unknown field "spec.foo"`.
        for part in status.message.split("field \"").skip(1) {
            fields.extend(part.split('"').next());
        }
        fields.dedup();
        fields
    }

    /// Finds the words for what kube reports.
    #[must_use]
    pub fn from_kube(error: kube::Error, server: &str) -> Self {
        match error {
            kube::Error::Api(status) => Self::Api(status),
            other => Self::from_transport(&other, server),
        }
    }

    fn from_transport(error: &(dyn StdError + 'static), server: &str) -> Self {
        let mut innermost = error;
        let mut next = Some(error);
        while let Some(current) = next {
            innermost = current;
            if let Some(tls) = current.downcast_ref::<rustls::Error>() {
                return Self::from_tls(tls);
            }
            let io = current.downcast_ref::<io::Error>();
            if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
                return Self::Refused {
                    server: server.to_owned(),
                };
            }
            // An io::Error's source is the source of what it wraps, not what it wraps.
            let wrapped = io.and_then(io::Error::get_ref);
            next = wrapped
                .map(|wrapped| wrapped as &(dyn StdError + 'static))
                .or_else(|| current.source());
        }
        Self::Unreachable {
            problem: innermost.to_string(),
        }
    }

    fn from_tls(error: &rustls::Error) -> Self {
        use rustls::{AlertDescription, CertificateError, Error};
        let advice = match error {
            Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                "The server's certificate has expired, or this machine's clock is wrong: check `date`, then renew with `sudo minikctl down && sudo minikctl up`."
            }
            Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
                "The server's certificate is not valid yet: this machine's clock is behind. Check `date`."
            }
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => {
                "The server's certificate is for another host: check `server:` of this context with `minikctl config view`."
            }
            Error::InvalidCertificate(_) => {
                "Another authority signed the server's certificate: the kubeconfig is of another node, or an earlier life of this one. `sudo minikctl up` writes it anew."
            }
            Error::AlertReceived(
                AlertDescription::CertificateExpired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::DecryptError
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired,
            ) => {
                "The server refused your client certificate: the kubeconfig is of another node, or too old. `sudo minikctl up` writes it anew."
            }
            _ => "Does a Kubernetes API server listen there? `minikctl config view` shows the address.",
        };
        Self::Tls {
            problem: error.to_string(),
            advice,
        }
    }
}

/// kubectl's rendering of a Status.
fn api_message(status: &Status) -> String {
    if status.code == 401 {
        let reason = if status.reason.is_empty() {
            "Unauthorized"
        } else {
            &status.reason
        };
        return format!(
            "error: You must be logged in to the server ({reason})\n\
             The server does not know these credentials: `sudo minikctl up` writes them to the kubeconfig anew."
        );
    }
    if status.reason == "Invalid" {
        let mut text = match &status.details {
            Some(named) if !(named.kind.is_empty() && named.name.is_empty()) => {
                format!("The {} {:?} is invalid", named.kind, named.name)
            }
            Some(unnamed) if !unnamed.causes.is_empty() => "The request is invalid".into(),
            _ => format!("The request is invalid: {}", status.message),
        };
        let mut lines: Vec<String> = Vec::new();
        for cause in status.details.iter().flat_map(|details| &details.causes) {
            let line = format!("{}: {}", cause.field, cause.message);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        match lines.as_slice() {
            [] => {}
            [one] => text.push_str(&format!(": {one}")),
            many => {
                text.push_str(": ");
                for line in many {
                    let _ = write!(text, "\n* {line}");
                }
            }
        }
        return text;
    }
    match (status.reason.as_str(), status.message.as_str()) {
        ("", "") => format!("Error from server: HTTP {}", status.code),
        ("", message) => format!("Error from server: {message}"),
        (reason, message) => format!("Error from server ({reason}): {message}"),
    }
}

/// Says on stderr why the command failed and gives the exit code. A reader that went away is no failure.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(Exit(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    let broken_pipe = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|io| io.kind() == io::ErrorKind::BrokenPipe);
    if broken_pipe {
        return ExitCode::SUCCESS;
    }
    // Nothing can be said when stderr is gone.
    let _ = writeln!(anstream::stderr(), "{}", message(error));
    ExitCode::FAILURE
}

/// The message for one error: as it stands when it has kubectl's shape already, after `error: ` otherwise.
pub fn message(error: &anyhow::Error) -> String {
    if let Some(Several(errors)) = error.downcast_ref() {
        let bare = |error: &anyhow::Error| match (error.downcast_ref::<Failure>(), format!("{error:#}")) {
            (Some(_), _) => message(error),
            // Of several, kubectl shows plain ones as they are.
            (None, text) => text,
        };
        return errors.iter().map(bare).collect::<Vec<_>>().join("\n");
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.to_string();
    }
    let text = format!("{error:#}");
    let is_kubectls = ["error: ", "Error from server", "The connection to the server"]
        .iter()
        .any(|start| text.starts_with(start));
    let is_kubectls = is_kubectls || text.starts_with("The ") && text.contains(" is invalid");
    if is_kubectls { text } else { format!("error: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: serde_json::Value) -> Failure {
        Failure::Api(serde_json::from_value(json).expect("a Status"))
    }

    #[test]
    fn statuses_read_as_in_kubectl() {
        let not_found = status(serde_json::json!({
            "status": "Failure", "code": 404, "reason": "NotFound", "message": "pods \"x\" not found"
        }));
        assert_eq!(
            not_found.to_string(),
            "Error from server (NotFound): pods \"x\" not found"
        );
        assert!(not_found.is_not_found());

        let one = serde_json::json!({
            "status": "Failure", "code": 422, "reason": "Invalid", "message": "long",
            "details": {"kind": "Pod", "name": "x", "causes": [
                {"field": "spec.containers[0].image", "message": "Required value", "reason": "FieldValueRequired"}]}
        });
        assert_eq!(
            status(one.clone()).when("creating", "\"f\"").to_string(),
            "The Pod \"x\" is invalid: spec.containers[0].image: Required value"
        );
        let mut two = one;
        two["details"]["causes"] = serde_json::json!([
            {"field": "a", "message": "1"}, {"field": "b", "message": "2"}, {"field": "a", "message": "1"}]);
        assert_eq!(status(two).to_string(), "The Pod \"x\" is invalid: \n* a: 1\n* b: 2");

        // What a patch makes of an object is invalid without a kind, and a patch that can't be done has no causes.
        let patch = serde_json::json!({"field": "patch", "message": "Invalid value: \"{}\""});
        for (details, text) in [
            (
                serde_json::json!({"causes": [patch]}),
                "The request is invalid: patch: Invalid value: \"{}\"",
            ),
            (serde_json::json!({}), "The request is invalid: long"),
            (serde_json::Value::Null, "The request is invalid: long"),
        ] {
            let unnamed = serde_json::json!({"code": 422, "reason": "Invalid", "message": "long", "details": details});
            assert_eq!(status(unnamed).to_string(), text);
        }
    }

    #[test]
    fn the_source_is_named_before_the_servers_words() {
        let bad = status(serde_json::json!({
            "code": 400, "reason": "BadRequest", "message": "unknown field \"spec.foo\""
        }));
        assert_eq!(
            bad.when("creating", "\"a.yaml\"").to_string(),
            "Error from server (BadRequest): error when creating \"a.yaml\": unknown field \"spec.foo\""
        );
    }

    #[test]
    fn the_fields_of_a_complaint_are_known() {
        let strict = status(serde_json::json!({
            "code": 400, "message": "strict decoding error: unknown field \"spec.a\", unknown field \"spec.b[0].c\""
        }));
        assert_eq!(strict.fields(), ["spec.a", "spec.b[0].c"]);
        let invalid = status(serde_json::json!({
            "code": 422, "details": {"causes": [{"field": "spec.x", "message": "Required value"}]}
        }));
        assert_eq!(invalid.fields(), ["spec.x"]);
    }

    #[test]
    fn transport_errors_say_what_to_do() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let text = Failure::from_transport(&refused, "127.0.0.1:6443").to_string();
        assert!(
            text.starts_with("The connection to the server 127.0.0.1:6443 was refused"),
            "{text}"
        );
        assert!(text.contains("sudo minikctl up"), "{text}");

        let expired = io::Error::other(rustls::Error::InvalidCertificate(rustls::CertificateError::Expired));
        let text = Failure::from_transport(&expired, "h").to_string();
        assert!(text.contains("expired") && text.contains("date"), "{text}");

        let deep = io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(
            rustls::CertificateError::BadSignature,
        )));
        let text = Failure::from_transport(&deep, "h").to_string();
        assert!(text.contains("Another authority"), "{text}");
    }

    #[test]
    fn other_errors_begin_with_error() {
        assert_eq!(message(&anyhow::anyhow!("no")), "error: no");
        assert_eq!(message(&anyhow::anyhow!("error: no")), "error: no");
    }
}
