//! What a kubeconfig says after our entries came or went: pure, text to text.
//!
//! It works on untyped YAML, so fields that this program has never heard of survive. Of an entry of ours, too, only the
//! fields that we own are set: a namespace that the user chose for the context stays.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_yaml::{Mapping, Value};

/// What a kubeconfig needs in order to reach the node as somebody.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Entry<'a> {
    /// Name of context, cluster and user.
    pub(in crate::node) name: &'a str,
    pub(in crate::node) server: &'a str,
    /// PEM of the authority.
    pub(in crate::node) authority: &'a str,
    /// PEM of the client's certificate.
    pub(in crate::node) certificate: &'a str,
    /// PEM of the client's key.
    pub(in crate::node) key: &'a str,
}

/// Why a text is no kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not YAML, or several documents.
    #[error("it is not YAML")]
    Syntax(#[from] serde_yaml::Error),
    /// A part has another shape than kubectl's.
    #[error("{field} is not a {expected}")]
    Shape {
        /// Which part.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// A merged document.
pub(super) struct MergedText {
    /// None: it says so already.
    pub(super) text: Option<String>,
    /// Whether the entry's context is the current one.
    pub(super) current: bool,
}

/// The kubeconfig of one of our programs.
pub(in crate::node) fn standalone(entry: &Entry<'_>) -> String {
    let merged = merge("", entry, true).expect("an empty document takes any entry");
    merged.text.expect("an empty document changes")
}

pub(super) fn merge(text: &str, entry: &Entry<'_>, switch: bool) -> Result<MergedText, DocumentError> {
    let before: Value = serde_yaml::from_str(text)?;
    let mut root = mapping(before.clone(), "the document")?;
    for (field, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        root.entry(field.into()).or_insert_with(|| value.into());
    }
    let cluster = named(&mut root, "clusters", "cluster", entry.name)?;
    drop_fields(
        cluster,
        &["certificate-authority", "insecure-skip-tls-verify", "tls-server-name"],
    );
    cluster.insert("server".into(), entry.server.into());
    cluster.insert(
        "certificate-authority-data".into(),
        STANDARD.encode(entry.authority).into(),
    );
    let context = named(&mut root, "contexts", "context", entry.name)?;
    context.insert("cluster".into(), entry.name.into());
    context.insert("user".into(), entry.name.into());
    let user = named(&mut root, "users", "user", entry.name)?;
    drop_fields(
        user,
        &[
            "client-certificate",
            "client-key",
            "token",
            "tokenFile",
            "exec",
            "auth-provider",
        ],
    );
    user.insert(
        "client-certificate-data".into(),
        STANDARD.encode(entry.certificate).into(),
    );
    user.insert("client-key-data".into(), STANDARD.encode(entry.key).into());
    let none = root
        .get("current-context")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty);
    if none || switch {
        root.insert("current-context".into(), entry.name.into());
    }
    let current = root.get("current-context").and_then(Value::as_str) == Some(entry.name);
    let after = Value::Mapping(root);
    let text = (after != before).then(|| print(&after));
    Ok(MergedText { text, current })
}

/// The text without `name`; none: it had nothing of the kind.
pub(super) fn remove(text: &str, name: &str) -> Result<Option<String>, DocumentError> {
    let before: Value = serde_yaml::from_str(text)?;
    let mut root = mapping(before.clone(), "the document")?;
    for field in ["clusters", "contexts", "users"] {
        if let Some(Value::Sequence(entries)) = root.get_mut(field) {
            entries.retain(|entry| entry.get("name").and_then(Value::as_str) != Some(name));
        }
    }
    if root.get("current-context").and_then(Value::as_str) == Some(name) {
        root.insert("current-context".into(), "".into());
    }
    let after = Value::Mapping(root);
    Ok((after != before && before != Value::Null).then(|| print(&after)))
}

/// The body of the entry `name` in one of the three lists, appended if it isn't there.
fn named<'a>(
    root: &'a mut Mapping,
    list: &'static str,
    body: &'static str,
    name: &str,
) -> Result<&'a mut Mapping, DocumentError> {
    let slot = root.entry(list.into()).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Sequence(Vec::new());
    }
    let Value::Sequence(entries) = slot else {
        return Err(DocumentError::Shape {
            field: list,
            expected: "list",
        });
    };
    let found = entries
        .iter()
        .position(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
    let index = found.unwrap_or(entries.len());
    if found.is_none() {
        let mut entry = Mapping::new();
        entry.insert("name".into(), name.into());
        entries.push(Value::Mapping(entry));
    }
    let entry = entries[index]
        .as_mapping_mut()
        .expect("it has a name, or was just made");
    let body_value = entry.entry(body.into()).or_insert(Value::Null);
    if body_value.is_null() {
        *body_value = Value::Mapping(Mapping::new());
    }
    body_value.as_mapping_mut().ok_or(DocumentError::Shape {
        field: body,
        expected: "mapping",
    })
}

fn drop_fields(body: &mut Mapping, fields: &[&str]) {
    for field in fields {
        body.remove(*field);
    }
}

fn mapping(value: Value, field: &'static str) -> Result<Mapping, DocumentError> {
    match value {
        Value::Null => Ok(Mapping::new()),
        Value::Mapping(mapping) => Ok(mapping),
        _ => Err(DocumentError::Shape {
            field,
            expected: "mapping",
        }),
    }
}

fn print(value: &Value) -> String {
    serde_yaml::to_string(value).expect("what was read as YAML prints as YAML")
}
