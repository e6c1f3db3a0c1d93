//! Kubernetes' URLs: `url("https://example.com:80/a?b=c").getHost()`.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::Maybe;
use crate::cel::Failure;
use crate::cel::value::{Map, Value};

/// A URL, taken apart; as Go's `url.ParseRequestURI` takes it, absolute or a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(in crate::cel) text: String,
    scheme: String,
    /// With its port.
    host: String,
    path: String,
    query: String,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') {
            return None;
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ if text.starts_with('/') => (String::new(), text),
            _ => return None,
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match scheme.is_empty() {
            true => ("", rest),
            false => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let port = port(host);
        let is_host = host.matches(['[', ']']).count() % 2 == 0 && port.bytes().all(|b| b.is_ascii_digit());
        is_host.then(|| Self {
            text: text.to_owned(),
            scheme,
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn port(host: &str) -> &str {
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    behind.rsplit_once(':').map_or("", |(_, port)| port)
}

/// `url` and `isURL`.
pub(super) fn make<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    let [Value::Text(text)] = values else { return Ok(None) };
    match name {
        "isURL" => Ok(Some(Value::Bool(Url::parse(text).is_some()))),
        "url" => match Url::parse(text) {
            Some(url) => Ok(Some(Value::Url(Arc::new(url)))),
            None => Err(Failure::new(format!(
                "URL parse error during conversion from string: {:?}",
                &**text
            ))),
        },
        _ => Ok(None),
    }
}

/// A part of a URL.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    let [Value::Url(url)] = values else { return Ok(None) };
    Ok(Some(match name {
        "getScheme" => Value::text(&url.scheme),
        "getHost" => Value::text(&url.host),
        "getHostname" => {
            let host = url
                .host
                .strip_suffix(port(&url.host))
                .unwrap_or(&url.host)
                .trim_end_matches(':');
            let host = if port(&url.host).is_empty() { &url.host } else { host };
            Value::text(host.trim_start_matches('[').trim_end_matches(']'))
        }
        "getPort" => Value::text(port(&url.host)),
        "getEscapedPath" => Value::text(&url.path),
        "getQuery" => query(&url.query),
        _ => return Ok(None),
    }))
}

/// Each name with all its values.
fn query<'a>(query: &str) -> Value<'a> {
    let decoded = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    let mut names: Vec<(String, Vec<Value<'a>>)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), Value::text(&decoded(value)));
        match names.iter_mut().find(|(one, _)| *one == name) {
            Some((_, values)) => values.push(value),
            None => names.push((name, vec![value])),
        }
    }
    let entries = names
        .into_iter()
        .map(|(name, values)| (Value::text(&name), Value::list(values)));
    Value::Map(Map::Built(Arc::new(entries.collect())))
}
