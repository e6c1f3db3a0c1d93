//! The shapes of the built-in kinds: which fields a definition has, of which type, and how lists and maps merge.
//!
//! One table, `definitions.txt`, holds the facts of Kubernetes 1.36: every definition that a stable kind reaches, taken from the
//! tags and markers of the Go structs in k8s.io/api v0.36.0. The API
//! server decodes bodies and applies strategic merge patches by it, minikctl computes three-way patches by it: both must
//! agree on it. A line of the table is a group and version, a definition (one space), or a field (two spaces):
//!
//! ```text
//! core/v1
//!  ContainerPort
//!   hostPort? int32 #2                          `?`: a zero value is left out; `*`: zero and absent differ
//!   protocol? string(Protocol) #4               the name of the type in Go, for messages; the number in protobuf
//!  PodSpec
//!   containers [Container] #2 merge=name list=map:name
//!  Protocol = SCTP|TCP|UDP                      a type of texts that has these values and no others (`+enum`)
//! ```
//! `optional` and `required` say what `?` alone would get wrong; `default=` is JSON. Both are for documents (OpenAPI) and for
//! server-side apply's keys, not for the defaulting of objects.

mod read;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::kinds::Kind;

/// The shape of an object: its fields.
#[derive(Debug)]
pub struct Definition {
    /// `core`, `apps`, `meta`.
    pub group: &'static str,
    /// `v1`
    pub version: &'static str,
    /// `ContainerPort`
    pub name: &'static str,
    /// Server-side apply owns it as a whole.
    pub atomic: bool,
    /// Sorted by name.
    fields: Vec<Field>,
}

/// A field of a definition.
#[derive(Debug)]
pub struct Field {
    /// As in JSON.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// A zero value is the same as none, and isn't written.
    pub omit_empty: bool,
    /// Zero is something else than none.
    pub pointer: bool,
    /// An object has to have it.
    pub required: bool,
    /// What stands for it when it is absent (`+default`), in JSON; only where the Go type is marked so.
    pub default: Option<&'static str>,
    /// Its number in protobuf; several when it stands in messages that JSON doesn't have. None for what isn't sent.
    pub numbers: Vec<u32>,
    /// How strategic merge patches treat it.
    pub merge: Merge,
    /// How server-side apply treats it.
    pub list: List,
}

/// What a field holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Shape {
    /// A text; with the name of its type when it has one of its own (`Protocol`).
    String(Option<&'static str>),
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A number.
    Float64,
    /// `true` or `false`.
    Bool,
    /// Bytes in base64.
    Bytes,
    /// RFC 3339, in seconds.
    Time,
    /// RFC 3339, in microseconds.
    MicroTime,
    /// `100m`, `1Gi`.
    Quantity,
    /// A port's number or name, a count or percentage.
    IntOrString,
    /// Anything.
    Any,
    /// An object.
    Object(Reference),
    /// A list of these.
    List(Box<Shape>),
    /// A map from text to these; with the name of its type when it has one of its own (`ResourceList`).
    Map(Box<Shape>, Option<&'static str>),
}

/// Points at a definition of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference(usize);

/// How a strategic merge patch treats a field (`x-kubernetes-patch-strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// What becomes of a list: item by item, or as a whole.
    pub items: bool,
    /// The field that tells the items apart; none for texts and numbers.
    pub key: Option<&'static str>,
    /// `$retainKeys` is sent along: a union of which only one member may stay.
    pub retain_keys: bool,
    /// A map that is replaced as a whole.
    pub replace: bool,
}

/// How server-side apply treats a list (`x-kubernetes-list-type`) or map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum List {
    /// The default of its shape.
    #[default]
    Default,
    /// As a whole.
    Atomic,
    /// Field by field, though the definition says as a whole.
    Granular,
    /// Each item for itself.
    Set,
    /// Each item for itself, told apart by these fields.
    Map(Vec<&'static str>),
}

impl Definition {
    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        let index = self.fields.binary_search_by(|field| field.name.cmp(name)).ok()?;
        Some(&self.fields[index])
    }

    /// All fields, by name.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

