//! What a pod asks for altogether: what its containers need at once, and before that its init containers one after the other
//! (upstream's `resource.PodRequests` and `PodLimits`).

use std::collections::BTreeMap;

use minik_api::quantity::Quantity;
use serde_json::Value;

use crate::kinds::read;

/// Amounts by the names of their resources.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// The amounts in a map of quantities.
pub(super) fn amounts(list: Option<&Value>) -> Amounts {
    let amount = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        number => number.to_string().parse().ok(),
    };
    let entries = list.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(name, value)| Some((name.clone(), amount(value)?)))
        .collect()
}

/// Adds each amount.
pub(super) fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = to.get(name).map_or(*amount, |sum| sum.saturating_add(*amount));
        to.insert(name.clone(), sum);
    }
}

/// The `requests` or the `limits` of a pod.
pub(super) fn of_pod(spec: Option<&Value>, which: &str) -> Amounts {
    let own = |container: &Value| amounts(read::at(Some(container), &format!("resources.{which}")));
    let mut total = Amounts::new();
    for container in read::list(read::at(spec, "containers")) {
        add(&mut total, &own(container));
    }
    let (mut beside, mut most) = (Amounts::new(), Amounts::new());
    for container in read::list(read::at(spec, "initContainers")) {
        let mut needed = own(container);
        if container["restartPolicy"] == "Always" {
            add(&mut total, &needed);
            add(&mut beside, &needed);
            needed.clone_from(&beside);
        } else {
            add(&mut needed, &beside);
        }
        largest(&mut most, needed);
    }
    largest(&mut total, most);
    total.extend(amounts(read::at(spec, &format!("resources.{which}"))));
    let mut overhead = amounts(read::at(spec, "overhead"));
    if which == "limits" {
        // What has no limit doesn't get one by it.
        overhead.retain(|name, _| total.contains_key(name));
    }
    add(&mut total, &overhead);
    total
}

fn largest(to: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        if to.get(&name).is_none_or(|had| *had < amount) {
            to.insert(name, amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_runs_at_once_adds_up() {
        let asks = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}});
        let mut side = asks("100m");
        side["restartPolicy"] = json!("Always");
        let spec = json!({"containers": [asks("100m"), asks("200m")], "initContainers": [side, asks("350m")],
            "overhead": {"cpu": "10m", "memory": "1Mi"}});
        let shown = |which: &str| -> Vec<String> {
            let all = of_pod(Some(&spec), which);
            all.iter().map(|(name, amount)| format!("{name}={amount}")).collect()
        };
        assert_eq!(shown("requests"), ["cpu=460m", "memory=1Mi"]);
        assert_eq!(shown("limits"), ["cpu=460m"]);
    }
}
