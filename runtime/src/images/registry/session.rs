//! One repository at one host, for the time of one pull: logs in when asked to, tries again where that may help, and turns
//! answers into errors that say what to do.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::challenge;
use super::client::Clients;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::token::Applicant;
use super::{Patience, failure};
use crate::images::digest::Digest;
use crate::images::error::PullError;
use crate::images::manifest;

/// Bytes of a manifest or index that is read into memory: the distribution specification's own limit.
pub(crate) const MANIFEST_BYTES: usize = 4 << 20;
/// Bytes of an error's body that are read.
const REFUSAL_BYTES: usize = 64 << 10;
/// Tags asked for when one is not found.
const TAGS: usize = 1000;
const TAGS_BYTES: usize = 1 << 20;

/// A repository at an endpoint.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
    pub(super) repository: String,
    credentials: Option<Credentials>,
    pub(super) patience: Patience,
    pub(super) proxy: Option<String>,
    /// What the last challenge was answered with.
    authorization: Mutex<Option<HeaderValue>>,
}

/// A manifest or index as it came.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
    /// As the registry says; empty if it doesn't.
    pub(crate) media_type: String,
}

impl Session {
    pub(crate) fn new(
        clients: &Clients,
        endpoint: Endpoint,
        repository: &str,
        credentials: Option<Credentials>,
        patience: Patience,
    ) -> Result<Self, PullError> {
        Ok(Self {
            client: clients.client(&endpoint)?,
            proxy: clients.proxy(&endpoint),
            endpoint,
            repository: repository.to_owned(),
            credentials,
            patience,
            authorization: Mutex::new(None),
        })
    }

    /// As [`Session::new`], for sending blobs there.
    pub(crate) fn uploading(
        clients: &Clients,
        endpoint: Endpoint,
        repository: &str,
        credentials: Option<Credentials>,
        patience: Patience,
    ) -> Result<Self, PullError> {
        let client = clients.uploading(&endpoint)?;
        let session = Self::new(clients, endpoint, repository, credentials, patience)?;
        Ok(Self { client, ..session })
    }

    /// Host and port, for messages.
    pub(crate) fn host(&self) -> &str {
        &self.endpoint.host
    }

    pub(crate) fn is_mirror(&self) -> bool {
        self.endpoint.mirror_of.is_some()
    }

    /// The digest a tag stands for now, without fetching anything: Docker Hub doesn't count this as a pull. None if the
    /// registry doesn't say.
    pub(crate) async fn head(&self, tag: &str) -> Result<Option<Digest>, PullError> {
        let response = self.ask(Method::HEAD, &format!("manifests/{tag}"), None).await?;
        let digest = response
            .headers()
            .get("Docker-Content-Digest")
            .and_then(|value| value.to_str().ok());
        Ok(digest.and_then(|digest| digest.parse().ok()))
    }

    /// A manifest or index by tag or digest. What is asked for by digest is checked against it.
    pub(crate) async fn manifest(&self, object: &str) -> Result<Fetched, PullError> {
        let response = match self.ask(Method::GET, &format!("manifests/{object}"), None).await {
            Err(PullError::NotFound { .. }) => return Err(self.not_found(object).await),
            other => other?,
        };
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = media_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        let bytes = body(response, MANIFEST_BYTES, self.host(), self.proxy.as_deref()).await?;
        let digest = Digest::of(&bytes);
        if let Ok(expected) = object.parse::<Digest>()
            && expected != digest
        {
            return Err(PullError::Digest {
                what: format!("manifest {object}"),
                registry: self.host().to_owned(),
                expected,
                actual: digest,
            });
        }
        Ok(Fetched {
            bytes,
            digest,
            media_type,
        })
    }

