//! What doesn't work is told as upstream tells it: code, reason, message, details and causes.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Answer, Client, Server};

const FAILURES: &str = include_str!("data/failures.txt");
const NAMESPACE: &str = "/api/v1/namespaces/default";

#[tokio::test]
async fn failures_are_told_as_upstream_tells_them() {
    let server = Server::start().await;
    prepare(&mut server.admin().await).await;
    let mut different = Vec::new();
    let mut told = 0;
    for case in FAILURES.split("\n\n").filter(|case| !case.starts_with('#')) {
        let (request, expected) = case.trim_end().split_once('\n').unwrap();
        let answer = asked(&server, request).await;
        let found = shown(&answer);
        told += 1;
        if !is_expected(expected, &found) {
            different.push(format!("{request}\nexpected: {expected}\nfound:    {found}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
    assert!(told > 50, "{told}");
}

async fn prepare(client: &mut Client) {
    client
        .create(
            &format!("{NAMESPACE}/configmaps"),
            &json!({"metadata": {"name": "a"}, "data": {"k": "v"}}),
        )
        .await;
    let containers = json!([{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": containers}});
    client.create(&format!("{NAMESPACE}/pods"), &pod).await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    client.create(leases, &json!({"metadata": {"name": "a"}})).await;
}

/// Sends a request's line, on a connection of its own: what is refused early leaves a body behind.
async fn asked(server: &Server, request: &str) -> Answer {
    let mut words = request.splitn(5, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (who, method, path, content_type, body) = (word(), word(), word(), word(), word());
    let large = format!("{{\"data\":{{\"k\":\"{}\"}}}}", "x".repeat(4 << 20));
    let body = if body == "LARGE" { large } else { body.to_owned() };
    let bearer = format!("Bearer {who}");
    let is_certificate = ["admin", "eve"].contains(&who);
    let mut client = server.client(is_certificate.then_some(who)).await;
    let mut headers = Vec::new();
    if !content_type.is_empty() {
        headers.push(("content-type", content_type));
    }
    if !is_certificate {
        headers.push(("authorization", &bearer));
    }
    client.send(method, &path.replace('~', NAMESPACE), &headers, body).await
}

/// An answer as the file writes it.
fn shown(answer: &Answer) -> String {
    let mut status = answer.json();
    if answer.code < 400 {
        return format!("{} {status}", answer.code);
    }
    assert_eq!(
        (
            &status["kind"],
            &status["apiVersion"],
            &status["status"],
            &status["code"]
        ),
        (&json!("Status"), &json!("v1"), &json!("Failure"), &json!(answer.code))
    );
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut lines = vec![format!(
        "{} {} {}",
        answer.code,
        text(&status["reason"]),
        text(&status["message"])
    )];
    if let Some(details) = status.get_mut("details") {
        let causes = details.as_object_mut().unwrap().remove("causes");
        lines.push(details.to_string());
        for cause in causes.as_ref().and_then(Value::as_array).into_iter().flatten() {
            lines.push(format!(
                "{} {} {}",
                text(&cause["field"]),
                text(&cause["reason"]),
                text(&cause["message"])
            ));
        }
    }
    lines.join("\n")
}

fn is_expected(expected: &str, found: &str) -> bool {
    let line = |(expected, found): (&str, &str)| match expected.strip_suffix('…') {
        Some(begin) => found.starts_with(begin),
        None => expected == found,
    };
    expected.lines().count() == found.lines().count() && expected.lines().zip(found.lines()).all(line)
}
