//! The way to the server: straight, or through the proxy that the kubeconfig's `proxy-url` or the environment names.
//!
//! A proxy is asked for a tunnel (`CONNECT`, or SOCKS5's own way), so that TLS is spoken with the server itself. As in kubectl,
//! `proxy-url` goes before `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, and by the environment's word nothing on
//! this machine itself is reached through a proxy.

use std::error::Error as StdError;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::{BoxError, Service};

/// A proxy that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It is no URL.
    #[error("invalid proxy-url {url:?}: use http://HOST:PORT or socks5://HOST:PORT")]
    Url {
        /// What the kubeconfig says.
        url: String,
    },
    /// A scheme that isn't spoken here.
    #[error("unsupported scheme {scheme:?} of the proxy {host}: use http or socks5")]
    Scheme {
        /// The scheme.
        scheme: String,
        /// Where the proxy is.
        host: String,
    },
    /// It can't be reached, or doesn't reach the server. The reason has no source: it isn't the server that refuses.
    #[error("proxyconnect tcp: {proxy}: {problem}")]
    Connect {
        /// Where the proxy is.
        proxy: String,
        /// Why.
        problem: String,
    },
}

/// A proxy: where it is, and what it wants to hear.
#[derive(Debug)]
pub struct Proxy {
    uri: Uri,
    authorization: Option<HeaderValue>,
    user: Option<(String, String)>,
    socks: bool,
}

impl Proxy {
    /// The proxy on the way to `server`: the kubeconfig's, else the environment's, if any. Pure but for the environment.
    ///
    /// # Errors
    /// When it can't be used.
    pub fn on_the_way(server: &Uri, of_kubeconfig: Option<&str>) -> Result<Option<Self>, ProxyError> {
        let found = match of_kubeconfig.filter(|url| !url.is_empty()) {
            Some(url) => {
                let matched = Matcher::builder().all(url).build().intercept(server);
                Some(matched.ok_or_else(|| ProxyError::Url { url: url.to_owned() })?)
            }
            None if is_here(server) => None,
            None => Matcher::from_env().intercept(server),
        };
        found.map(Self::of).transpose()
    }

    fn of(found: Intercept) -> Result<Self, ProxyError> {
        let uri = found.uri().clone();
        let scheme = uri.scheme_str().unwrap_or("http");
        let socks = matches!(scheme, "socks5" | "socks5h");
        if !socks && scheme != "http" {
            return Err(ProxyError::Scheme {
                scheme: scheme.to_owned(),
                host: uri.authority().map(ToString::to_string).unwrap_or_default(),
            });
        }
        Ok(Self {
            authorization: found.basic_auth().cloned(),
            user: found
                .raw_auth()
                .map(|(user, password)| (user.to_owned(), password.to_owned())),
            uri,
            socks,
        })
    }
}

/// Whether a server is on this machine.
fn is_here(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Opens connections, on whichever way.
#[derive(Clone, Debug)]
pub enum Way {
    /// Straight to the server.
    Straight(HttpConnector),
    /// Through an HTTP proxy.
    Tunnel(Tunnel<HttpConnector>, String),
    /// Through a SOCKS5 proxy.
    Socks(SocksV5<HttpConnector>, String),
}

impl Way {
    /// The way over `proxy`, if there is one, by connections that `tcp` opens.
    #[must_use]
    pub fn new(tcp: HttpConnector, proxy: Option<Proxy>) -> Self {
        let Some(proxy) = proxy else {
            return Self::Straight(tcp);
        };
        let place = proxy.uri.authority().map(ToString::to_string).unwrap_or_default();
        if proxy.socks {
            let socks = SocksV5::new(proxy.uri, tcp);
            let socks = match proxy.user {
                Some((user, password)) => socks.with_auth(user, password),
                None => socks,
            };
            return Self::Socks(socks, place);
        }
        let tunnel = Tunnel::new(proxy.uri, tcp);
        let tunnel = match proxy.authorization {
            Some(authorization) => tunnel.with_auth(authorization),
            None => tunnel,
        };
        Self::Tunnel(tunnel, place)
    }
}

impl Service<Uri> for Way {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Straight(tcp) => tcp.poll_ready(context).map_err(Into::into),
            Self::Tunnel(tunnel, _) => tunnel.poll_ready(context).map_err(Into::into),
            Self::Socks(socks, _) => socks.poll_ready(context).map_err(Into::into),
        }
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        match self {
            Self::Straight(tcp) => {
                let connecting = tcp.call(server);
                Box::pin(async move { Ok(connecting.await?) })
            }
            Self::Tunnel(tunnel, place) => {
                let (connecting, place) = (tunnel.call(server), place.clone());
                Box::pin(async move { connecting.await.map_err(|error| in_vain(place, &error)) })
            }
            Self::Socks(socks, place) => {
                let (connecting, place) = (socks.call(server), place.clone());
                Box::pin(async move { connecting.await.map_err(|error| in_vain(place, &error)) })
            }
        }
    }
}

fn in_vain(proxy: String, error: &(dyn StdError + 'static)) -> BoxError {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let problem = innermost.to_string();
    ProxyError::Connect { proxy, problem }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubeconfigs_proxy_goes_first_and_is_checked() {
        let way = |url: &str| Proxy::on_the_way(&Uri::from_static("https://127.0.0.1:6443"), Some(url));
        let http = way("http://u:p@proxy:3128").expect("fine").expect("one");
        assert_eq!(http.uri.host(), Some("proxy"));
        assert!(http.authorization.is_some() && !http.socks);
        let socks = way("socks5://u:p@proxy:1080").expect("fine").expect("one");
        assert!(socks.socks);
        assert_eq!(socks.user, Some(("u".to_owned(), "p".to_owned())));
        assert!(matches!(way("https://proxy"), Err(ProxyError::Scheme { .. })));
    }

    #[test]
    fn this_machine_is_reached_straight() {
        for (server, here) in [
            ("https://localhost:1", true),
            ("https://127.0.0.2", true),
            ("https://[::1]:6443", true),
            ("https://10.0.0.1", false),
        ] {
            assert_eq!(is_here(&server.parse().expect(server)), here, "{server}");
        }
    }
}
