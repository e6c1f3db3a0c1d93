//! `-o`: which form the user wants objects in.

use std::fs;
use std::io::{self, Write};
use std::str::FromStr;

use serde_json::{Value, json};

use super::jsonpath::Template;
use super::table::Grid;
use super::{gojson, kyaml, yaml};

/// A form of output other than a table.
#[derive(Clone, Debug)]
pub enum Output {
    /// A table with all columns.
    Wide,
    /// `pod/nginx`.
    Name,
    /// YAML.
    Yaml,
    /// YAML that is also almost JSON: braces, quotes and commas.
    Kyaml,
    /// JSON, indented by four.
    Json,
    /// What a JSONPath template makes of it.
    JsonPath(Template),
    /// What a JSONPath template finds, as JSON lists.
    JsonPathAsJson(Template),
    /// A table of the user's own columns.
    Columns(Vec<Column>),
}

/// A column of the user's own.
#[derive(Clone, Debug)]
pub struct Column {
    head: String,
    path: Template,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (form, rest) = text.split_once('=').unwrap_or((text, ""));
        let template = |of: &str| {
            if of.is_empty() {
                Err("template format specified but no template given".to_owned())
            } else {
                Template::exact(of)
            }
        };
        match (form, rest) {
            ("wide", "") => Ok(Self::Wide),
            ("name", "") => Ok(Self::Name),
            ("yaml", "") => Ok(Self::Yaml),
            ("kyaml", "") => Ok(Self::Kyaml),
            ("json", "") => Ok(Self::Json),
            ("jsonpath", of) => template(of).map(Self::JsonPath),
            ("jsonpath-as-json", of) => template(of).map(Self::JsonPathAsJson),
            ("jsonpath-file", file) => template(&read("template", file)?).map(Self::JsonPath),
            ("custom-columns", "") => Err("custom-columns format specified but no custom columns given".to_owned()),
            ("custom-columns", columns) => columns
                .split(',')
                .map(column)
                .collect::<Result<_, _>>()
                .map(Self::Columns),
            ("custom-columns-file", file) => columns_of_file(&read("template", file)?).map(Self::Columns),
            ("go-template" | "go-template-file" | "template" | "templatefile", _) => Err(
                "minikctl has no Go templates: jsonpath=TEMPLATE and custom-columns=NAME:PATH do the same".to_owned(),
            ),
            _ => Err(format!(
                "unable to match a printer suitable for the output format {text:?}, allowed formats are: \
                 custom-columns,custom-columns-file,json,jsonpath,jsonpath-as-json,jsonpath-file,kyaml,name,wide,yaml"
            )),
        }
    }
}

fn read(what: &str, file: &str) -> Result<String, String> {
    if file.is_empty() {
        return Err(format!("{what} format specified but no {what} file given"));
    }
    fs::read_to_string(file).map_err(|error| format!("error reading --template {file}, {error}"))
}

fn column(text: &str) -> Result<Column, String> {
    let (head, path) = text
        .split_once(':')
        .filter(|(head, path)| !head.is_empty() && !path.is_empty())
        .ok_or_else(|| format!("unexpected custom-columns spec: {text}, expected <header>:<json-path-expr>"))?;
    Ok(Column {
        head: head.to_owned(),
        path: Template::relaxed(path)?,
    })
}

/// A line of heads above a line of paths, both divided by blanks.
fn columns_of_file(text: &str) -> Result<Vec<Column>, String> {
    let mut lines = text.lines();
    let mut words = || lines.next().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (Some(heads), Some(paths)) = (words(), words()) else {
        return Err("invalid template: expected a line of headers and a line of paths".to_owned());
    };
    if heads.len() != paths.len() {
        return Err(format!(
            "number of headers ({}) and field specifications ({}) don't match",
            heads.len(),
            paths.len()
        ));
    }
    let column = |(head, path): (&str, &str)| {
        Ok(Column {
            head: head.to_owned(),
            path: Template::relaxed(path)?,
        })
    };
    heads.into_iter().zip(paths).map(column).collect()
}

impl Output {
    /// Writes one object, or a list of them (`kind: List`).
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, out: &mut impl Write, value: &Value) -> io::Result<()> {
        self.write_with(out, value, true)
    }

    /// The same; columns of the user's own without their heads where these aren't wanted.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_with(&self, out: &mut impl Write, value: &Value, with_heads: bool) -> io::Result<()> {
        match self {
            Self::Yaml => out.write_all(yaml::document(value).as_bytes()),
            Self::Kyaml => out.write_all(kyaml::document(value).as_bytes()),
            Self::Json => writeln!(out, "{}", gojson::indented(value)),
            Self::JsonPath(template) => out.write_all(template.render(value).as_bytes()),
            Self::JsonPathAsJson(template) => out.write_all(template.render_as_json(value).as_bytes()),
            Self::Columns(columns) => {
                let single = [value.clone()];
                let objects = value["items"].as_array().map_or(&single[..], Vec::as_slice);
                let head = || columns.iter().map(|column| column.head.clone()).collect();
                let grid = Grid {
                    head: if with_heads { head() } else { Vec::new() },
                    rows: objects
                        .iter()
                        .map(|object| columns.iter().map(|column| cell(&column.path, object)).collect())
                        .collect(),
                };
                grid.write(out, &[], None)
            }
            Self::Wide | Self::Name => Ok(()),
        }
    }
}

/// All that is found, `<none>` where nothing is.
fn cell(path: &Template, object: &Value) -> String {
    let found = path.find(object);
    if found.is_empty() {
        return "<none>".to_owned();
    }
    let texts: Vec<String> = found
        .into_iter()
        .map(|value| match value {
            Value::Null => "<none>".to_owned(),
            other => gojson::printed(other),
        })
        .collect();
    texts.join(",")
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
        assert_eq!(shown("jsonpath-as-json={.metadata.name}", &value), "[\n    \"a\"\n]\n");
        let list = list(vec![value]);
        assert_eq!(
            shown(
                "custom-columns=NAME:.metadata.name,NODE:.spec.nodeName,ALL:metadata",
                &list
            ),
            "NAME   NODE     ALL\na      <none>   map[labels:map[] name:a]\n"
        );
    }

    #[test]
    fn unknown_forms_are_refused() {
        assert!("xml".parse::<Output>().expect_err("unknown").contains("xml"));
        for text in [
            "jsonpath=",
            "custom-columns=",
            "custom-columns=A",
            "jsonpath-file=/none",
        ] {
            assert!(text.parse::<Output>().is_err(), "{text}");
        }
    }

    #[test]
    fn columns_can_stand_in_a_file() {
        let columns = columns_of_file("NAME  KIND\nmetadata.name {.kind}\n").expect("good");
        assert_eq!(columns.len(), 2);
        assert_eq!(cell(&columns[1].path, &json!({"kind": "Pod"})), "Pod");
        assert!(columns_of_file("NAME KIND\nmetadata.name").is_err());
        assert!(columns_of_file("NAME").is_err());
    }
}
