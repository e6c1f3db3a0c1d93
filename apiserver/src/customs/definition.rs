//! From a CustomResourceDefinition to the kinds that it defines: one for each version that is served.

use std::sync::Arc;

use minik_api::kinds::Subresource;
use minik_api::object::Object;
use serde_json::Value;

use super::columns::Column;
use super::rules::{CustomRules, Scale};
use super::schema;
use crate::kinds::{CustomKind, Identity, intern};

const STATUS: Subresource = Subresource {
    name: "status",
    kind: None,
    group_version: None,
    verbs: &["get", "patch", "update"],
};
const SCALE: Subresource = Subresource {
    name: "scale",
    kind: Some("Scale"),
    group_version: Some(("autoscaling", "v1")),
    verbs: &["get", "patch", "update"],
};

/// The kinds of a definition whose names are accepted.
pub(super) fn kinds(definition: &Object) -> Vec<CustomKind> {
    let versions = definition.at("spec.versions").and_then(Value::as_array);
    // Without its webhook nobody can say what an object looks like in another version than the one it is kept in.
    let converts = definition.at("spec.conversion.strategy").and_then(Value::as_str) != Some("Webhook");
    let served = versions
        .into_iter()
        .flatten()
        .filter(|version| version["served"] == true && (converts || version["storage"] == true));
    served.filter_map(|version| kind(definition, version)).collect()
}

fn kind(definition: &Object, version: &Value) -> Option<CustomKind> {
    let identity = identity(definition, version);
    let Some(kind) = intern(&identity) else {
        tracing::error!(
            name = definition.name(),
            "too many different kinds have been defined; restart to serve this one"
        );
        return None;
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let deprecated = version["deprecated"] == true;
    let warning = version["deprecationWarning"].as_str().map_or_else(
        || format!("{}/{} {} is deprecated", kind.group, kind.version, kind.kind),
        str::to_owned,
    );
    let fields = version["selectableFields"].as_array();
    let fields = fields
        .into_iter()
        .flatten()
        .map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned());
    let document = &version["schema"]["openAPIV3Schema"];
    let rules = CustomRules {
        schema: schema::read(document),
        document: document.to_string().into(),
        has_status: version["subresources"]["status"].is_object(),
        scale: Scale::read(&version["subresources"]["scale"]),
        columns: Column::read(version),
        fields: fields.collect(),
        deprecation: deprecated.then_some(warning),
        is_terminating: definition.metadata.deletion_timestamp.is_some(),
    };
    Some(CustomKind {
        kind,
        rules: Arc::new(rules),
    })
}

fn identity(definition: &Object, version: &Value) -> Identity {
    let name = |name: &str| {
        let value = definition.at(&format!("status.acceptedNames.{name}"));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let names = |name: &str| {
        let value = definition
            .at(&format!("status.acceptedNames.{name}"))
            .and_then(Value::as_array);
        let names = value.into_iter().flatten();
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let spec = |name: &str| definition.at(name).and_then(Value::as_str).unwrap_or_default();
    let has = |name: &str| version["subresources"][name].is_object();
    let subresources: &'static [Subresource] = match (has("status"), has("scale")) {
        (false, false) => &[],
        (true, false) => &[STATUS],
        (false, true) => &[SCALE],
        (true, true) => &[STATUS, SCALE],
    };
    Identity {
        group: spec("spec.group").to_owned(),
        version: version["name"].as_str().unwrap_or_default().to_owned(),
        kind: name("kind"),
        plural: name("plural"),
        singular: name("singular"),
        short_names: names("shortNames"),
        categories: names("categories"),
        namespaced: spec("spec.scope") == "Namespaced",
        stored_in: stored_in(definition),
        subresources,
    }
}

/// Of one version nothing has to be said; of several every one has to know in which objects are kept.
fn stored_in(definition: &Object) -> Option<String> {
    let versions = definition.at("spec.versions").and_then(Value::as_array)?;
    let storage = versions.iter().find(|version| version["storage"] == true)?;
    let name = storage["name"].as_str()?;
    (versions.len() > 1).then(|| name.to_owned())
}
