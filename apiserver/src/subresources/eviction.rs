//! `POST pods/NAME/eviction`: deletes a pod if its disruption budget allows it.
//!
//! ```text
//! body -> budget of the pod (none, one; more than one is refused) -> allowed? one less then -> condition on the pod -> delete
//! ```
//! Who drains a node asks here, is told 429 for as long as the budget holds the pod, and asks again.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use minik_api::kinds::{self, EVICTION_BODY, Kind};
use minik_api::object::Object;
use minik_api::selector::Labels;
use minik_api::status::{Cause, Status};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::decode;
use crate::http::{Api, Call, json, value};
use crate::registry::{DeleteOptions, Part, Selection, Target, WriteOptions};

/// A budget that has more pods on its way out than these has lost track of them.
const DISRUPTED_MAX: usize = 2000;
const RETRY_SECONDS: u32 = 10;
const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
const CAUSE: &str = "DisruptionBudget";

/// Evicts the pod.
pub(super) async fn create(api: &Api, call: Call, body: Body) -> Result<Response, Status> {
    let body = value(&call, body)
        .await?
        .ok_or_else(|| Status::bad_request("the body is empty; it has to be an Eviction"))?;
    let target = call.target();
    let (eviction, _) = decode::object(&EVICTION_BODY, body).map_err(|error| error.status(&EVICTION_BODY))?;
    if eviction.name() != target.name && !eviction.name().is_empty() {
        return Err(Status::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    let mut options = call.write_options();
    let asked = delete_options(&eviction, &mut options)?;
    let pod = api.registry.get(target)?.object();
    if !is_unimportant(&pod) {
        disrupt(api, &pod, options).await?;
    }
    if !options.dry_run {
        let time = Timestamp::now();
        let marked = |pod: &Object| Ok(with_condition(pod, time));
        api.registry.update(target, Part::Own, options, marked).await?;
    }
    api.registry.delete(target, &asked, options).await?;
    let mut status = Status::success().to_value();
    status["code"] = 201.into();
    Ok(json(StatusCode::CREATED, &call.accept, &status))
}

fn delete_options(eviction: &Object, options: &mut WriteOptions<'_>) -> Result<DeleteOptions, Status> {
    let asked = match eviction.at("deleteOptions") {
        Some(asked) => DeleteOptions::deserialize(asked)
            .map_err(|error| Status::bad_request(format!("deleteOptions can't be read: {error}")))?,
        None => DeleteOptions::default(),
    };
    options.dry_run |= asked.dry_run.iter().any(|value| value == "All");
    Ok(asked)
}

/// A pod that is over, not there yet or going anyway disrupts nothing.
fn is_unimportant(pod: &Object) -> bool {
    let phase = pod.at("status.phase").and_then(Value::as_str).unwrap_or_default();
    matches!(phase, "Succeeded" | "Failed" | "Pending") || pod.metadata.deletion_timestamp.is_some()
}

/// Takes the pod out of its budget, or tells why that can't be.
async fn disrupt(api: &Api, pod: &Object, options: WriteOptions<'_>) -> Result<(), Status> {
    let kind = kinds::of("policy", "v1", "PodDisruptionBudget").expect("budgets are in the table of kinds");
    let budgets = budgets(api, kind, pod);
    let [budget] = budgets.as_slice() else {
        return match budgets.len() {
            0 => Ok(()),
            _ => Err(Status::internal(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            )),
        };
    };
    let time = Timestamp::now();
    let counted = |budget: &Object| disrupted(kind, budget, pod, time);
    let target = Target {
        kind,
        namespace: pod.namespace(),
        name: budget.name(),
    };
    api.registry.update(target, Part::Own, options, counted).await?;
    Ok(())
}

/// The budgets that are about the pod.
fn budgets(api: &Api, kind: &'static Kind, pod: &Object) -> Vec<Object> {
    let selection = Selection {
        namespace: pod.namespace().to_owned(),
        ..Selection::default()
    };
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let is_about = |budget: &Object| {
        let selector = budget.at("spec.selector").map(LabelSelector::deserialize);
        // An empty selector is about all pods, an absent one about none.
        let selector = selector.and_then(|selector| Labels::from_spec(&selector.ok()?).ok());
        selector.is_some_and(|selector| selector.matches(&labels))
    };
    let all = api.registry.selected(kind, &selection);
    all.iter().map(|stored| stored.object()).filter(is_about).collect()
}

/// The budget with one disruption less, if it has any; as it is when the pod doesn't count.
fn disrupted(kind: &'static Kind, budget: &Object, pod: &Object, time: Timestamp) -> Result<Object, Status> {
    let number = |field: &str| {
        budget
            .at(&format!("status.{field}"))
            .and_then(Value::as_i64)
            .unwrap_or(0)
    };
    let (current, desired) = (number("currentHealthy"), number("desiredHealthy"));
    if !is_ready(pod) {
        let always = budget.at("spec.unhealthyPodEvictionPolicy") == Some(&json!("AlwaysAllow"));
        if always || (current >= desired && desired > 0) {
            return Ok(budget.clone());
        }
    }
    let name = budget.name();
    let refused = |seconds: u32, message: String| {
        let mut status = Status::too_many_requests(VIOLATES, seconds);
        let causes = &mut status.details.get_or_insert_default().causes;
        causes.push(Cause {
            reason: CAUSE.to_owned(),
            message,
            field: String::new(),
        });
        status
    };
    if number("observedGeneration") < budget.metadata.generation.unwrap_or(0) {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refused(RETRY_SECONDS, why));
    }
    let allowed = number("disruptionsAllowed");
    if allowed < 0 {
        return Err(Status::forbidden(kind, name, "pdb disruptions allowed is negative"));
    }
    let leaving = budget.at("status.disruptedPods").and_then(Value::as_object);
    if leaving.map_or(0, serde_json::Map::len) > DISRUPTED_MAX {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden(kind, name, why));
    }
    if allowed == 0 {
        return Err(refused(0, why_not(budget, current, desired)));
    }
    let mut counted = budget.clone();
    let status = counted.body.entry("status").or_insert_with(|| json!({}));
    status["disruptionsAllowed"] = (allowed - 1).into();
    status["disruptedPods"][pod.name()] = rfc3339(time).into();
    if allowed == 1
        && let Some(condition) = allowed_condition_of(status)
    {
        condition["status"] = "False".into();
        condition["reason"] = "InsufficientPods".into();
        condition["message"] = "".into();
        condition["lastTransitionTime"] = rfc3339(time).into();
    }
    Ok(counted)
}

