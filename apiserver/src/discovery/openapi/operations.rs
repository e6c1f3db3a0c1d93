//! Operations: what can be done at which path, for each kind and subresource, in either edition of OpenAPI.

use std::collections::BTreeMap;

use minik_api::kinds::{Kind, Subresource};
use minik_api::path;
use minik_api::schema;
use serde_json::{Value, json};

use super::names;
use super::schemas::{Edition, Schemas, group_version_kind};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
/// How objects are patched; the last is for built-in kinds, and kubectl reads here whether it may send it.
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// A query parameter: name, type and what it is for.
type Parameter = (&'static str, &'static str, &'static str);

const PRETTY: Parameter = ("pretty", "string", "true: the answer is indented.");
const DRY_RUN: Parameter = ("dryRun", "string", "All: every step but storing.");
const WRITE: [Parameter; 3] = [
    DRY_RUN,
    ("fieldManager", "string", "Who makes the change."),
    (
        "fieldValidation",
        "string",
        "Ignore, Warn or Strict: what to do about unknown and duplicate fields.",
    ),
];
const FORCE: Parameter = ("force", "boolean", "Apply takes fields over that belong to others.");
const DELETE: [Parameter; 4] = [
    DRY_RUN,
    (
        "gracePeriodSeconds",
        "integer",
        "How long the object's work may take to end; 0 is not at all.",
    ),
    ("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    (
        "propagationPolicy",
        "string",
        "Orphan, Background or Foreground: what becomes of what the object owns.",
    ),
];
const LIST: [Parameter; 10] = [
    (
        "allowWatchBookmarks",
        "boolean",
        "A watch may be told the revision when nothing happens.",
    ),
    ("continue", "string", "Go on where another list stopped."),
    ("fieldSelector", "string", "Only objects with these fields."),
    ("labelSelector", "string", "Only objects with these labels."),
    ("limit", "integer", "At most so many objects."),
    ("resourceVersion", "string", "From which revision."),
    (
        "resourceVersionMatch",
        "string",
        "Exact or NotOlderThan: what resourceVersion means.",
    ),
    ("sendInitialEvents", "boolean", "A watch begins with what is there."),
    ("timeoutSeconds", "integer", "How long a list or watch may take."),
    ("watch", "boolean", "Changes as they happen instead of a list."),
];

/// The paths of one kind, with their operations.
pub(super) fn paths(kind: &Kind, object: &Value, schemas: &mut Schemas<'_>) -> BTreeMap<String, String> {
    let mut paths = Paths {
        kind,
        object,
        schemas,
        made: BTreeMap::new(),
    };
    let namespace = kind.namespaced.then_some("{namespace}");
    if kind.namespaced && kind.verbs.contains(&"list") {
        paths.everywhere(&path::collection(kind, None));
    }
    paths.collection(&path::collection(kind, namespace));
    let one = path::object(kind, namespace, "{name}");
    paths.one(&one);
    for subresource in kind.subresources {
        paths.subresource(&format!("{one}/{}", subresource.name), subresource);
    }
    paths.made
}

struct Paths<'a, 'b> {
    kind: &'a Kind,
    object: &'a Value,
    schemas: &'a mut Schemas<'b>,
    made: BTreeMap<String, String>,
}

/// One operation, before it is written down.
struct Operation<'a> {
    id: String,
    action: &'a str,
    parameters: Vec<Parameter>,
    body: Option<(Value, &'a [&'a str])>,
    answer: Value,
    code: u16,
    about: Value,
}

impl Paths<'_, '_> {
    /// A list over all namespaces.
    fn everywhere(&mut self, path: &str) {
        let id = format!(
            "list{}{}ForAllNamespaces",
            names::camel_group_version(self.kind),
            self.kind.kind
        );
        let operation = self.list_operation(id);
        let written = self.write(operation);
        self.add(path, [("get", written)].into());
    }

