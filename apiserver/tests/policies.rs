//! Policies in CEL over the wire: what they see, what they refuse and what they only warn about.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Client, Server};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn policy(client: &mut Client, name: &str, spec: &Value, binding: &Value) {
    let mut spec = spec.clone();
    spec["matchConstraints"] = json!({"resourceRules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [""],
        "apiVersions": ["v1"], "resources": ["configmaps"]}]});
    let path = format!("{GROUP}/validatingadmissionpolicies");
    client
        .create(&path, &json!({"metadata": {"name": name}, "spec": spec}))
        .await;
    let mut bound = json!({"policyName": name, "validationActions": ["Deny"]});
    bound
        .as_object_mut()
        .unwrap()
        .extend(binding.as_object().unwrap().clone());
    let path = format!("{GROUP}/validatingadmissionpolicybindings");
    let object = json!({"metadata": {"name": format!("{name}-binding")}, "spec": bound});
    client.create(&path, &object).await;
}

fn map(name: &str, data: &Value) -> Value {
    json!({"metadata": {"name": name}, "data": data})
}

async fn refused(client: &mut Client, object: &Value, code: u16, words: &str) {
    let (answered, message) = client.post(MAPS, object).await.failure();
    assert!(answered == code && message.ends_with(words), "{answered} {message}");
}

#[tokio::test]
async fn policies_refuse_what_does_not_hold() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let limits = json!({"metadata": {"name": "limits", "labels": {"spared": "yes"}}, "data": {"most": "3"}});
    client.create(MAPS, &limits).await;
    let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "n", "expression": "!request.name.startsWith('spared')"}],
        "variables": [{"name": "size", "expression": "size(object.data)"},
            {"name": "twice", "expression": "variables.size * 2"}],
        "validations": [
            {"expression": "variables.size <= int(params.data.most)",
                "messageExpression": "'at most ' + params.data.most + ' in ' + namespaceObject.metadata.name"},
            {"expression": "variables.twice != 2", "message": "one is too few", "reason": "Forbidden"},
            {"expression": "!('bad' in object.data)"}]});
    let binding = json!({"paramRef": {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}});
    policy(&mut client, "p", &spec, &binding).await;

    let whole = "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p-binding' denied request: at most 3 in default";
    let data = json!({"a": "", "b": "", "c": "", "d": ""});
    refused(&mut client, &map("a", &data), 422, whole).await;
    refused(
        &mut client,
        &map("a", &json!({"a": ""})),
        403,
        "denied request: one is too few",
    )
    .await;
    let data = json!({"a": "", "bad": ""});
    refused(
        &mut client,
        &map("a", &data),
        422,
        "failed expression: !('bad' in object.data)",
    )
    .await;
    client.create(MAPS, &map("spared", &json!({"bad": ""}))).await;
    client.create(MAPS, &map("a", &json!({"a": "", "b": ""}))).await;
    let answer = client.merge(&format!("{MAPS}/a"), &json!({"data": {"b": null}})).await;
    assert_eq!(answer.code, 403);

    client.delete(&format!("{MAPS}/limits")).await;
    let words = "no params found for policy binding with `Deny` parameterNotFoundAction";
    refused(&mut client, &map("b", &json!({"a": "", "b": ""})), 422, words).await;
}

#[tokio::test]
async fn policies_warn_and_what_is_broken_is_ignored_if_they_say_so() {
    let server = Server::start().await;
    let mut client = server.admin().await;
    let spec = json!({"validations": [{"expression": "object.metadata.name == 'x'"}]});
    policy(&mut client, "p", &spec, &json!({"validationActions": ["Warn"]})).await;
    let answer = client.post(MAPS, &map("a", &json!({}))).await;
    assert_eq!(answer.code, 201);
    let told = answer.headers["warning"].to_str().unwrap();
    assert_eq!(
        told,
        "299 - \"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p-binding': failed expression: object.metadata.name == 'x'\""
    );

    let spec =
        |failure: &str| json!({"failurePolicy": failure, "validations": [{"expression": "object.none.other == 1"}]});
    policy(&mut client, "ignored", &spec("Ignore"), &json!({})).await;
    client.create(MAPS, &map("b", &json!({}))).await;
    policy(&mut client, "strict", &spec("Fail"), &json!({})).await;
    let (code, message) = client.post(MAPS, &map("c", &json!({}))).await.failure();
    assert_eq!(code, 422);
    assert!(
        message.contains("expression 'object.none.other == 1' resulted in error: no such key"),
        "{message}"
    );
}

#[tokio::test]
async fn policies_ask_the_authorizer_and_annotations_for_the_audit_log_are_checked() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let may = "authorizer.group('').resource('secrets').namespace(request.namespace).check('get').allowed()";
    let own = "authorizer.requestResource.check('create').allowed()";
    let account = "!authorizer.serviceAccount('default', 'a').path('/version').check('post').allowed()";
    let spec = json!({"validations": [
        {"expression": format!("object.metadata.name != 'secret' || {may}"), "message": "may not read secrets"},
        {"expression": own}, {"expression": account}]});
    policy(&mut admin, "p", &spec, &json!({})).await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({"metadata": {"name": "maps"}, "rules": [{"verbs": ["create"], "apiGroups": [""], "resources": ["configmaps"]}]});
    admin.create(&format!("{rbac}/roles"), &role).await;
    let binding = json!({"metadata": {"name": "maps"}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maps"}});
    admin.create(&format!("{rbac}/rolebindings"), &binding).await;
    let mut eve = server.client(Some("eve")).await;
    eve.create(MAPS, &map("other", &json!({}))).await;
    refused(&mut eve, &map("secret", &json!({})), 422, "may not read secrets").await;
    admin.create(MAPS, &map("secret", &json!({}))).await;

    let spec =
        json!({"auditAnnotations": [{"key": "k", "valueExpression": "object.metadata.name == 'number' ? 1 : 'x'"}]});
    policy(&mut admin, "audit", &spec, &json!({})).await;
    admin.create(MAPS, &map("text", &json!({}))).await;
    let words = "resulted in unsupported return type: int. Return type must be either string or null.";
    refused(&mut admin, &map("number", &json!({})), 422, words).await;
}
