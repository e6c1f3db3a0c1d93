//! Content negotiation: as what an answer is wanted, how it is written, and how it may be packed.

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Uri};
use minik_api::status::Status;

/// The media types that objects are served as.
const SERVED: [&str; 2] = [Syntax::JSON, Syntax::YAML];
/// Who reads answers with their own eyes (upstream's list).
const EYES: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];

/// What of a request tells what its client takes: kept, and read only when there is a failure to write.
pub(super) struct Asker {
    uri: Uri,
    headers: [(HeaderName, Option<HeaderValue>); 2],
}

/// What a client takes.
#[derive(Debug)]
pub(crate) struct Accept {
    choices: Vec<Choice>,
    /// Bodies may be compressed.
    pub(crate) gzip: bool,
    /// JSON is wanted with line breaks.
    pub(crate) pretty: bool,
}

/// One thing that a client takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What is to be sent.
    pub(crate) form: Form,
    /// How it is written.
    pub(crate) syntax: Syntax,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object or list itself.
    Plain,
    /// `as=Table;g=meta.k8s.io;v=…` and the like: the kind and the version.
    As {
        /// `Table`
        kind: String,
        /// `v1`
        version: String,
    },
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// As it is stored.
    Json,
    /// For people.
    Yaml,
}

impl Asker {
    /// Keeps it: no more than counts of references.
    pub(super) fn new(uri: &Uri, headers: &HeaderMap) -> Self {
        let kept = |name: HeaderName| (name.clone(), headers.get(name).cloned());
        Self {
            uri: uri.clone(),
            headers: [ACCEPT, USER_AGENT].map(kept),
        }
    }

    /// Reads it.
    pub(super) fn accept(&self) -> Accept {
        let values = self.headers.iter().cloned();
        let there = values.filter_map(|(name, value)| Some((name, value?)));
        Accept::of_parts(&self.uri, &there.collect())
    }
}

impl Syntax {
    const JSON: &'static str = "application/json";
    const YAML: &'static str = "application/yaml";

    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => Self::JSON,
            Self::Yaml => Self::YAML,
        }
    }
}

impl Accept {
    /// Reads a request.
    pub(crate) fn of_request(parts: &Parts) -> Self {
        Self::of_parts(&parts.uri, &parts.headers)
    }

    fn of_parts(uri: &Uri, headers: &HeaderMap) -> Self {
        let asked = pretty_asked(uri);
        let accept = Self::of(headers);
        Self {
            pretty: asked.unwrap_or(accept.pretty),
            ..accept
        }
    }

    /// Reads the headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut choices: Vec<Choice> = texts(headers, ACCEPT)
            .flat_map(|value| value.split(','))
            .filter_map(choice)
            .collect();
        if !headers.contains_key(ACCEPT) {
            choices.push(Choice::PLAIN);
        }
        let mut encodings = texts(headers, ACCEPT_ENCODING).flat_map(|value| value.split(','));
        let gzip = encodings.any(|encoding| encoding.split(';').next().is_some_and(|name| name.trim() == "gzip"));
        let pretty = texts(headers, USER_AGENT).any(|agent| EYES.iter().any(|eyes| agent.starts_with(eyes)));
        Self { choices, gzip, pretty }
    }

    /// The first of the forms that the client takes and `can` be given.
    pub(crate) fn choose(&self, can: impl Fn(&str, &str) -> bool) -> Result<&Choice, Status> {
        self.first(|choice| choice.is_possible(&can))
    }

    /// The same for a stream, which is JSON whatever else is taken.
    pub(crate) fn choose_stream(&self, can: impl Fn(&str, &str) -> bool) -> Result<&Choice, Status> {
        self.first(|choice| choice.syntax == Syntax::Json && choice.is_possible(&can))
    }

    /// How what has only one form is written: JSON when the client takes nothing that is served.
    pub(crate) fn syntax(&self) -> Syntax {
        let plain = self.first(|choice| choice.form == Form::Plain);
        plain.map_or(Syntax::Json, |choice| choice.syntax)
    }

    fn first(&self, is_right: impl Fn(&Choice) -> bool) -> Result<&Choice, Status> {
        let found = self.choices.iter().find(|choice| is_right(choice));
        found.ok_or_else(|| Status::not_acceptable(&SERVED))
    }
}

