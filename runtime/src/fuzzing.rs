//! The doors that fuzzers knock at (`fuzz/`): bytes from outside, through what reads them. In no ordinary build.
//!
//! A door returns nothing: a panic, an endless loop or a heap that grows is what the fuzzer looks for, beside the few things
//! that have to hold for whatever comes in, which are asserted.

use std::fs;
use std::path::Path;

use oci_spec::runtime::Spec;

use crate::images::manifest::{self, Document};
use crate::images::reference::Reference;
use crate::images::unpack;
use crate::launch;

pub use crate::streaming::fuzz as spdy;

/// The tar archive of a layer, unpacked: whatever it says, nothing is written beside its directory.
///
/// # Panics
/// Something was.
pub fn layer(data: &[u8]) {
    let place = std::env::temp_dir().join(format!("minik-fuzz-{}", std::process::id()));
    let root = place.join("root");
    fs::create_dir_all(&root).expect("a temporary directory can be made");
    let _ = unpack::unpack(data, &root);
    let beside = fs::read_dir(&place).expect("it was made above").count();
    assert_eq!(beside, 1, "something was written beside the layer's directory");
    fs::remove_dir_all(&place).expect("what a layer holds can be removed");
}

/// A manifest or an index, and a config behind NUL.
pub fn manifest(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (document, config) = data.split_at(end);
    let config = config.get(1..).unwrap_or_default();
    if let (Ok(Document::Manifest(manifest)), Ok(config)) =
        (manifest::read(document, ""), serde_json::from_slice(config))
    {
        let _ = manifest::plan(manifest.layers(), &config);
    }
}

/// The name of an image: what is written of it is the same one.
///
/// # Panics
/// It is another.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(reference) = text.parse::<Reference>() {
        let again = reference.to_string().parse::<Reference>();
        assert!(
            again.is_ok_and(|again| again == reference),
            "{reference} of {text:?} is another"
        );
    }
}

/// A bundle's config.json: planned, and nothing launched.
pub fn plan(data: &[u8]) {
    if let Ok(spec) = serde_json::from_slice::<Spec>(data) {
        let _ = launch::plan::plan(&spec, Path::new("/nowhere"), &[]);
    }
}
