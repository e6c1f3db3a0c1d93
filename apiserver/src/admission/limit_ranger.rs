//! Limit ranges: what containers of a namespace get when they ask for nothing, and how little and how much anything in it may
//! ask for (upstream's LimitRanger, whose sentences these are).

use minik_api::object::Object;
use minik_api::quantity::Quantity;
use minik_api::status::Status;
use serde_json::{Map, Value, json};

use super::pod_resources::{Amounts, amounts, of_pod};
use super::{Attributes, Mutate, Operation, Validate};
use crate::kinds::read;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";
const CONTAINERS: [(&str, &str); 2] = [("containers", "container"), ("initContainers", "init container")];

/// The plugin.
pub(super) struct LimitRanger;

impl Mutate for LimitRanger {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        if !attributes.is("", "Pod") || attributes.operation != Operation::Create {
            return;
        }
        let mut done = Vec::new();
        for range in attributes.objects("limitranges", attributes.namespace) {
            for limit in limits(&range).filter(|limit| limit["type"] == "Container") {
                done.extend(fill(object, limit));
            }
        }
        if !done.is_empty() {
            let text = format!("LimitRanger plugin set: {}", done.join("; "));
            let annotations = object.metadata.annotations.get_or_insert_default();
            annotations.insert(ANNOTATION.into(), text);
        }
    }
}

impl Validate for LimitRanger {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let Some(object) = object else { return Ok(()) };
        let new = attributes.operation == Operation::Create && attributes.subresource.is_empty();
        let is_asked = (attributes.is("", "Pod") && (new || attributes.subresource == "resize"))
            || (attributes.is("", "PersistentVolumeClaim") && attributes.subresource.is_empty());
        if !is_asked {
            return Ok(());
        }
        for range in attributes.objects("limitranges", attributes.namespace) {
            let mut why: Vec<String> = limits(&range).flat_map(|limit| complaints(object, limit)).collect();
            let why = match why.len() {
                0 => continue,
                1 => why.remove(0),
                _ => format!("[{}]", why.join(", ")),
            };
            return Err(Status::forbidden(attributes.kind, attributes.name, &why));
        }
        Ok(())
    }
}

fn limits(range: &Object) -> impl Iterator<Item = &Value> {
    read::list(range.at("spec.limits")).iter()
}

/// Gives every container the defaults of a limit; says what it did.
fn fill(pod: &mut Object, limit: &Value) -> Vec<String> {
    let mut done = Vec::new();
    for (field, what) in CONTAINERS {
        let list = pod.body.get_mut("spec").and_then(|spec| spec.get_mut(field));
        let containers = list.and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            let name = read::text(container.get("name")).to_owned();
            for (part, defaults, word) in [
                ("requests", &limit["defaultRequest"], "request"),
                ("limits", &limit["default"], "limit"),
            ] {
                let set = missing(container, part, defaults);
                if !set.is_empty() {
                    done.push(format!("{} {word} for {what} {name}", set.join(", ")));
                }
            }
        }
    }
    done
}

/// Adds the amounts that a container lacks; tells which.
fn missing(container: &mut Map<String, Value>, part: &str, defaults: &Value) -> Vec<String> {
    let mut set = Vec::new();
    for (name, amount) in defaults.as_object().into_iter().flatten() {
        let resources = container.entry("resources").or_insert(Value::Null);
        if resources.is_null() {
            *resources = json!({});
        }
        let Some(resources) = resources.as_object_mut() else {
            continue;
        };
        let list = resources.entry(part).or_insert(Value::Null);
        if list.is_null() {
            *list = json!({});
        }
        if let Some(list) = list.as_object_mut().filter(|list| !list.contains_key(name)) {
            list.insert(name.clone(), amount.clone());
            set.push(name.clone());
        }
    }
    set
}

/// What is wrong with an object by one limit.
fn complaints(object: &Object, limit: &Value) -> Vec<String> {
    let spec = object.body.get("spec");
    match (object.kind.as_str(), limit["type"].as_str().unwrap_or_default()) {
        ("Pod", "Container") => {
            let all = CONTAINERS
                .iter()
                .flat_map(|(field, _)| read::list(read::at(spec, field)));
            let own = |container, which: &str| amounts(read::at(Some(container), &format!("resources.{which}")));
            all.flat_map(|container| Asked(own(container, "requests"), own(container, "limits")).against(limit))
                .collect()
        }
        ("Pod", "Pod") => Asked(of_pod(spec, "requests"), of_pod(spec, "limits")).against(limit),
        ("PersistentVolumeClaim", "PersistentVolumeClaim") => {
            let requests = amounts(object.at("spec.resources.requests"));
            Asked(requests.clone(), Amounts::new()).of_claim(limit)
        }
        _ => Vec::new(),
    }
}

/// Requests and limits.
struct Asked(Amounts, Amounts);

