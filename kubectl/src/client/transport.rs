//! From a configuration to kube's client: TCP without delay, TLS, who we are, and `-v` in between.
//!
//! kube's ready-made stack would do, but for three things: its sockets gather small writes (a key typed into `exec -it` would
//! wait for the last one's acknowledgement), it asks a server that says 503 again for hours, and it has no place for `-v`. The way through a proxy
//! is [`super::proxy`]'s.

use std::time::Duration;

use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use tower::{BoxError, ServiceBuilder};

use super::proxy::{Proxy, Way};
use super::wire::Shown;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// kube's client on our own stack.
///
/// # Errors
/// When a certificate, a key or a server's name can't be used.
pub fn open(config: &kube::Config, proxy: Option<Proxy>, verbosity: u8) -> kube::Result<kube::Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let tls = config.rustls_https_connector_with_connector(Way::new(tcp, proxy))?;
    let http: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .layer_fn(|inner| Shown::new(inner, verbosity))
        .service(http);
    Ok(kube::Client::new(service, config.default_namespace.clone()))
}
