//! The connection to an API server, as the kubeconfig names it: any Kubernetes, not only ours.
//!
//! Verbs ask it for paths and get JSON back. Every request carries the same trace's context, so that `apply` and the process
//! it starts end up in one trace. Warnings that the server sends along go to stderr, once each. A server that is too busy
//! and says when to come back (`Retry-After`) is asked again.
//!
//! ```text
//!   flags ─┐
//!   kubeconfig ─> config ─> transport (TCP, proxy, TLS, credentials) ─> wire (-v) ─> Session
//! ```

mod config;
mod flags;
mod proxy;
mod transport;
pub mod wire;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{AsyncBufReadExt as _, Stream, StreamExt as _, TryStreamExt as _};
use http::{Method, Request};
use kube::client::Body;
use minik_api::trace::{self, Traceparent};
use serde_json::Value;

use crate::cli::Global;
use crate::failure::Failure;
use crate::resources::{Resource, Resources, UnknownResource};

pub use config::{context, kubeconfig_path, kubeconfig_paths};
pub use flags::ConnectionFlags;

/// Asks for objects as the server prints them.
pub const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const JSON: &str = "application/json";
/// How often a request is repeated that the server puts off (client-go's number).
const MOST_RETRIES: u32 = 10;
/// The longest that a server may put a request off.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// The Kubernetes whose kinds and defaults minikctl knows.
const KUBERNETES: &str = "v1.36";

