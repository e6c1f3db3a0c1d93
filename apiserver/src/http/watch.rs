//! `GET …?watch=true`: changes as they happen, a JSON line each.
//!
//! A watch holds nothing but its place in the ring of its resource. It ends when its time is over, when the server stops, or
//! when it is slower than the ring is long; then its last line is an `ERROR` with 410, and the client lists again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use minik_api::kinds::Kind;
use minik_api::status::Status;
use rand::Rng;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::accept::Form;
use super::{Api, Call, respond};
use crate::kinds::KindRules;
use crate::registry::{self, Selection};
use crate::storage::{Event, EventKind, Expired, Revision, Store, Stored, line};
use crate::table::{self, Include};

/// A watch without a timeout ends somewhere in here, so that not all come back at once.
const TIMEOUT_SECONDS: std::ops::Range<u64> = 1800..3600;
/// How often an idle client is told the revision.
const BOOKMARK: Duration = Duration::from_secs(60);

/// Answers with a stream.
pub(super) fn handle(api: &Api, call: &Call) -> Result<Response, Status> {
    let kind = call.path.kind;
    let selection = call.params.selection(call.namespace());
    selection.check(kind, &*call.rules)?;
    let store = api.registry.store().clone();
    let resource = registry::resource(kind);
    let seconds = call.params.timeout_seconds;
    let seconds = seconds.unwrap_or_else(|| rand::rng().random_range(TIMEOUT_SECONDS));
    let mut watcher = Watcher {
        changed: store.subscribe(&resource),
        store,
        resource,
        selection,
        shape: Shape::of(call)?,
        after: Revision::default(),
        bookmarks: call.params.bookmarks,
        next_bookmark: Instant::now() + BOOKMARK,
        deadline: Instant::now() + Duration::from_secs(seconds),
        stop: api.stop.clone(),
        lines: VecDeque::new(),
        over: false,
    };
    watcher.begin(
        call.params.list.revision.unwrap_or_default(),
        call.params.initial_events,
    );
    let lines = stream::unfold(watcher, |mut watcher| async move {
        let line = watcher.next().await?;
        Some((Ok::<_, std::convert::Infallible>(line), watcher))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

struct Watcher {
    store: Store,
    resource: String,
    selection: Selection,
    shape: Shape,
    changed: watch::Receiver<Revision>,
    /// Everything up to here is sent or in `lines`.
    after: Revision,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    stop: CancellationToken,
    lines: VecDeque<Bytes>,
    /// Nothing comes after `lines`.
    over: bool,
}

impl Watcher {
    /// Without a revision (or with 0) a watch begins with what is there; `sendInitialEvents` asks for it or does without.
    fn begin(&mut self, revision: Revision, initial_events: Option<bool>) {
        if !initial_events.unwrap_or(revision == Revision(0)) {
            let from_now = revision == Revision(0);
            self.after = if from_now { self.store.revision() } else { revision };
            return;
        }
        let snapshot = self.store.snapshot(&self.resource);
        for stored in snapshot.objects(&self.resource, &self.selection.namespace, None) {
            if self.selection.takes(stored) {
                self.lines.push_back(self.shape.line(EventKind::Added, stored));
            }
        }
        self.after = snapshot.revision;
        if initial_events == Some(true) && self.bookmarks {
            self.lines.push_back(self.shape.bookmark(self.after, true));
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            // Marked as seen before the events are read: what comes after that wakes us again.
            self.changed.borrow_and_update();
            match self.store.events(&self.resource, self.after) {
                Ok((events, newest)) => {
                    for event in &events {
                        self.lines.extend(line_for(&self.shape, &self.selection, event));
                    }
                    // A client may be ahead of us, with a revision that is still to come.
                    self.after = self.after.max(newest);
                }
                Err(expired) => {
                    self.lines.push_back(error_line(&gone(&expired)));
                    self.over = true;
                }
            }
            if self.lines.is_empty() && !self.over {
                self.wait().await;
            }
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            changed = self.changed.changed() => self.over = changed.is_err(),
            () = self.stop.cancelled() => self.over = true,
            () = tokio::time::sleep_until(self.deadline) => {
                self.bookmark();
                self.over = true;
            }
            () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => self.bookmark(),
        }
    }

    fn bookmark(&mut self) {
        self.next_bookmark = Instant::now() + BOOKMARK;
        if self.bookmarks {
            self.lines.push_back(self.shape.bookmark(self.after, false));
        }
    }
}

/// What an event means to a watcher: an object that begins to be selected is added for it, one that ceases is deleted.
fn transition<'a>(selection: &Selection, event: &'a Event) -> Option<(EventKind, &'a Arc<Stored>)> {
    let before = event.previous.as_ref().filter(|stored| selection.takes(stored));
    let after = (event.kind != EventKind::Deleted && selection.takes(&event.object)).then_some(&event.object);
    match (before, after) {
        (None, None) => None,
        (None, Some(object)) => Some((EventKind::Added, object)),
        (Some(_), Some(object)) => Some((EventKind::Modified, object)),
        (Some(_), None) if event.kind == EventKind::Deleted => Some((EventKind::Deleted, &event.object)),
        (Some(previous), None) => Some((EventKind::Deleted, previous)),
    }
}

fn line_for(shape: &Shape, selection: &Selection, event: &Event) -> Option<Bytes> {
    let (kind, object) = transition(selection, event)?;
    if kind == event.kind && matches!(shape, Shape::Plain(kind) if kind.stored_in.is_none()) {
        return Some(event.line());
    }
    if object.revision == event.object.revision {
        return Some(shape.line(kind, object));
    }
    // It ceased to be selected: its state from before, at the revision of the change.
    let mut before = object.object();
    before.metadata.resource_version = Some(event.object.revision.to_string());
    let before = Stored::unsaved(object.key.clone(), &before);
    Some(shape.line(kind, &before))
}

/// In which form the objects of a watch are sent.
enum Shape {
    Plain(&'static Kind),
    Table {
        kind: &'static Kind,
        rules: KindRules,
        version: String,
        include: Include,
    },
    Partial(String),
}

impl Shape {
    fn of(call: &Call) -> Result<Self, Status> {
        let kind = call.path.kind;
        Ok(match respond::form(&call.accept)? {
            Form::Plain => Self::Plain(kind),
            Form::As { kind: name, version } if name == "Table" => Self::Table {
                kind,
                rules: call.rules.clone(),
                version: version.clone(),
                include: Include::parse(call.params.include_object.as_deref())?,
            },
            Form::As { version, .. } => Self::Partial(version.clone()),
        })
    }

    fn line(&self, event: EventKind, stored: &Stored) -> Bytes {
        match self {
            Self::Plain(kind) => line(event, &respond::plain(kind, stored)),
            Self::Table {
                kind,
                rules,
                version,
                include,
            } => {
                let meta = respond::Meta::of_one(stored);
                let table = table::table(kind, &**rules, version, &[stored], *include, &meta);
                line(event, table.to_string().as_bytes())
            }
            Self::Partial(version) => line(event, table::partial(version, &stored.object()).to_string().as_bytes()),
        }
    }

    fn bookmark(&self, revision: Revision, initial_events_end: bool) -> Bytes {
        let (kind, version) = match self {
            Self::Plain(kind) => (kind.kind, kind.api_version()),
            Self::Table { version, .. } => ("Table", format!("meta.k8s.io/{version}")),
            Self::Partial(version) => ("PartialObjectMetadata", format!("meta.k8s.io/{version}")),
        };
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
        let event = json!({"type": "BOOKMARK", "object": object});
        format!("{event}\n").into()
    }
}

fn gone(expired: &Expired) -> Status {
    Status::expired(expired.to_string())
}

fn error_line(status: &Status) -> Bytes {
    let event = json!({"type": "ERROR", "object": status.to_value()});
    format!("{event}\n").into()
}
