//! List: a consistent view of many objects, in pieces if asked for.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use minik_api::kinds::Kind;
use minik_api::selector::{Fields, Labels};
use minik_api::status::Status;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Registry, resource};
use crate::kinds::Rules;
use crate::storage::{Revision, Snapshot, Stored};

/// Clients show these sentences and some compare them: they are upstream's.
const EXPIRED: &str = "The resourceVersion for the provided list is too old.";
const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can \
    start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
    the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or \
    deleted between the time the first chunk was returned and now may show up in the list.";
/// The revision of a token that goes on with what is there now.
const INCONSISTENT: i64 = -1;

/// How long a revision that isn't there yet is waited for (upstream's time).
const FUTURE: Duration = Duration::from_secs(3);

/// Which objects of a kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Empty: in all namespaces.
    pub(crate) namespace: String,
    /// By label.
    pub(crate) labels: Labels,
    /// By field.
    pub(crate) fields: Fields,
}

/// How a resource version is meant (`resourceVersionMatch`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// As of exactly this revision.
    Exact,
    /// Not older than this.
    NotOlderThan,
}

/// What is asked of a list besides the selection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    /// 0: any; `None`: the newest.
    pub(crate) revision: Option<Revision>,
    /// What the revision means.
    pub(crate) matching: Option<Match>,
    /// At most so many objects.
    pub(crate) limit: Option<usize>,
    /// Go on where another list stopped.
    pub(crate) token: Option<String>,
}

/// What a list found.
#[derive(Debug)]
pub(crate) struct List {
    /// The revision that all of it is from.
    pub(crate) revision: Revision,
    /// In the order of their keys.
    pub(crate) items: Vec<Arc<Stored>>,
    /// For the next piece.
    pub(crate) token: Option<String>,
    /// How many there are after this piece; unknown when selectors are in play.
    pub(crate) remaining: Option<usize>,
}

/// A continue token: opaque to clients, of upstream's shape and with a number besides.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Token {
    v: String,
    rv: i64,
    start: String,
    /// How many objects there are after `start`, so that no piece counts what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<usize>,
}

impl Selection {
    /// Those with this text in a field, in all namespaces.
    pub(crate) fn of_field(path: &str, value: &str) -> Self {
        Self {
            fields: Fields::parse(&format!("{path}={value}")).expect("written out in this program"),
            ..Self::default()
        }
    }

    /// Checks that the kind's fields can be selected on.
    pub(crate) fn check(&self, kind: &Kind, rules: &dyn Rules) -> Result<(), Status> {
        for requirement in self.fields.requirements() {
            let path = requirement.path.as_str();
            let common = path == "metadata.name" || (path == "metadata.namespace" && kind.namespaced);
            if !common && !rules.has_field(path) {
                return Err(Status::bad_request(rules.unknown_field(path)));
            }
        }
        Ok(())
    }

    /// Whether an object is meant.
    pub(crate) fn takes(&self, stored: &Stored) -> bool {
        (self.namespace.is_empty() || self.namespace == stored.key.namespace())
            && stored.selected(&self.labels, &self.fields)
    }

    fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

impl Registry {
    /// Waits a while for a revision that isn't there yet.
    pub(crate) async fn reach(&self, revision: Option<Revision>) -> Result<(), Status> {
        let asked = revision.unwrap_or_default();
        if asked <= self.store.revision() {
            return Ok(());
        }
        let reached = timeout(FUTURE, self.store.reached(asked)).await;
        reached.map_err(|_| too_large(asked, self.store.revision()))
    }

    /// Everything that is selected now.
    pub(crate) fn selected(&self, kind: &Kind, selection: &Selection) -> Vec<Arc<Stored>> {
        let resource = resource(kind);
        let snapshot = self.store.snapshot(&resource);
        let objects = snapshot.objects(&resource, &selection.namespace, None);
        objects.filter(|stored| selection.takes(stored)).cloned().collect()
    }

