//! The quality-of-service class of a pod: who is killed last when memory runs out.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use minik_api::quantity::Quantity;

use crate::kinds::checks::{ResourceList, quantity};

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(in crate::kinds) fn class(spec: &PodSpec) -> &'static str {
    let (mut requests, mut limits) = (Sums::default(), Sums::default());
    let mut all_limited = true;
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        let resources = container.resources.as_ref();
        requests.add(resources.and_then(|resources| resources.requests.as_ref()));
        let limited = limits.add(resources.and_then(|resources| resources.limits.as_ref()));
        all_limited &= limited == COUNTED.len();
    }
    if requests.0.is_empty() && limits.0.is_empty() {
        "BestEffort"
    } else if all_limited && requests.0 == limits.0 {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

#[derive(Default)]
struct Sums(BTreeMap<String, Quantity>);

impl Sums {
    /// Adds what counts, and tells how many resources did.
    fn add(&mut self, list: Option<&ResourceList>) -> usize {
        let mut counted = 0;
        for (resource, amount) in list.into_iter().flatten() {
            let amount = quantity(amount);
            if COUNTED.contains(&resource.as_str()) && amount > Quantity::from_whole(0) {
                counted += 1;
                let sum = self.0.entry(resource.clone()).or_insert(Quantity::from_whole(0));
                *sum = sum.saturating_add(amount);
            }
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes_are_those_of_kubernetes() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        for (resources, expected) in [
            (json!([{}]), "BestEffort"),
            (json!([{"limits": {"example.com/gpu": "1"}}]), "BestEffort"),
            (json!([{"limits": both, "requests": both}]), "Guaranteed"),
            (
                json!([{"limits": both, "requests": {"cpu": "1000m", "memory": "1024Mi"}}]),
                "Guaranteed",
            ),
            (
                json!([{"limits": both, "requests": {"cpu": "1", "memory": "1Mi"}}]),
                "Burstable",
            ),
            (json!([{"limits": both, "requests": both}, {}]), "Burstable"),
            (json!([{"requests": {"cpu": "1"}}]), "Burstable"),
            (json!([{"limits": {"cpu": "0"}}]), "BestEffort"),
        ] {
            let containers: Vec<_> = resources
                .as_array()
                .expect("a list")
                .iter()
                .map(|r| json!({"resources": r}))
                .collect();
            let spec: PodSpec = serde_json::from_value(json!({"containers": containers})).expect("a spec");
            assert_eq!(class(&spec), expected, "{resources}");
        }
    }
}
