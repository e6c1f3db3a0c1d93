//! `demo`: from nothing to an nginx and a Python pod, with everything that happens on the way shown as it happens.
//!
//! ```text
//!   up ──> images (Docker Hub, else `standin` built from the distribution's packages, `oci` archive, import)
//!      ──> apply manifests/ ──> `story`: watches pods and events until both are Ready ──> the page, the log
//! ```
//! All of it by the same doors that a user has: the API server and the runtime's socket.

pub mod oci;
pub mod root;
pub mod standin;
pub mod story;

/// A manifest of the demo, as it stands in the repository.
pub const MANIFESTS: [(&str, &str); 2] = [
    ("manifests/nginx.yaml", include_str!("../../../manifests/nginx.yaml")),
    ("manifests/python.yaml", include_str!("../../../manifests/python.yaml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_are_pods_with_images_that_have_stand_ins() {
        for (file, text) in MANIFESTS {
            let documents = crate::manifest::parse(file, text);
            let [Ok(pod)] = documents.as_slice() else {
                panic!("{file}: one good document")
            };
            assert_eq!(pod.text("/kind"), "Pod", "{file}");
            let image = pod.text("/spec/containers/0/image");
            assert!(standin::Recipe::of(image).is_some(), "{file}: {image}");
        }
    }
}