    /// Lists what is selected.
    pub(crate) fn list(
        &self,
        kind: &'static Kind,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<List, Status> {
        selection.check(kind, &*self.kinds.rules(kind))?;
        let resource = resource(kind);
        let token = options.token.as_deref().map(Token::decode).transpose()?;
        let snapshot = self.view(&resource, options, token.as_ref())?;
        let after = token.as_ref().map(|token| token.start.as_str());
        let mut objects = snapshot.objects(&resource, &selection.namespace, after);
        let mut selected = objects.by_ref().filter(|stored| selection.takes(stored)).cloned();
        let items: Vec<_> = match options.limit {
            Some(limit) => selected.by_ref().take(limit).collect(),
            None => selected.by_ref().collect(),
        };
        let next = options.limit.and_then(|_| selected.next());
        let last = items.last().filter(|_| next.is_some());
        let remaining = last.filter(|_| selection.is_everything()).map(|_| {
            let before = token.as_ref().map(|token| token.rest);
            // The first piece begins with the first object; another one goes on with what its token knew.
            let known = match before {
                None => Some(snapshot.count(&selection.namespace)),
                Some(rest) => rest,
            };
            let counted = || items.len() + 1 + selected.count();
            known.unwrap_or_else(counted).saturating_sub(items.len())
        });
        let token = last.map(|last| Token::new(snapshot.revision, last.key.as_str(), remaining).encode());
        if token.is_some() {
            self.store.keep(&resource, &snapshot);
        }
        Ok(List {
            revision: snapshot.revision,
            remaining,
            items,
            token,
        })
    }

    fn view(&self, resource: &str, options: &ListOptions, token: Option<&Token>) -> Result<Snapshot, Status> {
        let now = self.store.snapshot(resource);
        if let Some(token) = token {
            return self.next_view(resource, now, options, token);
        }
        let revision = options.revision.unwrap_or_default();
        if revision > now.revision {
            return Err(too_large(revision, now.revision));
        }
        if !options.is_exact() || revision == now.revision {
            return Ok(now);
        }
        let snapshot = self.store.snapshot_at(resource, revision);
        snapshot.map_err(|_| Status::expired(EXPIRED))
    }

    /// What a list that goes on sees: the same as its first piece.
    fn next_view(
        &self,
        resource: &str,
        now: Snapshot,
        options: &ListOptions,
        token: &Token,
    ) -> Result<Snapshot, Status> {
        if options.revision.is_some_and(|revision| revision != Revision(0)) {
            let message = "specifying resource version is not allowed when using continue";
            return Err(Status::bad_request(message));
        }
        if token.rv == INCONSISTENT {
            return Ok(now);
        }
        let revision = u64::try_from(token.rv).map_err(|_| invalid_token("incorrect encoded start resourceVersion"))?;
        let snapshot = self.store.snapshot_at(resource, Revision(revision));
        snapshot.map_err(|_| {
            // What is there now is counted anew.
            let (rv, rest) = (INCONSISTENT, None);
            let mut status = Status::expired(CONTINUE_EXPIRED);
            status.continue_token = Token {
                rv,
                rest,
                ..token.clone()
            }
            .encode();
            status
        })
    }
}

impl ListOptions {
    /// Whether the list has to be as of exactly the revision. A limited list from a revision is, if nothing else is said:
    /// so was it always (metav1.ListOptions).
    fn is_exact(&self) -> bool {
        let is_limited = self.limit.is_some() && self.revision.is_some_and(|revision| revision != Revision(0));
        match self.matching {
            Some(matching) => matching == Match::Exact,
            None => is_limited,
        }
    }
}

/// 504: a revision that isn't there yet; the client has it from another server, or from before a restore.
pub(crate) fn too_large(asked: Revision, newest: Revision) -> Status {
    let message = format!("Too large resource version: {asked}, current: {newest}");
    let mut status = Status::timeout(message).retry_after(1);
    let cause = minik_api::status::Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    };
    status.details.get_or_insert_default().causes.push(cause);
    status
}

impl Token {
    fn new(revision: Revision, start: &str, rest: Option<usize>) -> Self {
        Self {
            v: "meta.k8s.io/v1".into(),
            // As many revisions as fit in 63 bits: more than a store can count to.
            rv: i64::try_from(revision.0).unwrap_or(i64::MAX),
            start: start.into(),
            rest,
        }
    }

    fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("a token is strings and a number");
        BASE64_URL_SAFE_NO_PAD.encode(json)
    }

    fn decode(text: &str) -> Result<Self, Status> {
        let json = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(invalid_token)?;
        let token: Self = serde_json::from_slice(&json).map_err(invalid_token)?;
        match token.rv {
            0 => Err(invalid_token("incorrect encoded start resourceVersion")),
            _ => Ok(token),
        }
    }
}

fn invalid_token(why: impl std::fmt::Display) -> Status {
    Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
}
