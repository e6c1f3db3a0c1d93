//! Whether images can be pulled: name, connection, proxy, TLS, login and rate limit told apart.
//!
//! Each registry is asked once, all at the same time, each step with a short time-out; [`judge`] turns the step that failed
//! into words (pure). Docker Hub is asked as Docker documents for seeing one's rate limit, which costs no pull.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde_json::Value;

use super::Check;
use crate::node::instance::Instance;
use crate::node::invoker::Invoker;

const STEP_TIMEOUT: Duration = Duration::from_secs(4);
const DOCKER_HUB: &str = "https://registry-1.docker.io";
const DOCKER_HUB_TOKEN: &str =
    "https://auth.docker.io/token?service=registry.docker.io&scope=repository:ratelimitpreview/test:pull";
const DOCKER_HUB_LIMIT: &str = "https://registry-1.docker.io/v2/ratelimitpreview/test/manifests/latest";

/// How far it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The name has no address, or nobody answers for names.
    Name(String),
    /// No connection.
    Connect(String),
    /// The proxy that the environment names doesn't do.
    Proxy { proxy: String, reason: String },
    /// No TLS.
    Tls(String),
    /// Connected, but no answer in time or garbage.
    Answer(String),
    /// The registry refuses the credentials in ~/.docker/config.json.
    Login,
    /// The registry answers, with what is left of the rate limit where it tells.
    Open { limit: Option<Limit>, logged_in: bool },
    /// The registry has had enough of this address.
    RateLimited,
    /// It answers with an error of its own.
    Server(u16),
}

/// Pulls left in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) remaining: u64,
    pub(super) total: u64,
}

/// Asks Docker Hub and the instance's mirrors.
pub(super) async fn examine(instance: &Instance) -> Vec<Check> {
    let mirrors = instance
        .registry_mirrors
        .iter()
        .filter_map(|mirror| mirror.split_once('='));
    let mirrors =
        mirrors.map(|(host, url)| async move { judge(&format!("the mirror {url} of {host}"), &reach(url).await) });
    let hub = async { judge("Docker Hub", &docker_hub().await) };
    let (hub, mut mirrors) = futures::join!(hub, futures::future::join_all(mirrors));
    mirrors.insert(0, hub);
    mirrors
}

async fn docker_hub() -> Reach {
    match reach(DOCKER_HUB).await {
        Reach::Open { .. } => {}
        other => return other,
    }
    let Ok(client) = client() else {
        return Reach::Open {
            limit: None,
            logged_in: false,
        };
    };
    let login = docker_login();
    let mut request = client.get(DOCKER_HUB_TOKEN);
    if let Some((user, password)) = &login {
        request = request.basic_auth(user, Some(password));
    }
    let logged_in = login.is_some();
    let token = match request.send().await {
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => return Reach::Login,
        Ok(answer) if answer.status().is_success() => answer.bytes().await.ok().and_then(|body| token(&body)),
        _ => None,
    };
    let Some(token) = token else {
        return Reach::Open { limit: None, logged_in };
    };
    match client.head(DOCKER_HUB_LIMIT).bearer_auth(token).send().await {
        Ok(answer) if answer.status() == StatusCode::TOO_MANY_REQUESTS => Reach::RateLimited,
        Ok(answer) => {
            let header = |name| leading_number(answer.headers().get(name)?.to_str().ok()?);
            let limit = header("ratelimit-remaining").zip(header("ratelimit-limit"));
            let limit = limit.map(|(remaining, total)| Limit { remaining, total });
            Reach::Open { limit, logged_in }
        }
        Err(_) => Reach::Open { limit: None, logged_in },
    }
}

