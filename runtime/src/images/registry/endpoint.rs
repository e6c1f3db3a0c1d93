//! Where a registry is asked: its mirrors first, then itself. Pure.

use std::net::IpAddr;
use std::str::FromStr;

use crate::images::reference::DOCKER_HUB;

/// Docker Hub's registry answers at another name than references have.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// A URL to ask before a registry itself: `docker.io=http://localhost:5000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    registry: String,
    url: reqwest::Url,
}

/// The text is no mirror.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mirror: expected REGISTRY=URL, for example docker.io=http://localhost:5000")]
pub struct InvalidMirror(String);

impl FromStr for Mirror {
    type Err = InvalidMirror;

    fn from_str(text: &str) -> Result<Self, InvalidMirror> {
        let invalid = || InvalidMirror(text.to_owned());
        let (registry, url) = text.split_once('=').ok_or_else(invalid)?;
        let url = reqwest::Url::parse(url).map_err(|_| invalid())?;
        let right = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
        if !right || registry.is_empty() || registry.contains('/') {
            return Err(invalid());
        }
        Ok(Self {
            registry: registry.to_owned(),
            url,
        })
    }
}

/// One place to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Up to and with `/v2`.
    base: String,
    /// Host and port, for messages and credentials.
    pub(crate) host: String,
    /// The registry that a mirror stands for.
    pub(crate) mirror_of: Option<String>,
    /// On this machine: never through a proxy.
    pub(crate) is_loopback: bool,
}

impl Endpoint {
    /// URL of something in a repository: `manifests/latest`.
    pub(crate) fn url(&self, repository: &str, object: &str) -> String {
        let url = format!("{}/{repository}/{object}", self.base);
        match &self.mirror_of {
            // A mirror of several registries learns by this which one is meant (containerd's convention).
            Some(registry) => format!("{url}?ns={registry}"),
            None => url,
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.base.starts_with("http://")
    }
}

/// The places to ask for images of a registry, in order.
pub(crate) fn endpoints(registry: &str, mirrors: &[Mirror], plain_http: bool) -> Vec<Endpoint> {
    let of_registry = mirrors.iter().filter(|mirror| mirror.registry == registry);
    let mut endpoints: Vec<Endpoint> = of_registry
        .map(|mirror| {
            let base = mirror.url.as_str().trim_end_matches('/');
            // Harbor and others serve a mirror below a path of the API: such a URL has /v2 already.
            let has_api_path = mirror.url.path().split('/').any(|part| part == "v2");
            Endpoint {
                base: if has_api_path {
                    base.to_owned()
                } else {
                    format!("{base}/v2")
                },
                host: host_and_port(&mirror.url),
                mirror_of: Some(registry.to_owned()),
                is_loopback: is_loopback(mirror.url.host_str().unwrap_or_default()),
            }
        })
        .collect();
    endpoints.push(itself(registry, plain_http));
    endpoints
}

/// The registry alone: where images are pushed.
pub(crate) fn itself(registry: &str, plain_http: bool) -> Endpoint {
    let host = if registry == DOCKER_HUB {
        DOCKER_HUB_HOST
    } else {
        registry
    };
    let is_loopback = is_loopback(without_port(registry));
    // Docker's rule: a registry on this machine speaks plain http.
    let scheme = if is_loopback || plain_http { "http" } else { "https" };
    Endpoint {
        base: format!("{scheme}://{host}/v2"),
        host: host.to_owned(),
        mirror_of: None,
        is_loopback,
    }
}

fn host_and_port(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn without_port(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(registry: &str, mirrors: &[&str]) -> Vec<String> {
        let mirrors: Vec<Mirror> = mirrors.iter().map(|mirror| mirror.parse().expect("a mirror")).collect();
        endpoints(registry, &mirrors, false)
            .iter()
            .map(|endpoint| endpoint.url("a/b", "manifests/c"))
            .collect()
    }

    #[test]
    fn docker_hub_answers_at_its_own_host() {
        assert_eq!(
            urls("docker.io", &[]),
            ["https://registry-1.docker.io/v2/a/b/manifests/c"]
        );
    }

    #[test]
    fn registries_on_this_machine_speak_plain_http() {
        for registry in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.3.2.1",
            "[::1]:5000",
        ] {
            assert_eq!(urls(registry, &[]), [format!("http://{registry}/v2/a/b/manifests/c")]);
            assert!(endpoints(registry, &[], false)[0].is_loopback);
        }
        for registry in ["localhost.example.com", "10.0.0.1:5000", "quay.io"] {
            assert_eq!(urls(registry, &[]), [format!("https://{registry}/v2/a/b/manifests/c")]);
        }
    }

    #[test]
    fn plain_http_is_for_whoever_asks_for_it() {
        let url = |plain| itself("10.0.0.1:5000", plain).url("a", "manifests/b");
        assert_eq!(url(true), "http://10.0.0.1:5000/v2/a/manifests/b");
        assert_eq!(url(false), "https://10.0.0.1:5000/v2/a/manifests/b");
    }

    #[test]
    fn mirrors_come_first_and_only_for_their_registry() {
        let mirrors = [
            "quay.io=http://other",
            "docker.io=http://localhost:5000/",
            "docker.io=https://h/v2/proxy",
        ];
        assert_eq!(
            urls("docker.io", &mirrors),
            [
                "http://localhost:5000/v2/a/b/manifests/c?ns=docker.io",
                "https://h/v2/proxy/a/b/manifests/c?ns=docker.io",
                "https://registry-1.docker.io/v2/a/b/manifests/c",
            ]
        );
    }

    #[test]
    fn what_is_no_mirror_is_refused() {
        for text in [
            "",
            "docker.io",
            "docker.io=",
            "docker.io=localhost:5000",
            "=http://x",
            "a/b=http://x",
            "a=ftp://x",
        ] {
            assert!(text.parse::<Mirror>().is_err(), "{text}");
        }
    }
}