    fn collection(&mut self, path: &str) {
        let mut methods = Vec::new();
        if self.has("list") {
            let operation = self.list_operation(self.id("list", ""));
            methods.push(("get", self.write(operation)));
        }
        if self.has("create") {
            let body = Some((self.object.clone(), &[JSON, YAML][..]));
            let mut operation = self.operation("create", "post", &WRITE, body);
            operation.code = 201;
            methods.push(("post", self.write(operation)));
        }
        if self.has("deletecollection") {
            let mut parameters = LIST[..9].to_vec();
            parameters.extend(DELETE);
            let mut operation = self.operation("delete", "deletecollection", &parameters, None);
            operation.id = self.id("delete", "Collection");
            operation.body = Some((self.schemas.named("meta", "v1", "DeleteOptions"), &[JSON, YAML]));
            operation.answer = self.schemas.named("meta", "v1", "Status");
            methods.push(("delete", self.write(operation)));
        }
        self.add(path, methods);
    }

    fn one(&mut self, path: &str) {
        let mut methods = Vec::new();
        for verb in ["get", "update", "patch"] {
            if self.has(verb) {
                methods.push(self.read_or_write(verb, "", self.object.clone(), self.own_identity()));
            }
        }
        if self.has("delete") {
            let mut operation = self.operation("delete", "delete", &DELETE, None);
            operation.body = Some((self.schemas.named("meta", "v1", "DeleteOptions"), &[JSON, YAML]));
            operation.answer = self.schemas.named("meta", "v1", "Status");
            methods.push(("delete", self.write(operation)));
        }
        self.add(path, methods);
    }

    fn subresource(&mut self, path: &str, subresource: &Subresource) {
        let (group, version) = subresource
            .group_version
            .unwrap_or((self.kind.group, self.kind.version));
        let kind = subresource.kind.unwrap_or(self.kind.kind);
        let (schema, about) = match subresource.kind {
            None => (self.object.clone(), self.own_identity()),
            Some(name) => (
                self.schemas.named(group, version, name),
                group_version_kind(group, version, kind),
            ),
        };
        let suffix: String = subresource.name.split('/').map(names::capital).collect();
        let is_stream = ["exec", "attach", "portforward", "proxy"].contains(&subresource.name);
        let mut methods = Vec::new();
        for verb in ["get", "create", "update", "patch"] {
            if !subresource.verbs.contains(&verb) {
                continue;
            }
            let method = if verb == "create" { "post" } else { "get" };
            if is_stream {
                let mut operation = self.operation("connect", "connect", &[], None);
                operation.id = self.id("connect", &names::capital(method)) + &suffix;
                operation.answer = json!({"type": "string"});
                operation.about = about.clone();
                methods.push((method, self.write(operation)));
            } else if verb == "create" {
                let mut operation = self.operation("create", "post", &WRITE, Some((schema.clone(), &[JSON, YAML])));
                (operation.id, operation.code) = (self.id("create", "") + &suffix, 201);
                (operation.answer, operation.about) = (schema.clone(), about.clone());
                methods.push(("post", self.write(operation)));
            } else {
                let answer = if subresource.name == "log" {
                    json!({"type": "string"})
                } else {
                    schema.clone()
                };
                methods.push(self.read_or_write(verb, &suffix, answer, about.clone()));
            }
        }
        self.add(path, methods);
    }

    fn read_or_write(&mut self, verb: &str, suffix: &str, schema: Value, about: Value) -> (&'static str, Value) {
        let (method, name, action) = match verb {
            "update" => ("put", "replace", "put"),
            "patch" => ("patch", "patch", "patch"),
            _ => ("get", "read", "get"),
        };
        let mut parameters = if verb == "get" { Vec::new() } else { WRITE.to_vec() };
        let body = match verb {
            "update" => Some((schema.clone(), &[JSON, YAML][..])),
            "patch" => Some((json!({"type": "object"}), self.patches())),
            _ => None,
        };
        if verb == "patch" {
            parameters.push(FORCE);
        }
        let mut operation = self.operation(name, action, &parameters, body);
        operation.id += suffix;
        (operation.answer, operation.about) = (schema, about);
        (method, self.write(operation))
    }