/// Tries the registry's `/v2/` step by step.
async fn reach(registry: &str) -> Reach {
    let Ok(url) = Url::parse(registry) else {
        return Reach::Name(format!("{registry:?} is no URL"));
    };
    let proxy = proxy_for(&url, &|name| std::env::var(name).ok());
    if proxy.is_none()
        && let Err(failed) = connect(&url).await
    {
        return failed;
    }
    let client = match client() {
        Ok(client) => client,
        Err(error) => return Reach::Tls(innermost(&error)),
    };
    let endpoint = format!("{}/v2/", registry.trim_end_matches('/'));
    match ask(client.get(endpoint)).await {
        Ok(StatusCode::TOO_MANY_REQUESTS) => Reach::RateLimited,
        // 401 is the usual answer: where to get a token.
        Ok(status) if status.is_success() || status == StatusCode::UNAUTHORIZED => Reach::Open {
            limit: None,
            logged_in: false,
        },
        Ok(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => Reach::Proxy {
            proxy: proxy.unwrap_or_default(),
            reason: "it wants a login (407)".to_owned(),
        },
        Ok(status) => Reach::Server(status.as_u16()),
        Err(error) => failure(&error, proxy),
    }
}

async fn connect(url: &Url) -> Result<(), Reach> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let lookup = tokio::time::timeout(STEP_TIMEOUT, tokio::net::lookup_host((bare, port))).await;
    let addresses: Vec<_> = match lookup {
        Err(_) => {
            return Err(Reach::Name(format!(
                "no answer for {host} within {} s",
                STEP_TIMEOUT.as_secs()
            )));
        }
        Ok(Err(error)) => return Err(Reach::Name(format!("{host}: {error}"))),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    let connected = tokio::time::timeout(STEP_TIMEOUT, tokio::net::TcpStream::connect(&addresses[..])).await;
    match connected {
        Err(_) => Err(Reach::Connect(format!(
            "no answer from {host}:{port} within {} s",
            STEP_TIMEOUT.as_secs()
        ))),
        Ok(Err(error)) => Err(Reach::Connect(format!("{host}:{port}: {error}"))),
        Ok(Ok(_)) => Ok(()),
    }
}

fn client() -> reqwest::Result<Client> {
    Client::builder()
        .connect_timeout(STEP_TIMEOUT)
        .timeout(2 * STEP_TIMEOUT)
        .build()
}

async fn ask(request: RequestBuilder) -> reqwest::Result<StatusCode> {
    request.send().await.map(|answer| answer.status())
}

/// What kind of failure it was, by the types in the chain of causes.
fn failure(error: &reqwest::Error, proxy: Option<String>) -> Reach {
    let reason = innermost(error);
    if let Some(proxy) = proxy.filter(|_| error.is_connect()) {
        return Reach::Proxy { proxy, reason };
    }
    let first: &(dyn StdError + 'static) = error;
    let mut causes = std::iter::successors(Some(first), |error: &&'_ (dyn StdError + 'static)| inner(*error));
    let tls = causes.any(|error| error.is::<rustls::Error>());
    match (tls, error.is_connect()) {
        (true, _) => Reach::Tls(reason),
        (false, true) => Reach::Connect(reason),
        (false, false) => Reach::Answer(reason),
    }
}

/// The next cause. An `io::Error`'s own `source` passes over what it was made of and tells what lies below.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn innermost(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The proxy that the environment names for `url`; `NO_PROXY` exempts hosts and domains.
fn proxy_for(url: &Url, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let either = |name: &str| {
        let value = variable(&name.to_ascii_lowercase()).or_else(|| variable(name))?;
        (!value.is_empty()).then_some(value)
    };
    let host = url.host_str()?;
    let exempt = either("NO_PROXY").is_some_and(|list| {
        list.split(',')
            .map(|entry| entry.trim().trim_start_matches('.'))
            .any(|entry| entry == "*" || entry == host || (!entry.is_empty() && host.ends_with(&format!(".{entry}"))))
    });
    let own = if url.scheme() == "http" {
        "HTTP_PROXY"
    } else {
        "HTTPS_PROXY"
    };
    either(own).or_else(|| either("ALL_PROXY")).filter(|_| !exempt)
}

/// The login for Docker Hub in the invoking user's `~/.docker/config.json`.
fn docker_login() -> Option<(String, String)> {
    let text = std::fs::read(Invoker::find().docker_config()?).ok()?;
    login_of(&serde_json::from_slice(&text).ok()?)
}

fn login_of(config: &Value) -> Option<(String, String)> {
    let auth = config
        .get("auths")?
        .get("https://index.docker.io/v1/")?
        .get("auth")?
        .as_str()?;
    let decoded = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn token(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer.get("token").and_then(Value::as_str).map(str::to_owned)
}

/// `100;w=21600` says 100 in six hours.
fn leading_number(header: &str) -> Option<u64> {
    header.split(';').next()?.trim().parse().ok()
}

/// Words for how far it got.
pub(super) fn judge(registry: &str, reach: &Reach) -> Check {
    const NAME: &str = "registry";
    const BREAKS: &str = "Images can't be pulled from there; those that are here, and imported ones, run.";
    let (found, repair) = match reach {
        Reach::Open { limit: Some(limit), .. } if limit.remaining == 0 => {
            return judge(registry, &Reach::RateLimited);
        }
        Reach::Open { limit, logged_in } => {
            let limit = limit.map(|limit| format!(", {} of {} pulls left", limit.remaining, limit.total));
            let login = if *logged_in { ", logged in" } else { "" };
            return Check::ok(NAME, format!("{registry} answers{login}{}", limit.unwrap_or_default()));
        }
        Reach::Name(reason) => (
            format!("DNS: {registry} is not found: {reason}"),
            "getent hosts registry-1.docker.io; if that fails too, look at /etc/resolv.conf or your VPN's DNS".to_owned(),
        ),
        Reach::Connect(reason) => (
            format!("TCP: {registry} can't be connected to: {reason}"),
            "look at firewall and VPN; if you need a proxy: export HTTPS_PROXY=http://proxy:port, then `sudo -E minikctl up`"
                .to_owned(),
        ),
        Reach::Proxy { proxy, reason } => (
            format!("proxy: {proxy} doesn't lead to {registry}: {reason}"),
            "correct HTTPS_PROXY (http://user:password@host:port), or exempt the host by NO_PROXY".to_owned(),
        ),
        Reach::Tls(reason) => (
            format!("TLS: {registry}'s certificate isn't accepted: {reason}"),
            "behind an inspecting firewall: put its CA into /usr/local/share/ca-certificates and run update-ca-certificates; \
             else look at the clock"
                .to_owned(),
        ),
        Reach::Answer(reason) => (format!("{registry} is connected but doesn't answer: {reason}"), "try again later".to_owned()),
        Reach::Login => (
            format!("login: {registry} refuses the user and password in ~/.docker/config.json"),
            "docker login, or remove the entry: without it, public images are pulled anonymously".to_owned(),
        ),
        Reach::RateLimited => (
            format!("rate limit: {registry} allows no more pulls from this address for now"),
            "docker login (a free account has a limit of its own), wait, or use a mirror: \
             minikctl up --registry-mirror docker.io=URL"
                .to_owned(),
        ),
        Reach::Server(status) => (format!("{registry} answers with HTTP status {status}"), "try again later".to_owned()),
    };
    Check::warn(NAME, found, BREAKS, repair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::doctor::Verdict;

    #[test]
    fn every_way_to_fail_has_its_own_words() {
        let proxy = Reach::Proxy {
            proxy: "http://p:1".to_owned(),
            reason: "refused".to_owned(),
        };
        for (reach, word) in [
            (Reach::Name("x".to_owned()), "DNS"),
            (Reach::Connect("x".to_owned()), "TCP"),
            (proxy, "proxy"),
            (Reach::Tls("x".to_owned()), "TLS"),
            (Reach::Login, "login"),
            (Reach::RateLimited, "rate limit"),
            (Reach::Server(503), "503"),
        ] {
            let check = judge("Docker Hub", &reach);
            assert_eq!(check.verdict, Verdict::Warn);
            assert!(check.found.contains(word), "{}", check.found);
            assert!(!check.repair.is_empty() && !check.breaks.is_empty());
        }
    }

    #[test]
    fn an_exhausted_limit_is_a_warning() {
        let open = |remaining| Reach::Open {
            limit: Some(Limit { remaining, total: 100 }),
            logged_in: false,
        };
        assert_eq!(judge("x", &open(3)).found, "x answers, 3 of 100 pulls left");
        assert_eq!(judge("x", &open(0)).verdict, Verdict::Warn);
        assert_eq!(leading_number("100;w=21600"), Some(100));
    }

    #[test]
    fn the_environment_names_the_proxy() {
        let variables = |list: &'static [(&str, &str)]| {
            move |name: &str| {
                list.iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            }
        };
        let url = Url::parse("https://registry.example.com").expect("a URL");
        let of = |list| proxy_for(&url, &variables(list));
        assert_eq!(of(&[("HTTPS_PROXY", "http://p:1")]).as_deref(), Some("http://p:1"));
        assert_eq!(
            of(&[("https_proxy", "http://q:1"), ("HTTPS_PROXY", "http://p:1")]).as_deref(),
            Some("http://q:1")
        );
        assert_eq!(of(&[("HTTP_PROXY", "http://p:1")]), None);
        assert_eq!(
            of(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "localhost,.example.com")]),
            None
        );
        assert_eq!(
            of(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "ample.com")]).as_deref(),
            Some("http://p:1")
        );
    }

    #[test]
    fn dockers_login_is_read() {
        let config =
            serde_json::json!({"auths": {"https://index.docker.io/v1/": {"auth": STANDARD.encode("ann:s3:cret")}}});
        assert_eq!(login_of(&config), Some(("ann".to_owned(), "s3:cret".to_owned())));
        assert_eq!(login_of(&serde_json::json!({"auths": {}})), None);
    }

    #[tokio::test]
    async fn a_refused_connection_and_a_server_that_speaks_no_http_are_told_apart() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback is there");
        let address = listener.local_addr().expect("is bound");
        let server = tokio::spawn(async move {
            // Kept open: a closed connection would be told from a wrong protocol by chance.
            let mut streams = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 this is mail\r\n").await;
                streams.push(stream);
            }
        });
        assert!(matches!(reach(&format!("http://{address}")).await, Reach::Answer(_)));
        let tls = reach(&format!("https://{address}")).await;
        assert!(matches!(tls, Reach::Tls(_)), "{tls:?}");
        server.abort();
        let _ = server.await;
        assert!(matches!(reach(&format!("http://{address}")).await, Reach::Connect(_)));
    }
}
