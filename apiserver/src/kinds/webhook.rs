//! Where a webhook is: a URL or a service. The same for admission and for conversion; the sentences are those of apiserver's
//! `util/webhook`.

use http::Uri;
use minik_api::field::{Error, Path};
use minik_api::names;
use serde_json::Value;

use super::{checks, read};

const FORM: &str = "; desired format: https://host[/path]";

/// Exactly one of `url` and `service`.
pub(crate) fn client(config: &Value, path: &Path, errors: &mut Vec<Error>) {
    match (config.get("url").and_then(Value::as_str), config.get("service")) {
        (Some(text), None) => url(text, &path.child("url"), errors),
        (None, Some(value)) => service(value, &path.child("service"), errors),
        _ => errors.push(Error::required(path, "exactly one of url or service is required")),
    }
}

/// A webhook's name: a domain of at least three parts.
pub(crate) fn qualified_name(name: &str, path: &Path, errors: &mut Vec<Error>) {
    checks::required(name, path, errors);
    let broken = names::subdomain(name);
    if name.is_empty() {
    } else if !broken.is_empty() {
        errors.push(Error::invalid(path, name, broken.join(",")));
    } else if name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        errors.push(Error::invalid(path, name, detail));
    }
}

fn url(text: &str, path: &Path, errors: &mut Vec<Error>) {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let uri: Uri = match text.parse() {
        Ok(uri) => uri,
        Err(error) => {
            errors.push(Error::required(path, format!("url must be a valid URL: {error}{FORM}")));
            return;
        }
    };
    let mut refuse = |value: &str, detail: String| errors.push(Error::invalid(path, value, detail));
    let scheme = uri.scheme_str().unwrap_or_default();
    if scheme != "https" {
        refuse(scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if uri.host().unwrap_or_default().is_empty() {
        refuse("", format!("host must be specified{FORM}"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if let Some((user, _)) = authority.rsplit_once('@') {
        refuse(user, "user information is not permitted in the URL".to_owned());
    }
    if !fragment.is_empty() {
        refuse(fragment, "fragments are not permitted in the URL".to_owned());
    }
    if let Some(query) = uri.query().filter(|query| !query.is_empty()) {
        refuse(query, "query parameters are not permitted in the URL".to_owned());
    }
}

fn service(service: &Value, path: &Path, errors: &mut Vec<Error>) {
    for field in ["name", "namespace"] {
        if read::text(service.get(field)).is_empty() {
            errors.push(Error::required(
                &path.child(field),
                format!("service {field} is required"),
            ));
        }
    }
    let port = service.get("port").and_then(Value::as_i64).unwrap_or(443);
    if !(1..=65_535).contains(&port) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(Error::invalid(&path.child("port"), port, detail));
    }
    let (text, path) = (read::text(service.get("path")), path.child("path"));
    let mut refuse = |detail: String| errors.push(Error::invalid(&path, text, detail));
    match text {
        "" | "/" => return,
        "//" => return refuse("segment[0] may not be empty".to_owned()),
        _ if !text.starts_with('/') => refuse("must start with a '/'".to_owned()),
        _ => {}
    }
    let below = text.strip_prefix('/').unwrap_or(text);
    for (index, segment) in below.strip_suffix('/').unwrap_or(below).split('/').enumerate() {
        if segment.is_empty() {
            refuse(format!("segment[{index}] may not be empty"));
        } else {
            let broken = names::subdomain(segment);
            broken
                .into_iter()
                .for_each(|rule| refuse(format!("segment[{index}]: {rule}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn webhooks_are_https_urls_or_services() {
        let told = |config: Value| -> Vec<String> {
            let mut errors = Vec::new();
            client(&config, &Path::new("c"), &mut errors);
            errors.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            told(json!({"url": "https://a.example.com:8443/x"})),
            Vec::<String>::new()
        );
        assert_eq!(
            told(json!({"service": {"name": "s", "namespace": "n", "path": "/a/b/"}})),
            Vec::<String>::new()
        );
        for (config, expected) in [
            (
                json!({}),
                "c: Required value: exactly one of url or service is required",
            ),
            (
                json!({"url": "https://u:p@a"}),
                "c.url: Invalid value: \"u:p\": user information is not permitted in the URL",
            ),
            (
                json!({"url": "https://a/#x"}),
                "c.url: Invalid value: \"x\": fragments are not permitted in the URL",
            ),
            (
                json!({"url": "https://a/?q"}),
                "c.url: Invalid value: \"q\": query parameters are not permitted in the URL",
            ),
            (
                json!({"service": {"name": "s"}}),
                "c.service.namespace: Required value: service namespace is required",
            ),
            (
                json!({"service": {"name": "s", "namespace": "n", "path": "a"}}),
                "c.service.path: Invalid value: \"a\": must start with a '/'",
            ),
        ] {
            assert_eq!(told(config), [expected]);
        }
    }
}
