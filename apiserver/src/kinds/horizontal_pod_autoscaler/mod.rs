//! Horizontal pod autoscalers: how many replicas something should have, by load. Kept as autoscaling/v2; `v1` is how version
//! 1 sees them.

pub(super) mod v1;
mod v1_metrics;