fn is_allowed_condition(condition: &Value) -> bool {
    condition["type"] == "DisruptionAllowed"
}

fn allowed_condition_of(status: &mut Value) -> Option<&mut Value> {
    let conditions = status.get_mut("conditions")?.as_array_mut()?;
    conditions.iter_mut().find(|condition| is_allowed_condition(condition))
}

/// Why a budget has no disruption left.
fn why_not(budget: &Object, current: i64, desired: i64) -> String {
    let name = budget.name();
    let conditions = budget.at("status.conditions").and_then(Value::as_array);
    let condition = conditions
        .into_iter()
        .flatten()
        .find(|condition| is_allowed_condition(condition));
    let condition = condition.filter(|condition| condition["status"] == "False" && condition["message"] != "");
    let said = condition.map(|condition| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        (text("reason"), text("message"))
    });
    match said {
        // The counts aren't to be trusted then.
        Some(("SyncFailed", message)) => {
            format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
            )
        }
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some((reason, message)) => {
            format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {message}")
        }
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

fn is_ready(pod: &Object) -> bool {
    let conditions = pod.at("status.conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Says on the pod that it doesn't end by itself.
fn with_condition(pod: &Object, time: Timestamp) -> Object {
    let mut pod = pod.clone();
    let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": rfc3339(time)});
    let status = pod.body.entry("status").or_insert_with(|| json!({}));
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    if let Some(conditions) = status["conditions"].as_array_mut() {
        conditions.retain(|condition| condition["type"] != "DisruptionTarget");
        conditions.push(condition);
    }
    pod
}

fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).expect("an object")
    }

    fn evicted(budget: Value, ready: &str) -> Result<Object, Status> {
        let kind = kinds::of("policy", "v1", "PodDisruptionBudget").expect("budgets are served");
        let pod =
            object(json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}));
        disrupted(kind, &object(budget), &pod, Timestamp::UNIX_EPOCH)
    }

    fn cause(status: &Status) -> String {
        let causes = status.details.as_ref().map(|details| &details.causes);
        causes.map_or(String::new(), |causes| causes[0].message.clone())
    }

    #[test]
    fn a_disruption_is_counted() {
        let budget = json!({"metadata": {"name": "b", "generation": 1}, "status": {"observedGeneration": 1, "disruptionsAllowed": 1,
            "conditions": [{"type": "DisruptionAllowed", "status": "True"}]}});
        let counted = evicted(budget, "True").expect("allowed");
        assert_eq!(counted.at("status.disruptionsAllowed"), Some(&json!(0)));
        assert_eq!(
            counted.at("status.disruptedPods"),
            Some(&json!({"p": "1970-01-01T00:00:00Z"}))
        );
        assert_eq!(counted.at("status.conditions").expect("there")[0]["status"], "False");
        let refused = evicted(counted.to_value(), "True").expect_err("nothing is left");
        assert_eq!(
            (refused.code, cause(&refused)),
            (
                429,
                "The disruption budget b needs 0 healthy pods and has 0 currently".to_owned()
            )
        );
    }

    #[test]
    fn a_budget_that_is_not_counted_yet_allows_nothing() {
        let refused = evicted(json!({"metadata": {"name": "b", "generation": 1}}), "True").expect_err("not observed");
        assert_eq!(
            cause(&refused),
            "The disruption budget b is still being processed by the server."
        );
        assert_eq!(refused.details.map(|details| details.retry_after_seconds), Some(10));
    }

    #[test]
    fn a_pod_that_is_not_ready_may_go_when_the_others_suffice() {
        let status = json!({"currentHealthy": 2, "desiredHealthy": 2});
        let budget = json!({"metadata": {"name": "b"}, "status": status});
        assert_eq!(
            evicted(budget.clone(), "False").expect("free").to_value(),
            object(budget.clone()).to_value()
        );
        assert_eq!(evicted(budget, "True").expect_err("counts").code, 429);
        let low = json!({"metadata": {"name": "b"}, "status": {"currentHealthy": 1, "desiredHealthy": 2}});
        assert_eq!(evicted(low.clone(), "False").expect_err("needed").code, 429);
        let mut always = low;
        always["spec"] = json!({"unhealthyPodEvictionPolicy": "AlwaysAllow"});
        assert!(evicted(always, "False").is_ok());
    }

    #[test]
    fn why_a_budget_refuses_is_told() {
        let budget = |status: &str, reason: &str, message: &str| {
            object(json!({"metadata": {"name": "b"}, "status": {"conditions": [
                {"type": "DisruptionAllowed", "status": status, "reason": reason, "message": message}]}}))
        };
        assert_eq!(
            why_not(&budget("False", "SyncFailed", "no scale"), 1, 2),
            "The disruption budget b does not allow evicting pods currently because it failed sync: no scale"
        );
        assert_eq!(
            why_not(&budget("False", "Odd", "so it is"), 3, 2),
            "The disruption budget b does not allow evicting pods currently (Odd): so it is"
        );
        assert_eq!(
            why_not(&budget("True", "", ""), 3, 2),
            "The disruption budget b does not allow evicting pods currently"
        );
    }

    #[test]
    fn the_pod_says_that_it_was_evicted() {
        let pod = with_condition(&object(json!({"metadata": {"name": "p"}})), Timestamp::UNIX_EPOCH);
        assert_eq!(
            pod.at("status.conditions").expect("there")[0]["reason"],
            "EvictionByEvictionAPI"
        );
        assert!(is_unimportant(&object(json!({"status": {"phase": "Pending"}}))));
        assert!(!is_unimportant(&object(json!({"status": {"phase": "Running"}}))));
    }
}
