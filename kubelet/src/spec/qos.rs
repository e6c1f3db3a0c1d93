//! The quality-of-service class: who is killed first when memory runs out, and below which cgroup a pod lives.

use std::fmt;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use minik_api::quantity::Quantity;

/// Kubernetes' three classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Every container has limits for CPU and memory, and requests the same.
    Guaranteed,
    /// Some container requests or limits something.
    Burstable,
    /// None does.
    BestEffort,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Guaranteed => "Guaranteed",
            Class::Burstable => "Burstable",
            Class::BestEffort => "BestEffort",
        })
    }
}

/// The class that follows from the containers' requests and limits.
pub(crate) fn class(spec: &PodSpec) -> Class {
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let counts = |container: &Container| {
        ["cpu", "memory"]
            .iter()
            .any(|name| limit(container, name).is_some() || request(container, name).is_some())
    };
    if !containers().any(counts) {
        return Class::BestEffort;
    }
    let is_bounded = |container: &Container| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = limit(container, name);
            limit.is_some() && request(container, name).is_none_or(|request| Some(request) == limit)
        })
    };
    if containers().all(is_bounded) {
        Class::Guaranteed
    } else {
        Class::Burstable
    }
}

/// `resources.requests[name]`; zero counts as none.
pub(crate) fn request(container: &Container, name: &str) -> Option<Quantity> {
    amount(container.resources.as_ref()?.requests.as_ref()?.get(name)?)
}

/// `resources.limits[name]`; zero counts as none.
pub(crate) fn limit(container: &Container, name: &str) -> Option<Quantity> {
    amount(container.resources.as_ref()?.limits.as_ref()?.get(name)?)
}

fn amount(text: &k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> Option<Quantity> {
    text.0.parse().ok().filter(|quantity: &Quantity| !quantity.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::testing::pod;

    #[test]
    fn classes_are_those_of_kubernetes() {
        let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let same = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
        let less = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}});
        for (resources, expected) in [
            (json!({}), Class::BestEffort),
            (json!({"requests": {"cpu": "0"}}), Class::BestEffort),
            (full, Class::Guaranteed),
            (same, Class::Guaranteed),
            (less, Class::Burstable),
            (json!({"limits": {"memory": "1Gi"}}), Class::Burstable),
        ] {
            let pod = pod(json!({"containers": [{"name": "a", "resources": resources.clone()}]}));
            assert_eq!(class(&pod.spec), expected, "{resources}");
        }
        let mixed = pod(json!({"containers": [
            {"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, {"name": "b"}]}));
        assert_eq!(class(&mixed.spec), Class::Burstable);
    }
}
