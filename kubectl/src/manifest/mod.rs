//! Manifests as users write them: the only file that knows YAML input.
//!
//! `-f` names a file, a folder, `-` or a URL; each may hold several documents, YAML or JSON. Every document is read on its
//! own, so that a bad one costs only itself, and each error names the source, the document's number and the line. What the
//! fields mean is the server's business.

mod locate;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Map, Number, Value};

use crate::resources::{nearest, suggestion};

/// No honest manifest is larger; the server takes at most 3 MiB an object.
const MAX_SOURCE_BYTES: u64 = 16 << 20;

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
    if text.trim_start().starts_with('{') {
        return parse_json(source, text);
    }
    let parts: Vec<Part<'_>> = split(text).into_iter().filter(|part| !part.is_blank()).collect();
    let of = parts.len();
    let mut documents = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let number = index + 1;
        match part.value() {
            // A document of nothing but `null`, or of comments.
            Ok(Value::Null) => {}
            Ok(value) => {
                let from = documents.len();
                flatten(source, number, of, value, &mut documents);
                // Of a List's items the lines are not known.
                if let [Ok(document)] = &mut documents[from..] {
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

/// A document's text and the number of lines before it.
struct Part<'a> {
    text: &'a str,
    lines_before: usize,
}

impl Part<'_> {
    fn is_blank(&self) -> bool {
        self.text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with('%'))
    }

    fn value(&self) -> Result<Value, String> {
        let in_words = |error: &serde_yaml::Error| {
            let Some(location) = error.location() else {
                return error.to_string();
            };
            let what = error.to_string();
            // serde_yaml ends with the place inside the part; the user wants that inside the file.
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            format!("line {}: {what}", location.line() + self.lines_before)
        };
        let deserializer = serde_yaml::Deserializer::from_str(self.text);
        let mut yaml = serde_yaml::Value::deserialize(deserializer).map_err(|error| in_words(&error))?;
        yaml.apply_merge().map_err(|error| in_words(&error))?;
        to_json(yaml, "")
    }
}

/// Cuts at the lines that are `---`, as kubectl does, so that what follows a broken document can still be read.
fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut lines_before, mut offset) = (0, 0, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if let Some(rest) = marker {
            parts.push(Part {
                text: &text[start..offset],
                lines_before,
            });
            // What stands behind the marker belongs to the next document.
            let content = rest.trim_start_matches([' ', '\t']);
            start = offset + line.len() - content.len();
            lines_before = index;
        }
        offset += line.len();
    }
    parts.push(Part {
        text: &text[start..],
        lines_before,
    });
    parts
}

