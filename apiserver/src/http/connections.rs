//! Limits on connections: those that shake hands, and those of each user.
//!
//! Everybody comes from the same address here, so that whose connection it is is known only after the handshake, by the
//! client's certificate. Until then the oldest makes room for the newest: who opens connections and says nothing pushes out
//! their own. Those without a certificate share one limit, since their tokens come with each request; so they can't keep
//! out the cluster's own programs, which have certificates.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::auth::User;

/// Handshakes at once.
const HANDSHAKES_MAX: usize = 512;
/// Connections of one user, and of all without a certificate.
const USER_MAX: usize = 1000;

/// Who is connected.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    handshakes: VecDeque<(u64, CancellationToken)>,
    next: u64,
    users: HashMap<Option<String>, usize>,
}

impl Places {
    /// A place among those that shake hands, from which the oldest is pushed out.
    pub(super) fn wait(&self) -> Waiting {
        let mut state = self.lock();
        if state.handshakes.len() >= HANDSHAKES_MAX
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
        let count = state.users.entry(user.clone()).or_default();
        if *count >= USER_MAX {
            return None;
        }
        *count += 1;
        Some(Place {
            places: self.clone(),
            user,
        })
    }

    /// Counting doesn't panic in between.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        if let Some(count) = state.users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                state.users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_handshake_makes_room() {
        let places = Places::default();
        let waiting: Vec<Waiting> = (0..HANDSHAKES_MAX).map(|_| places.wait()).collect();
        assert!(!waiting[0].pushed_out.is_cancelled());
        let newest = places.wait();
        assert!(waiting[0].pushed_out.is_cancelled());
        assert!(!waiting[1].pushed_out.is_cancelled() && !newest.pushed_out.is_cancelled());
        drop((waiting, newest));
        assert!(places.lock().handshakes.is_empty());
    }

    #[test]
    fn each_user_has_places_of_their_own() {
        let places = Places::default();
        let strangers: Vec<Place> = std::iter::from_fn(|| places.take(None)).collect();
        assert_eq!(strangers.len(), USER_MAX);
        let node = User {
            name: "system:node:n1".into(),
            ..User::default()
        };
        assert!(places.take(Some(&node)).is_some());
        drop(strangers);
        assert!(places.take(None).is_some());
        assert!(places.lock().users.is_empty());
    }
}
