//! The decoding of the objects that more than one program reads, compiled once.
//!
//! A generic function is compiled in the first crate that uses it with a type, and crates above reuse that; two crates beside
//! each other (scheduler, kubelet) each compile it for themselves. Kubernetes' types are large: with these three decoded here the
//! executable has 29.4 MB in the place of 30.8. This crate is below all programs; nothing has to call what follows.

use k8s_openapi::api::core::v1::{Event, Node, Pod};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A list and a watch event, shaped as kube's are: it is the shape that decides which code comes to be.
#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

/// See [`List`].
#[derive(Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
enum Watched<T> {
    Added(T),
}

/// Decodes, and forgets what it has decoded.
fn decode<T: DeserializeOwned>(text: &str) -> bool {
    let one = serde_json::from_str::<T>(text).is_ok();
    let many = serde_json::from_str::<List<T>>(text).is_ok_and(|list| !list.items.is_empty());
    let watched = serde_json::from_str::<Watched<T>>(text).is_ok_and(|Watched::Added(_)| true);
    one || many || watched
}

/// Names the types.
#[must_use]
pub fn is_decoded_here(text: &str) -> bool {
    decode::<Pod>(text) || decode::<Node>(text) || decode::<Event>(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_is_read() {
        for text in [
            "{}",
            r#"{"items": [{"spec": {"containers": []}}]}"#,
            r#"{"type": "ADDED", "object": {"metadata": {"name": "a"}}}"#,
        ] {
            assert!(is_decoded_here(text), "{text}");
        }
        assert!(!is_decoded_here("[1]"));
    }
}
