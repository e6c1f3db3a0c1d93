//! What types and fields mean: upstream's texts, gathered when this is built (`build.rs`) and unpacked while a document is
//! made; nothing of it stays in memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions"));

/// The unpacked texts.
pub(super) struct Texts(String);

/// The texts by definition and field.
pub(super) struct Descriptions<'a>(HashMap<&'a str, Vec<(&'a str, &'a str)>>);

impl Texts {
    pub(super) fn unpack() -> Self {
        let mut text = String::new();
        let read = DeflateDecoder::new(PACKED).read_to_string(&mut text);
        read.expect("it was packed by the build script");
        Self(text)
    }

    pub(super) fn read(&self) -> Descriptions<'_> {
        let mut definitions: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
        let mut current = "";
        for line in self.0.lines() {
            let (name, text) = line.split_once('\t').unwrap_or((line, ""));
            let field = match name.strip_prefix('=') {
                Some(definition) => {
                    current = definition;
                    ""
                }
                None => name,
            };
            definitions.entry(current).or_default().push((field, text));
        }
        Descriptions(definitions)
    }
}

impl Descriptions<'_> {
    /// Of a definition, by its name in OpenAPI (`io.k8s.api.core.v1.Pod`).
    pub(super) fn definition(&self, name: &str) -> Option<Cow<'_, str>> {
        self.field(name, "")
    }

    /// Of one of its fields.
    pub(super) fn field(&self, definition: &str, field: &str) -> Option<Cow<'_, str>> {
        let fields = self.0.get(definition)?;
        let (_, text) = fields.iter().find(|(name, _)| *name == field)?;
        (!text.is_empty()).then(|| unescape(text))
    }
}

/// The texts stand as they do in a source: `\n`, `\"`, `\\`.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_fields_are_described() {
        let texts = Texts::unpack();
        let descriptions = texts.read();
        for (definition, field) in [
            ("io.k8s.api.core.v1.Pod", ""),
            ("io.k8s.api.core.v1.Pod", "spec"),
            ("io.k8s.api.core.v1.Container", "image"),
            ("io.k8s.apimachinery.pkg.api.resource.Quantity", ""),
            ("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService", ""),
        ] {
            assert!(descriptions.field(definition, field).is_some(), "{definition} {field}");
        }
        assert!(PACKED.len() < 500_000);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(r#"a \"b\"\nc \\d"#), "a \"b\"\nc \\d");
    }
}