    /// Asks until there is an answer or no hope: only success comes back.
    pub(super) async fn ask(&self, method: Method, object: &str, from: Option<u64>) -> Result<Response, PullError> {
        let mut attempt = 1;
        loop {
            match self.ask_once(&method, object, from).await {
                Err(error) if failure::is_transient(&error) && attempt < self.patience.attempts => {
                    tracing::debug!(registry = self.host(), object, attempt, %error, "asking the registry again");
                    tokio::time::sleep(self.patience.pause(attempt)).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn ask_once(&self, method: &Method, object: &str, from: Option<u64>) -> Result<Response, PullError> {
        let mut response = self.send(method, object, from).await?;
        if self.log_in(&response).await? {
            response = self.send(method, object, from).await?;
        }
        self.accept(response, object).await
    }

    /// Answers the challenge of a refusal; false where there is none, or none that can be answered.
    pub(super) async fn log_in(&self, response: &Response) -> Result<bool, PullError> {
        if response.status() != StatusCode::UNAUTHORIZED || host_of(response.url()) != self.host_in_url() {
            return Ok(false);
        }
        let challenges: Vec<String> = (response.headers().get_all(WWW_AUTHENTICATE).iter())
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect();
        let Some(challenge) = challenge::choose(challenges.iter().map(String::as_str)) else {
            return Ok(false);
        };
        let applicant = Applicant {
            client: &self.client,
            endpoint: &self.endpoint,
            repository: &self.repository,
            credentials: self.credentials.as_ref(),
            proxy: self.proxy.as_deref(),
        };
        let Some(authorization) = applicant.answer(&challenge).await? else {
            return Ok(false);
        };
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization);
        Ok(true)
    }

    async fn send(&self, method: &Method, object: &str, from: Option<u64>) -> Result<Response, PullError> {
        let url = self.endpoint.url(&self.repository, object);
        let mut request = self.client.request(method.clone(), url);
        if object.starts_with("manifests/") {
            request = request.header(ACCEPT, manifest::ACCEPT);
        }
        if let Some(from) = from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        if let Some(authorization) = self.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        request
            .send()
            .await
            .map_err(|error| failure::transport(error, self.host(), self.proxy.as_deref()))
    }

    /// What the last challenge was answered with.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let authorization = self.authorization.lock();
        authorization.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn accept(&self, response: Response, what: &str) -> Result<Response, PullError> {
        if response.status().is_success() {
            return Ok(response);
        }
        let registry = host_of(response.url());
        let denied = Denied {
            // After a redirect it is the other host that refuses.
            registry: if registry == self.host_in_url() {
                self.host()
            } else {
                &registry
            },
            repository: &self.repository,
            what,
            has_login: self.credentials.is_some(),
        };
        Err(denied.error(response).await)
    }

    /// Asks for the list of tags, to tell an unknown image from an unknown tag. One attempt: it only makes a message better.
    async fn not_found(&self, object: &str) -> PullError {
        let (name, registry) = (self.repository.clone(), self.host().to_owned());
        let object = object.to_owned();
        if self.is_mirror() {
            return PullError::NotFound { name, object, registry };
        }
        let response = match self.ask_once(&Method::GET, &format!("tags/list?n={TAGS}"), None).await {
            Ok(response) => response,
            Err(PullError::NameNotFound { .. } | PullError::NotFound { .. }) => {
                return PullError::NameNotFound { name, registry };
            }
            Err(_) => return PullError::NotFound { name, object, registry },
        };
        #[derive(Deserialize)]
        struct List {
            tags: Option<Vec<String>>,
        }
        let bytes = body(response, TAGS_BYTES, &registry, self.proxy.as_deref())
            .await
            .unwrap_or_default();
        match serde_json::from_slice::<List>(&bytes) {
            Ok(list) => PullError::TagNotFound {
                offered: similar(&object, list.tags.unwrap_or_default()),
                name,
                object,
                registry,
            },
            Err(_) => PullError::NotFound { name, object, registry },
        }
    }

    pub(super) fn host_in_url(&self) -> String {
        Url::parse(&self.endpoint.url("", ""))
            .map(|url| host_of(&url))
            .unwrap_or_default()
    }
}

/// Some tags like the one that isn't there, for a message.
fn similar(wanted: &str, mut tags: Vec<String>) -> String {
    const SHOWN: usize = 5;
    let common = |tag: &String| tag.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
    tags.sort_by_key(|tag| (std::cmp::Reverse(common(tag)), tag.len()));
    tags.truncate(SHOWN);
    if tags.is_empty() || wanted.contains(':') {
        String::new()
    } else {
        format!("; there is {}", tags.join(", "))
    }
}

/// An answer that isn't success.
pub(super) struct Denied<'a> {
    pub(super) registry: &'a str,
    pub(super) repository: &'a str,
    pub(super) what: &'a str,
    pub(super) has_login: bool,
}

/// The distribution specification's error body.
#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    errors: Vec<RefusalDetail>,
}

#[derive(Deserialize)]
struct RefusalDetail {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Denied<'_> {
    pub(super) async fn error(&self, response: Response) -> PullError {
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let bytes = body(response, REFUSAL_BYTES, self.registry, None)
            .await
            .unwrap_or_default();
        let refusal: Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
        let detail = refusal.errors.into_iter().next();
        let code = detail.as_ref().map(|detail| detail.code.clone()).unwrap_or_default();
        let words = detail.map(|detail| detail.message).filter(|words| !words.is_empty());
        let said = words.map(|words| format!(" (it says: {words})")).unwrap_or_default();
        let (name, registry) = (self.repository.to_owned(), self.registry.to_owned());
        match (status.as_u16(), code.as_str()) {
            (429, _) | (_, "TOOMANYREQUESTS") => PullError::RateLimited {
                registry,
                wait: wait.map(|seconds| format!(" {seconds} s")).unwrap_or_default(),
            },
            (401 | 403, _) if self.has_login => PullError::LoginRefused { name, registry, said },
            (401 | 403, _) => PullError::LoginNeeded { name, registry, said },
            (404, "NAME_UNKNOWN") => PullError::NameNotFound { name, registry },
            (404, _) => PullError::NotFound {
                name,
                object: self
                    .what
                    .split_once('/')
                    .map_or(self.what, |(_, object)| object)
                    .to_owned(),
                registry,
            },
            (408 | 500..=599, _) => PullError::Server {
                registry,
                status: status.to_string(),
            },
            _ => PullError::Status {
                registry,
                status: status.to_string(),
                what: self.what.to_owned(),
                said,
            },
        }
    }
}

/// Host and port of a URL, the port only if it is not the scheme's own.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Reads a body into memory, up to a limit.
pub(super) async fn body(
    mut response: Response,
    limit_bytes: usize,
    registry: &str,
    proxy: Option<&str>,
) -> Result<Bytes, PullError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| failure::transport(error, registry, proxy))?
    {
        bytes.extend_from_slice(&piece);
        if bytes.len() > limit_bytes {
            return Err(PullError::Garbage {
                registry: registry.to_owned(),
                what: "answer".to_owned(),
                source: Arc::new(TooLong(limit_bytes)),
            });
        }
    }
    Ok(bytes.freeze())
}

#[derive(Debug, thiserror::Error)]
#[error("it is longer than {0} bytes")]
struct TooLong(usize);
