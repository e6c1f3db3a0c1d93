//! The formats of texts (JSON schema's `format`): those that Kubernetes checks. What isn't known isn't checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use minik_api::names;

/// Known without being checked here: any text is a password, and the rest is as rare in clusters as it is long to tell.
const UNCHECKED: [&str; 6] = ["password", "isbn", "isbn10", "isbn13", "creditcard", "rgbcolor"];

/// Whether Kubernetes knows this format of a text.
pub(crate) fn is_known(format: &str) -> bool {
    let format = normal(format);
    UNCHECKED.contains(&format.as_str()) || check(&format).is_some()
}

/// Whether a text has the format.
pub(crate) fn fits(format: &str, text: &str) -> bool {
    check(&normal(format)).is_none_or(|check| check(text))
}

/// `date-time` and `datetime` are the same.
fn normal(format: &str) -> String {
    format.replace('-', "")
}

fn check(format: &str) -> Option<fn(&str) -> bool> {
    Some(match format {
        "datetime" => |text| text.contains(['T', 't', ' ']) && text.parse::<Timestamp>().is_ok(),
        "date" => |text| text.len() == 10 && text.parse::<Date>().is_ok(),
        "duration" => |text| is_duration(text),
        "uri" => |text| is_uri(text),
        "email" => |text| is_email(text),
        "hostname" => |text| names::subdomain(&text.to_ascii_lowercase()).is_empty(),
        "ipv4" => |text| text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => |text| text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => |text| is_cidr(text),
        "mac" => |text| is_mac(text),
        "uuid" => |text| is_uuid(text, None),
        "uuid3" => |text| is_uuid(text, Some('3')),
        "uuid4" => |text| is_uuid(text, Some('4')),
        "uuid5" => |text| is_uuid(text, Some('5')),
        "bsonobjectid" => |text| text.len() == 24 && is_hex(text),
        "hexcolor" => |text| {
            let text = text.strip_prefix('#').unwrap_or(text);
            matches!(text.len(), 3 | 6) && is_hex(text)
        },
        "ssn" => |text| {
            let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
            digits.len() == 9 && digits.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 11
        },
        "byte" => |text| BASE64_STANDARD.decode(text).is_ok(),
        "k8sshortname" => |text| names::label(text).is_empty(),
        "k8slongname" => |text| names::subdomain(text).is_empty(),
        _ => return None,
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Go's durations: `1h30m`, `1.5s`, `-2ms`; besides `3 hours` as Scala writes it.
fn is_duration(text: &str) -> bool {
    crate::cel::parse_duration(text).is_some() || is_wordy_duration(text)
}

fn is_wordy_duration(text: &str) -> bool {
    const UNITS: [&str; 8] = ["ns", "nano", "us", "micro", "ms", "milli", "s", "sec"];
    const LONG_UNITS: [&str; 9] = [
        "nanosecond",
        "microsecond",
        "millisecond",
        "second",
        "minute",
        "hour",
        "day",
        "week",
        "min",
    ];
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = text[digits..].trim();
    let unit = unit
        .strip_suffix('s')
        .filter(|unit| LONG_UNITS.contains(unit) || UNITS.contains(unit))
        .unwrap_or(unit);
    let is_unit =
        UNITS.contains(&unit) || LONG_UNITS.contains(&unit) || ["m", "h", "d", "w", "hr", "wk"].contains(&unit);
    digits > 0 && is_unit
}

/// As Go's `url.ParseRequestURI` takes it: with a scheme, or a path from the root.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme && !rest.is_empty()
}

fn is_email(text: &str) -> bool {
    let address = match text.rsplit_once('<') {
        Some((_, address)) => address.strip_suffix('>'),
        None => Some(text.trim()),
    };
    address
        .and_then(|address| address.rsplit_once('@'))
        .is_some_and(|(local, domain)| {
            let plain = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
            plain(local) && plain(domain) && !local.starts_with('.') && !local.ends_with('.') && !local.contains("..")
        })
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(ip, bits)| {
        let most = match ip.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
    })
}

fn is_mac(text: &str) -> bool {
    let groups = |by: char, digits: usize| {
        let parts: Vec<&str> = text.split(by).collect();
        parts.iter().all(|part| part.len() == digits && is_hex(part))
            && [6, 8, 20].contains(&(parts.len() * digits / 2))
    };
    groups(':', 2) || groups('-', 2) || groups('.', 4)
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let plain: Vec<char> = text.chars().filter(|c| *c != '-').collect();
    let shape = plain.len() == 32 && plain.iter().all(char::is_ascii_hexdigit) && matches!(text.len(), 32..=36);
    let variant = |c: &char| matches!(c.to_ascii_lowercase(), '8' | '9' | 'a' | 'b');
    shape && version.is_none_or(|version| plain[12] == version && (version == '3' || variant(&plain[16])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_their_formats() {
        for (format, good, bad) in [
            ("date-time", "2014-12-15T19:30:20.000Z", "2014-12-15"),
            ("date", "2006-01-02", "2006-1-2"),
            ("duration", "1h30m", "soon"),
            ("duration", "22 ns", "22 lightyears"),
            ("uri", "https://example.com/a?b=c", "not a uri"),
            ("email", "a@example.com", "a at example.com"),
            ("hostname", "Node-1.example.com", "-x"),
            ("ipv4", "10.0.0.1", "::1"),
            ("ipv6", "::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "00:00:5e:00:53:01", "00:00:5e:00:53"),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
            (
                "uuid4",
                "123e4567-e89b-42d3-a456-426614174000",
                "123e4567-e89b-12d3-a456-426614174000",
            ),
            ("byte", "aGk=", "?"),
            ("hexcolor", "#FFaa00", "#12"),
            ("k8s-short-name", "a-b", "A"),
        ] {
            assert!(fits(format, good), "{format}: {good}");
            assert!(!fits(format, bad), "{format}: {bad}");
            assert!(is_known(format), "{format}");
        }
        assert!(fits("int32", "anything") && !is_known("int32"));
    }
}
