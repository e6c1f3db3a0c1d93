//! The doors that fuzzers knock at (`fuzz/`): bytes from outside, through everything that is pure. In no ordinary build.
//!
//! A door returns nothing: a panic, an endless loop or a heap that grows is what the fuzzer looks for, beside the few things
//! that have to hold for whatever comes in, which are asserted.

use http::{HeaderMap, HeaderValue, Uri, header};
use jiff::Timestamp;
use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::path::ResourcePath;
use minik_api::selector::{Fields, Labels};
use serde_json::Value;

use crate::decode;
use crate::fields::{Apply, Manager, Operation, Write, reset_fields, type_of};
use crate::http::{Accept, Params};
use crate::kinds::rules;
use crate::patch;

/// A create: the first line is the path with its query, the second the `Accept` header, and the rest the body, which a first
/// letter says to be JSON, YAML or protobuf.
pub fn request(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let (Some(uri), Some(accept), Some(body)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let Ok(uri) = Uri::try_from(uri) else { return };
    let _ = Params::parse(&uri);
    if let Ok(value) = HeaderValue::from_bytes(accept) {
        let _ = Accept::of(&HeaderMap::from_iter([(header::ACCEPT, value)])).choose(|_, _| true);
    }
    let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy();
    let kind = ResourcePath::parse(&path).map_or_else(|| named("Pod"), |path| path.kind);
    let Some((format, body)) = body.split_first() else {
        return;
    };
    let parsed = match format {
        b'y' => decode::yaml(body),
        b'p' => decode::protobuf(body),
        _ => decode::json(body),
    };
    if let Ok(parsed) = parsed {
        accept_object(kind, parsed.value);
    }
}

/// What becomes of a body that is an object of its kind.
fn accept_object(kind: &'static Kind, value: Value) {
    let rules = rules(kind);
    let Ok((mut object, _)) = rules.decode(kind, value) else {
        return;
    };
    rules.prepare_create(&mut object);
    rules.defaults(&mut object);
    let _ = rules.validate(&object);
    let _ = rules.warnings(&object);
    let _ = rules.cells(&object, Timestamp::UNIX_EPOCH);
    let _ = rules.validate_update(&object.clone(), &object);
}

/// A patch: a letter for its sort, the document to patch, NUL, and the patch.
pub fn patch(data: &[u8]) {
    let Some((sort, rest)) = data.split_first() else { return };
    let Some(end) = rest.iter().position(|byte| *byte == 0) else {
        return;
    };
    let (document, patch) = (&rest[..end], &rest[end + 1..]);
    let Ok(document) = serde_json::from_slice::<Value>(document) else {
        return;
    };
    let kind = named(document["kind"].as_str().unwrap_or_default());
    let patched = match sort {
        b'j' => patch::json(&document, patch),
        b'm' => patch::merge(&document, patch),
        b's' => patch::strategic(kind, &document, patch),
        _ => return applied(kind, document, patch),
    };
    if let Ok(patched) = patched {
        // What is stored is read again.
        let bytes = serde_json::to_vec(&patched).expect("a value is JSON");
        assert!(
            serde_json::from_slice::<Value>(&bytes).is_ok(),
            "a patch makes what can't be read again"
        );
        accept_object(kind, patched);
    }
}

/// Server-side apply upon an object that somebody else has made: whoever applies twice changes nothing the second time.
fn applied(kind: &'static Kind, live: Value, document: &[u8]) {
    let (Ok((live, _)), Ok(parsed)) = (decode::object(kind, live), decode::yaml(document)) else {
        return;
    };
    let Ok(apply) = Apply::new(kind, type_of(kind), parsed.value, true) else {
        return;
    };
    let write = Write {
        of: type_of(kind),
        reset: reset_fields(kind, ""),
        by: Manager {
            operation: Operation::Apply,
            name: "fuzzer".to_owned(),
            api_version: kind.api_version(),
            subresource: String::new(),
        },
        now: Timestamp::UNIX_EPOCH,
    };
    let Ok((value, managers)) = apply.to(&write, Some(&live)) else {
        return;
    };
    let Ok(mut object) = serde_json::from_value::<Object>(value.clone()) else {
        return;
    };
    object.metadata.managed_fields = managers;
    if let Ok((again, _)) = apply.to(&write, Some(&object)) {
        assert_eq!(again, value, "applying again changes something");
    }
}

/// A selector of labels and one of fields: what is written of a parsed one means the same.
pub fn selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let labels = [("app", "web"), ("tier", ""), ("a/b", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    if let Ok(selector) = Labels::parse(text) {
        let written = selector.to_string();
        let again = Labels::parse(&written).unwrap_or_else(|error| panic!("{written:?} of {text:?}: {error}"));
        let labels = labels.into();
        assert_eq!(
            selector.matches(&labels),
            again.matches(&labels),
            "{written:?} of {text:?} means something else"
        );
    }
    if let Ok(selector) = Fields::parse(text) {
        let _ = selector.matches(|path| path.to_owned().into());
    }
}

fn named(name: &str) -> &'static Kind {
    let mut kinds = kinds::all().iter();
    kinds
        .find(|kind| kind.kind == name)
        .unwrap_or_else(|| kinds::of("", "v1", "Pod").expect("the table has pods"))
}
