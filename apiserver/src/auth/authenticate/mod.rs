//! Who is asking: a client certificate, or else a bearer token; then, perhaps, whom they act as.
//!
//! There are no anonymous requests beyond health and version: who shows nothing, or something that nobody vouches for, gets
//! a 401 before anything is looked up.

mod certificate;
mod impersonate;
mod socket;
mod token_file;

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use minik_api::status::Status;

use super::User;
use super::token::Tokens;

pub(crate) use certificate::user_of;
pub(crate) use impersonate::impersonated;
pub(crate) use socket::move_token;
pub(crate) use token_file::TokenFile;
pub use token_file::TokenFileError;

/// Longer ones are no tokens.
const TOKEN_MAX_BYTES: usize = 16 * 1024;

/// All who vouch for users.
pub(crate) struct Authenticator {
    /// Service accounts'.
    pub(crate) tokens: Arc<Tokens>,
    /// Those of `--token-auth-file`.
    pub(crate) file: TokenFile,
}

/// A token that somebody vouches for.
pub(crate) struct Vouched {
    /// Whose it is.
    pub(crate) user: Arc<User>,
    /// Those of the audiences asked for that it is meant for.
    pub(crate) audiences: Vec<String>,
}

impl Authenticator {
    /// The user of a request; `certificate` is that of a verified client certificate.
    pub(crate) fn authenticate(
        &self,
        headers: &HeaderMap,
        certificate: Option<&Arc<User>>,
    ) -> Result<Arc<User>, Status> {
        if let Some(user) = certificate {
            return Ok(user.clone());
        }
        let token = bearer(headers).ok_or_else(Status::unauthorized)?;
        let vouched = self.vouch(token, self.tokens.audiences()).map_err(|why| {
            // What was wrong is for the log alone: the client may be guessing.
            tracing::debug!(why, "a bearer token was refused");
            Status::unauthorized()
        })?;
        Ok(vouched.user)
    }

    /// Whose token this is, for one of these audiences; or what is wrong with it.
    pub(crate) fn vouch(&self, token: &str, audiences: &[String]) -> Result<Vouched, String> {
        if token.is_empty() || token.len() > TOKEN_MAX_BYTES {
            return Err("it is empty or too long".into());
        }
        if let Some(user) = self.file.user(token) {
            // Those of the file are for this server.
            let own = self.tokens.audiences();
            let audiences: Vec<String> = audiences.iter().filter(|name| own.contains(name)).cloned().collect();
            return match audiences.is_empty() {
                true => Err("token audiences are invalid for the target".into()),
                false => Ok(Vouched { user, audiences }),
            };
        }
        let (user, audiences) = self
            .tokens
            .verify(token, audiences)
            .map_err(|error| error.to_string())?;
        let user = Arc::new(user);
        Ok(Vouched { user, audiences })
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_bearer_token_is_found() {
        for (header, found) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
            assert_eq!(bearer(&headers), found, "{header}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
