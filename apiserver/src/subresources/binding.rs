//! `POST pods/NAME/binding` (and the older `POST bindings`, which names the pod in the body): the scheduler gives a pod its node, once and for all.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use minik_api::kinds;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use crate::http::{Api, Call, json, value};
use crate::registry::{Part, Target};

/// Binds the pod to the node that the body names.
pub(crate) async fn create(api: &Api, call: Call, body: Body) -> Result<Response, Status> {
    let body = value(&call, body)
        .await?
        .ok_or_else(|| Status::bad_request("the body is empty; it has to be a Binding"))?;
    let binding: Object = serde_json::from_value(body)
        .map_err(|error| Status::bad_request(format!("the body is no Binding: {error}")))?;
    let node = binding.at("target.name").and_then(Value::as_str).unwrap_or_default();
    let target = if call.path.name.is_some() {
        call.target()
    } else {
        Target {
            kind: kinds::of("", "v1", "Pod").expect("pods are in the table of kinds"),
            namespace: call.namespace(),
            name: binding.name(),
        }
    };
    if target.name.is_empty() || target.namespace.is_empty() {
        return Err(Status::bad_request("metadata.name: Required value: the pod to bind"));
    }
    if !binding.name().is_empty() && binding.name() != target.name {
        return Err(Status::bad_request(
            "the name in the binding does not match the name on the URL",
        ));
    }
    if node.is_empty() {
        return Err(Status::bad_request(
            "target.name: Required value: the node to bind the pod to",
        ));
    }
    let time = Timestamp::now();
    let bind = |pod: &Object| bound(&target, pod, &binding, node, time);
    api.registry
        .update(target, Part::Own, call.write_options(), bind)
        .await?;
    let mut status = Status::success().to_value();
    status["code"] = 201.into();
    Ok(json(StatusCode::CREATED, &call.accept, &status))
}

/// The pod on its node; the annotations of the binding come along.
fn bound(target: &Target<'_>, pod: &Object, binding: &Object, node: &str, time: Timestamp) -> Result<Object, Status> {
    let conflict = |why: &str| Status::conflict(target.kind, target.name, why);
    if let Some(uid) = &binding.metadata.uid
        && pod.metadata.uid.as_ref() != Some(uid)
    {
        return Err(conflict(
            "the pod in the binding is another one of the same name, deleted since",
        ));
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Err(conflict(&format!(
            "pod {} is being deleted, cannot be assigned to a host",
            target.name
        )));
    }
    let assigned = pod.at("spec.nodeName").and_then(Value::as_str).unwrap_or_default();
    if !assigned.is_empty() {
        return Err(conflict(&format!(
            "pod {} is already assigned to node \"{assigned}\"",
            target.name
        )));
    }
    let mut pod = pod.clone();
    if let Some(annotations) = &binding.metadata.annotations {
        pod.metadata
            .annotations
            .get_or_insert_default()
            .extend(annotations.clone());
    }
    pod.body.entry("spec").or_insert_with(|| json!({}))["nodeName"] = node.into();
    let status = pod.body.entry("status").or_insert_with(|| json!({}));
    set_scheduled(status, time);
    Ok(pod)
}

/// Condition PodScheduled is True from now on.
fn set_scheduled(status: &mut Value, time: Timestamp) {
    let time = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let scheduled =
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": time});
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    if let Some(conditions) = status["conditions"].as_array_mut() {
        conditions.retain(|condition| condition["type"] != "PodScheduled");
        conditions.push(scheduled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(pod: Value) -> Result<Object, String> {
        let pod: Object = serde_json::from_value(pod).expect("a pod");
        let kind = kinds::of("", "v1", "Pod").expect("pods are served");
        let target = Target {
            kind,
            namespace: "default",
            name: "p",
        };
        bound(&target, &pod, &Object::default(), "n1", Timestamp::UNIX_EPOCH).map_err(|status| status.message)
    }

    #[test]
    fn a_pod_is_bound_once() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False"}, {"type": "Ready", "status": "False"}]}});
        let pod = bind(pod).expect("not bound yet");
        assert_eq!(pod.at("spec.nodeName"), Some(&json!("n1")));
        let conditions = pod.at("status.conditions").expect("set");
        assert_eq!(conditions.as_array().map(Vec::len), Some(2));
        assert_eq!(conditions[1]["status"], "True");
        let refused = bind(pod.to_value()).expect_err("bound already");
        assert_eq!(
            refused,
            "Operation cannot be fulfilled on pods \"p\": pod p is already assigned to node \"n1\""
        );
    }
}
