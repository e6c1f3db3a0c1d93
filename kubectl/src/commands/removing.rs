//! Deleting what stands in the way of what a user wants there: `apply --force`, `apply --prune` and `replace --force`.

use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use crate::client::Session;
use crate::commands::duration;
use crate::commands::following::Followed;

/// How it is deleted.
#[derive(Args, Clone, Debug, Default)]
pub struct Removing {
    /// What becomes of the objects that belong to what is deleted.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "background")]
    pub cascade: Cascade,
    /// How many seconds the processes of what is deleted get to end by themselves.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub grace_period: Option<i64>,
    /// How long to wait until what is deleted is gone; 0 means as long as it takes.
    #[arg(long, value_parser = duration::parse, default_value = "0s", value_name = "DURATION")]
    pub timeout: Duration,
    /// Return only when what is deleted is gone.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, hide_possible_values = true, hide_default_value = true)]
    pub wait: bool,
}

/// What becomes of the objects that belong to one that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Cascade {
    /// They follow.
    #[default]
    #[value(alias = "true")]
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    #[value(alias = "false")]
    Orphan,
}

impl Cascade {
    /// As the server's options have it.
    #[must_use]
    pub fn policy(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

impl Removing {
    /// The body of the request.
    #[must_use]
    pub fn options(&self) -> Value {
        let mut options = json!({"propagationPolicy": self.cascade.policy()});
        if let Some(seconds) = self.grace_period.filter(|seconds| *seconds >= 0) {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        options
    }

    /// Deletes an object and returns when it is gone; false when it was not there.
    ///
    /// # Errors
    /// Those of asking; and when it takes too long.
    pub async fn remove(&self, session: &Session, what: Followed<'_>) -> anyhow::Result<bool> {
        let path = what.resource.object(what.namespace, what.name);
        let asked = session
            .send(Method::DELETE, &path, "application/json", &self.options())
            .await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(failure) if failure.is_not_found() => return Ok(false),
            Err(failure) => return Err(failure.into()),
        };
        self.in_time(gone(session, what, uid_of(&answer))).await?;
        Ok(true)
    }

    /// Gives up what takes longer than `--timeout` says.
    ///
    /// # Errors
    /// Those of `work`, and that it took too long.
    pub async fn in_time(&self, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        if self.timeout.is_zero() {
            return work.await;
        }
        let ended = tokio::time::timeout(self.timeout, work).await;
        ended.map_err(|_| anyhow!("timed out waiting for the condition"))?
    }
}

/// The uid of what goes, from the answer to the request: the object while it goes, or a Status when it is gone.
#[must_use]
pub fn uid_of(answer: &Value) -> &str {
    let uid = answer["metadata"]["uid"].as_str().or(answer["details"]["uid"].as_str());
    uid.unwrap_or_default()
}

/// Returns when the object with this uid is no more; somebody may have made another one of its name already.
///
/// # Errors
/// Those of asking.
pub async fn gone(session: &Session, victim: Followed<'_>, uid: &str) -> anyhow::Result<()> {
    let is_gone = |now: Option<&Value>| now.is_none_or(|object| !uid.is_empty() && object["metadata"]["uid"] != uid);
    victim.until(session, |now| Ok(is_gone(now).then_some(()))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_only_what_was_said() {
        assert_eq!(
            Removing::default().options(),
            json!({"propagationPolicy": "Background"})
        );
        let removing = Removing {
            cascade: Cascade::Orphan,
            grace_period: Some(0),
            ..Removing::default()
        };
        assert_eq!(
            removing.options(),
            json!({"propagationPolicy": "Orphan", "gracePeriodSeconds": 0})
        );
        assert_eq!(uid_of(&json!({"kind": "Status", "details": {"uid": "u"}})), "u");
    }
}
