//! APIs that other servers answer for: an `APIService` with a service says which group and version, and every request below it
//! is passed on there, with the user's name instead of the user's credentials.
//!
//! ```text
//! request ─> authenticate, authorize ─> APIService? ─ yes ─> connect ─> a pod of its service  (kubectl top: metrics server)
//!                                           └─ no: this server's own kinds
//! tend    every APIService: does it answer, and what does it serve? ─> condition Available; discovery, OpenAPI
//! publish the authority by which those servers know that it is this one that says who asks
//! ```
//! What this server has itself is never passed on.

mod connect;
mod discovery;
mod headers;
mod publish;
mod tend;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Response;
use hyper::body::Incoming;
use minik_api::kinds;
use minik_api::object::Object;
use serde_json::Value;

use crate::kinds::{Kinds, read};
use crate::storage::{Key, Store};

pub(crate) use connect::{Connector, ProxyFiles};
pub(crate) use headers::{answer, request};
pub(crate) use publish::Authorities;
pub(crate) use tend::tend;

const API_SERVICES: &str = "apiservices.apiregistration.k8s.io";

/// Another server, as its `APIService` says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remote {
    /// `v1beta1.metrics.k8s.io`
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) version: String,
    namespace: String,
    service: String,
    port: u16,
    /// PEM in base64; empty: the machine's authorities.
    authority: String,
    is_insecure: bool,
    /// Condition `Available`, as it is stored.
    available: Option<Value>,
}

impl Remote {
    fn of(service: &Object) -> Option<Self> {
        let at = |path: &str| read::text(service.at(path)).to_owned();
        service.at("spec.service").filter(|service| service.is_object())?;
        let port = service.at("spec.service.port").and_then(Value::as_u64);
        let conditions = read::list(service.at("status.conditions"));
        Some(Self {
            name: service.name().to_owned(),
            group: at("spec.group"),
            version: at("spec.version"),
            namespace: at("spec.service.namespace"),
            service: at("spec.service.name"),
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443),
            authority: at("spec.caBundle"),
            is_insecure: service.at("spec.insecureSkipTLSVerify") == Some(&Value::Bool(true)),
            available: conditions.iter().find(|one| one["type"] == "Available").cloned(),
        })
    }

    /// Whether it was there when it was asked last.
    pub(crate) fn is_available(&self) -> bool {
        self.available
            .as_ref()
            .is_some_and(|condition| condition["status"] == "True")
    }
}

/// What is known of the other servers, and the way to them.
pub(crate) struct Aggregated {
    connector: Connector,
    /// By the names of their API services.
    served: Mutex<BTreeMap<String, Served>>,
}

/// What a server said it serves.
#[derive(Clone, Debug, Default)]
struct Served {
    group: String,
    version: String,
    /// It said so just now.
    is_current: bool,
    /// APIResourceList's.
    resources: Vec<Value>,
    /// Where its OpenAPI document is.
    document: Option<String>,
}

impl Aggregated {
    pub(crate) fn new(connector: Connector) -> Self {
        let served = Mutex::default();
        Self { connector, served }
    }

    /// Passes a request on; it has its headers already.
    ///
    /// # Errors
    /// Why the server can't be reached.
    pub(crate) async fn send(
        &self,
        store: &Store,
        remote: &Remote,
        request: http::Request<axum::body::Body>,
    ) -> Result<Response<Incoming>, String> {
        self.connector.send(store, remote, request).await
    }

    /// A panic leaves nothing half done here.
    fn served(&self) -> MutexGuard<'_, BTreeMap<String, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server that answers for a group and version, if it is another.
pub(crate) fn find(store: &Store, own: &Kinds, group: &str, version: &str) -> Option<Remote> {
    if is_own(own, group, version) {
        return None;
    }
    let stored = store.get(&Key::new(API_SERVICES, "", &format!("{version}.{group}")))?;
    Remote::of(&stored.object())
}

/// All other servers.
fn all(store: &Store, own: &Kinds) -> Vec<Remote> {
    let snapshot = store.snapshot(API_SERVICES);
    let remotes = snapshot
        .objects(API_SERVICES, "", None)
        .filter_map(|stored| Remote::of(&stored.object()));
    remotes
        .filter(|remote| !is_own(own, &remote.group, &remote.version))
        .collect()
}

fn is_own(own: &Kinds, group: &str, version: &str) -> bool {
    let is = |kind: &kinds::Kind| kind.group == group && kind.version == version;
    kinds::all().iter().any(is) || own.customs().iter().any(|custom| is(custom.kind))
}
