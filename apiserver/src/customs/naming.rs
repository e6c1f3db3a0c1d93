//! Which of the names that definitions ask for they get: within a group each name is somebody's. Pure.
//!
//! ```text
//! created ──names free──► NamesAccepted=True ──served──► Established=True ──deleted──► Terminating=True ──empty──► gone
//!    └─────names taken──► NamesAccepted=False (and Established stays what it was)
//! ```
//! The conditions, reasons and messages are those of apiextensions' naming and establishing controllers.

use std::collections::HashSet;

use minik_api::object::Object;
use serde_json::{Map, Value, json};

/// The name of a condition that says that a definition is served.
pub(super) const ESTABLISHED: &str = "Established";

/// What became of the names: those accepted, and the condition that says so.
#[derive(Debug, PartialEq)]
pub(super) struct Naming {
    pub(super) accepted: Value,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Naming {
    /// Says on a definition which names it has.
    pub(super) fn write(&self, definition: &mut Object) {
        let status = definition.body.entry("status").or_insert_with(|| json!({}));
        if let Some(status) = status.as_object_mut() {
            status.insert("acceptedNames".into(), self.accepted.clone());
        }
    }
}

/// The names in use by the definitions of a group.
#[derive(Default)]
pub(super) struct Taken {
    resources: HashSet<String>,
    kinds: HashSet<String>,
}

impl Taken {
    /// Those of other definitions, as accepted.
    pub(super) fn by<'a>(others: impl Iterator<Item = &'a Value>) -> Self {
        let mut taken = Self::default();
        for names in others {
            let text = |name: &str| names[name].as_str().map(str::to_owned);
            taken
                .resources
                .extend(["plural", "singular"].into_iter().filter_map(text));
            taken.resources.extend(short_names(names).map(str::to_owned));
            taken.kinds.extend(["kind", "listKind"].into_iter().filter_map(text));
        }
        taken
    }
}

/// What a definition gets of the names that it asks for.
pub(super) fn decide(definition: &Object, taken: &Taken) -> Naming {
    let empty = json!({});
    let wanted = definition.at("spec.names").unwrap_or(&empty);
    let had = definition.at("status.acceptedNames").unwrap_or(&empty);
    let mut accepted = had.as_object().cloned().unwrap_or_default();
    let mut refused: Option<(&'static str, String)> = None;
    for (name, among, reason) in [
        ("plural", &taken.resources, "PluralConflict"),
        ("singular", &taken.resources, "SingularConflict"),
        ("shortNames", &taken.resources, "ShortNamesConflict"),
        ("kind", &taken.kinds, "KindConflict"),
        ("listKind", &taken.kinds, "ListKindConflict"),
    ] {
        match conflict(name, wanted, had, among) {
            Some(message) => refused = Some((reason, message)),
            None => take(&mut accepted, name, wanted),
        }
    }
    take(&mut accepted, "categories", wanted);
    let (status, reason, message) = match refused {
        Some((reason, message)) => ("False", reason, message),
        None => ("True", "NoConflicts", "no conflicts found".to_owned()),
    };
    Naming {
        accepted: Value::Object(accepted),
        status,
        reason,
        message,
    }
}

fn conflict(name: &str, wanted: &Value, had: &Value, among: &HashSet<String>) -> Option<String> {
    if wanted[name] == had[name] {
        return None;
    }
    let used = |text: &str| among.contains(text).then(|| format!("{text:?} is already in use"));
    if name != "shortNames" {
        return wanted[name].as_str().and_then(used);
    }
    let own: Vec<&str> = short_names(had).collect();
    let others = short_names(wanted).filter(|short| !own.contains(short));
    let messages: Vec<String> = others.filter_map(used).collect();
    match messages.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

fn take(accepted: &mut Map<String, Value>, name: &str, wanted: &Value) {
    match wanted.get(name) {
        Some(value) => accepted.insert(name.to_owned(), value.clone()),
        None => accepted.remove(name),
    };
}

fn short_names(names: &Value) -> impl Iterator<Item = &str> {
    names["shortNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Whether a condition of the definition is `True`.
pub(super) fn is_true(definition: &Object, condition: &str) -> bool {
    let conditions = definition.at("status.conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == condition && one["status"] == "True")
}

/// Sets a condition; its time is that of the last change of its status.
pub(super) fn set_condition(definition: &mut Object, kind: &str, state: (&str, &str, &str), now: &str) {
    let (status, reason, message) = state;
    let status_of = definition.body.entry("status").or_insert_with(|| json!({}));
    let Some(fields) = status_of.as_object_mut() else {
        return;
    };
    let conditions = fields.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    let mut condition = json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": now});
    match conditions.iter_mut().find(|one| one["type"] == kind) {
        Some(old) => {
            if old["status"] == status && old.get("lastTransitionTime").is_some() {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(names: &Value, accepted: &Value) -> Object {
        let value = json!({"metadata": {"name": "a"}, "spec": {"names": names}, "status": {"acceptedNames": accepted}});
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn free_names_are_accepted_and_taken_ones_are_not() {
        let names =
            json!({"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList", "shortNames": ["f"]});
        let none = Taken::default();
        let naming = decide(&definition(&names, &json!({})), &none);
        assert_eq!((naming.status, naming.reason), ("True", "NoConflicts"));
        assert_eq!(naming.accepted, names);

        let other = json!({"plural": "others", "singular": "foo", "kind": "Foo", "shortNames": ["f"]});
        let taken = Taken::by([&other].into_iter());
        let naming = decide(&definition(&names, &json!({})), &taken);
        assert_eq!((naming.status, naming.reason), ("False", "KindConflict"));
        assert_eq!(naming.message, "\"Foo\" is already in use");
        assert_eq!(naming.accepted, json!({"plural": "foos", "listKind": "FooList"}));
        // What a definition has it keeps.
        let naming = decide(&definition(&names, &names), &taken);
        assert_eq!(naming.status, "True");
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let mut object = definition(&json!({}), &json!({}));
        set_condition(&mut object, "A", ("False", "X", "x"), "t1");
        set_condition(&mut object, "A", ("False", "Y", "y"), "t2");
        let condition = object.at("status.conditions").expect("set")[0].clone();
        assert_eq!(
            (&condition["reason"], &condition["lastTransitionTime"]),
            (&json!("Y"), &json!("t1"))
        );
        set_condition(&mut object, "A", ("True", "Z", "z"), "t3");
        assert_eq!(
            object.at("status.conditions").expect("set")[0]["lastTransitionTime"],
            "t3"
        );
        assert!(is_true(&object, "A") && !is_true(&object, "B"));
    }
}
