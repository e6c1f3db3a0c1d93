//! `explain`: what a kind's fields mean, from the server's OpenAPI v3 document, laid out as kubectl lays it out. Pure.

mod wrap;

use std::collections::BTreeSet;

use serde_json::Value;

use wrap::wrap;

/// Where in a kind, and how deep.
#[derive(Clone, Debug, Default)]
pub struct Question<'a> {
    /// The kind's group, version and name.
    pub group: &'a str,
    /// `v1`
    pub version: &'a str,
    /// `Pod`
    pub kind: &'a str,
    /// `spec`, `containers`
    pub fields: &'a [&'a str],
    /// Also what is below, one line a field.
    pub recursive: bool,
}

/// What can't be explained.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// The document says nothing of the kind.
    #[error("GVK {group}/{version}, Kind={kind} not found in OpenAPI schema")]
    Kind {
        /// Its group.
        group: String,
        /// Its version.
        version: String,
        /// Its name.
        kind: String,
    },
    /// The kind has no such field.
    #[error("field \"{0}\" does not exist")]
    Field(String),
}

/// The page for a question.
///
/// # Errors
/// When the document has no answer.
pub fn explain(document: &Value, question: &Question<'_>) -> Result<String, Unknown> {
    let Question {
        group, version, kind, ..
    } = *question;
    let is_it = |schema: &&Value| {
        let names = schema["x-kubernetes-group-version-kind"].as_array();
        let same = |name: &Value| name["group"] == group && name["version"] == version && name["kind"] == kind;
        names.is_some_and(|names| names.iter().any(same))
    };
    let schemas = document["components"]["schemas"].as_object();
    let found = schemas.and_then(|schemas| schemas.values().find(is_it));
    let schema = found.ok_or_else(|| Unknown::Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    })?;
    let page = Page {
        document,
        recursive: question.recursive,
    };
    let mut text = String::new();
    if !group.is_empty() {
        text.push_str(&format!("GROUP:      {group}\n"));
    }
    text.push_str(&format!("KIND:       {kind}\nVERSION:    {version}\n\n"));
    if !page.follow(&mut text, schema, question.fields, &mut BTreeSet::new()) {
        let last = question.fields.last().copied().unwrap_or_default();
        return Err(Unknown::Field(last.to_owned()));
    }
    text.push('\n');
    Ok(text)
}

struct Page<'a> {
    document: &'a Value,
    recursive: bool,
}

impl<'a> Page<'a> {
    /// Goes down the path and shows what is at its end; false when there is no such path.
    fn follow(&self, text: &mut String, schema: &'a Value, path: &[&str], seen: &mut BTreeSet<&'a str>) -> bool {
        let reference = schema["$ref"].as_str();
        let resolved = self.resolved(schema);
        let Some((first, rest)) = path.split_first() else {
            self.end(text, resolved);
            return true;
        };
        if reference.is_some_and(|reference| !seen.insert(reference)) {
            return false;
        }
        if let Some(below) = resolved["properties"].get(*first) {
            if rest.is_empty() {
                text.push_str(&format!("FIELD: {first} <{}>\n", self.type_of(below)));
                choices_below(text, below);
                text.push('\n');
            }
            return self.follow(text, below, rest, &mut BTreeSet::new());
        }
        if resolved["items"].is_object() {
            return self.follow(text, &resolved["items"], path, seen);
        }
        if resolved["additionalProperties"].is_object() {
            return self.follow(text, &resolved["additionalProperties"], path, seen);
        }
        list(&resolved["allOf"])
            .iter()
            .any(|one| self.follow(text, one, path, &mut seen.clone()))
    }

    fn end(&self, text: &mut String, schema: &'a Value) {
        let mut description = String::new();
        self.describe(&mut description, schema);
        if description.is_empty() {
            description.push_str("<empty>");
        }
        text.push_str(&format!("DESCRIPTION:\n{}\n", indent(4, &wrap(76, &description))));
        external(text, schema, "EXTERNAL DOCS:", 76, 0);
        let mut fields = String::new();
        self.fields(&mut fields, schema, 1, &[]);
        if !fields.is_empty() {
            text.push_str(&format!("FIELDS:\n{fields}"));
        }
    }

    /// The descriptions of a schema and of what it is made of.
    fn describe(&self, text: &mut String, schema: &'a Value) {
        let schema = self.resolved(schema);
        if let Some(description) = schema["description"].as_str().filter(|text| !text.is_empty()) {
            text.push_str(description);
            text.push('\n');
        }
        for one in list(&schema["allOf"]) {
            self.describe(text, one);
        }
        for below in ["items", "additionalProperties"] {
            if schema[below].is_object() {
                self.describe(text, &schema[below]);
            }
        }
    }

