//! How far pulls are, for whoever wants to watch.
//!
//! Each message is a picture of the whole pull, so a watcher that misses some loses nothing. A picture goes out at each change
//! of a layer's state, and between those at most ten times a second; bytes that arrive are what drives it, no timer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use minik_api::images::{Layer, Progress, layer::State};
use tokio::sync::broadcast;

/// Ten pictures a second look smooth and cost nothing.
const INTERVAL: Duration = Duration::from_millis(100);

/// Pictures a slow watcher may be behind before it misses some.
const BACKLOG: usize = 64;

/// Where all pulls show how far they are.
#[derive(Debug)]
pub(crate) struct Board {
    /// Shows everything that this one shows.
    parent: Option<Arc<Board>>,
    sender: broadcast::Sender<Progress>,
    running: Mutex<BTreeMap<String, Progress>>,
}

impl Board {
    pub(crate) fn new() -> Arc<Self> {
        Self::below(None)
    }

    /// A board for one task, whose pictures the whole board shows too.
    pub(crate) fn child(self: &Arc<Self>) -> Arc<Self> {
        Self::below(Some(Arc::clone(self)))
    }

    fn below(parent: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            parent,
            sender: broadcast::Sender::new(BACKLOG),
            running: Mutex::default(),
        })
    }

    /// The latest picture of each running pull, and all that follow.
    pub(crate) fn watch(&self) -> (Vec<Progress>, broadcast::Receiver<Progress>) {
        // Under the lock, so that no picture falls between the two.
        let running = lock(&self.running);
        (running.values().cloned().collect(), self.sender.subscribe())
    }

    pub(crate) fn track(self: &Arc<Self>, image: String) -> Tracker {
        let picture = Progress {
            image,
            ..Progress::default()
        };
        let tracker = Tracker {
            board: Arc::clone(self),
            drawing: Mutex::new(Drawing { picture, sent: None }),
        };
        tracker.change(|_| ());
        tracker
    }

    fn send(&self, picture: &Progress) {
        let mut running = lock(&self.running);
        if picture.image_ref.is_empty() && picture.error.is_empty() {
            running.insert(picture.image.clone(), picture.clone());
        } else {
            running.remove(&picture.image);
        }
        if let Some(parent) = &self.parent {
            parent.send(picture);
        }
        // Nobody watching is no error.
        let _ = self.sender.send(picture.clone());
    }
}

/// Draws the picture of one pull.
#[derive(Debug)]
pub(crate) struct Tracker {
    board: Arc<Board>,
    drawing: Mutex<Drawing>,
}

#[derive(Debug)]
struct Drawing {
    picture: Progress,
    sent: Option<Instant>,
}

impl Tracker {
    /// Layers with their compressed sizes, bottom first.
    pub(crate) fn layers(&self, layers: impl Iterator<Item = (String, u64)>) {
        let waiting = |(digest, total_bytes)| Layer {
            digest,
            state: State::Waiting.into(),
            offset_bytes: 0,
            total_bytes,
            kind: String::new(),
        };
        self.change(|picture| picture.layers = layers.map(waiting).collect());
    }

    /// Says how far an index, a manifest or a config is.
    pub(crate) fn document(&self, kind: &str, digest: &str, bytes: u64, state: State) {
        let here = matches!(state, State::Done | State::Exists);
        let document = Layer {
            digest: digest.to_owned(),
            state: state.into(),
            offset_bytes: if here { bytes } else { 0 },
            total_bytes: bytes,
            kind: kind.to_owned(),
        };
        self.change(
            |picture| match picture.documents.iter_mut().find(|known| known.digest == digest) {
                Some(known) => *known = document,
                None => picture.documents.push(document),
            },
        );
    }

    pub(crate) fn state(&self, layer: usize, state: State) {
        self.change(|picture| {
            let layer = &mut picture.layers[layer];
            layer.state = state.into();
            if matches!(state, State::Done | State::Exists) {
                layer.offset_bytes = layer.total_bytes;
            }
        });
    }

    /// More compressed bytes of a layer have come.
    pub(crate) fn advance(&self, layer: usize, bytes: u64) {
        let mut drawing = lock(&self.drawing);
        drawing.picture.layers[layer].offset_bytes += bytes;
        if drawing.sent.is_none_or(|sent| sent.elapsed() >= INTERVAL) {
            drawing.sent = Some(Instant::now());
            self.board.send(&drawing.picture);
        }
    }

    /// The last picture: the image can be used.
    pub(crate) fn done(self, image_ref: String) {
        self.change(|picture| picture.image_ref = image_ref);
    }

    /// The last picture: it failed.
    pub(crate) fn failed(self, error: String) {
        self.change(|picture| picture.error = error);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut drawing = lock(&self.drawing);
        change(&mut drawing.picture);
        drawing.sent = Some(Instant::now());
        self.board.send(&drawing.picture);
    }
}

impl Drop for Tracker {
    /// A pull whose last waiter went away is dropped in the middle; watchers must not see it for ever.
    fn drop(&mut self) {
        let mut drawing = lock(&self.drawing);
        if drawing.picture.image_ref.is_empty() && drawing.picture.error.is_empty() {
            "canceled: nobody waits for it any more".clone_into(&mut drawing.picture.error);
            self.board.send(&drawing.picture);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A picture is only shown: one that a panic left half changed does no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_show_at_once_and_bytes_seldom() {
        let board = Board::new();
        let (_, mut watcher) = board.watch();
        let tracker = board.track("a".to_owned());
        tracker.layers([("sha256:1".to_owned(), 100_000)].into_iter());
        tracker.state(0, State::Downloading);
        for _ in 0..50_000 {
            tracker.advance(0, 2);
        }
        tracker.state(0, State::Done);
        tracker.done("sha256:id".to_owned());
        let mut pictures = Vec::new();
        while let Ok(picture) = watcher.try_recv() {
            pictures.push(picture);
        }
        let last = pictures.last().expect("pictures were sent");
        assert_eq!(
            (last.image_ref.as_str(), last.layers[0].offset_bytes),
            ("sha256:id", 100_000)
        );
        // Five changes, and what 50,000 quick calls add in the time they take.
        assert!((5..20).contains(&pictures.len()), "{}", pictures.len());
        assert!(board.watch().0.is_empty());
    }

    #[test]
    fn a_late_watcher_sees_what_is_running_and_a_dropped_pull_ends() {
        let board = Board::new();
        let tracker = board.track("a".to_owned());
        let (running, mut watcher) = board.watch();
        assert_eq!(running.len(), 1);
        drop(tracker);
        assert!(
            watcher
                .try_recv()
                .expect("a last picture")
                .error
                .starts_with("canceled")
        );
        assert!(board.watch().0.is_empty());
    }
}
