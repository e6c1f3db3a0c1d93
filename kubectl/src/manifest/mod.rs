//! Manifests as users write them.
//!
//! `-f` names a file, a folder, `-` or a URL (`source`); each may hold several documents, YAML or JSON (`yaml`). Every document
//! is read on its own, so that a bad one costs only itself, and each error names the source, the document's number and the
//! line. What the fields mean is the server's business.

mod locate;
pub mod source;
pub mod yaml;

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use crate::resources::suggestion;
use source::{MAX_SOURCE_BYTES, texts};
use yaml::Part;

/// One object of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file, URL or `STDIN`, as kubectl's messages name it.
    pub source: String,
    /// Which document of its source, from 1.
    pub number: usize,
    /// How many documents the source has.
    pub of: usize,
    /// The object: a map with a kind.
    pub object: Value,
    /// Its text and the number of lines before it, where it is YAML.
    text: Option<(String, usize)>,
}

impl Document {
    /// `"nginx.yaml"`, with the document's number where there are several.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.source, self.number, self.of)
    }

    /// The line of its source in which a field stands, or what the field is missing from.
    #[must_use]
    pub fn line_of(&self, field: &str) -> Option<usize> {
        let (text, lines_before) = self.text.as_ref()?;
        Some(locate::line_of(text, field)? + lines_before)
    }

    /// A field's text, or nothing.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its labels, as far as they are text.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.object["metadata"]["labels"].as_object();
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        labels.into_iter().flatten().filter_map(text).collect()
    }
}

/// Why a manifest, or a document of it, can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// No such file.
    #[error("error: the path {path:?} does not exist{}", suggestion(.nearest.as_deref()))]
    Missing {
        /// As the user wrote it.
        path: String,
        /// A file beside it whose name is like it.
        nearest: Option<String>,
    },
    /// The file can't be read.
    #[error("error: can't read {path:?}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The URL gives no manifest.
    #[error("error: unable to read URL {url:?}: {problem}")]
    Fetch {
        /// As the user wrote it.
        url: String,
        /// What the server or the network says.
        problem: String,
    },
    /// A folder without manifests.
    #[error("error: error reading [{path}]: recognized file extensions are [.json .yaml .yml]")]
    NoManifests {
        /// The folder.
        path: String,
    },
    /// Larger than any manifest.
    #[error("error: {path:?} is larger than {} MiB: this is no manifest", MAX_SOURCE_BYTES >> 20)]
    TooLarge {
        /// The source.
        path: String,
    },
    /// Not UTF-8.
    #[error("error: error parsing {path}: byte {offset} is not UTF-8 text")]
    NotText {
        /// The source.
        path: String,
        /// Where.
        offset: usize,
    },
    /// Neither YAML nor JSON.
    #[error("error: error parsing {place}: {problem}")]
    Syntax {
        /// Source and document.
        place: String,
        /// What and on which line.
        problem: String,
    },
    /// YAML, but no object.
    #[error("error: unable to decode {place}: {problem}")]
    NotAnObject {
        /// Source and document.
        place: String,
        /// What is missing.
        problem: String,
    },
    /// The sources hold nothing.
    #[error("error: no objects passed to {verb}")]
    Empty {
        /// What was to be done with them.
        verb: &'static str,
    },
}

/// Reads every document of every source, in their order; what can't be read stands in its place as an error.
pub async fn read(sources: &[String], recursive: bool) -> Vec<Result<Document, ManifestError>> {
    let mut documents = Vec::new();
    for source in sources
        .iter()
        .flat_map(|list| list.split(','))
        .filter(|source| !source.is_empty())
    {
        match texts(source, recursive).await {
            Err(error) => documents.push(Err(error)),
            Ok(texts) => {
                for (name, text) in texts {
                    match text {
                        Ok(text) => documents.extend(parse(&name, &text)),
                        Err(error) => documents.push(Err(error)),
                    }
                }
            }
        }
    }
    documents
}

/// The documents of one text. Pure.
#[must_use]
pub fn parse(source: &str, text: &str) -> Vec<Result<Document, ManifestError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parts: Vec<Part<'_>> = yaml::split(text).into_iter().filter(|part| !part.is_blank()).collect();
    let values: Vec<(&Part<'_>, Result<Value, String>)> = parts
        .iter()
        .flat_map(|part| part.values().into_iter().map(move |value| (part, value)))
        .collect();
    let of = values.len();
    let mut documents = Vec::new();
    for (index, (part, value)) in values.into_iter().enumerate() {
        let number = index + 1;
        match value {
            // A document of nothing but `null`, or of comments.
            Ok(Value::Null) => {}
            Ok(value) => {
                let from = documents.len();
                flatten(source, number, of, value, &mut documents);
                // Of a List's items the lines are not known, nor those of JSON, which many write on one line.
                if let [Ok(document)] = &mut documents[from..]
                    && !part.is_json()
                {
                    document.text = Some((part.text.to_owned(), part.lines_before));
                }
            }
            Err(problem) => documents.push(Err(ManifestError::Syntax {
                place: place(source, number, of),
                problem,
            })),
        }
    }
    documents
}

/// A `List` is the documents in it.
fn flatten(
    source: &str,
    number: usize,
    of: usize,
    object: Value,
    documents: &mut Vec<Result<Document, ManifestError>>,
) {
    let refused = |problem: &str| {
        Err(ManifestError::NotAnObject {
            place: place(source, number, of),
            problem: problem.to_owned(),
        })
    };
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    if !object.is_object() {
        documents.push(refused("this is no object: it should begin with apiVersion: and kind:"));
    } else if text("kind").is_empty() {
        documents.push(refused(
            "Object 'Kind' is missing: say which kind of object this is, such as `kind: Pod`",
        ));
    } else if text("apiVersion").is_empty() {
        documents.push(refused(
            "Object 'apiVersion' is missing: say `apiVersion: v1` for a Pod",
        ));
    } else if text("kind").ends_with("List") && object.get("items").is_some_and(Value::is_array) {
        for item in object["items"].as_array().into_iter().flatten() {
            flatten(source, number, of, item.clone(), documents);
        }
    } else {
        documents.push(Ok(Document {
            source: source.to_owned(),
            number,
            of,
            object,
            text: None,
        }));
    }
}

fn place(source: &str, number: usize, of: usize) -> String {
    if of > 1 {
        format!("{source:?} (document {number})")
    } else {
        format!("{source:?}")
    }
}

#[cfg(test)]
mod tests;
