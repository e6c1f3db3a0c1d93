//! Pods stay for five minutes on a node that isn't ready or can't be reached, unless they say otherwise.

use minik_api::object::Object;
use serde_json::{Value, json};

use super::{Attributes, Mutate, Operation};

const SECONDS: u64 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const EFFECT: &str = "NoExecute";

/// The plugin.
pub(super) struct DefaultTolerations;

impl Mutate for DefaultTolerations {
    fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) {
        if attributes.operation != Operation::Create || attributes.kind.kind != "Pod" {
            return;
        }
        let Some(spec) = object.body.get_mut("spec").and_then(Value::as_object_mut) else {
            return;
        };
        let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
        let Some(tolerations) = tolerations.as_array_mut() else {
            return;
        };
        for taint in TAINTS {
            if !tolerations.iter().any(|toleration| tolerates(toleration, taint)) {
                tolerations.push(json!({"key": taint, "operator": "Exists", "effect": EFFECT,
                    "tolerationSeconds": SECONDS}));
            }
        }
    }
}

/// Whether a toleration says something about this taint already; one without a key or effect is about all of them.
fn tolerates(toleration: &Value, taint: &str) -> bool {
    let is = |field: &str, wanted: &str| match toleration[field].as_str() {
        None | Some("") => true,
        Some(text) => text == wanted,
    };
    is("key", taint) && is("effect", EFFECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pod_says_itself_counts() {
        let exists = json!({"operator": "Exists"});
        let own = json!({"key": TAINTS[0], "effect": EFFECT, "tolerationSeconds": 1});
        let other = json!({"key": TAINTS[0], "effect": "NoSchedule"});
        assert!(tolerates(&exists, TAINTS[0]) && tolerates(&exists, TAINTS[1]));
        assert!(tolerates(&own, TAINTS[0]) && !tolerates(&own, TAINTS[1]));
        assert!(!tolerates(&other, TAINTS[0]));
    }
}