impl Asked {
    fn against(&self, limit: &Value) -> Vec<String> {
        let kind = limit["type"].as_str().unwrap_or_default();
        let each = |field: &str, rule: fn(&Self, &str, &str, Quantity) -> Option<String>| -> Vec<String> {
            let enforced = amounts(limit.get(field));
            enforced
                .iter()
                .filter_map(|(name, amount)| rule(self, kind, name, *amount))
                .collect()
        };
        let mut all = each("min", Self::min);
        all.extend(each("max", Self::max));
        all.extend(each("maxLimitRequestRatio", Self::ratio));
        all
    }

    fn of_claim(&self, limit: &Value) -> Vec<String> {
        let kind = "PersistentVolumeClaim";
        let min = amounts(limit.get("min"));
        let mut all: Vec<String> = min
            .iter()
            .filter_map(|(name, amount)| self.min(kind, name, *amount))
            .collect();
        for (name, most) in amounts(limit.get("max")) {
            let of = format!("maximum {name} usage per {kind} is {most}");
            match self.0.get(&name) {
                None => all.push(format!("{of}.  No request is specified")),
                Some(request) if *request > most => all.push(format!("{of}, but request is {request}")),
                Some(_) => {}
            }
        }
        all
    }

    fn min(&self, kind: &str, name: &str, least: Quantity) -> Option<String> {
        let of = format!("minimum {name} usage per {kind} is {least}");
        let Some(request) = self.0.get(name) else {
            return Some(format!("{of}.  No request is specified"));
        };
        if *request < least {
            return Some(format!("{of}, but request is {request}"));
        }
        let limit = self.1.get(name).filter(|limit| **limit < least)?;
        Some(format!("{of}, but limit is {limit}"))
    }

    fn max(&self, kind: &str, name: &str, most: Quantity) -> Option<String> {
        let of = format!("maximum {name} usage per {kind} is {most}");
        let Some(limit) = self.1.get(name) else {
            return Some(format!("{of}.  No limit is specified"));
        };
        if *limit > most {
            return Some(format!("{of}, but limit is {limit}"));
        }
        let request = self.0.get(name).filter(|request| **request > most)?;
        Some(format!("{of}, but request is {request}"))
    }

    fn ratio(&self, kind: &str, name: &str, most: Quantity) -> Option<String> {
        let of = format!("{name} max limit to request ratio per {kind} is {most}");
        let some = |list: &Amounts| list.get(name).copied().filter(|amount| !amount.is_zero());
        let Some(request) = some(&self.0) else {
            return Some(format!("{of}, but no request is specified or request is 0"));
        };
        let Some(limit) = some(&self.1) else {
            return Some(format!("{of}, but no limit is specified or limit is 0"));
        };
        #[expect(clippy::cast_precision_loss, reason = "a ratio, as upstream computes it")]
        let part = |amount: Quantity| match amount.milli_value() {
            i64::MAX => amount.value() as f64 * 1000.0,
            milli => milli as f64,
        };
        let ratio = part(limit) / part(request);
        (ratio * 1000.0 > part(most)).then(|| format!("{of}, but provided ratio is {ratio:.6}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(resources: &Value) -> Object {
        let value = json!({"kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "resources": resources}]}});
        serde_json::from_value(value).expect("a pod")
    }

    #[test]
    fn containers_get_what_they_lack() {
        let mut object = pod(&json!({"requests": {"cpu": "1"}}));
        let limit =
            json!({"type": "Container", "default": {"cpu": "2", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}});
        assert_eq!(fill(&mut object, &limit), ["cpu, memory limit for container c"]);
        let resources = &object.at("spec.containers").expect("containers")[0]["resources"];
        assert_eq!(
            *resources,
            json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}})
        );
        assert!(fill(&mut object, &limit).is_empty(), "once");
    }

    #[test]
    fn too_little_too_much_and_too_far_apart() {
        let amounts = |request: &str, limit: &str| json!({"requests": {"cpu": request}, "limits": {"cpu": limit}});
        let limit = json!({"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "2"},
            "maxLimitRequestRatio": {"cpu": "4"}});
        for (resources, expected) in [
            (amounts("500m", "2"), vec![]),
            (
                amounts("50m", "200m"),
                vec!["minimum cpu usage per Container is 100m, but request is 50m"],
            ),
            (
                amounts("1", "3"),
                vec!["maximum cpu usage per Container is 2, but limit is 3"],
            ),
            (
                amounts("200m", "1"),
                vec!["cpu max limit to request ratio per Container is 4, but provided ratio is 5.000000"],
            ),
            (
                json!({}),
                vec![
                    "minimum cpu usage per Container is 100m.  No request is specified",
                    "maximum cpu usage per Container is 2.  No limit is specified",
                    "cpu max limit to request ratio per Container is 4, but no request is specified or request is 0",
                ],
            ),
        ] {
            assert_eq!(complaints(&pod(&resources), &limit), expected, "{resources}");
        }
    }

    #[test]
    fn claims_are_measured_by_what_they_request() {
        let claim = json!({"kind": "PersistentVolumeClaim", "spec": {"resources": {"requests": {"storage": "5Gi"}}}});
        let claim: Object = serde_json::from_value(claim).expect("a claim");
        let limit = json!({"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}});
        assert_eq!(
            complaints(&claim, &limit),
            ["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi"]
        );
    }
}
