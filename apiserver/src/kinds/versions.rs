//! One object in several versions of its kind, or in two groups: it is kept in one of them and shown in all.
//!
//! ```text
//! body in the path's version --to_stored--> registry, rules, admission, store --from_stored--> answer in the path's version
//! ```
//! Rules of kinds, tables and selectors see the stored form alone. A version that is added is a row in `minik_api::kinds` that
//! says where its objects are kept (`stored_in`), and a pair of pure functions here. The versions of a custom kind differ in
//! nothing but their name.

use minik_api::kinds::Kind;
use minik_api::object::Object;

use super::event::v1 as event_v1;
use super::horizontal_pod_autoscaler::v1 as autoscaler_v1;

/// The two ways of a version; each changes the object in place, but for its apiVersion.
struct Conversion {
    to_stored: fn(&mut Object),
    from_stored: fn(&mut Object),
}

fn conversion(kind: &Kind) -> Option<Conversion> {
    match (kind.group, kind.version, kind.kind) {
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => Some(Conversion {
            to_stored: autoscaler_v1::to_stored,
            from_stored: autoscaler_v1::from_stored,
        }),
        ("events.k8s.io", "v1", "Event") => Some(Conversion {
            to_stored: event_v1::to_stored,
            from_stored: event_v1::from_stored,
        }),
        _ => None,
    }
}

/// An object of this version as it is kept.
pub(crate) fn to_stored(kind: &'static Kind, object: &mut Object) {
    if kind.stored_in.is_none() {
        return;
    }
    if let Some(conversion) = conversion(kind) {
        (conversion.to_stored)(object);
    }
    object.api_version = kind.stored_api_version();
}

/// An object that is kept, as this version shows it.
pub(crate) fn from_stored(kind: &'static Kind, object: &mut Object) {
    if kind.stored_in.is_none() {
        return;
    }
    if let Some(conversion) = conversion(kind) {
        (conversion.from_stored)(object);
    }
    object.api_version = kind.api_version();
}

#[cfg(test)]
mod tests {
    use super::*;
    use minik_api::kinds;

    #[test]
    fn every_version_that_is_kept_elsewhere_is_converted_and_back() {
        for kind in kinds::all().iter().filter(|kind| kind.stored_in.is_some()) {
            assert!(conversion(kind).is_some(), "{} {}", kind.api_version(), kind.kind);
            assert_ne!(
                kind.stored(),
                kind,
                "{} is kept in a version that isn't served",
                kind.kind
            );
            assert_eq!(kind.stored().stored_in, None);
        }
    }
}
