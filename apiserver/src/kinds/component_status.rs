//! Component statuses: how the parts of the control plane were doing, once. The list is empty: who wants to know asks the
//! programs themselves (`/readyz`, `minikctl status`).

use jiff::Timestamp;
use minik_api::object::Object;
use serde_json::Value;

use super::{Column, NAME, Rules};

pub(super) struct ComponentStatuses;

impl Rules for ComponentStatuses {
    fn deprecation(&self) -> Option<&str> {
        Some("v1 ComponentStatus is deprecated in v1.19+")
    }

    fn columns(&self) -> &'static [Column] {
        const COLUMNS: &[Column] = &[
            NAME,
            Column::text("Status", "Whether the component is healthy."),
            Column::text("Message", "What the component says."),
            Column::text("Error", "What is wrong with the component."),
        ];
        COLUMNS
    }

    fn cells(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let conditions = object.at("conditions").and_then(Value::as_array);
        let healthy = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == "Healthy");
        let text = |name: &str| {
            healthy
                .and_then(|condition| condition[name].as_str())
                .unwrap_or_default()
        };
        let status = match text("status") {
            "True" => "Healthy",
            "False" => "Unhealthy",
            _ => "Unknown",
        };
        vec![
            object.name().into(),
            status.into(),
            text("message").into(),
            text("error").into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::cells;
    use serde_json::json;

    #[test]
    fn tables_show_the_health() {
        let status = json!({"metadata": {"name": "etcd-0"}, "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]});
        assert_eq!(cells("ComponentStatus", status), ["etcd-0", "Healthy", "ok", ""]);
        let status = json!({"metadata": {"name": "scheduler"}});
        assert_eq!(cells("ComponentStatus", status)[1], "Unknown");
    }
}
