//! Admission over the wire: what is filled in, what is refused and in which words.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, Server};

const PODS: &str = "/api/v1/namespaces/default/pods";
const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
/// No wait here takes long; this is for a machine that does a lot besides.
const PATIENCE: Duration = Duration::from_secs(60);

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}})
}

async fn refused(client: &mut Client, path: &str, object: &Value, expected: &str) {
    let answer = client.post(path, object).await;
    assert_eq!(answer.failure(), (403, expected.to_owned()));
}

#[tokio::test]
async fn pods_have_the_priority_of_their_class() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let made = client.create(PODS, &pod("a")).await;
    assert_eq!(
        (&made["spec"]["priority"], &made["spec"]["preemptionPolicy"]),
        (&json!(0), &json!("PreemptLowerPriority"))
    );
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let class = |name: &str| json!({"metadata": {"name": name}, "value": 5, "globalDefault": true});
    client.create(classes, &class("usual")).await;
    let why = "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass usual is already marked as default. Only one default can exist";
    refused(&mut client, classes, &class("other"), why).await;
    let made = client.create(PODS, &pod("b")).await;
    assert_eq!(
        (&made["spec"]["priority"], &made["spec"]["priorityClassName"]),
        (&json!(5), &json!("usual"))
    );
    let mut unknown = pod("c");
    unknown["spec"]["priorityClassName"] = json!("x");
    let why = "pods \"c\" is forbidden: no PriorityClass with name x was found";
    refused(&mut client, PODS, &unknown, why).await;
}

#[tokio::test]
async fn limit_ranges_fill_in_and_refuse() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let range = json!({"metadata": {"name": "r"}, "spec": {"limits": [{"type": "Container",
        "max": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}}]}});
    client.create("/api/v1/namespaces/default/limitranges", &range).await;
    let made = client.create(PODS, &pod("a")).await;
    assert_eq!(
        made["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}})
    );
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let mut large = pod("b");
    large["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    let why = "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2";
    refused(&mut client, PODS, &large, why).await;
}

#[tokio::test]
async fn quotas_are_never_exceeded() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "3", "services.nodeports": "1"}}});
    client.create(QUOTAS, &quota).await;
    // Many at once: exactly as many as fit.
    let asked = (0..8).map(|number| {
        let server = &server;
        async move {
            let mut client = server.admin().await;
            client.post(PODS, &pod(&format!("p{number}"))).await
        }
    });
    let answers = futures::future::join_all(asked).await;
    let (made, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.code == 201);
    assert_eq!(made.len(), 3);
    for answer in others {
        let (code, message) = answer.failure();
        assert_eq!(code, 403);
        assert!(
            message.ends_with("exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3"),
            "{message}"
        );
    }
    used(&server, &json!({"pods": "3", "services.nodeports": "0"})).await;
    let name = made[0].json()["metadata"]["name"].as_str().unwrap().to_owned();
    client.delete(&format!("{PODS}/{name}?gracePeriodSeconds=0")).await;
    used(&server, &json!({"pods": "2", "services.nodeports": "0"})).await;
    client.create(PODS, &pod("again")).await;

    let services = "/api/v1/namespaces/default/services";
    let service =
        json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "b"}]}});
    client.create(services, &service).await;
    let answer = client
        .merge(&format!("{services}/s"), &json!({"spec": {"type": "NodePort"}}))
        .await;
    let why = "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1";
    assert_eq!(answer.failure(), (403, why.to_owned()));
}

/// Waits, on a watch, until the quota says that this is used.
async fn used(server: &Server, expected: &Value) {
    let mut client = server.admin().await;
    let mut watch = client.watch(&format!("{QUOTAS}?watch=true")).await;
    let reached =
        async { while watch.next().await.expect("the watch goes on")["object"]["status"]["used"] != *expected {} };
    tokio::time::timeout(PATIENCE, reached)
        .await
        .expect("the quota's status");
}

#[tokio::test]
async fn namespaces_say_how_much_pods_may_do() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let labels = |mode: &str, level: &str| json!({"metadata": {"labels": {format!("pod-security.kubernetes.io/{mode}"): level}}});
    let path = "/api/v1/namespaces/default";
    assert_eq!(client.merge(path, &labels("enforce", "none")).await.code, 422);
    let mut privileged = pod("a");
    privileged["spec"]["hostNetwork"] = json!(true);
    client.create(PODS, &privileged).await;

    let answer = client.merge(path, &labels("enforce", "baseline")).await;
    assert_eq!(answer.code, 200);
    assert_eq!(
        warnings(&answer),
        [
            "299 - \"existing pods in namespace \\\"default\\\" violate the new PodSecurity enforce level \\\"baseline:latest\\\"\"",
            "299 - \"a: host namespaces\"",
        ]
    );
    privileged["metadata"]["name"] = json!("b");
    let why = "pods \"b\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)";
    refused(&mut client, PODS, &privileged, why).await;
    client.create(PODS, &pod("c")).await;

    client.merge(path, &labels("warn", "restricted")).await;
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": pod("x")["spec"]});
    let workload =
        json!({"metadata": {"name": "w"}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template}});
    let answer = client
        .post("/apis/apps/v1/namespaces/default/deployments", &workload)
        .await;
    assert_eq!(answer.code, 201);
    let told = warnings(&answer).join("");
    assert!(
        told.contains("would violate PodSecurity \\\"restricted:latest\\\": allowPrivilegeEscalation != false"),
        "{told}"
    );
    // Long as it is, nothing is cut off.
    assert!(
        told.ends_with("\\\"RuntimeDefault\\\" or \\\"Localhost\\\")\""),
        "{told}"
    );
}

fn warnings(answer: &support::Answer) -> Vec<String> {
    let all = answer.headers.get_all("warning").iter();
    all.map(|value| value.to_str().unwrap().to_owned()).collect()
}
