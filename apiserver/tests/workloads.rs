//! The kinds that make pods, over TLS, as a client meets them: scale, versions, eviction, what hangs below a pod.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Client, Server};

const APPS: &str = "/apis/apps/v1/namespaces/default";
const PODS: &str = "/api/v1/namespaces/default/pods";
const V1: &str = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
const V2: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}})
}

fn workload(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "x"}}, "template": template()}})
}

fn evicted(name: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})
}

async fn running_pod(client: &mut Client, name: &str) {
    let pod = json!({"metadata": {"name": name, "labels": {"app": "x"}}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx"}]}});
    client.create(PODS, &pod).await;
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let answer = client.merge(&format!("{PODS}/{name}/status"), &status).await;
    assert_eq!(answer.code, 200, "{:?}", answer.body);
}

#[tokio::test]
async fn whatever_has_replicas_is_scaled_the_same_way() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    for plural in ["deployments", "replicasets", "statefulsets"] {
        client.create(&format!("{APPS}/{plural}"), &workload("w")).await;
        let path = format!("{APPS}/{plural}/w");
        let scale = client.get(&format!("{path}/scale")).await.json();
        assert_eq!(
            (&scale["kind"], &scale["apiVersion"]),
            (&json!("Scale"), &json!("autoscaling/v1"))
        );
        assert_eq!(scale["spec"], json!({"replicas": 2}));
        assert_eq!(scale["status"], json!({"replicas": 0, "selector": "app=x"}));

        let mut wanted = scale.clone();
        wanted["spec"]["replicas"] = 5.into();
        let scaled = client.put(&format!("{path}/scale"), &wanted).await.json();
        assert_eq!(scaled["spec"]["replicas"], 5);
        let whole = client.get(&path).await.json();
        assert_eq!(
            (&whole["spec"]["replicas"], &whole["metadata"]["generation"]),
            (&json!(5), &json!(2))
        );

        let (code, message) = client.put(&format!("{path}/scale"), &wanted).await.failure();
        assert_eq!(code, 409, "the scale is an old one: {message}");
        let negative = client
            .merge(&format!("{path}/scale"), &json!({"spec": {"replicas": -1}}))
            .await;
        let told =
            "Scale.autoscaling \"w\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0";
        assert_eq!(negative.failure(), (422, told.to_owned()));
        let none = client
            .merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 0}}))
            .await
            .json();
        assert_eq!(none["spec"], json!({}));
    }
    let controller = json!({"metadata": {"name": "rc"}, "spec": {"template": template()}});
    client
        .create("/api/v1/namespaces/default/replicationcontrollers", &controller)
        .await;
    let path = "/api/v1/namespaces/default/replicationcontrollers/rc/scale";
    assert_eq!(client.get(path).await.json()["status"]["selector"], "app=x");
    assert_eq!(client.get(&format!("{APPS}/daemonsets/d/scale")).await.code, 404);
}

