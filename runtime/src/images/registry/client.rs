//! The HTTP clients below all sessions: TLS by the system's certificates, proxies by the environment, our own time-outs.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use rustls::crypto::CryptoProvider;

use super::endpoint::Endpoint;
use super::{Patience, failure};
use crate::images::error::PullError;

const REDIRECTS: usize = 10;

/// One client that uses the environment's proxies, one that doesn't: registries on this machine are never behind a proxy. Each
/// is made when it is first needed: it reads all the system's certificates, which a node whose images are here never needs.
pub(crate) struct Clients {
    patience: Patience,
    proxied: Mutex<Option<Client>>,
    direct: Mutex<Option<Client>>,
    proxies: Matcher,
}

impl Clients {
    pub(crate) fn new(patience: Patience) -> Self {
        Self {
            patience,
            proxied: Mutex::default(),
            direct: Mutex::default(),
            proxies: Matcher::from_env(),
        }
    }

    pub(super) fn client(&self, endpoint: &Endpoint) -> Result<Client, PullError> {
        let (made, without_proxy) = if endpoint.is_loopback {
            (&self.direct, true)
        } else {
            (&self.proxied, false)
        };
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*made {
            return Ok(client.clone());
        }
        let client = self.make(without_proxy, true).map_err(|error| PullError::Store {
            act: "read the system's certificates".to_owned(),
            source: Arc::new(error),
        })?;
        Ok(made.insert(client).clone())
    }

    /// A client for sending: the time-out for pieces of an answer would run while a blob is on its way.
    pub(crate) fn uploading(&self, endpoint: &Endpoint) -> Result<Client, PullError> {
        let made = self.make(endpoint.is_loopback, false);
        made.map_err(|error| PullError::Store {
            act: "read the system's certificates".to_owned(),
            source: Arc::new(error),
        })
    }

    fn make(&self, without_proxy: bool, reading: bool) -> reqwest::Result<Client> {
        // Another part of the program may have chosen one already; both are ring.
        if CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        // Besides the time-out for pieces of an answer there is none for the whole: layers take as long as they take.
        let mut builder = Client::builder()
            .user_agent(concat!("minik/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.patience.connect)
            .redirect(Policy::custom(redirect))
            .referer(false)
            .dns_resolver(Arc::new(SystemResolver));
        if reading {
            builder = builder.read_timeout(self.patience.stall);
        }
        if without_proxy {
            builder.no_proxy().build()
        } else {
            builder.build()
        }
    }

    /// The proxy on the way to an endpoint, for messages: without its password.
    pub(super) fn proxy(&self, endpoint: &Endpoint) -> Option<String> {
        let url = endpoint.url("", "").parse().ok().filter(|_| !endpoint.is_loopback)?;
        let proxy = self.proxies.intercept(&url)?;
        let authority = proxy.uri().authority()?;
        Some(authority.as_str().rsplit('@').next().unwrap_or_default().to_owned())
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients")
    }
}

/// Registries send clients to the network that holds their layers. reqwest drops `Authorization` on the way to another host;
/// this adds that a secure request never becomes a plain one.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let downgrade = attempt.url().scheme() == "http" && attempt.previous().iter().any(|url| url.scheme() == "https");
    if downgrade {
        return attempt.error(RefusedRedirect("it leads from https to http"));
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error(RefusedRedirect("there are more than ten in a row"));
    }
    attempt.follow()
}

#[derive(Debug, thiserror::Error)]
#[error("the redirect is not followed: {0}")]
struct RefusedRedirect(&'static str);

/// getaddrinfo(3) on tokio's threads, with an error that can be told from a refused connection.
struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            match tokio::net::lookup_host((host.clone(), 0)).await {
                Ok(addresses) => Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs),
                Err(source) => Err(Box::new(failure::Unresolved { host, source }) as Box<dyn Error + Send + Sync>),
            }
        })
    }
}
