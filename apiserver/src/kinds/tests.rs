//! What must hold for every kind, tried on objects that the table of shapes allows: of the right types, otherwise anything.

use minik_api::kinds;
use minik_api::schema::{self, Definition, Shape};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::testing::sentences;
use super::*;
use crate::decode;

/// Texts that mean something somewhere, so that more than the first check is reached.
const TEXTS: &[&str] = &[
    "",
    "a",
    "A b",
    "Always",
    "Never",
    "None",
    "ClientIP",
    "NodePort",
    "LoadBalancer",
    "Localhost",
    "In",
    "Exists",
    "TCP",
    "10.0.0.1",
    "fd00::1",
    "10.0.0.0/8",
    "..",
    "/x",
    "True",
    "Ready",
    "Running",
    "CrashLoopBackOff",
    "metadata.name",
    "metadata.labels['a']",
    "limits.cpu",
    "é",
];

#[derive(Clone, Copy)]
struct Dice {
    state: u64,
}

impl Dice {
    /// xorshift: small, and the same for the same seed.
    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % u64::try_from(limit).expect("small")).expect("small")
    }
}

fn any_object(definition: &'static Definition, dice: &mut Dice, depth: usize) -> Value {
    let mut map = Map::new();
    for field in definition.fields() {
        // Kinds whose shapes contain themselves end here.
        if depth > 9 || dice.below(3) > 0 {
            continue;
        }
        map.insert(field.name.to_owned(), any_value(&field.shape, dice, depth + 1));
    }
    Value::Object(map)
}

fn any_value(shape: &Shape, dice: &mut Dice, depth: usize) -> Value {
    let number = |dice: &mut Dice| [0, 1, -1, 80, 65536, i64::from(i32::MAX), i64::from(i32::MIN)][dice.below(7)];
    match shape {
        Shape::String(_) => TEXTS[dice.below(TEXTS.len())].into(),
        Shape::Int32 => number(dice).into(),
        Shape::Int64 => [number(dice), i64::MAX, i64::MIN][dice.below(3)].into(),
        Shape::Float64 => 0.5.into(),
        Shape::Bool => (dice.below(2) == 0).into(),
        Shape::Bytes => ["", "QQ==", "e30="][dice.below(3)].into(),
        Shape::Time => "2026-01-01T00:00:00Z".into(),
        Shape::MicroTime => "2026-01-01T00:00:00.000001Z".into(),
        Shape::Quantity => ["0", "1", "-1", "500m", "1Gi", "1e3", "9E"][dice.below(7)].into(),
        Shape::IntOrString => [json!(80), json!("http"), json!(0), json!("")][dice.below(4)].clone(),
        Shape::Any => json!({"a": 1}),
        Shape::Object(reference) => any_object(reference.get(), dice, depth),
        Shape::List(items) => (0..dice.below(3)).map(|_| any_value(items, dice, depth)).collect(),
        Shape::Map(items, _) => {
            let keys = ["cpu", "memory", "a/b", "hugepages-2Mi", "A b"];
            let entries = (0..dice.below(3)).map(|_| (keys[dice.below(5)].to_owned(), any_value(items, dice, depth)));
            Value::Object(entries.collect())
        }
    }
}

fn any_body(kind: &'static Kind, seed: u64) -> Value {
    let mut dice = Dice { state: seed | 1 };
    let mut body = any_object(schema::of(kind).expect("a built-in kind"), &mut dice, 0);
    body["kind"] = kind.kind.into();
    body["apiVersion"] = kind.api_version().into();
    body
}

proptest! {
    #[test]
    fn rules_hold_for_anything_of_the_right_types(seed in any::<u64>(), other in any::<u64>()) {
        let now = "2026-01-02T00:00:00Z".parse().expect("a time");
        // Rules see the form in which objects are kept.
        for kind in kinds::all().iter().filter(|kind| kind.stored_in.is_none()) {
            let rules = rules(kind);
            let decoded = |seed| decode::object(kind, any_body(kind, seed)).expect("the right types decode");
            let ((mut object, unknown), (mut old, _)) = (decoded(seed), decoded(other));
            prop_assert_eq!(unknown, Vec::<String>::new());
            rules.defaults(&mut object);
            rules.defaults(&mut old);

            let mut again = object.clone();
            rules.defaults(&mut again);
            prop_assert_eq!(&again, &object, "defaults are idempotent");
            let (mut same, unknown) = decode::object(kind, object.to_value()).expect("what is defaulted decodes");
            prop_assert_eq!(unknown, Vec::<String>::new());
            rules.defaults(&mut same);
            prop_assert_eq!(&same, &object, "what clients send back is what they got");

            for told in [rules.validate(&object), rules.validate_update(&object, &old), rules.validate_status_update(&object, &old)] {
                for sentence in sentences(&told) {
                    prop_assert!(!sentence.contains("invalid type"), "{} doesn't fit its typed form: {}", kind.kind, sentence);
                }
            }
            let (mut created, mut updated, mut status) = (object.clone(), object.clone(), object.clone());
            rules.prepare_create(&mut created);
            rules.prepare_update(&mut updated, &old);
            rules.prepare_status_update(&mut status, &old);
            prop_assert_eq!(status.body.get("spec"), old.body.get("spec"), "the status subresource leaves the spec alone");

            prop_assert_eq!(rules.cells(&object, now).len(), rules.columns().len());
            rules.warnings(&object);
            for field in rules.fields() {
                rules.field(&object, field);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_object_of_a_version_becomes_one_of_the_version_it_is_kept_in(seed in any::<u64>()) {
        for kind in kinds::all().iter().filter(|kind| kind.stored_in.is_some()) {
            let (mut object, _) = decode::object(kind, any_body(kind, seed)).expect("the right types decode");
            versions::to_stored(kind, &mut object);
            let (mut kept, unknown) = decode::object(kind.stored(), object.to_value()).expect("what is converted decodes");
            prop_assert_eq!(unknown, Vec::<String>::new());
            versions::from_stored(kind, &mut kept);
            let (_, unknown) = decode::object(kind, kept.to_value()).expect("what is converted back decodes");
            prop_assert_eq!(unknown, Vec::<String>::new());
        }
    }
}

#[test]
fn every_kind_begins_its_table_with_a_name() {
    for kind in kinds::all() {
        let names = rules(kind)
            .columns()
            .iter()
            .filter(|column| column.format == "name")
            .count();
        assert_eq!(names, 1, "{}", kind.kind);
    }
}