/// Whether `v1.36.2` is of `v1.36`. Pure.
fn is_of(version: &str, minor: &str) -> bool {
    version
        .strip_prefix(minor)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// How many warnings servers have sent in this process.
static WARNINGS: AtomicUsize = AtomicUsize::new(0);

/// How many warnings servers have sent.
#[must_use]
pub fn warnings() -> usize {
    WARNINGS.load(Ordering::Relaxed)
}

/// A connection and where on it the user works.
pub struct Session {
    /// kube's client, for what kube does better: exec, attach, port-forward.
    pub kube: kube::Client,
    /// The namespace that objects without one belong to.
    pub namespace: String,
    /// Whether the user named it on the command line.
    pub namespace_is_explicit: bool,
    /// The server's URL without its path.
    pub server: String,
    /// Where answers about kinds are kept, if the user said so.
    pub cache_dir: Option<PathBuf>,
    trace: Traceparent,
    verbosity: u8,
    timeout: Option<Duration>,
    resources: RefCell<Option<Rc<Resources>>>,
    warned: RefCell<BTreeSet<String>>,
}

impl Session {
    /// Reads the kubeconfig and prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// [`Failure::Kubeconfig`] when there is none, or it lacks the context.
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        // Fails only when a provider is there already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bad = |problem: String| Failure::Kubeconfig { problem };
        let (config, proxy_url) = config::load(global).await?;
        if global.verbosity >= 6
            && let Some(path) = kubeconfig_path(global)
        {
            wire::say(&format!("Config loaded from file:  {}", path.display()));
        }
        let namespace = global
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let proxy = proxy::Proxy::on_the_way(&config.cluster_url, proxy_url.as_deref());
        let proxy = proxy.map_err(|error| bad(error.to_string()))?;
        let kube = transport::open(&config, proxy, global.verbosity).map_err(|error| bad(error.to_string()))?;
        let session = Self {
            kube,
            namespace,
            namespace_is_explicit: global.namespace.is_some(),
            server,
            trace: Traceparent::new(),
            verbosity: global.verbosity,
            timeout: global.connection.request_timeout.filter(|timeout| !timeout.is_zero()),
            cache_dir: global.connection.cache_dir.clone(),
            resources: RefCell::default(),
            warned: RefCell::default(),
        };
        if global.connection.match_server_version {
            let answer = session.get("/version").await?;
            let version = answer["gitVersion"].as_str().unwrap_or_default();
            if !is_of(version, KUBERNETES) {
                let problem = format!("server version ({version}) differs from client version ({KUBERNETES})");
                return Err(Failure::Version { problem });
            }
        }
        Ok(session)
    }

    /// GETs a path as JSON.
    ///
    /// # Errors
    /// The server's Status, or why there is no answer.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.exchange(Method::GET, path, JSON, None).await
    }

    /// GETs a path in the representation named by `accept`.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn get_as(&self, path: &str, accept: &str) -> Result<Value, Failure> {
        self.exchange(Method::GET, path, accept, None).await
    }

    /// GETs a path and gives the answer as it came.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn raw(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let request = self.request(Method::GET, path, "application/json, */*");
        let request = request
            .body(Body::empty())
            .map_err(|error| self.unreadable(path, error))?;
        let failed = |error| Failure::from_kube(error, &self.server_address());
        let answer = self.kube.send(request).await.map_err(failed)?;
        let status = answer.status();
        let bytes = answer.into_body().collect_bytes().await.map_err(failed)?;
        if status.is_success() {
            Ok(bytes.to_vec())
        } else {
            Err(Failure::Api(Box::new(status_of(status, &bytes))))
        }
    }

    /// Sends a body with its content type.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn send(&self, method: Method, path: &str, kind: &str, body: &Value) -> Result<Value, Failure> {
        self.exchange(method, path, JSON, Some((kind, body.to_string()))).await
    }

    /// Follows a path that answers line by line with JSON: a watch.
    ///
    /// # Errors
    /// As [`Session::get`]; each line may fail on its own.
    pub async fn follow(
        &self,
        path: &str,
        accept: &str,
    ) -> Result<impl Stream<Item = Result<Value, Failure>> + use<>, Failure> {
        let server = self.server_address();
        let request = self
            .request(Method::GET, path, accept)
            .body(Vec::new())
            .map_err(|error| self.unreadable(path, error))?;
        let answer = self.in_time(async {
            let answer = self.kube.request_stream(request).await;
            answer.map_err(|error| Failure::from_kube(error, &server))
        });
        let lines = answer.await?.lines();
        // A watch is one request too: it ends in time.
        let timeout = self.timeout;
        let lines = lines.take_until(async move {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        });
        let path = path.to_owned();
        Ok(lines
            .map_err(|error| Failure::Unreachable {
                problem: error.to_string(),
            })
            .map(move |line| {
                serde_json::from_str(&line?).map_err(|error| Failure::Answer {
                    what: path.clone(),
                    problem: error.to_string(),
                })
            }))
    }

    /// The kinds that the server has.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn resources(&self) -> Result<Rc<Resources>, Failure> {
        let known = self.resources.borrow().clone();
        match known {
            Some(known) => Ok(known),
            None => Ok(self.learn(Resources::load(self).await?)),
        }
    }

    /// The kinds that a user's word means.
    ///
    /// # Errors
    /// As [`Session::get`], and [`UnknownResource`].
    pub async fn called(&self, name: &str) -> anyhow::Result<Vec<Resource>> {
        let own =
            |found: Result<Vec<&Resource>, UnknownResource>| found.map(|list| list.into_iter().cloned().collect());
        let known = self.resources().await?;
        match own(known.called(name)) {
            Err(_) if known.is_from_disk() => Ok(own(self.learn(Resources::fetch(self).await?).called(name))?),
            other => Ok(other?),
        }
    }

    /// The resource that serves a manifest's apiVersion and kind, if there is one.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn serving(&self, api_version: &str, kind: &str) -> Result<Option<Resource>, Failure> {
        let known = self.resources().await?;
        match known.serving(api_version, kind) {
            None if known.is_from_disk() => Ok(self
                .learn(Resources::fetch(self).await?)
                .serving(api_version, kind)
                .cloned()),
            found => Ok(found.cloned()),
        }
    }

    fn learn(&self, resources: Resources) -> Rc<Resources> {
        let resources = Rc::new(resources);
        *self.resources.borrow_mut() = Some(resources.clone());
        resources
    }

    /// Whether requests, watches among them, end by themselves.
    #[must_use]
    pub fn has_timeout(&self) -> bool {
        self.timeout.is_some()
    }

    /// Host and port, for messages.
    #[must_use]
    pub fn server_address(&self) -> String {
        let without_scheme = self
            .server
            .split_once("://")
            .map_or(self.server.as_str(), |(_, rest)| rest);
        without_scheme.to_owned()
    }

    /// A builder with what every request carries.
    pub fn request(&self, method: Method, path: &str, accept: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::ACCEPT, accept)
            .header(
                http::header::USER_AGENT,
                concat!("minikctl/", env!("CARGO_PKG_VERSION")),
            )
            .header(trace::HEADER, self.trace.child().to_string())
    }

    /// A request whose answer comes as a stream of text: a container's log.
    ///
    /// # Errors
    /// As [`Session::get`].
    pub async fn stream(&self, path: &str) -> Result<impl futures::AsyncBufRead + use<>, Failure> {
        let request = self
            .request(Method::GET, path, "*/*")
            .body(Vec::new())
            .map_err(|error| self.unreadable(path, error))?;
        self.in_time(async {
            let answer = self.kube.request_stream(request).await;
            answer.map_err(|error| Failure::from_kube(error, &self.server_address()))
        })
        .await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, String)>,
    ) -> Result<Value, Failure> {
        let said = body.as_ref().map(|(_, text)| text.as_bytes()).unwrap_or_default();
        wire::show_body(self.verbosity, "Request Body", said);
        let retries = Cell::new(0);
        let (status, bytes) = loop {
            let answer = self.in_time(self.ask(&method, path, accept, body.as_ref())).await?;
            match answer {
                Answer::Later(delay) if retries.get() < MOST_RETRIES => {
                    retries.set(retries.get() + 1);
                    tokio::time::sleep(delay).await;
                }
                Answer::Later(_) => {
                    let status = kube::core::Status::failure("the server is too busy", "TooManyRequests");
                    return Err(Failure::Api(Box::new(status)));
                }
                Answer::Now(status, bytes) => break (status, bytes),
            }
        };
        wire::show_body(self.verbosity, "Response Body", &bytes);
        if !status.is_success() {
            return Err(Failure::Api(Box::new(status_of(status, &bytes))));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| self.unreadable(path, error))
    }

    async fn ask(
        &self,
        method: &Method,
        path: &str,
        accept: &str,
        body: Option<&(&str, String)>,
    ) -> Result<Answer, Failure> {
        let mut builder = self.request(method.clone(), path, accept);
        let body = match body {
            Some((kind, text)) => {
                builder = builder.header(http::header::CONTENT_TYPE, *kind);
                Body::from(text.clone().into_bytes())
            }
            None => Body::empty(),
        };
        let request = builder.body(body).map_err(|error| self.unreadable(path, error))?;
        let answer = self.kube.send(request).await;
        let answer = answer.map_err(|error| Failure::from_kube(error, &self.server_address()))?;
        let status = answer.status();
        if let Some(delay) = put_off(status, answer.headers()) {
            return Ok(Answer::Later(delay));
        }
        self.show_warnings(answer.headers());
        let bytes = answer
            .into_body()
            .collect_bytes()
            .await
            .map_err(|error| Failure::from_kube(error, &self.server_address()))?;
        Ok(Answer::Now(status, bytes))
    }

    /// What takes longer than `--request-timeout` allows is given up.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let Some(timeout) = self.timeout else {
            return work.await;
        };
        tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
            Err(Failure::Unreachable {
                problem: "context deadline exceeded (the request took longer than --request-timeout)".to_owned(),
            })
        })
    }

    fn show_warnings(&self, headers: &http::HeaderMap) {
        for warning in headers.get_all(http::header::WARNING) {
            let Some(text) = warning.to_str().ok().and_then(warning_text) else {
                continue;
            };
            if self.warned.borrow_mut().insert(text.clone()) {
                WARNINGS.fetch_add(1, Ordering::Relaxed);
                self.say(&format!("Warning: {text}"));
            }
        }
    }

    fn say(&self, line: &str) {
        // Nothing can be said when stderr is gone.
        let _ = writeln!(anstream::stderr(), "{line}");
    }

    fn unreadable(&self, path: &str, error: impl std::fmt::Display) -> Failure {
        Failure::Answer {
            what: path.to_owned(),
            problem: error.to_string(),
        }
    }
}

