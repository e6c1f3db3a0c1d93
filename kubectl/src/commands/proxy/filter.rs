//! Which requests the proxy takes: by host, path and method, as kubectl decides it. Pure.

use clap::Args;
use http::Request;
use regex::Regex;

/// The user's expressions; each list has commas between.
#[derive(Args, Clone, Debug)]
pub struct Rules {
    /// The hosts that requests may name.
    #[arg(
        long,
        default_value = r"^localhost$,^127\.0\.0\.1$,^\[::1\]$",
        value_name = "EXPRESSIONS"
    )]
    accept_hosts: String,
    /// The paths that requests may have.
    #[arg(long, default_value = "^.*", value_name = "EXPRESSIONS")]
    accept_paths: String,
    /// The paths that they may not have, all the same.
    #[arg(
        long,
        default_value = "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach",
        value_name = "EXPRESSIONS"
    )]
    reject_paths: String,
    /// The methods that they may not have.
    #[arg(long, default_value = "^$", value_name = "EXPRESSIONS")]
    reject_methods: String,
    /// Take every request: any web page in a browser here can then be you.
    #[arg(long)]
    pub disable_filter: bool,
}

/// What decides.
#[derive(Debug)]
pub struct Filter(Option<Compiled>);

#[derive(Debug)]
struct Compiled {
    accept_hosts: Vec<Regex>,
    accept_paths: Vec<Regex>,
    reject_paths: Vec<Regex>,
    reject_methods: Vec<Regex>,
}

impl Filter {
    /// Reads the rules.
    ///
    /// # Errors
    /// When one is no regular expression.
    pub fn new(rules: &Rules) -> Result<Self, regex::Error> {
        if rules.disable_filter {
            return Ok(Self(None));
        }
        let compile = |list: &str| list.split(',').map(Regex::new).collect::<Result<Vec<_>, _>>();
        Ok(Self(Some(Compiled {
            accept_hosts: compile(&rules.accept_hosts)?,
            accept_paths: compile(&rules.accept_paths)?,
            reject_paths: compile(&rules.reject_paths)?,
            reject_methods: compile(&rules.reject_methods)?,
        })))
    }

    /// Whether a request may pass.
    #[must_use]
    pub fn accepts<B>(&self, request: &Request<B>) -> bool {
        let Some(rules) = &self.0 else { return true };
        let host = request
            .headers()
            .get(http::header::HOST)
            .and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
        let host = without_port(host.unwrap_or_default());
        let any = |list: &[Regex], text: &str| list.iter().any(|expression| expression.is_match(text));
        // Escapes hide nothing: the server reads the path without them.
        let path = unescaped(request.uri().path());
        !any(&rules.reject_paths, &path)
            && !any(&rules.reject_methods, request.method().as_str())
            && any(&rules.accept_paths, &path)
            && any(&rules.accept_hosts, host)
    }
}

/// `[::1]:80` and `localhost:80` without their ports.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((before, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !before.ends_with(':') => {
            // `[::1]` ends with a bracket; `::1` alone has no port.
            if before.contains(':') && !before.ends_with(']') {
                host
            } else {
                before
            }
        }
        _ => host,
    }
}

fn unescaped(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut text = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits
            .filter(|_| bytes[at] == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        text.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        rules: Rules,
    }

    fn accepts(line: &str, method: &str, host: &str, path: &str) -> bool {
        let words = std::iter::once("proxy").chain(line.split_whitespace());
        let filter = Filter::new(&Line::try_parse_from(words).expect(line).rules).expect("expressions");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host)
            .body(())
            .expect("a request");
        filter.accepts(&request)
    }

    #[test]
    fn only_this_machines_names_and_nothing_that_runs_commands() {
        for host in ["localhost", "localhost:8001", "127.0.0.1:8001", "[::1]:8001"] {
            assert!(accepts("", "GET", host, "/api/v1/pods"), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8001",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(!accepts("", "GET", host, "/api/v1/pods"), "{host}");
        }
        assert!(!accepts(
            "",
            "POST",
            "localhost",
            "/api/v1/namespaces/d/pods/p/exec?command=sh"
        ));
        assert!(!accepts("", "POST", "localhost", "/api/v1/namespaces/d/pods/p/%65xec"));
        assert!(!accepts("", "GET", "localhost", "/api/v1/namespaces/d/pods/p/attach"));
        assert!(accepts("", "GET", "localhost", "/api/v1/namespaces/d/pods/p/log"));
    }

    #[test]
    fn the_user_says_more() {
        assert!(!accepts("--reject-methods=POST,PUT", "PUT", "localhost", "/"));
        assert!(accepts("--reject-methods=POST,PUT", "GET", "localhost", "/"));
        assert!(!accepts("--accept-paths=^/api", "GET", "localhost", "/version"));
        assert!(accepts("--accept-hosts=^.*$", "GET", "any.example", "/"));
        assert!(accepts(
            "--disable-filter",
            "POST",
            "any.example",
            "/api/v1/namespaces/d/pods/p/exec"
        ));
        let words = ["proxy", "--accept-hosts=["];
        assert!(Filter::new(&Line::parse_from(words).rules).is_err());
    }
}
