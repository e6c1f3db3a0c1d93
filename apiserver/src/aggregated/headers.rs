//! What goes along with a request that is passed on: everything but credentials, and who asks (upstream's front proxy headers).
//! Whatever a client says of these itself is dropped.

use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, UPGRADE};
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Remote;
use crate::auth::User;
use crate::subresources::proxy::end_to_end;

const PREFIXES: [&str; 2] = ["x-remote-", "impersonate-"];
/// All that can't stand in a header's name (RFC 9110, section 5.6.2), and the sign of escapes itself.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'(')
    .add(b')')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// Headers of the request that is passed on.
pub(crate) fn request(theirs: &HeaderMap, user: &User, remote: &Remote) -> HeaderMap {
    let mut headers = end_to_end(theirs);
    headers.remove(AUTHORIZATION);
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)))
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
    if let Some(upgrade) = theirs.get(UPGRADE) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, upgrade.clone());
    }
    let host = format!("{}.{}.svc:{}", remote.service, remote.namespace, remote.port);
    headers.remove(HOST);
    append(&mut headers, "host", &host);
    append(&mut headers, "x-remote-user", &user.name);
    if !user.uid.is_empty() {
        append(&mut headers, "x-remote-uid", &user.uid);
    }
    for group in &user.groups {
        append(&mut headers, "x-remote-group", group);
    }
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", utf8_percent_encode(&key.to_lowercase(), ESCAPED));
        for value in values {
            append(&mut headers, &name, value);
        }
    }
    headers
}

/// Headers of the answer that is passed back.
pub(crate) fn answer(theirs: &HeaderMap) -> HeaderMap {
    end_to_end(theirs)
}

fn append(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_said_by_this_server_alone() {
        let mut theirs = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer secret"),
            ("x-remote-user", "admin"),
            ("x-remote-group", "system:masters"),
            ("x-remote-extra-a", "b"),
            ("impersonate-user", "admin"),
            ("accept", "application/json"),
            ("host", "here"),
        ] {
            theirs.append(name, HeaderValue::from_static(value));
        }
        let user = User {
            name: "eve".into(),
            groups: vec!["people".into(), "system:authenticated".into()],
            extra: [("Example.com/Key".to_owned(), vec!["1".to_owned(), "2".to_owned()])].into(),
            ..User::default()
        };
        let remote = Remote {
            name: "v1.example.com".into(),
            group: "example.com".into(),
            version: "v1".into(),
            namespace: "default".into(),
            service: "other".into(),
            port: 443,
            authority: String::new(),
            is_insecure: false,
            available: None,
        };
        let headers = request(&theirs, &user, &remote);
        let mut told: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
            .collect();
        told.sort_unstable();
        assert_eq!(
            told,
            [
                ("accept", "application/json"),
                ("host", "other.default.svc:443"),
                ("x-remote-extra-example.com%2fkey", "1"),
                ("x-remote-extra-example.com%2fkey", "2"),
                ("x-remote-group", "people"),
                ("x-remote-group", "system:authenticated"),
                ("x-remote-user", "eve"),
            ]
        );
    }
}