fn parse_json(source: &str, text: &str) -> Vec<Result<Document, ManifestError>> {
    let read: Vec<Result<Value, serde_json::Error>> = serde_json::Deserializer::from_str(text).into_iter().collect();
    let of = read.len();
    let mut documents = Vec::new();
    for (index, value) in read.into_iter().enumerate() {
        match value {
            Ok(value) => flatten(source, index + 1, of, value, &mut documents),
            Err(error) => documents.push(Err(ManifestError::Syntax {
                place: place(source, index + 1, of),
                problem: error.to_string(),
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

/// JSON of a YAML value: keys become text, tags are dropped, and file modes may be octal as in YAML 1.1 (`0644`).
fn to_json(yaml: serde_yaml::Value, key: &str) -> Result<Value, String> {
    Ok(match yaml {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(flag) => Value::Bool(flag),
        serde_yaml::Value::Number(number) => number_to_json(&number, key)?,
        serde_yaml::Value::String(text) => octal_mode(key, &text).map_or(Value::String(text), Value::from),
        serde_yaml::Value::Sequence(items) => Value::Array(
            items
                .into_iter()
                .map(|item| to_json(item, ""))
                .collect::<Result<_, _>>()?,
        ),
        serde_yaml::Value::Mapping(pairs) => {
            let mut map = Map::new();
            for (name, value) in pairs {
                let name = key_text(name)?;
                // Text stays text where the user chooses the keys.
                let free = matches!(key, "data" | "stringData" | "annotations" | "labels");
                let value = to_json(value, if free { "" } else { &name })?;
                map.insert(name, value);
            }
            Value::Object(map)
        }
        serde_yaml::Value::Tagged(tagged) => to_json(tagged.value, key)?,
    })
}

fn number_to_json(number: &serde_yaml::Number, key: &str) -> Result<Value, String> {
    let json = number
        .as_i64()
        .map(Number::from)
        .or_else(|| number.as_u64().map(Number::from))
        .or_else(|| number.as_f64().and_then(Number::from_f64));
    json.map(Value::Number)
        .ok_or_else(|| format!("{key}: {number} is no number that JSON has"))
}

fn key_text(key: serde_yaml::Value) -> Result<String, String> {
    match key {
        serde_yaml::Value::String(text) => Ok(text),
        serde_yaml::Value::Number(number) => Ok(number.to_string()),
        serde_yaml::Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(format!("a key must be text, not {other:?}")),
    }
}

/// `defaultMode: 0644` is octal in the YAML that Kubernetes reads, and text in today's.
fn octal_mode(key: &str, text: &str) -> Option<i64> {
    if !matches!(key, "mode" | "defaultMode") {
        return None;
    }
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'))?;
    i64::from_str_radix(digits, 8).ok()
}

type Text = (String, Result<String, ManifestError>);

async fn texts(source: &str, recursive: bool) -> Result<Vec<Text>, ManifestError> {
    if source == "-" {
        let text = read_limited(io::stdin().lock(), "STDIN");
        return Ok(vec![("STDIN".to_owned(), text)]);
    }
    if source.starts_with("http://") || source.starts_with("https://") {
        return Ok(vec![(source.to_owned(), fetch(source).await)]);
    }
    let path = Path::new(source);
    if !path.exists() {
        return Err(ManifestError::Missing {
            path: source.to_owned(),
            nearest: file_like(path),
        });
    }
    if !path.is_dir() {
        return Ok(vec![(source.to_owned(), read_file(path))]);
    }
    let mut files = Vec::new();
    list(path, recursive, &mut files).map_err(|error| ManifestError::Read {
        path: source.to_owned(),
        source: error,
    })?;
    if files.is_empty() {
        return Err(ManifestError::NoManifests {
            path: source.to_owned(),
        });
    }
    Ok(files
        .iter()
        .map(|file| (file.display().to_string(), read_file(file)))
        .collect())
}

/// The manifests of a folder, in the order of their names.
fn list(folder: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        // A link to a folder could lead in circles.
        if path.is_dir() && !path.is_symlink() {
            if recursive {
                list(&path, recursive, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, ManifestError> {
    let name = path.display().to_string();
    let file = fs::File::open(path).map_err(|source| ManifestError::Read {
        path: name.clone(),
        source,
    })?;
    read_limited(file, &name)
}

fn read_limited(reader: impl io::Read, name: &str) -> Result<String, ManifestError> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_SOURCE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| ManifestError::Read {
            path: name.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > MAX_SOURCE_BYTES {
        return Err(ManifestError::TooLarge { path: name.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| ManifestError::NotText {
        path: name.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}

async fn fetch(url: &str) -> Result<String, ManifestError> {
    let failed = |problem: String| ManifestError::Fetch {
        url: url.to_owned(),
        problem,
    };
    // Fails only when a provider is there already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| failed(innermost(&error)))?;
    let mut answer = client
        .get(url)
        .send()
        .await
        .map_err(|error| failed(innermost(&error)))?;
    if !answer.status().is_success() {
        return Err(failed(format!("server reported {}", answer.status())));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(innermost(&error)))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > MAX_SOURCE_BYTES {
            return Err(ManifestError::TooLarge { path: url.to_owned() });
        }
    }
    read_limited(bytes.as_slice(), url)
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn file_like(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let names = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let name = nearest(names.map(|name| (name.clone(), name)), &wanted)?;
    Some(path.with_file_name(name).display().to_string())
}

#[cfg(test)]
mod tests;
