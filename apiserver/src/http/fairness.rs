//! Limits on what runs at once, fair between users: who floods is answered 429, and the others don't notice.
//!
//! A request takes a seat once it is known who asks and for what, and leaves it when its answer is sent. Seats are counted
//! for each user and each lane: what is short, what has a large body (that is held in memory), what lasts. The programs of the
//! cluster itself and its masters have seats of their own. A user who has hardly any gets one even when the lane is full, so
//! that a few users who flood together can't keep out another. Nobody waits for a seat: waiting requests are memory too, and
//! clients try again (upstream's `Retry-After`).
//! Connections are counted in `connections.rs`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Method;
use http::header::UPGRADE;
use http::request::Parts;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use minik_api::status::Status;

use super::limits::Capacity;
use crate::auth::{User, groups};

/// From here on a body is a large one.
const LARGE_BYTES: u64 = 64 * 1024;
/// When to try again, as upstream says.
pub(super) const RETRY_SECONDS: u32 = 1;

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Ends soon, and is small.
    Short,
    /// Brings a body that may be as long as the limit.
    Large,
    /// Lasts: a watch.
    Watch,
    /// May last: logs, and what is passed on to a pod.
    Stream,
    /// Lasts, and goes both ways: exec, attach, port-forward and what else changes the protocol.
    Upgrade,
}

impl Lane {
    /// For a request to a resource.
    pub(super) fn of(parts: &Parts, is_watch: bool, subresource: Option<&str>, body: &Body) -> Self {
        if matches!(subresource, Some("log" | "exec" | "attach" | "portforward" | "proxy")) {
            let upgrades = parts.headers.contains_key(UPGRADE);
            return if upgrades { Self::Upgrade } else { Self::Stream };
        }
        if is_watch && parts.method == Method::GET {
            return Self::Watch;
        }
        // A length that isn't said is one that can be anything.
        let length = body.size_hint().upper();
        if length.is_some_and(|length| length < LARGE_BYTES) {
            Self::Short
        } else {
            Self::Large
        }
    }

    /// Upstream runs 400 reads and 200 writes; 3 MiB bodies are held whole; an idle watch costs some kilobytes. There are so
    /// many streams as files can be opened for.
    fn limits(self, streams: usize) -> Limits {
        let (user, all, assured) = match self {
            Self::Short => (200, 400, 10),
            Self::Large => (16, 32, 2),
            Self::Watch => (2000, 4000, 50),
            Self::Stream | Self::Upgrade => (streams.div_ceil(2), streams, 10.min(streams)),
        };
        Limits { user, all, assured }
    }
}

struct Limits {
    /// Seats of one user.
    user: usize,
    /// Seats of all.
    all: usize,
    /// As many seats a user gets though all are taken, up to another half of them.
    assured: usize,
}

/// Who shares seats: the cluster's own programs among each other, and everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Share {
    Own,
    Others,
}

impl Share {
    fn of(user: &User) -> Self {
        let own_name = user.name.starts_with("system:kube-");
        let own_group = [groups::MASTERS, groups::NODES, "system:serviceaccounts:kube-system"];
        if own_name || own_group.iter().any(|group| user.is_in(group)) {
            Self::Own
        } else {
            Self::Others
        }
    }
}

/// Who sits where.
#[derive(Clone)]
pub(crate) struct Fairness {
    streams: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: HashMap<(Share, Lane), usize>,
    users: HashMap<(Lane, String), usize>,
}

/// A seat, free again when it is dropped.
pub(crate) struct Seat {
    taken: Arc<Mutex<Taken>>,
    share: Share,
    lane: Lane,
    user: String,
}

impl Fairness {
    /// All seats are free.
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            streams: capacity.streams,
            taken: Arc::default(),
        }
    }

    /// A seat for a request of this user, or 429.
    pub(super) fn seat(&self, user: &User, lane: Lane) -> Result<Seat, Status> {
        let share = Share::of(user);
        let of_user = (lane, user.name.clone());
        let mut taken = lock(&self.taken);
        let all = taken.all.get(&(share, lane)).copied().unwrap_or_default();
        let own = taken.users.get(&of_user).copied().unwrap_or_default();
        if !is_free(&lane.limits(self.streams), own, all) {
            return Err(refused());
        }
        *taken.all.entry((share, lane)).or_default() += 1;
        *taken.users.entry(of_user).or_default() += 1;
        drop(taken);
        Ok(Seat {
            taken: self.taken.clone(),
            share,
            lane,
            user: user.name.clone(),
        })
    }
}

