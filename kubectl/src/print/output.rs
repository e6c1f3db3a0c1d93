//! `-o`: which form the user wants objects in.

use std::io::{self, Write};
use std::str::FromStr;

use serde_json::{Value, json};

use super::jsonpath::Template;
use super::table::Grid;
use super::yaml;

/// A form of output other than a table.
#[derive(Clone, Debug)]
pub enum Output {
    /// A table with all columns.
    Wide,
    /// `pod/nginx`.
    Name,
    /// YAML.
    Yaml,
    /// JSON, indented by four.
    Json,
    /// What a JSONPath template makes of it.
    JsonPath(Template),
    /// A table of the user's own columns.
    Columns(Vec<(String, Template)>),
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (form, rest) = text.split_once('=').unwrap_or((text, ""));
        match (form, rest) {
            ("wide", "") => Ok(Self::Wide),
            ("name", "") => Ok(Self::Name),
            ("yaml", "") => Ok(Self::Yaml),
            ("json", "") => Ok(Self::Json),
            ("jsonpath" | "jsonpath-as-json", "") => Err("template format specified but no template given".to_owned()),
            ("jsonpath", template) => template.parse().map(Self::JsonPath),
            ("custom-columns", columns) if !columns.is_empty() => columns
                .split(',')
                .map(column)
                .collect::<Result<_, _>>()
                .map(Self::Columns),
            _ => Err(format!(
                "unable to match a printer suitable for the output format {text:?}, allowed formats are: custom-columns,json,jsonpath,name,wide,yaml"
            )),
        }
    }
}

fn column(text: &str) -> Result<(String, Template), String> {
    let (name, path) = text
        .split_once(':')
        .ok_or_else(|| format!("expected <header>:<json-path-expr> in custom-columns, got {text:?}"))?;
    let path = path.trim_start_matches('{').trim_end_matches('}');
    let dot = if path.starts_with('.') || path.starts_with('[') {
        ""
    } else {
        "."
    };
    Ok((name.to_owned(), format!("{{{dot}{path}}}").parse()?))
}

impl Output {
    /// Writes one object, or a list of them (`kind: List`).
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, out: &mut impl Write, value: &Value) -> io::Result<()> {
        match self {
            Self::Yaml => out.write_all(yaml::document(value).as_bytes()),
            Self::Json => writeln!(out, "{}", json_text(value)),
            Self::JsonPath(template) => out.write_all(template.render(value).as_bytes()),
            Self::Columns(columns) => {
                let single = [value.clone()];
                let objects = value["items"].as_array().map_or(&single[..], Vec::as_slice);
                let cell = |object: &Value, template: &Template| match template.render(object).as_str() {
                    "" => "<none>".to_owned(),
                    text => text.to_owned(),
                };
                let grid = Grid {
                    head: columns.iter().map(|(name, _)| name.clone()).collect(),
                    rows: objects
                        .iter()
                        .map(|object| columns.iter().map(|(_, template)| cell(object, template)).collect())
                        .collect(),
                };
                grid.write(out, &[], None)
            }
            Self::Wide | Self::Name => Ok(()),
        }
    }
}

/// Several objects as kubectl prints them.
#[must_use]
pub fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
}

/// An object without the record of who set which field, which only `--show-managed-fields` shows.
pub fn drop_managed_fields(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for item in value
        .get_mut("items")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        drop_managed_fields(item);
    }
}

/// JSON, indented by four.
#[must_use]
pub fn json_text(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(value, &mut serializer).expect("a vector takes everything, and keys are text");
    String::from_utf8(bytes).expect("serde_json writes UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(output: &str, value: &Value) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        output
            .parse::<Output>()
            .expect(output)
            .write(&mut out, value)
            .expect("a vector takes everything");
        String::from_utf8(out.into_inner()).expect("text")
    }

    #[test]
    fn each_form_is_kubectls() {
        let value = json!({"kind": "Pod", "metadata": {"name": "a", "labels": {}}});
        assert_eq!(shown("yaml", &value), "kind: Pod\nmetadata:\n  labels: {}\n  name: a\n");
        assert_eq!(
            shown("json", &value),
            "{\n    \"kind\": \"Pod\",\n    \"metadata\": {\n        \"labels\": {},\n        \"name\": \"a\"\n    }\n}\n"
        );
        assert_eq!(shown("jsonpath={.metadata.name}", &value), "a");
        let list = list(vec![value]);
        assert_eq!(
            shown("custom-columns=NAME:.metadata.name,NODE:.spec.nodeName", &list),
            "NAME   NODE\na      <none>\n"
        );
    }

    #[test]
    fn unknown_forms_are_refused() {
        assert!("xml".parse::<Output>().expect_err("unknown").contains("xml"));
        assert!("jsonpath=".parse::<Output>().is_err());
    }
}
