//! How a command ended, as the client reads it on the error channel: a metav1.Status (protocols v4 and v5).

use serde_json::{Value, json};

use super::Outcome;

/// The Status for an outcome, in the words that kubectl looks for: `NonZeroExitCode` with the code as a cause.
pub(super) fn status(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Exited(0) => json!({"metadata": {}, "status": "Success"}),
        Outcome::Exited(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Outcome::Failed(message) => json!({
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": "InternalError",
            "details": {"causes": [{"message": message}]},
            "code": 500,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_causes() {
        assert_eq!(status(&Outcome::Exited(0))["status"], "Success");
        let failed = status(&Outcome::Exited(3));
        assert_eq!(failed["reason"], "NonZeroExitCode");
        assert_eq!(
            failed["details"]["causes"][0],
            json!({"reason": "ExitCode", "message": "3"})
        );
        assert_eq!(status(&Outcome::Failed("no sh".to_owned()))["message"], "no sh");
    }
}
