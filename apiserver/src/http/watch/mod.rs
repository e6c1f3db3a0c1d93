//! `GET …?watch=true`: changes as they happen, a JSON line each.
//!
//! A watch holds nothing but its place in the ring of its resource. It ends when its time is over, when the server stops, or
//! when it is slower than the ring is long; then its last line is an `ERROR` with 410, and the client lists again.

mod crowd;
mod socket;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use minik_api::kinds::{self, Kind};
use minik_api::status::Status;
use rand::Rng;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::shape::{self, Shape};
use super::{Api, Call};
use crate::registry::{self, Registry, Selection};
use crate::storage::{Event, EventKind, Expired, Revision, Store, Stored};

pub(crate) use crowd::Crowds;

/// A watch without a timeout ends somewhere in here, so that not all come back at once.
const TIMEOUT_SECONDS: std::ops::Range<u64> = 1800..3600;
/// How often an idle client is told the revision.
const BOOKMARK: Duration = Duration::from_secs(60);

/// Answers with a stream.
pub(super) fn handle(api: &Api, call: Call) -> Result<Response, Status> {
    let kind = call.path.kind;
    let selection = call.params.selection(call.namespace());
    selection.check(kind, &*call.rules)?;
    let store = api.registry.store().clone();
    let resource = registry::resource(kind);
    let seconds = call.params.timeout_seconds;
    let seconds = seconds.unwrap_or_else(|| rand::rng().random_range(TIMEOUT_SECONDS));
    let now = Instant::now();
    let (deadline, next_bookmark) = (now + Duration::from_secs(seconds), now + BOOKMARK);
    let mut watcher = Watcher {
        changed: api.crowds.join(&store, &resource),
        store,
        resource,
        selection,
        shape: Shape::of(&call, call.accept.choose_stream(shape::is_served)?)?,
        custom: Custom::of(api, kind),
        after: Revision::default(),
        bookmarks: call.params.bookmarks,
        next_bookmark,
        deadline,
        alarm: Box::pin(tokio::time::sleep_until(deadline.min(next_bookmark))),
        stop: api.stop.clone(),
        lines: VecDeque::new(),
        over: false,
    };
    watcher.begin(
        call.params.list.revision.unwrap_or_default(),
        call.params.initial_events,
    );
    if socket::is_asked(&call.parts.headers) {
        return socket::open(call.parts, watcher);
    }
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
    /// Of a kind that may cease to be served.
    custom: Option<Custom>,
    /// Everything up to here is sent or in `lines`.
    after: Revision,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    /// Goes off at the next bookmark or at the end, whichever is first; armed once for many events.
    alarm: Pin<Box<Sleep>>,
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
        if revision > snapshot.revision {
            let status = registry::too_large(revision, snapshot.revision);
            self.lines.push_back(error_line(&status));
            self.over = true;
            return;
        }
        for stored in snapshot.objects(&self.resource, &self.selection.namespace, None) {
            if self.selection.takes(stored) {
                self.lines.push_back(self.shape.event(EventKind::Added, stored));
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
                        self.lines.extend(line_for(&mut self.shape, &self.selection, event));
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
                match self.custom.as_ref().is_some_and(Custom::is_gone) {
                    // Everything about it has been told.
                    true => self.over = true,
                    false => self.wait().await,
                }
            }
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            changed = self.changed.changed() => self.over = changed.is_err(),
            () = Custom::changed(&mut self.custom) => {}
            () = self.stop.cancelled() => self.over = true,
            () = self.alarm.as_mut() => self.bookmark(),
        }
    }

    /// The time of a bookmark has come, or of the last one.
    fn bookmark(&mut self) {
        let now = Instant::now();
        self.over = now >= self.deadline;
        self.next_bookmark = now + BOOKMARK;
        self.alarm.as_mut().reset(self.deadline.min(self.next_bookmark));
        if self.bookmarks {
            self.lines.push_back(self.shape.bookmark(self.after, false));
        }
    }
}

/// A kind that somebody defined and may take away.
struct Custom {
    kind: &'static Kind,
    registry: Registry,
    changes: watch::Receiver<()>,
}

impl Custom {
    fn of(api: &Api, kind: &'static Kind) -> Option<Self> {
        let is_built_in = kinds::at(kind.group, kind.version, kind.plural).is_some();
        (!is_built_in).then(|| Self {
            kind,
            registry: api.registry.clone(),
            changes: api.registry.kinds().changes(),
        })
    }

    fn is_gone(&self) -> bool {
        let kind = self.kind;
        self.registry.kinds().at(kind.group, kind.version, kind.plural) != Some(kind)
    }

    /// Until the catalogue has changed; never for what is built in.
    async fn changed(custom: &mut Option<Self>) {
        match custom {
            // The catalogue lives as long as the server.
            Some(custom) => drop(custom.changes.changed().await),
            None => futures::future::pending().await,
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

fn line_for(shape: &mut Shape, selection: &Selection, event: &Event) -> Option<Bytes> {
    let (kind, object) = transition(selection, event)?;
    if kind == event.kind
        && let Some(line) = shape.shared(event)
    {
        return Some(line);
    }
    if object.revision == event.object.revision {
        return Some(shape.event(kind, object));
    }
    // It ceased to be selected: its state from before, at the revision of the change.
    let mut before = object.object();
    before.metadata.resource_version = Some(event.object.revision.to_string());
    let before = Stored::unsaved(object.key.clone(), &before);
    Some(shape.event(kind, &before))
}

fn gone(expired: &Expired) -> Status {
    Status::expired(expired.to_string())
}

fn error_line(status: &Status) -> Bytes {
    let event = json!({"type": "ERROR", "object": status.to_value()});
    format!("{event}\n").into()
}