/// The Status in an answer, or one made from an answer without.
fn status_of(code: http::StatusCode, bytes: &[u8]) -> kube::core::Status {
    let parsed = serde_json::from_slice::<kube::core::Status>(bytes).ok();
    let mut status = parsed
        .filter(|status| !status.message.is_empty() || !status.reason.is_empty())
        .unwrap_or_else(|| {
            let text = String::from_utf8_lossy(bytes);
            let message = match text.trim() {
                "" => code.to_string(),
                text => text.chars().take(500).collect(),
            };
            kube::core::Status::failure(&message, "")
        });
    status.code = code.as_u16();
    status
}

/// The quoted text of a `Warning: 299 - "text"` header (RFC 7234, section 5.5).
fn warning_text(header: &str) -> Option<String> {
    let (_, quoted) = header.split_once('"')?;
    let text = &quoted[..quoted.rfind('"')?];
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// What came back.
enum Answer {
    /// The answer itself.
    Now(http::StatusCode, bytes::Bytes),
    /// The server asks for the same request again after a while.
    Later(Duration),
}

/// How long the server asks to wait, where it does (RFC 9110, section 10.2.3, in seconds). Pure.
fn put_off(status: http::StatusCode, headers: &http::HeaderMap) -> Option<Duration> {
    if status != http::StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return None;
    }
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_of_a_version_are_of_it() {
        assert!(is_of("v1.36.0+minik", KUBERNETES) && is_of("v1.36", KUBERNETES));
        assert!(!is_of("v1.33.1", KUBERNETES) && !is_of("v1.360", KUBERNETES));
    }

    #[test]
    fn warnings_are_unquoted() {
        assert_eq!(warning_text(r#"299 - "say \"hi\"""#).as_deref(), Some(r#"say "hi""#));
        assert_eq!(warning_text("299 -"), None);
    }

    #[test]
    fn an_answer_without_status_still_says_something() {
        let status = status_of(http::StatusCode::BAD_GATEWAY, b"upstream is gone\n");
        assert_eq!((status.code, status.message.as_str()), (502, "upstream is gone"));
        let status = status_of(http::StatusCode::NOT_FOUND, b"");
        assert_eq!(status.message, "404 Not Found");
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        let mut headers = http::HeaderMap::new();
        assert_eq!(put_off(http::StatusCode::TOO_MANY_REQUESTS, &headers), None);
        headers.insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("2"));
        let of = |code: u16| put_off(http::StatusCode::from_u16(code).expect("a code"), &headers);
        assert_eq!(of(429), Some(Duration::from_secs(2)));
        assert_eq!(of(503), Some(Duration::from_secs(2)));
        assert_eq!(of(404), None);
        headers.insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("999999"));
        assert_eq!(
            put_off(http::StatusCode::SERVICE_UNAVAILABLE, &headers),
            Some(LONGEST_DELAY)
        );
    }
}
