//! What a name may look like: the rules of apimachinery's `util/validation`, with its sentences.
//!
//! Each function returns what is wrong as the detail of a field error, or nothing.

const LABEL_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// A DNS label (RFC 1123): containers, namespaces, ports' names.
#[must_use]
pub fn label(name: &str) -> Vec<String> {
    gather([(!is_label(name), LABEL.to_owned()), too_long(name, LABEL_MAX)])
}

/// A DNS subdomain (RFC 1123): most objects' names.
#[must_use]
pub fn subdomain(name: &str) -> Vec<String> {
    let bad = !name.split('.').all(is_label);
    gather([(bad, SUBDOMAIN.to_owned()), too_long(name, SUBDOMAIN_MAX)])
}

/// Hosts of which the first label may be anything: `*.example.com`.
#[must_use]
pub fn wildcard_subdomain(name: &str) -> Vec<String> {
    let bad = !name
        .strip_prefix("*.")
        .is_some_and(|rest| rest.split('.').all(is_label));
    gather([(bad, WILDCARD.to_owned()), too_long(name, SUBDOMAIN_MAX)])
}

/// What can stand as one segment of a URL's path: the names of roles.
#[must_use]
pub fn path_segment(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    let broken = ["/", "%"].into_iter().filter(|part| name.contains(part));
    broken.map(|part| format!("may not contain '{part}'")).collect()
}

/// A DNS label that begins with a letter (RFC 1035): services' names.
#[must_use]
pub fn label_1035(name: &str) -> Vec<String> {
    let bad = !is_label(name) || !name.starts_with(|first: char| first.is_ascii_lowercase());
    gather([(bad, LABEL_1035.to_owned()), too_long(name, LABEL_MAX)])
}

/// A key of labels, annotations and the like: `app`, `example.com/app`.
#[must_use]
pub fn qualified(name: &str) -> Vec<String> {
    let (prefix, name) = match name.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, name),
    };
    let mut problems = Vec::new();
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            problems.push("prefix part must be non-empty".to_owned());
        }
        problems.extend(
            subdomain(prefix)
                .into_iter()
                .map(|problem| format!("prefix part {problem}")),
        );
    }
    problems.extend(gather([
        (name.is_empty(), "name part must be non-empty".to_owned()),
        (
            name.len() > LABEL_MAX,
            format!("name part must be no more than {LABEL_MAX} characters"),
        ),
        (!is_word(name), QUALIFIED.to_owned()),
    ]));
    problems
}

/// A label's value.
#[must_use]
pub fn label_value(value: &str) -> Vec<String> {
    let bad = !value.is_empty() && !is_word(value);
    gather([too_long(value, LABEL_MAX), (bad, LABEL_VALUE.to_owned())])
}

/// A key of a `ConfigMap`'s or `Secret`'s data: also a file name, so neither `.` nor `..`.
#[must_use]
pub fn config_key(key: &str) -> Vec<String> {
    let bad = key.is_empty()
        || !key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    gather([
        too_long(key, SUBDOMAIN_MAX),
        (bad, CONFIG_KEY.to_owned()),
        (key == ".", "must not be '.'".to_owned()),
        (key == "..", "must not be '..'".to_owned()),
        (
            key.len() > 2 && key.starts_with(".."),
            "must not start with '..'".to_owned(),
        ),
    ])
}

/// The name of an environment variable: anything printable but `=` (relaxed rules, as since Kubernetes 1.34).
#[must_use]
pub fn env_var(name: &str) -> Vec<String> {
    let bad = name.is_empty() || !name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=');
    let rule = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    gather([(bad, rule.to_owned())])
}

fn is_label(name: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match name.as_bytes() {
        [] => false,
        [only] => edge(*only),
        [first, middle @ .., last] => {
            edge(*first) && edge(*last) && middle.iter().all(|&byte| edge(byte) || byte == b'-')
        }
    }
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`
fn is_word(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn too_long(text: &str, limit: usize) -> (bool, String) {
    (text.len() > limit, format!("must be no more than {limit} characters"))
}

fn gather<const N: usize>(rules: [(bool, String); N]) -> Vec<String> {
    rules
        .into_iter()
        .filter(|(broken, _)| *broken)
        .map(|(_, rule)| rule)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass_and_bad_ones_do_not() {
        type Rule = fn(&str) -> Vec<String>;
        let rows: [(Rule, &[&str], &[&str]); 9] = [
            (label, &["a", "a-b", "0", "1a"], &["", "-a", "a-", "A", "a.b", "a_b"]),
            (subdomain, &["a.b", "a", "1.2"], &["", ".a", "a..b", "A.b", "a.-b"]),
            (wildcard_subdomain, &["*.a", "*.a.b"], &["a", "*", "*.", "*.A", "**.a"]),
            (path_segment, &["system:node", "A b"], &[".", "..", "a/b", "50%"]),
            (label_1035, &["a", "a1"], &["1a", "", "a."]),
            (
                qualified,
                &["app", "example.com/App_1", "a.b"],
                &["", "/a", "a/", "a/b/c", "-a", "a b"],
            ),
            (label_value, &["", "a", "A_b.c-1"], &["-", "a b", "a/"]),
            (config_key, &["a", "A_b-c.d", ".bashrc"], &["", "a/b", ".", "..", "..a"]),
            (env_var, &["PATH", "a.b", "1"], &["", "a=b", "a\nb"]),
        ];
        for (rule, good, bad) in rows {
            for name in good {
                assert_eq!(rule(name), Vec::<String>::new(), "{name}");
            }
            for name in bad {
                assert_ne!(rule(name), Vec::<String>::new(), "{name}");
            }
        }
        assert_ne!(label(&"a".repeat(64)), Vec::<String>::new());
    }
}
