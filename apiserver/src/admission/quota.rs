//! What objects count for in resource quotas, which quotas they count in, and what is said when there isn't enough left
//! (upstream's quota evaluators and ResourceQuota). Pure; the registry counts and charges (`registry/charge.rs`).

mod scopes;

use minik_api::object::Object;
use minik_api::quantity::Quantity;
use serde_json::Value;

use super::pod_resources::{add, amounts, of_pod};
use crate::kinds::read;

pub(crate) use super::pod_resources::Amounts;

const CLASS: &str = ".storageclass.storage.k8s.io/";
/// What every container has to say when a quota limits it.
const COMPUTE: [&str; 6] = [
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
];

/// A resource quota.
pub(crate) struct Quota {
    object: Object,
    /// How much there may be.
    pub(crate) hard: Amounts,
}

impl Quota {
    /// Of its object.
    pub(crate) fn read(object: Object) -> Self {
        let hard = amounts(object.at("spec.hard"));
        Self { object, hard }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.object.name()
    }

    /// The resources whose objects count in it, as the store calls them.
    pub(crate) fn resources(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.hard.keys().map(|name| counted(name)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What an object counts for here.
    pub(crate) fn usage(&self, resource: &str, object: &Object) -> Amounts {
        let mut usage = Amounts::new();
        if self.hard.keys().any(|name| counted(name) == resource) && scopes::cover(&self.object, resource, object) {
            usage = self::usage(resource, object);
            usage.retain(|name, _| self.hard.contains_key(name));
        }
        usage
    }

    /// What a new pod has to say and doesn't.
    pub(crate) fn unspecified(&self, resource: &str, object: &Object) -> Option<String> {
        if resource != "pods" || !scopes::cover(&self.object, resource, object) || object.at("spec.resources").is_some()
        {
            return None;
        }
        let containers = || {
            ["spec.containers", "spec.initContainers"]
                .into_iter()
                .flat_map(|field| read::list(object.at(field)))
        };
        let mut missing = Vec::new();
        for name in self.hard.keys().filter(|name| COMPUTE.contains(&name.as_str())) {
            let (part, amount) = name.split_once('.').unwrap_or(("requests", name));
            let lacks = |container: &&Value| container["resources"][part].get(amount).is_none();
            let mut names: Vec<&str> = containers()
                .filter(lacks)
                .map(|one| read::text(one.get("name")))
                .collect();
            names.sort_unstable();
            if !names.is_empty() {
                missing.push(format!("{name} for: {}", names.join(",")));
            }
        }
        let name = self.name();
        (!missing.is_empty()).then(|| format!("failed quota: {name}: must specify {}", missing.join("; ")))
    }

    /// What is said when `more` doesn't fit beside what is `used`.
    pub(crate) fn exceeded(&self, used: &Amounts, more: &Amounts) -> Option<String> {
        let of = |list: &Amounts, name: &str| list.get(name).copied().unwrap_or_else(|| Quantity::from_whole(0));
        let over = |name: &str, hard: Quantity| {
            let more = of(more, name);
            more > Quantity::from_whole(0) && of(used, name).saturating_add(more) > hard
        };
        let names: Vec<&str> = self
            .hard
            .iter()
            .filter_map(|(name, hard)| over(name, *hard).then_some(name.as_str()))
            .collect();
        let shown = |list: &Amounts| {
            let each: Vec<String> = names.iter().map(|name| format!("{name}={}", of(list, name))).collect();
            each.join(",")
        };
        (!names.is_empty()).then(|| {
            format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                self.name(),
                shown(more),
                shown(used),
                shown(&self.hard)
            )
        })
    }
}

/// What comes on top when an object changes.
pub(crate) fn difference(new: &Amounts, old: &Amounts) -> Amounts {
    let less = |(name, amount): (&String, &Quantity)| {
        let more = old.get(name).map_or(*amount, |old| amount.saturating_sub(*old));
        (more > Quantity::from_whole(0)).then(|| (name.clone(), more))
    };
    new.iter().filter_map(less).collect()
}

/// Adds up.
pub(crate) fn sum(usages: impl Iterator<Item = Amounts>) -> Amounts {
    usages.fold(Amounts::new(), |mut sum, usage| {
        add(&mut sum, &usage);
        sum
    })
}

/// Objects of which resource count for this name.
fn counted(name: &str) -> &str {
    if let Some(resource) = name.strip_prefix("count/") {
        return resource;
    }
    match name {
        "configmaps" | "persistentvolumeclaims" | "replicationcontrollers" | "resourcequotas" | "secrets" => name,
        "services" | "services.loadbalancers" | "services.nodeports" => "services",
        _ if name == "requests.storage" || name.contains(CLASS) => "persistentvolumeclaims",
        _ => "pods",
    }
}

/// What an object counts for, by every name there is for it.
fn usage(resource: &str, object: &Object) -> Amounts {
    let one = Quantity::from_whole(1);
    let mut usage = Amounts::from([(format!("count/{resource}"), one)]);
    match resource {
        "pods" => of_running_pod(object, &mut usage),
        "persistentvolumeclaims" => of_claim(object, &mut usage),
        "services" => of_service(object, &mut usage),
        "configmaps" | "replicationcontrollers" | "resourcequotas" | "secrets" => {
            usage.insert(resource.to_owned(), one);
        }
        _ => {}
    }
    usage
}

fn of_running_pod(pod: &Object, usage: &mut Amounts) {
    let phase = pod.at("status.phase").and_then(Value::as_str);
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return;
    }
    usage.insert("pods".into(), Quantity::from_whole(1));
    for (which, prefix) in [("requests", "requests."), ("limits", "limits.")] {
        for (name, amount) in of_pod(pod.body.get("spec"), which) {
            usage.insert(format!("{prefix}{name}"), amount);
            if which == "requests" {
                usage.insert(name, amount);
            }
        }
    }
}

