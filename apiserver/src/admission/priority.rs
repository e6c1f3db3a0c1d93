//! Pods get their priority and preemption policy from their priority class, or from the class that is the default of all
//! (upstream's Priority).

use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Map, Value, json};

use super::{Attributes, Mutate, Operation, Validate};

const CLASSES: &str = "priorityclasses.scheduling.k8s.io";
const GROUP: &str = "scheduling.k8s.io";
const POLICY: &str = "PreemptLowerPriority";

/// The plugin.
pub(super) struct Priority;

impl Mutate for Priority {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        if !attributes.is("", "Pod") {
            return;
        }
        let Some(Value::Object(spec)) = object.body.get_mut("spec") else {
            return;
        };
        match (attributes.operation, attributes.old) {
            (Operation::Create, _) => {
                if let Some(class) = Class::of(attributes, spec) {
                    class.fill(spec);
                }
            }
            // What was computed once stays, for clients that send a pod as they would make it.
            (Operation::Update, Some(old)) => {
                for field in ["priority", "preemptionPolicy"] {
                    if let Some(value) = old.at(&format!("spec.{field}")).filter(|value| !value.is_null()) {
                        set(spec, field, value);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Validate for Priority {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let Some(object) = object else { return Ok(()) };
        let why = if attributes.is("", "Pod") && attributes.operation == Operation::Create {
            let spec = object.body.get("spec").and_then(Value::as_object);
            spec.and_then(|spec| complaint(Class::of(attributes, spec), spec))
        } else if attributes.is(GROUP, "PriorityClass") && is_default(object) {
            let others = attributes.objects(CLASSES, "");
            let other = others
                .iter()
                .find(|other| is_default(other) && other.name() != object.name());
            other.map(|other| {
                let name = other.name();
                format!("PriorityClass {name} is already marked as default. Only one default can exist")
            })
        } else {
            None
        };
        why.map_or(Ok(()), |why| {
            Err(Status::forbidden(attributes.kind, attributes.name, &why))
        })
    }
}

/// What a pod's class says.
struct Class {
    /// Empty: there is none.
    name: String,
    value: i64,
    policy: String,
}

impl Class {
    /// That of a pod; `None`: it names one that there isn't.
    fn of(attributes: &Attributes<'_>, spec: &Map<String, Value>) -> Option<Self> {
        let name = spec
            .get("priorityClassName")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !name.is_empty() {
            return attributes.object(CLASSES, "", name).map(|class| Self::read(&class));
        }
        let all = attributes.objects(CLASSES, "");
        let defaults = all.iter().filter(|class| is_default(class)).map(Self::read);
        Some(defaults.min_by_key(|class| class.value).unwrap_or_else(|| Self {
            name: String::new(),
            value: 0,
            policy: POLICY.to_owned(),
        }))
    }

    fn read(class: &Object) -> Self {
        let policy = class.at("preemptionPolicy").and_then(Value::as_str);
        Self {
            name: class.name().to_owned(),
            value: class.at("value").and_then(Value::as_i64).unwrap_or(0),
            policy: policy.unwrap_or(POLICY).to_owned(),
        }
    }

    fn fill(self, spec: &mut Map<String, Value>) {
        if !self.name.is_empty() {
            spec.insert("priorityClassName".into(), json!(self.name));
        }
        set(spec, "priority", &json!(self.value));
        set(spec, "preemptionPolicy", &json!(self.policy));
    }
}

/// What a pod says itself isn't overwritten: it is refused later if it is wrong.
fn set(spec: &mut Map<String, Value>, field: &str, value: &Value) {
    let slot = spec.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = value.clone();
    }
}

fn complaint(class: Option<Class>, spec: &Map<String, Value>) -> Option<String> {
    let Some(class) = class else {
        let name = spec.get("priorityClassName").and_then(Value::as_str)?;
        return Some(format!("no PriorityClass with name {name} was found"));
    };
    let given = spec.get("priority").and_then(Value::as_i64);
    if let Some(given) = given.filter(|given| *given != class.value) {
        return Some(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
            class.value
        ));
    }
    let policy = spec.get("preemptionPolicy").and_then(Value::as_str);
    policy.filter(|policy| *policy != class.policy).map(|policy| {
        format!(
            "the string value of PreemptionPolicy ({policy}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
            class.policy
        )
    })
}

fn is_default(class: &Object) -> bool {
    class.at("globalDefault") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class() -> Class {
        Class {
            name: "high".into(),
            value: 7,
            policy: "Never".into(),
        }
    }

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().expect("a map").clone()
    }

    #[test]
    fn the_class_decides() {
        let mut spec = map(&json!({"containers": []}));
        class().fill(&mut spec);
        assert_eq!(
            Value::Object(spec.clone()),
            json!({"containers": [], "priorityClassName": "high", "priority": 7, "preemptionPolicy": "Never"})
        );
        assert_eq!(complaint(Some(class()), &spec), None);
        for (spec, words) in [
            (json!({"priority": 8}), "value of priority (8) must not be provided"),
            (
                json!({"preemptionPolicy": POLICY}),
                "(PreemptLowerPriority) must not be provided",
            ),
        ] {
            let why = complaint(Some(class()), &map(&spec)).expect(words);
            assert!(why.contains(words), "{why}");
        }
        let unknown = complaint(None, &map(&json!({"priorityClassName": "x"})));
        assert_eq!(unknown.as_deref(), Some("no PriorityClass with name x was found"));
    }
}