    fn fields(&self, text: &mut String, schema: &'a Value, level: usize, seen: &[&'a str]) {
        let mut seen = seen.to_vec();
        if let Some(reference) = schema["$ref"].as_str() {
            if seen.contains(&reference) {
                return;
            }
            seen.push(reference);
        }
        let schema = self.resolved(schema);
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            let required = list(&schema["required"]).iter().any(|required| required == name);
            self.field(text, name, below, required, level);
            if self.recursive {
                self.fields(text, below, level + 1, &seen);
            }
        }
        for one in list(&schema["allOf"]) {
            self.fields(text, one, level, &seen);
        }
        for below in ["items", "additionalProperties"] {
            if schema[below].is_object() {
                self.fields(text, &schema[below], level, &seen);
            }
        }
    }

    fn field(&self, text: &mut String, name: &str, schema: &'a Value, required: bool, level: usize) {
        let depth = level * 2;
        let pad = " ".repeat(depth);
        let required = if required { " -required-" } else { "" };
        text.push_str(&format!("{pad}{name}\t<{}>{required}", self.type_of(schema)));
        choices_beside(text, schema, &pad);
        text.push('\n');
        if self.recursive {
            return;
        }
        let description = schema["description"].as_str().filter(|text| !text.is_empty());
        let description = description.unwrap_or("<no description>");
        text.push_str(&indent(depth + 2, &wrap(78 - depth, description)));
        text.push('\n');
        external(text, schema, &indent(depth + 2, "EXTERNAL DOCS:"), 76 - depth, depth);
        text.push('\n');
    }

    /// `string`, `[]Container`, `map[string]string`, `Object`.
    fn type_of(&self, schema: &'a Value) -> String {
        let parts = list(&schema["allOf"]);
        if schema["items"].is_object() {
            return format!("[]{}", self.type_of(&schema["items"]));
        }
        if schema["additionalProperties"].is_object() {
            return format!("map[string]{}", self.type_of(&schema["additionalProperties"]));
        }
        if let ([one], true) = (parts, schema["properties"].is_null()) {
            return self.type_of(one);
        }
        let named = |schema: &Value| match schema["type"].as_str() {
            None | Some("" | "object") => None,
            Some(name) => Some(name.to_owned()),
        };
        let Some(reference) = schema["$ref"].as_str() else {
            return named(schema).unwrap_or_else(|| "Object".to_owned());
        };
        let last = reference.rsplit(['/', '.']).next().unwrap_or("Object");
        let target = self.target(reference);
        target.and_then(named).unwrap_or_else(|| last.to_owned())
    }

    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let target = schema["$ref"].as_str().and_then(|reference| self.target(reference));
        target.unwrap_or(schema)
    }

    fn target(&self, reference: &str) -> Option<&'a Value> {
        self.document.pointer(reference.strip_prefix('#')?)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The values that a field may have, a line each.
fn choices_below(text: &mut String, schema: &Value) {
    let choices = list(&schema["enum"]);
    if choices.is_empty() {
        text.push('\n');
        return;
    }
    text.push_str("ENUM:");
    for choice in choices {
        text.push_str(&format!("\n    {}", shown(choice)));
    }
    text.push('\n');
}

/// The same on one line, four at most.
fn choices_beside(text: &mut String, schema: &Value, pad: &str) {
    const MOST: usize = 4;
    let choices = list(&schema["enum"]);
    if choices.is_empty() {
        return;
    }
    let first: Vec<String> = choices.iter().take(MOST).map(shown).collect();
    let more = if choices.len() > MOST { ", ...." } else { "" };
    text.push_str(&format!("\n{pad}enum: {}{more}", first.join(", ")));
}

fn shown(choice: &Value) -> String {
    match choice.as_str() {
        Some("") => "\"\"".to_owned(),
        Some(text) => text.to_owned(),
        None => choice.to_string(),
    }
}

fn external(text: &mut String, schema: &Value, head: &str, width: usize, depth: usize) {
    let docs = &schema["externalDocs"];
    if !docs.is_object() {
        return;
    }
    text.push_str(&format!("\n{head}\n"));
    if let Some(description) = docs["description"].as_str().filter(|text| !text.is_empty()) {
        text.push_str(&indent(depth + 4, &wrap(width, description)));
        text.push('\n');
    }
    if let Some(url) = docs["url"].as_str().filter(|url| !url.is_empty()) {
        text.push_str(&indent(depth + 4, &format!("URL: {url}")));
        text.push('\n');
    }
}

fn indent(amount: usize, text: &str) -> String {
    let pad = " ".repeat(amount);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

#[cfg(test)]
mod tests;
