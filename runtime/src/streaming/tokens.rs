//! The one-time tokens in streaming URLs: who asked for an exec over the CRI gets a URL, and whoever has it can use it once,
//! within a minute. Pure: time comes from the caller.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::distr::Alphanumeric;

use super::Session;

/// How long a URL is good for.
pub(super) const LIFETIME: Duration = Duration::from_secs(60);
/// 24 letters and digits: 142 bits.
const LENGTH: usize = 24;
/// More than this waiting at once is no user's doing.
const WAITING_LIMIT: usize = 1000;

/// Sessions that wait for their client.
#[derive(Default)]
pub(super) struct Tokens {
    waiting: HashMap<String, (Instant, Session)>,
}

/// Too many sessions wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{WAITING_LIMIT} streaming sessions wait for their clients already: try again in a minute")]
pub struct TooManySessions;

impl Tokens {
    /// Keeps a session until its client comes.
    pub(super) fn issue(&mut self, session: Session, now: Instant) -> Result<String, TooManySessions> {
        self.waiting.retain(|_, (deadline, _)| *deadline > now);
        if self.waiting.len() >= WAITING_LIMIT {
            return Err(TooManySessions);
        }
        let token: String = rand::rng()
            .sample_iter(Alphanumeric)
            .take(LENGTH)
            .map(char::from)
            .collect();
        self.waiting.insert(token.clone(), (now + LIFETIME, session));
        Ok(token)
    }

    /// Hands the session to its client: the first time, and in time.
    pub(super) fn redeem(&mut self, token: &str, now: Instant) -> Option<Session> {
        let (deadline, session) = self.waiting.remove(token)?;
        (deadline > now).then_some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::PortForward(minik_api::cri::PortForwardRequest::default())
    }

    #[test]
    fn a_token_is_good_once_and_for_a_minute() {
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        let token = tokens.issue(session(), now).expect("there is room");
        assert_eq!(tokens.redeem("guess", now), None);
        assert_eq!(tokens.redeem(&token, now), Some(session()));
        assert_eq!(tokens.redeem(&token, now), None);
        let token = tokens.issue(session(), now).expect("there is room");
        assert_eq!(tokens.redeem(&token, now + LIFETIME), None);
    }

    #[test]
    fn those_that_nobody_uses_make_room() {
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        for _ in 0..WAITING_LIMIT {
            tokens.issue(session(), now).expect("there is room");
        }
        assert_eq!(tokens.issue(session(), now), Err(TooManySessions));
        assert!(tokens.issue(session(), now + LIFETIME).is_ok());
    }
}