fn of_claim(claim: &Object, usage: &mut Amounts) {
    let (one, name) = (Quantity::from_whole(1), "persistentvolumeclaims");
    let storage = amounts(claim.at("spec.resources.requests")).remove("storage");
    let class = claim
        .at("spec.storageClassName")
        .and_then(Value::as_str)
        .unwrap_or_default();
    usage.insert(name.into(), one);
    usage.extend(storage.map(|amount| ("requests.storage".to_owned(), amount)));
    if !class.is_empty() {
        usage.insert(format!("{class}{CLASS}{name}"), one);
        usage.extend(storage.map(|amount| (format!("{class}{CLASS}requests.storage"), amount)));
    }
}

fn of_service(service: &Object, usage: &mut Amounts) {
    let one = Quantity::from_whole(1);
    let ports = read::list(service.at("spec.ports"));
    let ports = match service.at("spec.type").and_then(Value::as_str) {
        Some("NodePort") => ports.len(),
        Some("LoadBalancer") => {
            usage.insert("services.loadbalancers".into(), one);
            match service.at("spec.allocateLoadBalancerNodePorts") {
                Some(Value::Bool(false)) => ports.iter().filter(|port| port["nodePort"].as_u64() > Some(0)).count(),
                _ => ports.len(),
            }
        }
        _ => 0,
    };
    usage.insert("services".into(), one);
    if ports > 0 {
        let ports = i64::try_from(ports).unwrap_or(i64::MAX);
        usage.insert("services.nodeports".into(), Quantity::from_whole(ports));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).expect("an object")
    }

    fn quota(spec: Value) -> Quota {
        Quota::read(object(
            json!({"kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": spec}),
        ))
    }

    fn shown(list: &Amounts) -> String {
        let each: Vec<String> = list.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
        each.join(" ")
    }

    #[test]
    fn objects_count_by_every_name_that_is_limited() {
        let pod = || {
            json!({"spec": {"containers": [{"name": "c",
            "resources": {"requests": {"cpu": "100m", "example.com/gpu": "2"}, "limits": {"cpu": "1"}}}]}})
        };
        let mut done = pod();
        done["status"] = json!({"phase": "Succeeded"});
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{}, {}]}});
        let claim = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}});
        for (resource, value, expected) in [
            (
                "pods",
                pod(),
                "count/pods=1 cpu=100m example.com/gpu=2 limits.cpu=1 pods=1 requests.cpu=100m requests.example.com/gpu=2",
            ),
            ("pods", done, "count/pods=1"),
            (
                "services",
                service,
                "count/services=1 services=1 services.loadbalancers=1 services.nodeports=2",
            ),
            (
                "persistentvolumeclaims",
                claim,
                "count/persistentvolumeclaims=1 fast.storageclass.storage.k8s.io/persistentvolumeclaims=1 fast.storageclass.storage.k8s.io/requests.storage=1Gi persistentvolumeclaims=1 requests.storage=1Gi",
            ),
            ("deployments.apps", json!({}), "count/deployments.apps=1"),
        ] {
            assert_eq!(shown(&usage(resource, &object(value))), expected);
        }
        let quota = quota(json!({"hard": {"pods": "2", "limits.cpu": "2", "count/deployments.apps": "1"}}));
        assert_eq!(quota.resources(), ["deployments.apps", "pods"]);
        assert_eq!(shown(&quota.usage("pods", &object(pod()))), "limits.cpu=1 pods=1");
        assert_eq!(shown(&quota.usage("services", &object(json!({})))), "");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let quota = quota(json!({"hard": {"pods": "2", "cpu": "1"}}));
        let list = |pods: &str, cpu: &str| amounts(Some(&json!({"pods": pods, "cpu": cpu})));
        assert_eq!(quota.exceeded(&list("1", "500m"), &list("1", "500m")), None);
        assert_eq!(
            quota.exceeded(&list("1", "600m"), &list("1", "500m")).as_deref(),
            Some("exceeded quota: q, requested: cpu=500m, used: cpu=600m, limited: cpu=1")
        );
        assert_eq!(
            quota.exceeded(&list("2", "1"), &list("1", "1")).as_deref(),
            Some("exceeded quota: q, requested: cpu=1,pods=1, used: cpu=1,pods=2, limited: cpu=1,pods=2")
        );
        assert_eq!(
            quota.exceeded(&list("3", "3"), &Amounts::new()),
            None,
            "what asks for nothing more"
        );
        assert_eq!(shown(&difference(&list("1", "2"), &list("1", "500m"))), "cpu=1500m");
        let pod =
            object(json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "resources": {"requests": {}}}]}}));
        assert_eq!(
            quota.unspecified("pods", &pod).as_deref(),
            Some("failed quota: q: must specify cpu for: a,b")
        );
        assert_eq!(quota.unspecified("services", &pod), None);
    }
}
