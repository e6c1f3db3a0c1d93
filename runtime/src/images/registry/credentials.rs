//! Who a pull is done for.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What is shown to a registry. Never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// User name and password (or access token in its place).
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// A refresh token, traded for an access token at the registry's token server.
    IdentityToken(String),
    /// A token for the registry itself, sent as it is.
    RegistryToken(String),
}

/// How a registry is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// As whom; none: by the logins that the node has.
    pub credentials: Option<Credentials>,
    /// Without TLS, wherever the registry is.
    pub plain_http: bool,
}

impl Access {
    /// With these credentials alone.
    #[must_use]
    pub fn with(credentials: Option<Credentials>) -> Self {
        Self {
            credentials,
            plain_http: false,
        }
    }
}

impl Credentials {
    /// From a CRI `AuthConfig`; none if it is empty.
    #[must_use]
    pub fn from_cri(auth: &minik_api::cri::AuthConfig) -> Option<Self> {
        if !auth.registry_token.is_empty() {
            return Some(Self::RegistryToken(auth.registry_token.clone()));
        }
        if !auth.identity_token.is_empty() {
            return Some(Self::IdentityToken(auth.identity_token.clone()));
        }
        if !auth.username.is_empty() {
            return Some(Self::Basic {
                username: auth.username.clone(),
                password: auth.password.clone(),
            });
        }
        Self::from_encoded(&auth.auth)
    }

    /// From docker's form: base64 of `user:password`, in some versions with NULs at its end.
    pub(super) fn from_encoded(encoded: &str) -> Option<Self> {
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (username, password) = decoded.trim_end_matches('\0').split_once(':')?;
        Some(Self::Basic {
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(..)",
            Self::IdentityToken(_) => "IdentityToken(..)",
            Self::RegistryToken(_) => "RegistryToken(..)",
        })
    }
}
