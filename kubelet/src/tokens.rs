//! The tokens of service accounts that pods' volumes show: kept while they are fresh, so that a volume which is brought up to
//! date for another reason doesn't get a new one each time. Never written to a log.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// The parts of a hundred of its life after which a token is replaced when its volume is made again.
const FRESH: i32 = 70;
/// The same, after which a volume is made again only for that. Later, so that the token is not fresh any more by then.
const DUE: i32 = 80;
/// However long it lasts, it is replaced daily.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A token that a volume wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TokenRequest {
    pub(crate) namespace: String,
    pub(crate) account: String,
    /// The pod that it is bound to.
    pub(crate) pod: String,
    pub(crate) uid: String,
    /// None: the API server.
    pub(crate) audience: Option<String>,
    pub(crate) seconds: i64,
}

impl TokenRequest {
    /// How long after it was made a token is to be replaced.
    pub(crate) fn due_after(&self) -> SignedDuration {
        part(SignedDuration::from_secs(self.seconds), DUE)
    }
}

/// A token as the API server gave it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Token {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let life = self.expires.duration_since(self.issued);
        // A clock that was set back makes nothing older.
        now.duration_since(self.issued) < part(life, FRESH)
    }
}

fn part(life: SignedDuration, percent: i32) -> SignedDuration {
    (life / 100 * percent).min(DAY / 100 * percent)
}

/// The tokens of this node's pods.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<TokenRequest, Token>>);

impl Tokens {
    /// A token that is still fresh.
    pub(crate) fn fresh(&self, request: &TokenRequest, now: Timestamp) -> Option<String> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(request).filter(|token| token.is_fresh(now))?;
        Some(token.text.clone())
    }

    /// Keeps it, and forgets those that are over: of pods that are gone, mostly.
    pub(crate) fn keep(&self, request: TokenRequest, token: Token, now: Timestamp) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, token| token.expires > now);
        tokens.insert(request, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    fn request() -> TokenRequest {
        TokenRequest {
            namespace: "default".into(),
            account: "web".into(),
            pod: "p".into(),
            uid: "u".into(),
            audience: None,
            seconds: 1000,
        }
    }

    #[test]
    fn a_token_is_used_until_most_of_its_life_is_over() {
        let tokens = Tokens::default();
        let token = Token {
            text: "secret".into(),
            issued: at(0),
            expires: at(1000),
        };
        assert!(!format!("{token:?}").contains("secret"));
        tokens.keep(request(), token, at(0));
        for (now, is_fresh) in [(0, true), (699, true), (700, false), (1000, false), (-50, true)] {
            assert_eq!(tokens.fresh(&request(), at(now)).is_some(), is_fresh, "{now}");
        }
        assert_eq!(request().due_after(), SignedDuration::from_secs(800));
        tokens.keep(
            TokenRequest {
                pod: "q".into(),
                ..request()
            },
            Token {
                text: String::new(),
                issued: at(2000),
                expires: at(3000),
            },
            at(2000),
        );
        assert_eq!(tokens.fresh(&request(), at(0)), None, "what is over is forgotten");
    }

    #[test]
    fn long_tokens_are_replaced_daily() {
        let year = TokenRequest {
            seconds: 365 * 86_400,
            ..request()
        };
        assert!(year.due_after() < DAY);
    }
}
