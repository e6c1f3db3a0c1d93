//! The query of a request to a resource (metav1's ListOptions, CreateOptions, DeleteOptions and the like).

use axum::extract::Query;
use http::Uri;
use minik_api::selector::{Fields, Labels};
use minik_api::status::Status;

use crate::registry::{ListOptions, Match, Selection};
use crate::storage::Revision;

/// What to do about fields of a body that nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them and say so.
    #[default]
    Warn,
    /// Refuse the body.
    Strict,
}

/// The options of a request.
#[derive(Debug, Default)]
pub(crate) struct Params {
    /// Which objects; the namespace is the path's.
    pub(crate) labels: Labels,
    /// Which objects.
    pub(crate) fields: Fields,
    /// List: from when, how many, from where on.
    pub(crate) list: ListOptions,
    /// Watch instead of list.
    pub(crate) watch: bool,
    /// Send the revision now and then when nothing happens.
    pub(crate) bookmarks: bool,
    /// Begin with what is there, and mark where that ends.
    pub(crate) initial_events: Option<bool>,
    /// When a watch ends.
    pub(crate) timeout_seconds: Option<u64>,
    /// Do everything but store.
    pub(crate) dry_run: bool,
    /// What to do about unknown fields.
    pub(crate) field_validation: FieldValidation,
    /// Who owns what is written; empty when the request doesn't say.
    pub(crate) field_manager: String,
    /// Apply: take over what others own.
    pub(crate) force: Option<bool>,
    /// Delete: how long to wait.
    pub(crate) grace_seconds: Option<i64>,
    /// Table: `None`, `Metadata`, `Object`.
    pub(crate) include_object: Option<String>,
}

impl Params {
    /// Reads the query.
    pub(super) fn parse(uri: &Uri) -> Result<Self, Status> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Status::bad_request(format!("the query can't be read: {error}")))?;
        let mut params = Self::default();
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            params.set(name, value)?;
        }
        params.check()?;
        Ok(params)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Status> {
        let list = &mut self.list;
        match name {
            "labelSelector" => self.labels = Labels::parse(value).map_err(|error| invalid(&error))?,
            "fieldSelector" => self.fields = Fields::parse(value).map_err(|error| invalid(&error))?,
            "resourceVersion" => list.revision = Some(Revision(number(name, value)?)),
            "resourceVersionMatch" => list.matching = Some(matching(value)?),
            // 0 is no limit.
            "limit" => list.limit = Some(number::<usize>(name, value)?).filter(|&limit| limit > 0),
            "continue" => list.token = Some(value.to_owned()),
            "watch" => self.watch = boolean(value),
            "allowWatchBookmarks" => self.bookmarks = boolean(value),
            "sendInitialEvents" => self.initial_events = Some(boolean(value)),
            "timeoutSeconds" => self.timeout_seconds = Some(number(name, value)?).filter(|&seconds| seconds > 0),
            "dryRun" => self.dry_run = dry_run(value)?,
            "fieldValidation" => self.field_validation = field_validation(value)?,
            "fieldManager" => self.field_manager = value.to_owned(),
            "force" => self.force = Some(boolean(value)),
            "gracePeriodSeconds" => self.grace_seconds = Some(number(name, value)?),
            "includeObject" => self.include_object = Some(value.to_owned()),
            // As upstream: what isn't known means nothing.
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Status> {
        let list = &self.list;
        let complaint = if self.watch {
            let wrong_match = self.initial_events.is_some() && list.matching != Some(Match::NotOlderThan);
            wrong_match.then_some("sendInitialEvents requires resourceVersionMatch=NotOlderThan")
        } else if list.matching.is_some() && list.revision.is_none() {
            Some("resourceVersionMatch is forbidden unless resourceVersion is provided")
        } else if list.matching == Some(Match::Exact) && list.revision == Some(Revision(0)) {
            Some("resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"")
        } else if list.matching.is_some() && list.token.is_some() {
            Some("resourceVersionMatch is forbidden when continue is provided")
        } else {
            None
        };
        complaint.map_or(Ok(()), |complaint| Err(Status::bad_request(complaint)))
    }

    /// The objects that are meant in this namespace.
    pub(crate) fn selection(&self, namespace: &str) -> Selection {
        Selection {
            namespace: namespace.to_owned(),
            labels: self.labels.clone(),
            fields: self.fields.clone(),
        }
    }
}

fn invalid(error: &dyn std::error::Error) -> Status {
    Status::bad_request(error.to_string())
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Status> {
    let wrong = |_| Status::bad_request(format!("{name}: Invalid value: \"{value}\": must be a number"));
    value.parse().map_err(wrong)
}

/// As Go's conversion of query parameters: there means true, unless it says otherwise.
fn boolean(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "0")
}

fn matching(value: &str) -> Result<Match, Status> {
    match value {
        "Exact" => Ok(Match::Exact),
        "NotOlderThan" => Ok(Match::NotOlderThan),
        _ => Err(Status::bad_request(format!(
            "resourceVersionMatch: Unsupported value: \"{value}\": supported values: \"Exact\", \"NotOlderThan\""
        ))),
    }
}

/// The one kind of dry run that there is.
pub(super) fn dry_run(value: &str) -> Result<bool, Status> {
    match value {
        "All" => Ok(true),
        _ => Err(Status::bad_request(format!(
            "dryRun: Unsupported value: \"{value}\": supported values: \"All\""
        ))),
    }
}

fn field_validation(value: &str) -> Result<FieldValidation, Status> {
    match value {
        "Ignore" => Ok(FieldValidation::Ignore),
        "Warn" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        _ => Err(Status::bad_request(format!(
            "fieldValidation: Unsupported value: \"{value}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
        ))),
    }
}