impl Reference {
    /// What it points at.
    #[must_use]
    pub fn get(self) -> &'static Definition {
        &TABLE.definitions[self.0]
    }
}

impl Shape {
    /// The definition of the object, or of the items of the list or map.
    #[must_use]
    pub fn definition(&self) -> Option<&'static Definition> {
        match self {
            Self::Object(reference) => Some(reference.get()),
            Self::List(items) | Self::Map(items, _) => items.definition(),
            _ => None,
        }
    }
}

/// The shape of a kind; none for kinds that are not built in.
#[must_use]
pub fn of(kind: &Kind) -> Option<&'static Definition> {
    named(kind.group, kind.version, kind.kind)
}

/// The definition of this name; the core group is `""`.
#[must_use]
pub fn named(group: &str, version: &str, name: &str) -> Option<&'static Definition> {
    let group = if group.is_empty() { "core" } else { group };
    let index = TABLE.index.get(&(group, version, name))?;
    Some(&TABLE.definitions[*index])
}

/// The only values of a type of texts as a field of `definition` names it; none when any text will do.
#[must_use]
pub fn values(definition: &'static Definition, alias: &'static str) -> Option<&'static [&'static str]> {
    let own = (definition.group, definition.version);
    // Types of other groups are named without their group, and only these two are taken from.
    let found = [own, ("core", "v1"), ("meta", "v1")]
        .into_iter()
        .find_map(|(group, version)| TABLE.values.get(&(group, version, alias)));
    found.map(Vec::as_slice)
}

/// Every definition.
#[must_use]
pub fn all() -> &'static [Definition] {
    &TABLE.definitions
}

/// Group, version and name.
type Name = (&'static str, &'static str, &'static str);

struct Table {
    definitions: Vec<Definition>,
    index: HashMap<Name, usize>,
    values: HashMap<Name, Vec<&'static str>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| read::table(include_str!("definitions.txt")));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    #[test]
    fn every_kind_has_a_shape() {
        for kind in kinds::all() {
            let shape = of(kind).unwrap_or_else(|| panic!("{} has no shape", kind.kind));
            assert_eq!(shape.name, kind.kind);
            assert!(shape.field("metadata").is_some(), "{} has no metadata", kind.kind);
        }
        assert!(all().len() > 400);
    }

    #[test]
    fn fields_know_their_shape_and_how_they_merge() {
        let spec = named("", "v1", "PodSpec").expect("there");
        let containers = spec.field("containers").expect("there");
        assert_eq!(containers.merge.key, Some("name"));
        assert!(containers.merge.items);
        assert_eq!(containers.list, List::Map(vec!["name"]));
        let container = containers.shape.definition().expect("an object");
        let ports = container.field("ports").expect("there");
        assert_eq!(ports.merge.key, Some("containerPort"));
        assert_eq!(ports.list, List::Map(vec!["containerPort", "protocol"]));
        let protocol = ports
            .shape
            .definition()
            .and_then(|port| port.field("protocol"))
            .expect("there");
        assert_eq!(protocol.shape, Shape::String(Some("Protocol")));
        assert!(protocol.omit_empty && !protocol.pointer);
        assert_eq!(protocol.numbers, [4]);
        let exec = named("", "v1", "Probe")
            .and_then(|probe| probe.field("exec"))
            .expect("there");
        assert_eq!(exec.numbers, [1, 1]);
        let volumes = spec.field("volumes").expect("there");
        assert!(volumes.merge.items && volumes.merge.retain_keys);
        assert_eq!(protocol.default, Some("\"TCP\""));
        assert_eq!(
            values(container, "PullPolicy"),
            Some(&["Always", "IfNotPresent", "Never"][..])
        );
        assert_eq!(values(container, "UID"), None);
        assert!(containers.required && !ports.required);
        let template = named("apps", "v1", "DeploymentSpec").and_then(|spec| spec.field("template"));
        assert_eq!(
            template
                .and_then(|field| field.shape.definition())
                .map(|shape| shape.group),
            Some("core")
        );
        assert!(spec.field("nonsense").is_none());
    }
}