fn is_free(limits: &Limits, own: usize, all: usize) -> bool {
    let most = if own < limits.assured {
        limits.all + limits.all / 2
    } else {
        limits.all
    };
    own < limits.user && all < most
}

/// Counting doesn't panic in between.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused() -> Status {
    Status::too_many_requests("too many requests, please try again later", RETRY_SECONDS)
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(all) = taken.all.get_mut(&(self.share, self.lane)) {
            *all -= 1;
        }
        let of_user = (self.lane, std::mem::take(&mut self.user));
        if let Some(own) = taken.users.get_mut(&of_user) {
            *own -= 1;
            // Users come and go; the table holds those who are here.
            if *own == 0 {
                taken.users.remove(&of_user);
            }
        }
    }
}

/// The answer, with the seat that it occupies until it is sent or its client is gone. A stream that begins with it holds the
/// seat, too.
pub(super) fn seated(response: Response, seat: Arc<Seat>) -> Response {
    response.map(|inner| Body::new(Seated { inner, _seat: seat }))
}

struct Seated {
    inner: Body,
    _seat: Arc<Seat>,
}

impl HttpBody for Seated {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, group: &str) -> User {
        User {
            name: name.into(),
            groups: vec![group.into()],
            ..User::default()
        }
    }

    fn fill(fairness: &Fairness, user: &User, lane: Lane) -> Vec<Seat> {
        std::iter::from_fn(|| fairness.seat(user, lane).ok()).collect()
    }

    #[test]
    fn who_floods_keeps_nobody_else_out() {
        let fairness = Fairness::new(Capacity::new(1 << 20, None));
        let users = ["a", "b", "c"].map(|name| user(name, "people"));
        let seats: Vec<_> = users.iter().map(|user| fill(&fairness, user, Lane::Short)).collect();
        assert_eq!(seats.iter().map(Vec::len).collect::<Vec<_>>(), [200, 200, 10]);
        let Err(status) = fairness.seat(&users[0], Lane::Short) else {
            panic!("all seats are taken");
        };
        assert_eq!((status.code, status.reason.as_str()), (429, "TooManyRequests"));
        assert_eq!(status.details.map(|details| details.retry_after_seconds), Some(1));
        assert!(fairness.seat(&user("d", "people"), Lane::Short).is_ok());
        assert!(fairness.seat(&users[0], Lane::Watch).is_ok());
        assert_eq!(fill(&fairness, &user("root", groups::MASTERS), Lane::Short).len(), 200);
        drop(seats);
        assert!(lock(&fairness.taken).users.is_empty());
        assert!(lock(&fairness.taken).all.values().all(|all| *all == 0));
    }

    #[test]
    fn assured_seats_end_too() {
        let limits = Lane::Short.limits(400);
        assert!(is_free(&limits, 9, 599));
        assert!(!is_free(&limits, 9, 600));
        assert!(!is_free(&limits, 10, 400));
        assert!(!is_free(&limits, 200, 200));
    }

    #[test]
    fn lanes_are_told_apart() {
        let body = |length: usize| Body::from(vec![b' '; length]);
        let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let parts = |method: &str, upgrade: Option<&str>| {
            let request = http::Request::builder().method(method);
            let request = match upgrade {
                Some(protocol) => request.header("upgrade", protocol),
                None => request,
            };
            request.body(()).expect("a request").into_parts().0
        };
        let (get, post) = (parts("GET", None), parts("POST", None));
        let upgrade = parts("GET", Some("websocket"));
        assert_eq!(Lane::of(&get, false, None, &body(0)), Lane::Short);
        assert_eq!(Lane::of(&get, true, None, &body(0)), Lane::Watch);
        assert_eq!(Lane::of(&upgrade, true, None, &body(0)), Lane::Watch);
        assert_eq!(Lane::of(&get, false, Some("log"), &body(0)), Lane::Stream);
        assert_eq!(Lane::of(&post, false, Some("proxy"), &body(0)), Lane::Stream);
        assert_eq!(Lane::of(&upgrade, false, Some("exec"), &body(0)), Lane::Upgrade);
        assert_eq!(Lane::of(&post, true, None, &body(10)), Lane::Short);
        assert_eq!(Lane::of(&post, false, None, &body(64 * 1024)), Lane::Large);
        assert_eq!(Lane::of(&post, false, None, &endless), Lane::Large);
    }
}
