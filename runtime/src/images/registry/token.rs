//! Answers a challenge: a password as it is, or a token from the registry's token server (distribution's token
//! authentication, and its OAuth2 form for refresh tokens).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use serde::Deserialize;
use std::sync::Arc;

use super::challenge::Challenge;
use super::credentials::Credentials;
use super::session::{self, Denied};
use super::{Endpoint, failure};
use crate::images::error::PullError;

/// Tokens are a few KiB.
const TOKEN_BYTES: usize = 1 << 20;

/// What is needed to answer.
pub(super) struct Applicant<'a> {
    pub(super) client: &'a Client,
    pub(super) endpoint: &'a Endpoint,
    pub(super) repository: &'a str,
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) proxy: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Applicant<'_> {
    /// The value for `Authorization`; none if the challenge can't be answered without a login.
    pub(super) async fn answer(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, PullError> {
        if let Some(Credentials::RegistryToken(token)) = self.credentials {
            return Ok(secret(format!("Bearer {token}")));
        }
        match (challenge, self.credentials) {
            (Challenge::Basic, Some(Credentials::Basic { username, password })) => Ok(basic(username, password)),
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service, scope }, _) => {
                let token = self.token(realm, service.as_deref(), scope.as_deref()).await?;
                Ok(secret(format!("Bearer {token}")))
            }
        }
    }

    async fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<String, PullError> {
        let mut url = Url::parse(realm).map_err(|error| self.garbage("address of a token server", error))?;
        if url.scheme() != "https" && !self.endpoint.is_plain() {
            return Err(self.garbage("address of a token server", NotSecure(realm.to_owned())));
        }
        let own_scope = format!("repository:{}:pull", self.repository);
        let mut fields = vec![("scope", scope.unwrap_or(&own_scope))];
        fields.extend(service.map(|service| ("service", service)));
        let request = if let Some(Credentials::IdentityToken(refresh)) = self.credentials {
            fields.extend([
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh),
                ("client_id", "minik"),
            ]);
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            self.client
                .post(url.clone())
                .header(CONTENT_TYPE, form)
                .body(form_body(&url, &fields))
        } else {
            url.query_pairs_mut().extend_pairs(&fields);
            let login = match self.credentials {
                Some(Credentials::Basic { username, password }) => basic(username, password),
                _ => None,
            };
            let request = self.client.get(url.clone());
            match login {
                Some(login) => request.header(AUTHORIZATION, login),
                None => request,
            }
        };
        let server = session::host_of(&url);
        let failed = |error| failure::transport(error, &server, self.proxy);
        let response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            let denied = Denied {
                registry: &server,
                repository: self.repository,
                what: "a token",
                has_login: self.credentials.is_some(),
            };
            return Err(denied.error(response).await);
        }
        let bytes = session::body(response, TOKEN_BYTES, &server, self.proxy).await?;
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| self.garbage("token", error))?;
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        token.ok_or_else(|| self.garbage("token", NoToken))
    }

    fn garbage(&self, what: &str, source: impl std::error::Error + Send + Sync + 'static) -> PullError {
        PullError::Garbage {
            registry: self.endpoint.host.clone(),
            what: what.to_owned(),
            source: Arc::new(source),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the answer has no token in it")]
struct NoToken;

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not https, so nothing secret is sent there")]
struct NotSecure(String);

fn basic(username: &str, password: &str) -> Option<HeaderValue> {
    secret(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
}

/// Marked, so that no log shows it.
fn secret(value: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A form is written as a URL's query is.
fn form_body(url: &Url, fields: &[(&str, &str)]) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}
