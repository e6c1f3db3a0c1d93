//! The tokens of service accounts: signed JWTs (RFC 7519) that expire, are meant for an audience and end with what they are
//! bound to.
//!
//! ```text
//! key.rs      the signing key: one file, made when it isn't there; what it looks like to others (JWKS)
//! jwt.rs      signed text <-> claims, ES256 alone
//! claims.rs   what a token says, how long it lasts, whether it holds now: pure
//! bound.rs    whether what it is bound to is still there
//! legacy.rs   the tokens that secrets of type kubernetes.io/service-account-token hold
//! ```

mod bound;
mod claims;
mod jwt;
mod key;
pub(crate) mod legacy;

use std::path::Path;

use jiff::Timestamp;

use super::User;
use crate::storage::Store;

pub(crate) use claims::{Claims, Reference, Wanted};
pub use key::KeyError;

use jwt::TokenError;
use key::SigningKey;

/// Makes and checks tokens.
pub(crate) struct Tokens {
    store: Store,
    key: SigningKey,
    issuer: String,
    audiences: Vec<String>,
}

/// Why a token isn't taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It can't be read, or somebody else signed it.
    #[error("the token can't be read")]
    Unreadable(#[from] TokenError),
    /// What it says doesn't hold, or no longer.
    #[error("{0}")]
    Invalid(String),
}

impl Tokens {
    /// With the key of this file, which is made when it isn't there.
    pub(crate) fn open(store: Store, key: &Path, issuer: String, audiences: Vec<String>) -> Result<Self, KeyError> {
        let audiences = match audiences.is_empty() {
            true => vec![issuer.clone()],
            false => audiences,
        };
        Ok(Self {
            store,
            key: SigningKey::open(key)?,
            issuer,
            audiences,
        })
    }

    /// Who this server is to tokens that are for it.
    pub(crate) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Who makes the tokens.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A new token.
    pub(crate) fn issue(&self, claims: &Claims) -> String {
        jwt::sign(claims, &self.key)
    }

    /// Whose token this is, and for which of these audiences.
    pub(crate) fn verify(&self, token: &str, audiences: &[String]) -> Result<(User, Vec<String>), Refused> {
        let read = jwt::verify(token, &self.key)?;
        if let Some(legacy) = legacy::Claims::of(&read) {
            let user = legacy::user(&self.store, &legacy, token).map_err(Refused::Invalid)?;
            // They are from before audiences: they are for this server.
            let meant = audiences.iter().filter(|name| self.audiences.contains(name)).cloned();
            return meant_for(meant.collect()).map(|audiences| (user, audiences));
        }
        let claims = claims::read(&read).map_err(Refused::Invalid)?;
        claims
            .check(&self.issuer, Timestamp::now().as_second())
            .map_err(Refused::Invalid)?;
        let meant = audiences.iter().filter(|name| claims.audiences.contains(name)).cloned();
        let meant = meant_for(meant.collect())?;
        bound::check(&self.store, &claims, Timestamp::now()).map_err(Refused::Invalid)?;
        Ok((claims.user(), meant))
    }

    /// The public half of the key, as `/openid/v1/jwks` shows it (RFC 7517).
    pub(crate) fn jwks(&self) -> serde_json::Value {
        serde_json::json!({"keys": [self.key.jwk()]})
    }
}

fn meant_for(audiences: Vec<String>) -> Result<Vec<String>, Refused> {
    match audiences.is_empty() {
        true => Err(Refused::Invalid("token audiences are invalid for the target".into())),
        false => Ok(audiences),
    }
}
