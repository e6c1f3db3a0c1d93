//! How many replicas there should be, by load: `/apis/autoscaling`.

use super::{Kind, PLAIN, STATUS};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        singular: "horizontalpodautoscaler",
        short_names: &["hpa"],
        categories: &["all"],
        subresources: &[STATUS],
        ..AUTOSCALING
    },
    Kind {
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        singular: "horizontalpodautoscaler",
        short_names: &["hpa"],
        categories: &["all"],
        version: "v1",
        stored_in: Some(("autoscaling", "v2")),
        subresources: &[STATUS],
        ..AUTOSCALING
    },
];

const AUTOSCALING: Kind = Kind {
    group: "autoscaling",
    version: "v2",
    ..PLAIN
};
