//! `WWW-Authenticate`: what a registry wants to see before it answers (RFC 9110, section 11.6.1). Pure.

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from `realm` (distribution's token authentication).
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// The best challenge of all header values: a token rather than a password. None when there is none we know.
pub(super) fn choose<'a>(values: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for (scheme, parameters) in values.flat_map(parse) {
        let get = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = get("realm")
        {
            return Some(Challenge::Bearer {
                realm,
                service: get("service"),
                scope: get("scope"),
            });
        }
        if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
    }
    basic
}

type Parameters = Vec<(String, String)>;

/// Cuts a value into schemes with their parameters. A comma divides parameters and schemes alike: what is followed by `=` is a
/// parameter, what isn't begins a scheme.
fn parse(value: &str) -> Vec<(String, Parameters)> {
    let mut challenges: Vec<(String, Parameters)> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return challenges;
        }
        let after = after.trim_start_matches([' ', '\t']);
        let Some(text) = after.strip_prefix('=') else {
            challenges.push((word.to_owned(), Vec::new()));
            rest = after;
            continue;
        };
        let (value, remaining) = parameter_value(text.trim_start_matches([' ', '\t']));
        if let Some((_, parameters)) = challenges.last_mut() {
            parameters.push((word.to_owned(), value));
        }
        rest = remaining;
    }
}

/// A token, or a string in quotes with backslashes before what would end it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn challenges_as_registries_send_them() {
        for (values, expected) in [
            (
                &[
                    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#,
                ][..],
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/nginx:pull"),
                ),
            ),
            (&[r#"Basic realm="Registry Realm""#], Some(Challenge::Basic)),
            (
                &[r#"bearer Realm=https://a/b , SERVICE = "x\"y""#],
                bearer("https://a/b", Some("x\"y"), None),
            ),
            (
                &[r#"Basic realm="a, Bearer realm=b", Bearer realm="https://c""#],
                bearer("https://c", None, None),
            ),
            (
                &["Basic", r#"Bearer realm="https://c""#],
                bearer("https://c", None, None),
            ),
            (
                &[r#"Bearer realm="r",scope="repository:a:pull,push""#],
                bearer("r", None, Some("repository:a:pull,push")),
            ),
            (&["Negotiate", "Digest realm=x"], None),
            (&["Bearer"], None),
            (&[""], None),
        ] {
            assert_eq!(choose(values.iter().copied()), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_or_hangs(value in "[ -~]{0,80}") {
            let _ = choose(std::iter::once(value.as_str()));
        }
    }
}