#[tokio::test]
async fn an_autoscaler_is_one_object_in_two_versions() {
    let mut server = Server::start().await;
    let mut client = server.admin().await;
    let mut old = server.admin().await.watch(&format!("{V1}?watch=true")).await;
    let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let created = client
        .create(V1, &json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50, "scaleTargetRef": reference}}))
        .await;
    assert_eq!(
        (&created["apiVersion"], &created["spec"]["minReplicas"]),
        (&json!("autoscaling/v1"), &json!(1))
    );
    let event = old.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]), (&json!("ADDED"), &created));

    let mut new = client.get(&format!("{V2}/h")).await.json();
    assert_eq!(new["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(
        new["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
        50
    );
    let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
    new["spec"]["metrics"].as_array_mut().unwrap().push(memory.clone());
    assert_eq!(client.put(&format!("{V2}/h"), &new).await.code, 200);

    let seen = old.next().await.unwrap();
    assert_eq!(
        (&seen["type"], &seen["object"]["apiVersion"]),
        (&json!("MODIFIED"), &json!("autoscaling/v1"))
    );
    let annotation = &seen["object"]["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"];
    assert!(
        annotation.as_str().unwrap().contains("\"targetAverageValue\":\"1Gi\""),
        "{annotation}"
    );

    // A change through the old version leaves alone what only the new one knows.
    let patched = client
        .merge(
            &format!("{V1}/h"),
            &json!({"spec": {"targetCPUUtilizationPercentage": 70}}),
        )
        .await;
    assert_eq!(patched.json()["spec"]["targetCPUUtilizationPercentage"], 70);
    let metrics = client.get(&format!("{V2}/h")).await.json()["spec"]["metrics"].clone();
    assert_eq!(metrics.as_array().unwrap().len(), 2);
    assert!(metrics.as_array().unwrap().contains(&memory));

    server.restart().await;
    let mut client = server.admin().await;
    for (path, version) in [(V1, "autoscaling/v1"), (V2, "autoscaling/v2")] {
        let list = client.get(path).await.json();
        assert_eq!(
            (&list["apiVersion"], &list["items"][0]["apiVersion"]),
            (&json!(version), &json!(version))
        );
    }
    let group = client.get("/apis/autoscaling").await.json();
    assert_eq!(group["preferredVersion"]["version"], "v2");
    assert_eq!(client.delete(&format!("{V1}/h")).await.code, 200);
    assert_eq!(client.get(&format!("{V2}/h")).await.code, 404);
}

#[tokio::test]
async fn an_eviction_respects_the_budget() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    for name in ["a", "b"] {
        running_pod(&mut client, name).await;
    }
    let budget =
        json!({"metadata": {"name": "one"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}});
    client.create(BUDGETS, &budget).await;
    let eviction = format!("{PODS}/a/eviction");
    let unknown = client.post(&eviction, &evicted("a")).await;
    assert_eq!(unknown.headers["retry-after"], "10");
    assert_eq!(unknown.json()["details"]["causes"][0]["reason"], "DisruptionBudget");

    let status = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}});
    assert_eq!(client.merge(&format!("{BUDGETS}/one/status"), &status).await.code, 200);
    let other = client.post(&eviction, &evicted("b")).await.failure();
    assert_eq!(
        other,
        (400, "name in URL does not match name in Eviction object".to_owned())
    );
    let dry = client.post(&format!("{eviction}?dryRun=All"), &evicted("a")).await;
    assert_eq!(dry.code, 201);
    assert_eq!(
        client.get(&format!("{BUDGETS}/one")).await.json()["status"]["disruptionsAllowed"],
        1
    );

    assert_eq!(client.post(&eviction, &evicted("a")).await.code, 201);
    let pod = client.get(&format!("{PODS}/a")).await.json();
    assert!(pod["metadata"]["deletionTimestamp"].is_string());
    let conditions = pod["status"]["conditions"].as_array().unwrap().clone();
    assert!(
        conditions
            .iter()
            .any(|condition| condition["type"] == "DisruptionTarget")
    );
    let refused = client.post(&format!("{PODS}/b/eviction"), &evicted("b")).await;
    let told = "Cannot evict pod as it would violate the pod's disruption budget.";
    assert_eq!(refused.failure(), (429, told.to_owned()));

    let second = json!({"metadata": {"name": "two"}, "spec": {"selector": {}}});
    client.create(BUDGETS, &second).await;
    assert_eq!(
        client.post(&format!("{PODS}/b/eviction"), &evicted("b")).await.code,
        500
    );
}

#[tokio::test]
async fn a_running_pod_takes_a_debugger_and_other_resources() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    running_pod(&mut client, "p").await;
    let path = format!("{PODS}/p");
    let strategic = [("content-type", "application/strategic-merge-patch+json")];
    let debugger = json!({"spec": {"ephemeralContainers": [{"name": "d", "image": "busybox"}], "hostname": "ignored"}});
    let patched = client
        .send(
            "PATCH",
            &format!("{path}/ephemeralcontainers"),
            &strategic,
            debugger.to_string(),
        )
        .await
        .json();
    assert_eq!(
        patched["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"],
        "File"
    );
    assert_eq!(patched["spec"].get("hostname"), None);
    assert_eq!(patched["metadata"]["generation"], 2);
    let gone = client
        .merge(
            &format!("{path}/ephemeralcontainers"),
            &json!({"spec": {"ephemeralContainers": null}}),
        )
        .await;
    assert_eq!(gone.code, 422);

    let bigger = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}});
    let (code, message) = client
        .send("PATCH", &format!("{path}/resize"), &strategic, bigger.to_string())
        .await
        .failure();
    assert_eq!(code, 422);
    assert!(
        message.contains("Pod QOS Class may not change as a result of resizing"),
        "{message}"
    );
    assert_eq!(client.get(&format!("{path}/resize")).await.json()["kind"], "Pod");
}

#[tokio::test]
async fn a_job_knows_its_pods_by_its_uid() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let mut template = template();
    template["spec"]["restartPolicy"] = "Never".into();
    let job = json!({"metadata": {"generateName": "j-"}, "spec": {"template": template}});
    let created = client.create("/apis/batch/v1/namespaces/default/jobs", &job).await;
    let labels = &created["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["job-name"], created["metadata"]["name"]);
    assert_eq!(
        created["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"],
        created["metadata"]["uid"]
    );
}

#[tokio::test]
async fn what_a_kind_can_not_do_is_refused() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let components = "/api/v1/componentstatuses";
    assert_eq!(
        client.post(components, &json!({"metadata": {"name": "c"}})).await.code,
        405
    );
    assert_eq!(client.get("/api/v1/namespaces/default/bindings").await.code, 405);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    client.create(PODS, &pod).await;
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    assert_eq!(
        client.post("/api/v1/namespaces/default/bindings", &binding).await.code,
        201
    );
    assert_eq!(client.get(&format!("{PODS}/p")).await.json()["spec"]["nodeName"], "n1");
}
