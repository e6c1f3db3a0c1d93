//! The connection to an API server, as the kubeconfig names it: any Kubernetes, not only ours.
//!
//! Verbs ask it for paths and get JSON back. Every request carries the same trace's context, so that `apply` and the process
//! it starts end up in one trace. Warnings that the server sends along go to stderr, once each.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::io::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use futures::{AsyncBufReadExt as _, Stream, StreamExt as _, TryStreamExt as _};
use http::{Method, Request};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use minik_api::trace::{self, Traceparent};
use serde_json::Value;

use crate::cli::Global;
use crate::failure::Failure;
use crate::resources::{Resource, Resources, UnknownResource};

/// Asks for objects as the server prints them.
pub const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const JSON: &str = "application/json";

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
    trace: Traceparent,
    verbosity: u8,
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
        let kubeconfig = read_kubeconfig(global)?;
        let context = context(global);
        has_context(&kubeconfig, context.as_deref()).map_err(bad)?;
        let options = KubeConfigOptions {
            context,
            ..KubeConfigOptions::default()
        };
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| bad(error.to_string()))?;
        // Watches and `logs -f` are silent for as long as nothing happens.
        config.read_timeout = None;
        let namespace = global
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let kube = kube::Client::try_from(config).map_err(|error| bad(error.to_string()))?;
        Ok(Self {
            kube,
            namespace,
            namespace_is_explicit: global.namespace.is_some(),
            server,
            trace: Traceparent::new(),
            verbosity: global.verbosity,
            resources: RefCell::default(),
            warned: RefCell::default(),
        })
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
        let answer = self.kube.request_stream(request).await;
        let lines = answer.map_err(|error| Failure::from_kube(error, &server))?.lines();
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

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, String)>,
    ) -> Result<Value, Failure> {
        let mut builder = self.request(method.clone(), path, accept);
        let body = match body {
            Some((kind, text)) => {
                builder = builder.header(http::header::CONTENT_TYPE, kind);
                Body::from(text.into_bytes())
            }
            None => Body::empty(),
        };
        let request = builder.body(body).map_err(|error| self.unreadable(path, error))?;
        let started = Instant::now();
        let answer = self.kube.send(request).await;
        let answer = answer.map_err(|error| Failure::from_kube(error, &self.server_address()))?;
        let status = answer.status();
        if self.verbosity >= 6 {
            let took = started.elapsed().as_secs_f64() * 1000.0;
            self.say(&format!(
                "{method} {}{path} {status} in {took:.1} milliseconds",
                self.server
            ));
        }
        self.show_warnings(answer.headers());
        let bytes = answer
            .into_body()
            .collect_bytes()
            .await
            .map_err(|error| Failure::from_kube(error, &self.server_address()))?;
        if !status.is_success() {
            return Err(Failure::Api(Box::new(status_of(status, &bytes))));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| self.unreadable(path, error))
    }

    fn show_warnings(&self, headers: &http::HeaderMap) {
        for warning in headers.get_all(http::header::WARNING) {
            let Some(text) = warning.to_str().ok().and_then(warning_text) else {
                continue;
            };
            if self.warned.borrow_mut().insert(text.clone()) {
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

/// The context to use: the named one, else the named instance's, else the kubeconfig's current one.
pub fn context(global: &Global) -> Option<String> {
    let of_instance = || {
        global.instance.as_deref().map(|name| match name {
            "default" => "minik".to_owned(),
            other => format!("minik-{other}"),
        })
    };
    global.context.clone().or_else(of_instance)
}

/// The kubeconfig that this user's commands read and change: `--kubeconfig`, the first of $KUBECONFIG, ~/.kube/config. Under
/// sudo it is the invoking user's, unless root has one.
pub fn kubeconfig_path(global: &Global) -> Option<PathBuf> {
    if let Some(path) = &global.kubeconfig {
        return Some(path.clone());
    }
    if let Some(list) = env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return env::split_paths(&list).next();
    }
    let below = |home: PathBuf| home.join(".kube/config");
    let own = env::var_os("HOME").map(PathBuf::from).map(below);
    if own.as_ref().is_some_and(|path| path.exists()) {
        return own;
    }
    let invoking = env::var("SUDO_USER")
        .ok()
        .and_then(|name| nix::unistd::User::from_name(&name).ok().flatten())
        .map(|user| below(user.dir));
    invoking.or(own)
}

fn read_kubeconfig(global: &Global) -> Result<Kubeconfig, Failure> {
    let bad = |problem: String| Failure::Kubeconfig { problem };
    let several = global.kubeconfig.is_none()
        && env::var_os("KUBECONFIG").is_some_and(|list| env::split_paths(&list).count() > 1);
    if several {
        return Kubeconfig::from_env()
            .map_err(|error| bad(error.to_string()))?
            .ok_or_else(|| bad("KUBECONFIG names no file".to_owned()));
    }
    let path = kubeconfig_path(global).ok_or_else(|| bad("no kubeconfig: HOME is not set".to_owned()))?;
    if !path.exists() {
        return Err(bad(format!("there is no kubeconfig at {}", path.display())));
    }
    Kubeconfig::read_from(&path).map_err(|error| bad(format!("{}: {error}", path.display())))
}

/// Whether the wanted context is there, or the current one when none is wanted; says which ones are, otherwise. Pure.
fn has_context(kubeconfig: &Kubeconfig, wanted: Option<&str>) -> Result<(), String> {
    let names: Vec<&str> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.as_str())
        .collect();
    let there = match names.as_slice() {
        [] => "it has none".to_owned(),
        names => format!("it has {}", names.join(", ")),
    };
    let current = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    match wanted.or(current) {
        Some(name) if names.contains(&name) => Ok(()),
        Some(name) => Err(format!("context {name:?} does not exist in the kubeconfig: {there}")),
        None => Err(format!(
            "the kubeconfig has no current context: {there}; `minikctl config use-context NAME` chooses one"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_is_not_there_is_told_with_those_that_are() {
        let config = |current: &str, names: &[&str]| -> Kubeconfig {
            let contexts: Vec<Value> = names
                .iter()
                .map(|name| serde_json::json!({"name": name, "context": {"cluster": "c", "user": "u"}}))
                .collect();
            serde_json::from_value(serde_json::json!({"current-context": current, "contexts": contexts}))
                .expect("a kubeconfig")
        };
        let two = config("a", &["a", "b"]);
        assert_eq!(has_context(&two, None), Ok(()));
        assert_eq!(has_context(&two, Some("b")), Ok(()));
        let missing = has_context(&two, Some("c")).expect_err("not there");
        assert_eq!(missing, "context \"c\" does not exist in the kubeconfig: it has a, b");
        let none = has_context(&config("", &[]), None).expect_err("not there");
        assert!(none.contains("no current context: it has none"), "{none}");
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
    fn an_instance_has_its_own_context() {
        let of = |context: Option<&str>, instance: Option<&str>| {
            super::context(&Global {
                context: context.map(str::to_owned),
                instance: instance.map(str::to_owned),
                ..Global::default()
            })
        };
        assert_eq!(of(None, None), None);
        assert_eq!(of(None, Some("default")).as_deref(), Some("minik"));
        assert_eq!(of(None, Some("two")).as_deref(), Some("minik-two"));
        assert_eq!(of(Some("kind"), Some("two")).as_deref(), Some("kind"));
    }
}