    fn patches(&self) -> &'static [&'static str] {
        match schema::of(self.kind) {
            Some(_) => &PATCHES,
            None => &PATCHES[..3],
        }
    }

    fn list_operation(&mut self, id: String) -> Operation<'static> {
        Operation {
            id,
            action: "list",
            parameters: LIST.to_vec(),
            body: None,
            answer: self.schemas.list(self.kind, self.object.clone()),
            code: 200,
            about: self.own_identity(),
        }
    }

    fn operation<'a>(
        &self,
        name: &str,
        action: &'a str,
        parameters: &[Parameter],
        body: Option<(Value, &'a [&'a str])>,
    ) -> Operation<'a> {
        Operation {
            id: self.id(name, ""),
            action,
            parameters: parameters.to_vec(),
            body,
            answer: self.object.clone(),
            code: 200,
            about: self.own_identity(),
        }
    }

    fn id(&self, name: &str, infix: &str) -> String {
        let namespaced = if self.kind.namespaced { "Namespaced" } else { "" };
        let group = names::camel_group_version(self.kind);
        format!("{name}{group}{infix}{namespaced}{}", self.kind.kind)
    }

    fn has(&self, verb: &str) -> bool {
        self.kind.verbs.contains(&verb)
    }

    fn own_identity(&self) -> Value {
        group_version_kind(self.kind.group, self.kind.version, self.kind.kind)
    }

    fn write(&self, operation: Operation<'_>) -> Value {
        let edition = self.schemas.edition();
        let mut parameters: Vec<Value> = operation
            .parameters
            .iter()
            .map(|parameter| query_parameter(edition, *parameter))
            .collect();
        let mut written = json!({"operationId": operation.id, "tags": [tag(self.kind)],
            "x-kubernetes-action": operation.action, "x-kubernetes-group-version-kind": operation.about});
        if let Some((schema, types)) = operation.body {
            match edition {
                Edition::V2 => {
                    parameters.push(
                        json!({"in": "body", "name": "body", "required": operation.action != "delete"
                        && operation.action != "deletecollection", "schema": schema}),
                    );
                    written["consumes"] = json!(types);
                }
                Edition::V3 => written["requestBody"] = json!({"content": content(&schema, types)}),
            }
        }
        let mut answer = json!({"description": if operation.code == 201 { "Created" } else { "OK" }});
        match edition {
            Edition::V2 => {
                answer["schema"] = operation.answer;
                written["produces"] = json!([JSON, YAML]);
                written["schemes"] = json!(["https"]);
            }
            Edition::V3 => answer["content"] = content(&operation.answer, &[JSON, YAML]),
        }
        written["responses"] = json!({operation.code.to_string(): answer, "401": {"description": "Unauthorized"}});
        if !parameters.is_empty() {
            written["parameters"] = parameters.into();
        }
        written
    }

    fn add(&mut self, path: &str, methods: Vec<(&'static str, Value)>) {
        if methods.is_empty() {
            return;
        }
        let edition = self.schemas.edition();
        let mut parameters = Vec::new();
        for (mark, name, text) in [
            ("{name}", "name", format!("The name of the {}.", self.kind.kind)),
            ("{namespace}", "namespace", "The namespace that it is in.".to_owned()),
        ] {
            if path.contains(mark) {
                parameters.push(parameter(edition, "path", name, "string", &text));
            }
        }
        parameters.push(query_parameter(edition, PRETTY));
        let mut item = json!({"parameters": parameters});
        for (method, operation) in methods {
            item[method] = operation;
        }
        self.made.insert(path.to_owned(), item.to_string());
    }
}

fn query_parameter(edition: Edition, (name, kind, text): Parameter) -> Value {
    parameter(edition, "query", name, kind, text)
}

fn parameter(edition: Edition, place: &str, name: &str, kind: &str, text: &str) -> Value {
    let mut parameter = match edition {
        Edition::V2 => json!({"name": name, "in": place, "description": text, "type": kind, "uniqueItems": true}),
        Edition::V3 => {
            json!({"name": name, "in": place, "description": text, "schema": {"type": kind, "uniqueItems": true}})
        }
    };
    if place == "path" {
        parameter["required"] = true.into();
    }
    parameter
}

fn content(schema: &Value, types: &[&str]) -> Value {
    types
        .iter()
        .map(|media_type| ((*media_type).to_owned(), json!({"schema": schema})))
        .collect()
}

/// `core_v1`, `rbacAuthorization_v1`: how generators of clients sort operations.
fn tag(kind: &Kind) -> String {
    let camel = names::camel_group_version(kind);
    let group = camel.strip_suffix(&names::capital(kind.version)).unwrap_or(&camel);
    let (first, rest) = group.split_at(group.chars().next().map_or(0, char::len_utf8));
    format!("{}{rest}_{}", first.to_lowercase(), kind.version)
}
