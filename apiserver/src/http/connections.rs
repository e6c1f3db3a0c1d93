//! Limits on connections: those that shake hands, and those of each user.
//!
//! Everybody comes from the same address here, so that whose connection it is is known only after the handshake, by the
//! client's certificate. Until then the oldest makes room for the newest: who opens connections and says nothing pushes out
//! their own. Those without a certificate share one limit, since their tokens come with each request; so they can't keep
//! out the cluster's own programs, which have certificates.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::limits::Capacity;
use crate::auth::User;

/// Who is connected.
#[derive(Clone)]
pub(super) struct Places(Arc<Inner>);

struct Inner {
    capacity: Capacity,
    state: Mutex<State>,
    /// Told when a connection has gone.
    freed: Notify,
}

#[derive(Default)]
struct State {
    handshakes: VecDeque<(u64, CancellationToken)>,
    next: u64,
    users: HashMap<Option<String>, usize>,
    all: usize,
}

impl Places {
    /// So many, all free.
    pub(super) fn new(capacity: Capacity) -> Self {
        Self(Arc::new(Inner {
            capacity,
            state: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// Waits until some connection has gone.
    pub(super) async fn freed(&self) {
        self.0.freed.notified().await;
    }

    /// A place among those that shake hands, from which the oldest is pushed out.
    pub(super) fn wait(&self) -> Waiting {
        let mut state = self.lock();
        if state.handshakes.len() >= self.0.capacity.handshakes
            && let Some((_, oldest)) = state.handshakes.pop_front()
        {
            oldest.cancel();
        }
        let (number, pushed_out) = (state.next, CancellationToken::new());
        state.next += 1;
        state.handshakes.push_back((number, pushed_out.clone()));
        Waiting {
            places: self.clone(),
            number,
            pushed_out,
        }
    }

    /// A place for a connection of this user, or of nobody known; `None` when they have too many.
    pub(super) fn take(&self, user: Option<&User>) -> Option<Place> {
        let user = user.map(|user| user.name.clone());
        let mut state = self.lock();
        let own = state.users.get(&user).copied().unwrap_or_default();
        if !is_free(&self.0.capacity, own, state.all) {
            return None;
        }
        state.all += 1;
        *state.users.entry(user.clone()).or_default() += 1;
        Some(Place {
            places: self.clone(),
            user,
        })
    }

    /// Counting doesn't panic in between.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a user with so many of all connections may have another one.
fn is_free(capacity: &Capacity, own: usize, all: usize) -> bool {
    let spare = if own < capacity.assured { capacity.spare } else { 0 };
    own < capacity.user && all < capacity.connections + spare
}

/// A connection that shakes hands.
pub(super) struct Waiting {
    places: Places,
    number: u64,
    pushed_out: CancellationToken,
}

impl Waiting {
    /// Done when a newer one needs the place.
    pub(super) async fn is_pushed_out(&self) {
        self.pushed_out.cancelled().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        state.handshakes.retain(|(number, _)| *number != self.number);
        drop(state);
        self.places.0.freed.notify_one();
    }
}

/// A connection, counted until it is dropped.
pub(super) struct Place {
    places: Places,
    user: Option<String>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        state.all -= 1;
        if let Some(count) = state.users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                state.users.remove(&self.user);
            }
        }
        drop(state);
        self.places.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity() -> Capacity {
        Capacity::new(1 << 20, Some(400))
    }

    fn user(name: &str) -> User {
        User {
            name: name.into(),
            ..User::default()
        }
    }

    #[test]
    fn the_oldest_handshake_makes_room() {
        let places = Places::new(capacity());
        let waiting: Vec<Waiting> = (0..capacity().handshakes).map(|_| places.wait()).collect();
        assert!(!waiting[0].pushed_out.is_cancelled());
        let newest = places.wait();
        assert!(waiting[0].pushed_out.is_cancelled());
        assert!(!waiting[1].pushed_out.is_cancelled() && !newest.pushed_out.is_cancelled());
        drop((waiting, newest));
        assert!(places.lock().handshakes.is_empty());
    }

    #[test]
    fn each_user_has_places_of_their_own() {
        let places = Places::new(capacity());
        let taken = |user: Option<&User>| -> Vec<Place> { std::iter::from_fn(|| places.take(user)).collect() };
        let strangers = taken(None);
        assert_eq!(strangers.len(), 200, "half of all");
        let eve = taken(Some(&user("eve")));
        assert_eq!(eve.len(), 200, "the other half");
        assert_eq!(
            taken(Some(&user("system:node:n1"))).len(),
            8,
            "what everybody is assured of"
        );
        drop((strangers, eve));
        assert!(places.take(None).is_some());
        let state = places.lock();
        assert!(state.users.is_empty() && state.all == 0);
    }

    #[test]
    fn assured_places_end_too() {
        assert!(is_free(&capacity(), 0, 449));
        assert!(!is_free(&capacity(), 0, 450));
        assert!(!is_free(&capacity(), 8, 400));
        assert!(!is_free(&capacity(), 200, 200));
    }

    #[tokio::test]
    async fn who_waits_is_told_of_a_free_place() {
        let places = Places::new(capacity());
        drop(places.take(None));
        places.freed().await;
        drop(places.wait());
        places.freed().await;
    }
}
