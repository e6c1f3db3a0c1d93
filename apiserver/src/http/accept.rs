//! Content negotiation: as what an answer is wanted, and how it may be packed.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};
use minik_api::status::Status;

/// The media types that objects are served as.
const SERVED: [&str; 1] = ["application/json"];

/// What a client takes.
#[derive(Debug)]
pub(crate) struct Accept {
    forms: Vec<Form>,
    /// Bodies may be compressed.
    pub(crate) gzip: bool,
}

/// One thing that a client takes.
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

impl Accept {
    /// Reads the headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers
            .get_all(ACCEPT)
            .into_iter()
            .filter_map(|value| value.to_str().ok());
        let mut forms: Vec<Form> = values.flat_map(|value| value.split(',')).filter_map(form).collect();
        if !headers.contains_key(ACCEPT) {
            forms.push(Form::Plain);
        }
        let encodings = headers
            .get_all(ACCEPT_ENCODING)
            .into_iter()
            .filter_map(|value| value.to_str().ok());
        let mut encodings = encodings.flat_map(|value| value.split(','));
        let gzip = encodings.any(|encoding| encoding.split(';').next().is_some_and(|name| name.trim() == "gzip"));
        Self { forms, gzip }
    }

    /// The first of the forms that the client takes and `can` be given.
    pub(crate) fn choose(&self, can: impl Fn(&str, &str) -> bool) -> Result<&Form, Status> {
        let possible = |form: &&Form| match form {
            Form::Plain => true,
            Form::As { kind, version } => can(kind, version),
        };
        self.forms
            .iter()
            .find(possible)
            .ok_or_else(|| Status::not_acceptable(&SERVED))
    }
}

fn form(media_range: &str) -> Option<Form> {
    let mut parts = media_range.split(';').map(str::trim);
    let media_type = parts.next()?;
    if !["application/json", "application/*", "*/*"].contains(&media_type) {
        return None;
    }
    let (mut kind, mut version) = (None, String::new());
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name {
            "as" => kind = Some(value.to_owned()),
            "v" => value.clone_into(&mut version),
            // Streams of objects have a type of their own upstream; ours are JSON lines whatever is asked.
            _ => {}
        }
    }
    Some(match kind {
        Some(kind) => Form::As { kind, version },
        None => Form::Plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn chosen(accept: &'static str) -> Result<Form, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let can = |kind: &str, version: &str| kind == "Table" && version == "v1";
        Accept::of(&headers).choose(can).cloned().map_err(|status| status.code)
    }

    #[test]
    fn the_first_form_that_can_be_given_is_chosen() {
        let table = Form::As {
            kind: "Table".into(),
            version: "v1".into(),
        };
        for (accept, form) in [
            ("application/json", Ok(Form::Plain)),
            ("*/*", Ok(Form::Plain)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Ok(table.clone()),
            ),
            (
                "application/json;as=Table;v=v9;g=meta.k8s.io, application/json",
                Ok(Form::Plain),
            ),
            ("application/vnd.kubernetes.protobuf,application/json", Ok(Form::Plain)),
            ("application/vnd.kubernetes.protobuf", Err(406)),
            ("application/json;as=Table;v=v9;g=meta.k8s.io", Err(406)),
        ] {
            assert_eq!(chosen(accept), form, "{accept}");
        }
    }
}
