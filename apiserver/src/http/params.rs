//! The query of a request to a resource (metav1's ListOptions, CreateOptions, DeleteOptions and the like).

use std::num::{IntErrorKind, ParseIntError};

use axum::extract::Query;
use http::Uri;
use minik_api::field::{self, Path};
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
    /// `resourceVersionMatch` as it stands in the query, until it is checked.
    matching: String,
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
    /// What is wrong with the options of a write: it depends on the verb whether anybody minds.
    pub(super) unsupported: Vec<field::Error>,
    /// Who owns what is written; empty when the request doesn't say.
    pub(crate) field_manager: String,
    /// Apply: take over what others own.
    pub(crate) force: Option<bool>,
    /// Delete: how long to wait.
    pub(crate) grace_seconds: Option<i64>,
    /// What becomes of what a deleted object owns.
    pub(crate) propagation_policy: Option<String>,
    /// The old way to say that it stays.
    pub(crate) orphan_dependents: Option<bool>,
    /// Table: `None`, `Metadata`, `Object`.
    pub(crate) include_object: Option<String>,
}

impl Params {
    /// Reads the query.
    pub(crate) fn parse(uri: &Uri) -> Result<Self, Status> {
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
            "resourceVersion" => list.revision = Some(revision(value)?),
            "resourceVersionMatch" => value.clone_into(&mut self.matching),
            // 0 is no limit.
            "limit" => list.limit = usize::try_from(number(value)?).ok().filter(|&limit| limit > 0),
            "continue" => list.token = Some(value.to_owned()),
            "watch" => self.watch = boolean(value),
            "allowWatchBookmarks" => self.bookmarks = boolean(value),
            "sendInitialEvents" => self.initial_events = Some(boolean(value)),
            "timeoutSeconds" => {
                self.timeout_seconds = u64::try_from(number(value)?).ok().filter(|&seconds| seconds > 0)
            }
            "dryRun" if value == "All" => self.dry_run = true,
            "dryRun" => self.unsupported.push(no_dry_run(value)),
            "fieldValidation" => match field_validation(value) {
                Ok(validation) => self.field_validation = validation,
                Err(error) => self.unsupported.push(error),
            },
            "fieldManager" => self.field_manager = value.to_owned(),
            "force" => self.force = Some(boolean(value)),
            "gracePeriodSeconds" => self.grace_seconds = Some(number(value)?),
            "propagationPolicy" => self.propagation_policy = Some(value.to_owned()),
            "orphanDependents" => self.orphan_dependents = Some(boolean(value)),
            "includeObject" => self.include_object = Some(value.to_owned()),
            // As upstream: what isn't known means nothing.
            _ => {}
        }
        Ok(())
    }

    /// What fits together: apimachinery's validation of ListOptions, sentence by sentence.
    fn check(&mut self) -> Result<(), Status> {
        let path = Path::new("resourceVersionMatch");
        let mut errors = Vec::new();
        let mut forbid = |path: &Path, why: &str| errors.push(field::Error::forbidden(path, why));
        let list = &mut self.list;
        let asked = std::mem::take(&mut self.matching);
        list.matching = match asked.as_str() {
            "Exact" => Some(Match::Exact),
            "NotOlderThan" => Some(Match::NotOlderThan),
            _ => None,
        };
        if self.watch {
            if self.initial_events.is_some() && asked != "NotOlderThan" {
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                forbid(&path, why);
            }
            if !asked.is_empty() && self.initial_events.is_none() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                forbid(&path, why);
            }
        } else {
            if !asked.is_empty() && list.revision.is_none() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                forbid(&path, why);
            }
            if asked == "Exact" && list.revision == Some(Revision(0)) {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                forbid(&path, why);
            }
            if self.initial_events.is_some() {
                forbid(
                    &Path::new("sendInitialEvents"),
                    "sendInitialEvents is forbidden for list",
                );
            }
        }
        if !asked.is_empty() && list.token.is_some() {
            forbid(&path, "resourceVersionMatch is forbidden when continue is provided");
        }
        let supported: &[&str] = if self.watch {
            &["NotOlderThan"]
        } else {
            &["Exact", "NotOlderThan", ""]
        };
        if !asked.is_empty() && !supported.contains(&asked.as_str()) {
            errors.push(field::Error::not_supported(&path, asked, supported));
        }
        match errors.as_slice() {
            [] => Ok(()),
            errors => Err(Status::invalid_options("ListOptions", errors)),
        }
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

/// As Go says that a text isn't a number.
fn number(value: &str) -> Result<i64, Status> {
    value.parse().map_err(|error: ParseIntError| {
        let message = format!("strconv.ParseInt: parsing {value:?}: {}", why_no_number(&error));
        Status::bad_request(message)
    })
}

fn revision(value: &str) -> Result<Revision, Status> {
    value.parse().map(Revision).map_err(|error: ParseIntError| {
        let why = format!("strconv.ParseUint: parsing {value:?}: {}", why_no_number(&error));
        Status::bad_request(format!("resourceVersion: Invalid value: {value:?}: {why}"))
    })
}

fn why_no_number(error: &ParseIntError) -> &'static str {
    match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

/// As Go's conversion of query parameters: there means true, unless it says otherwise.
fn boolean(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "0")
}

/// There is one kind of dry run.
pub(super) fn no_dry_run(value: &str) -> field::Error {
    field::Error::not_supported(&Path::new("dryRun"), vec![value], &["All"])
}

fn field_validation(value: &str) -> Result<FieldValidation, field::Error> {
    match value {
        "Ignore" => Ok(FieldValidation::Ignore),
        "Warn" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        _ => Err(field::Error::not_supported(
            &Path::new("fieldValidation"),
            value,
            &["", "Ignore", "Strict", "Warn"],
        )),
    }
}