impl Choice {
    const PLAIN: Self = Self {
        form: Form::Plain,
        syntax: Syntax::Json,
    };

    fn is_possible(&self, can: impl Fn(&str, &str) -> bool) -> bool {
        match &self.form {
            Form::Plain => true,
            Form::As { kind, version } => can(kind, version),
        }
    }
}

fn texts(headers: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
}

fn choice(media_range: &str) -> Option<Choice> {
    let mut parts = media_range.split(';').map(str::trim);
    let syntax = match parts.next()? {
        "application/json" | "application/*" | "*/*" => Syntax::Json,
        "application/yaml" => Syntax::Yaml,
        _ => return None,
    };
    let (mut kind, mut version) = (None, String::new());
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name {
            "as" => kind = Some(value.to_owned()),
            "v" => value.clone_into(&mut version),
            // Streams of objects have a type of their own upstream; ours are JSON lines whatever is asked.
            _ => {}
        }
    }
    let form = match kind {
        Some(kind) => Form::As { kind, version },
        None => Form::Plain,
    };
    Some(Choice { form, syntax })
}

/// `?pretty`, `?pretty=true`; `None` when the query says nothing.
fn pretty_asked(uri: &Uri) -> Option<bool> {
    let mut pairs = uri
        .query()?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(name, _)| *name == "pretty")?;
    Some(!["0", "false"].contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers
    }

    fn chosen(accept: &'static str) -> Result<Choice, u16> {
        let can = |kind: &str, version: &str| kind == "Table" && version == "v1";
        Accept::of(&headers(accept))
            .choose(can)
            .cloned()
            .map_err(|status| status.code)
    }

    #[test]
    fn the_first_form_that_can_be_given_is_chosen() {
        let table = Choice {
            form: Form::As {
                kind: "Table".into(),
                version: "v1".into(),
            },
            syntax: Syntax::Json,
        };
        let yaml = Choice {
            form: Form::Plain,
            syntax: Syntax::Yaml,
        };
        for (accept, choice) in [
            ("application/json", Ok(Choice::PLAIN)),
            ("*/*", Ok(Choice::PLAIN)),
            ("application/yaml, application/json", Ok(yaml)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Ok(table.clone()),
            ),
            (
                "application/json;as=Table;v=v9;g=meta.k8s.io, application/json",
                Ok(Choice::PLAIN),
            ),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Ok(Choice::PLAIN),
            ),
            ("application/vnd.kubernetes.protobuf", Err(406)),
            ("application/json;as=Table;v=v9;g=meta.k8s.io", Err(406)),
        ] {
            assert_eq!(chosen(accept), choice, "{accept}");
        }
    }

    #[test]
    fn streams_are_json() {
        let accept = Accept::of(&headers("application/yaml, application/json"));
        let chosen = accept.choose_stream(|_, _| false).cloned();
        assert_eq!(chosen.map_err(|status| status.code), Ok(Choice::PLAIN));
        let accept = Accept::of(&headers("application/yaml"));
        assert!(accept.choose_stream(|_, _| false).is_err());
    }

    #[test]
    fn people_get_line_breaks() {
        for (uri, agent, pretty) in [
            ("/api", "curl/8.0", true),
            ("/api", "kubectl/v1.33.0", false),
            ("/api?pretty", "kubectl/v1.33.0", true),
            ("/api?watch=1&pretty=true", "kubectl/v1.33.0", true),
            ("/api?pretty=false", "Mozilla/5.0 (X11)", false),
        ] {
            let request = http::Request::builder().uri(uri).header(USER_AGENT, agent).body(());
            let (parts, ()) = request.expect("a request").into_parts();
            assert_eq!(Accept::of_request(&parts).pretty, pretty, "{uri} {agent}");
        }
    }
}
