//! `create priorityclass`.

use clap::Args;
use serde_json::{Value, json};

use super::creating::Creating;
use super::sources::metadata;

/// Arguments of `create priorityclass`.
#[derive(Args, Debug)]
pub struct PriorityClass {
    /// Its name.
    name: String,
    /// The priority: the higher, the earlier.
    #[arg(long, default_value_t = 0, value_name = "NUMBER", allow_negative_numbers = true)]
    value: i32,
    /// Whether pods without a class have this one.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    global_default: bool,
    /// When to use it, in words.
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Whether pods of less priority have to make room: `PreemptLowerPriority` or `Never`.
    #[arg(long, default_value = "PreemptLowerPriority", value_name = "POLICY")]
    preemption_policy: String,
    #[command(flatten)]
    pub creating: Creating,
}

impl PriorityClass {
    pub fn object(&self) -> Value {
        let mut object = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": metadata(&self.name),
            "value": self.value, "preemptionPolicy": self.preemption_policy,
        });
        if self.global_default {
            object["globalDefault"] = json!(true);
        }
        if !self.description.is_empty() {
            object["description"] = json!(self.description);
        }
        object
    }
}
