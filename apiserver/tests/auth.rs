//! Who may what, over the wire: roles, tokens, impersonation, reviews, nodes.
#![allow(clippy::unwrap_used, reason = "for tests: what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::{Client, Server};

const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1";
const JSON: (&str, &str) = ("content-type", "application/json");

fn role(name: &str, verbs: &[&str], resources: &[&str]) -> Value {
    json!({"metadata": {"name": name}, "rules": [{"verbs": verbs, "apiGroups": [""], "resources": resources}]})
}

fn binding(name: &str, kind: &str, role: &str, subject: Value) -> Value {
    json!({"metadata": {"name": name}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}})
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"})
}

async fn as_user(client: &mut Client, user: &str, method: &str, path: &str, body: &Value) -> (u16, String) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = client
        .send(method, path, &[JSON, ("impersonate-user", user)], body)
        .await;
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    (answer.code, message)
}

async fn with_token(client: &mut Client, token: &str, path: &str) -> (u16, String) {
    let bearer = format!("Bearer {token}");
    client
        .send("GET", path, &[("authorization", &bearer)], "")
        .await
        .failure()
}

async fn token(client: &mut Client, account: &str, spec: Value) -> (u16, Value) {
    let answer = client
        .post(&format!("{ACCOUNTS}/{account}/token"), &json!({"spec": spec}))
        .await;
    (answer.code, answer.json())
}

#[tokio::test]
async fn roles_grant_from_the_moment_they_are_bound() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let mut eve = server.client(Some("eve")).await;
    assert_eq!(eve.get(MAPS).await.code, 403);
    let roles = format!("{RBAC}/namespaces/default/roles");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    admin
        .create(&bindings, &binding("b", "Role", "reader", user("eve")))
        .await;
    let (code, message) = eve.get(MAPS).await.failure();
    assert_eq!(code, 403);
    let missing = "in the namespace \"default\": RBAC: role.rbac.authorization.k8s.io \"reader\" not found";
    assert!(message.ends_with(missing), "{message}");
    admin
        .create(&roles, &role("reader", &["get", "list"], &["configmaps"]))
        .await;
    assert_eq!(eve.get(MAPS).await.code, 200);
    assert_eq!(eve.get("/api/v1/namespaces/kube-system/configmaps").await.code, 403);
    assert_eq!(eve.get("/api/v1/configmaps").await.code, 403);
    assert_eq!(eve.get(&format!("{MAPS}?watch=1")).await.code, 403);
    assert_eq!(eve.delete(&format!("{MAPS}/kube-root-ca.crt")).await.code, 403);
    let path = format!("{roles}/reader");
    let rules = json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["kube-root-ca.crt"]}]});
    admin.merge(&path, &rules).await;
    assert_eq!(eve.get(&format!("{MAPS}/kube-root-ca.crt")).await.code, 200);
    assert_eq!(
        eve.get(&format!("{MAPS}/other")).await.code,
        403,
        "not even that it isn't there"
    );
    assert_eq!(eve.get(MAPS).await.code, 403);
    admin.delete(&format!("{bindings}/b")).await;
    assert_eq!(eve.get(&format!("{MAPS}/kube-root-ca.crt")).await.code, 403);
}

#[tokio::test]
async fn the_roles_of_upstream_are_there() {
    let mut server = Server::start().await;
    let mut admin = server.admin().await;
    let edit = admin.get(&format!("{RBAC}/clusterroles/edit")).await.json();
    let count = edit["rules"].as_array().unwrap().len();
    assert!(count > 10, "put together from its parts: {edit}");
    assert_eq!(
        edit["metadata"]["labels"]["kubernetes.io/bootstrapping"],
        "rbac-defaults"
    );
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    admin
        .create(&bindings, &binding("b", "ClusterRole", "view", user("viewer")))
        .await;
    let mut other = server.admin().await;
    assert_eq!(as_user(&mut other, "viewer", "GET", MAPS, &Value::Null).await.0, 200);
    assert_eq!(as_user(&mut other, "viewer", "GET", SECRETS, &Value::Null).await.0, 403);

    admin.delete(&format!("{RBAC}/clusterroles/view")).await;
    admin
        .merge(&format!("{RBAC}/clusterroles/system:discovery"), &json!({"rules": []}))
        .await;
    let keep =
        json!({"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}, "rules": []});
    admin
        .merge(&format!("{RBAC}/clusterroles/system:basic-user"), &keep)
        .await;
    drop((admin, other));
    server.restart().await;
    let mut admin = server.admin().await;
    assert_eq!(
        as_user(&mut admin, "viewer", "GET", MAPS, &Value::Null).await.0,
        200,
        "it is there again"
    );
    assert_eq!(
        as_user(&mut admin, "viewer", "GET", "/api", &Value::Null).await.0,
        200,
        "its rules are there again"
    );
    let kept = admin
        .get(&format!("{RBAC}/clusterroles/system:basic-user"))
        .await
        .json();
    assert_eq!(kept["rules"].as_array().map_or(0, Vec::len), 0, "somebody wanted it so");
}

#[tokio::test]
async fn roles_are_put_together_by_label() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let roles = format!("{RBAC}/clusterroles");
    let mut watching = server.admin().await;
    let selector = "fieldSelector=metadata.name%3Dall";
    let mut watch = watching.watch(&format!("{roles}?watch=1&{selector}")).await;
    let all = json!({"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}});
    admin.create(&roles, &all).await;
    assert_eq!(watch.next().await.unwrap()["type"], "ADDED");
    let mut part = role("part", &["get"], &["configmaps"]);
    part["metadata"]["labels"] = json!({"to": "all"});
    admin.create(&roles, &part).await;
    assert_eq!(watch.next().await.unwrap()["object"]["rules"], part["rules"]);
    admin.delete(&format!("{roles}/part")).await;
    let rules = &watch.next().await.unwrap()["object"]["rules"];
    assert_eq!(rules.as_array().map_or(0, Vec::len), 0);
}

#[tokio::test]
async fn nobody_grants_what_they_have_not_got() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let (roles, bindings) = (
        format!("{RBAC}/namespaces/default/roles"),
        format!("{RBAC}/namespaces/default/rolebindings"),
    );
    admin
        .create(&bindings, &binding("b", "ClusterRole", "admin", user("boss")))
        .await;
    let mut boss = server.admin().await;
    assert_eq!(
        as_user(
            &mut boss,
            "boss",
            "POST",
            &roles,
            &role("maps", &["get"], &["configmaps"])
        )
        .await
        .0,
        201
    );
    let (code, message) = as_user(
        &mut boss,
        "boss",
        "POST",
        &roles,
        &role("nodes", &["get", "list"], &["nodes"]),
    )
    .await;
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "roles.rbac.authorization.k8s.io \"nodes\" is forbidden: user \"boss\" (groups=[\"system:authenticated\"]) is attempting \
         to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"list\"]}"
    );
    let own = as_user(
        &mut boss,
        "boss",
        "POST",
        &bindings,
        &binding("c", "ClusterRole", "view", user("eve")),
    )
    .await;
    assert_eq!(own.0, 201, "{}", own.1);
    let more = binding("d", "ClusterRole", "cluster-admin", user("boss"));
    let (code, message) = as_user(&mut boss, "boss", "POST", &bindings, &more).await;
    assert_eq!(code, 403);
    assert!(
        message.contains("is attempting to grant RBAC permissions not currently held"),
        "{message}"
    );
    let rules = role("maps", &["*"], &["nodes"]);
    let (code, _) = as_user(&mut boss, "boss", "PUT", &format!("{roles}/maps"), &rules).await;
    assert_eq!(code, 403, "nor by an update");
    let bind = json!({"metadata": {"name": "binder"}, "rules": [{"verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles"], "resourceNames": ["cluster-admin"]}]});
    admin.create(&roles, &bind).await;
    admin
        .create(&bindings, &binding("e", "Role", "binder", user("boss")))
        .await;
    assert_eq!(
        as_user(&mut boss, "boss", "POST", &bindings, &more).await.0,
        201,
        "who may bind it may"
    );
}

#[tokio::test]
async fn tokens_speak_for_service_accounts() {
    let mut server = Server::start().await;
    let mut admin = server.admin().await;
    admin.create(ACCOUNTS, &json!({"metadata": {"name": "web"}})).await;
    let (code, made) = token(&mut admin, "web", json!({})).await;
    assert_eq!(code, 201);
    let text = made["status"]["token"].as_str().unwrap().to_owned();
    assert_eq!(
        made["spec"]["audiences"],
        json!(["https://kubernetes.default.svc.cluster.local"])
    );
    let mut nobody = server.client(None).await;
    let (code, message) = with_token(&mut nobody, &text, MAPS).await;
    assert_eq!(code, 403);
    assert!(
        message.contains("User \"system:serviceaccount:default:web\" cannot list resource \"configmaps\""),
        "{message}"
    );
    assert_eq!(with_token(&mut nobody, &text, "/openid/v1/jwks").await.0, 200);
    let account = json!({"kind": "ServiceAccount", "name": "web", "namespace": "default"});
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    admin
        .create(&bindings, &binding("b", "ClusterRole", "view", account))
        .await;
    assert_eq!(with_token(&mut nobody, &text, MAPS).await.0, 200);
    for wrong in ["", "x", "a.b.c", &format!("{text}x"), &text[..text.len() - 4]] {
        assert_eq!(with_token(&mut nobody, wrong, MAPS).await.0, 401, "{wrong}");
    }
    assert_eq!(
        nobody
            .send("GET", MAPS, &[("authorization", "Basic YTpi")], "")
            .await
            .code,
        401
    );

    let (_, other) = token(&mut admin, "web", json!({"audiences": ["vault"]})).await;
    let other = other["status"]["token"].as_str().unwrap().to_owned();
    assert_eq!(
        with_token(&mut nobody, &other, MAPS).await.0,
        401,
        "it is for somebody else"
    );
    let (code, refused) = token(&mut admin, "web", json!({"expirationSeconds": 10})).await;
    assert_eq!((code, refused["reason"].as_str()), (422, Some("Invalid")));
    assert_eq!(token(&mut admin, "none", json!({})).await.0, 404);

    drop((admin, nobody));
    server.restart().await;
    let (mut admin, mut nobody) = (server.admin().await, server.client(None).await);
    assert_eq!(with_token(&mut nobody, &text, MAPS).await.0, 200, "the key is kept");
    admin.delete(&format!("{ACCOUNTS}/web")).await;
    assert_eq!(with_token(&mut nobody, &text, MAPS).await.0, 401);
    admin.create(ACCOUNTS, &json!({"metadata": {"name": "web"}})).await;
    assert_eq!(
        with_token(&mut nobody, &text, MAPS).await.0,
        401,
        "another account of the same name"
    );
}

#[tokio::test]
async fn tokens_end_with_what_they_are_bound_to() {
    let server = Server::start().await;
    let (mut admin, mut nobody) = (server.admin().await, server.client(None).await);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let pod = admin.create(PODS, &pod).await;
    let bound =
        json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["metadata"]["uid"]}});
    let (_, made) = token(&mut admin, "default", bound).await;
    let text = made["status"]["token"].as_str().unwrap().to_owned();
    let review = json!({"spec": {"token": text}});
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let seen = admin.create(reviews, &review).await;
    assert_eq!(seen["status"]["authenticated"], true);
    let seen = &seen["status"]["user"];
    assert_eq!(seen["username"], "system:serviceaccount:default:default");
    assert_eq!(seen["extra"]["authentication.kubernetes.io/pod-name"], json!(["p"]));
    let wrong = json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "other"}});
    assert_eq!(token(&mut admin, "default", wrong).await.0, 409);
    let wrong = json!({"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "kube-root-ca.crt"}});
    assert_eq!(token(&mut admin, "default", wrong).await.0, 400);
    admin.delete(&format!("{PODS}/p?gracePeriodSeconds=0")).await;
    assert_eq!(with_token(&mut nobody, &text, "/api").await.0, 401);
    let seen = admin.create(reviews, &review).await;
    assert_eq!(seen["status"].get("authenticated"), None);
    assert!(
        seen["status"]["error"]
            .as_str()
            .unwrap()
            .contains("has been invalidated"),
        "{seen}"
    );
}

#[tokio::test]
async fn secrets_can_hold_tokens() {
    let server = Server::start().await;
    let (mut admin, mut watching, mut nobody) = (server.admin().await, server.admin().await, server.client(None).await);
    let mut watch = watching
        .watch(&format!("{SECRETS}?watch=1&fieldSelector=metadata.name%3Ds"))
        .await;
    let secret = json!({"metadata": {"name": "s", "annotations": {"kubernetes.io/service-account.name": "web"}},
        "type": "kubernetes.io/service-account-token"});
    admin.create(ACCOUNTS, &json!({"metadata": {"name": "web"}})).await;
    admin.create(SECRETS, &secret).await;
    let filled = loop {
        let event = watch.next().await.unwrap();
        if event["object"]["data"]["token"].is_string() {
            break event["object"].clone();
        }
    };
    use base64::Engine;
    let decode = |key: &str| {
        let text = filled["data"][key].as_str().unwrap();
        String::from_utf8(base64::prelude::BASE64_STANDARD.decode(text).unwrap()).unwrap()
    };
    assert_eq!(decode("namespace"), "default");
    assert!(decode("ca.crt").starts_with("-----BEGIN CERTIFICATE-----"));
    let text = decode("token");
    assert_eq!(with_token(&mut nobody, &text, "/api").await.0, 200);
    admin.delete(&format!("{ACCOUNTS}/web")).await;
    while watch.next().await.unwrap()["type"] != "DELETED" {}
    assert_eq!(with_token(&mut nobody, &text, "/api").await.0, 401);
}

#[tokio::test]
async fn who_acts_as_others_has_to_be_allowed_to() {
    let server = Server::start().await;
    let (mut admin, mut eve) = (server.admin().await, server.client(Some("eve")).await);
    let (code, message) = as_user(&mut eve, "admin", "GET", MAPS, &Value::Null).await;
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "users \"admin\" is forbidden: User \"eve\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
    let whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let headers = [
        JSON,
        ("impersonate-user", "bob"),
        ("impersonate-group", "people"),
        ("impersonate-extra-scope", "x"),
    ];
    let seen = admin.send("POST", whoami, &headers, "{}").await.json();
    let seen = &seen["status"]["userInfo"];
    assert_eq!(seen["username"], "bob");
    assert_eq!(seen["groups"], json!(["people", "system:authenticated"]));
    assert_eq!(seen["extra"], json!({"scope": ["x"]}));
    let role = json!({"metadata": {"name": "bobs"}, "rules": [{"verbs": ["impersonate"], "apiGroups": [""],
        "resources": ["users"], "resourceNames": ["bob"]}]});
    admin.create(&format!("{RBAC}/clusterroles"), &role).await;
    admin
        .create(
            &format!("{RBAC}/clusterrolebindings"),
            &binding("b", "ClusterRole", "bobs", user("eve")),
        )
        .await;
    assert_eq!(as_user(&mut eve, "bob", "GET", "/api", &Value::Null).await.0, 200);
    assert_eq!(as_user(&mut eve, "rob", "GET", "/api", &Value::Null).await.0, 403);
    let headers = [("impersonate-user", "bob"), ("impersonate-group", "system:masters")];
    assert_eq!(eve.send("GET", MAPS, &headers, "").await.code, 403, "not with groups");
    let mut nobody = server.client(None).await;
    assert_eq!(nobody.send("GET", "/api", &headers, "").await.code, 401);
}

#[tokio::test]
async fn reviews_say_who_may_what() {
    let server = Server::start().await;
    let (mut admin, mut eve) = (server.admin().await, server.client(Some("eve")).await);
    let ask = |verb: &str, resource: &str| json!({"spec": {"resourceAttributes": {"verb": verb, "resource": resource, "namespace": "default"}}});
    let path = format!("{REVIEWS}/selfsubjectaccessreviews");
    assert_eq!(
        eve.create(&path, &ask("list", "configmaps")).await["status"],
        json!({"allowed": false})
    );
    assert_eq!(
        admin.create(&path, &ask("list", "anything")).await["status"]["allowed"],
        true
    );
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    admin
        .create(&bindings, &binding("b", "ClusterRole", "view", user("eve")))
        .await;
    let status = eve.create(&path, &ask("list", "configmaps")).await["status"].clone();
    let reason = "RBAC: allowed by RoleBinding \"b/default\" of ClusterRole \"view\" to User \"eve\"";
    assert_eq!(status, json!({"allowed": true, "reason": reason}));

    let others = format!("{REVIEWS}/subjectaccessreviews");
    assert_eq!(eve.post(&others, &ask("list", "pods")).await.code, 403);
    let mut review = ask("list", "pods");
    let (code, message) = admin.post(&others, &review).await.failure();
    assert_eq!(code, 422);
    assert!(
        message.contains("spec.user: Invalid value: \"\": at least one of user or group must be specified"),
        "{message}"
    );
    review["spec"]["user"] = "eve".into();
    assert_eq!(admin.create(&others, &review).await["status"]["allowed"], true);
    let local = format!("{REVIEWS}/namespaces/kube-system/localsubjectaccessreviews");
    assert_eq!(admin.post(&local, &review).await.code, 422, "about another namespace");

    let rules = json!({"spec": {"namespace": "default"}});
    let rules = eve.create(&format!("{REVIEWS}/selfsubjectrulesreviews"), &rules).await;
    let resources = rules["status"]["resourceRules"].as_array().unwrap();
    let names = |rule: &Value| rule["resources"].as_array().unwrap().contains(&json!("configmaps"));
    assert!(resources.iter().any(names), "{rules}");
    assert_eq!(rules["status"]["incomplete"], false);
    for (method, path) in [("GET", &path), ("DELETE", &path), ("PUT", &others)] {
        assert_eq!(
            admin.send(method, path, &[], "").await.code,
            405,
            "nothing is stored: {method} {path}"
        );
    }
}

#[tokio::test]
async fn nodes_keep_to_themselves() {
    let server = Server::start().await;
    let (mut admin, mut node) = (server.admin().await, server.client(Some("node")).await);
    for name in ["own", "other"] {
        admin.create(SECRETS, &json!({"metadata": {"name": name}})).await;
    }
    let pod = |name: &str, secret: &str| {
        json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x"}],
            "volumes": [{"name": "v", "secret": {"secretName": secret}}]}})
    };
    for (name, secret, on) in [("mine", "own", "n1"), ("theirs", "other", "n2")] {
        admin.create(PODS, &pod(name, secret)).await;
        let binding = json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": on}});
        assert_eq!(admin.post(&format!("{PODS}/{name}/binding"), &binding).await.code, 201);
    }
    for (path, code) in [
        (format!("{SECRETS}/own"), 200),
        (format!("{SECRETS}?fieldSelector=metadata.name%3Down"), 200),
        (format!("{SECRETS}/other"), 403),
        (SECRETS.to_owned(), 403),
        (format!("{MAPS}/kube-root-ca.crt"), 200),
        (format!("{PODS}/mine"), 200),
        (format!("{PODS}/theirs"), 403),
        ("/api/v1/services".to_owned(), 200),
        ("/api/v1/nodes".to_owned(), 403),
    ] {
        assert_eq!(node.get(&path).await.code, code, "{path}");
    }
    let (_, message) = node.get(&format!("{SECRETS}/other")).await.failure();
    assert!(
        message.ends_with("no relationship found between node 'n1' and this object"),
        "{message}"
    );
    let nodes = "/api/v1/nodes";
    let other = node.post(nodes, &json!({"metadata": {"name": "n2"}})).await.failure();
    assert_eq!(
        other,
        (
            403,
            "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"".to_owned()
        )
    );
    node.create(nodes, &json!({"metadata": {"name": "n1"}})).await;
    let status = json!({"status": {"phase": "Running"}});
    assert_eq!(node.merge(&format!("{PODS}/mine/status"), &status).await.code, 200);
    assert_eq!(node.merge(&format!("{PODS}/theirs/status"), &status).await.code, 403);
    assert_eq!(node.delete(&format!("{PODS}/theirs")).await.code, 403);
    let mine = admin.get(&format!("{PODS}/mine")).await.json();
    let bound =
        json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "mine", "uid": mine["metadata"]["uid"]}});
    assert_eq!(token(&mut node, "default", bound).await.0, 201);
    assert_eq!(
        token(&mut node, "default", json!({})).await.0,
        403,
        "not bound to a pod"
    );
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let lease =
        |name: &str| json!({"metadata": {"name": name}, "spec": {"holderIdentity": name, "leaseDurationSeconds": 40}});
    assert_eq!(node.post(leases, &lease("n2")).await.code, 403);
    assert_eq!(node.post(leases, &lease("n1")).await.code, 201);
}

#[tokio::test]
async fn pods_get_the_token_of_their_account() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let pod = |name: &str| json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let created = admin.create(PODS, &pod("a")).await;
    let volume = created["spec"]["volumes"][0].clone();
    assert!(
        volume["name"].as_str().unwrap().starts_with("kube-api-access-"),
        "{volume}"
    );
    assert_eq!(
        volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"],
        3607
    );
    let mount = &created["spec"]["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    let account = json!({"metadata": {"name": "quiet"}, "automountServiceAccountToken": false, "imagePullSecrets": [{"name": "s"}]});
    admin.create(ACCOUNTS, &account).await;
    let mut quiet = pod("b");
    quiet["spec"]["serviceAccountName"] = "quiet".into();
    let created = admin.create(PODS, &quiet).await;
    assert_eq!(created["spec"].get("volumes"), None);
    assert_eq!(created["spec"]["imagePullSecrets"], json!([{"name": "s"}]));
}

#[tokio::test]
async fn requests_for_certificates_say_who_asks_and_who_approves_has_to_be_allowed() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = |name: &str, organization: &str| {
        use base64::Engine;
        let mut params = rcgen::CertificateParams::default();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, organization);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        json!({"metadata": {"name": name}, "spec": {"request": base64::prelude::BASE64_STANDARD.encode(pem),
            "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"], "username": "forged"}})
    };
    let role = json!({"metadata": {"name": "asker"}, "rules": [{"verbs": ["create", "get", "update"],
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["certificatesigningrequests", "certificatesigningrequests/approval"]}]});
    admin.create(&format!("{RBAC}/clusterroles"), &role).await;
    let bindings = format!("{RBAC}/clusterrolebindings");
    admin
        .create(&bindings, &binding("b", "ClusterRole", "asker", user("eve")))
        .await;
    let mut eve = server.client(Some("eve")).await;
    let mut made = eve.create(path, &request("a", "people")).await;
    assert_eq!(made["spec"]["username"], "eve");
    assert_eq!(made["spec"]["groups"], json!(["people", "system:authenticated"]));
    let (code, message) = eve.post(path, &request("b", "system:masters")).await.failure();
    assert_eq!(code, 403);
    assert!(
        message.ends_with("signer with system:masters group is not allowed"),
        "{message}"
    );

    made["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "r", "message": "m"}]);
    let approval = format!("{path}/a/approval");
    let (code, message) = eve.put(&approval, &made).await.failure();
    assert_eq!(code, 403);
    let why = "user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\"";
    assert!(message.ends_with(why), "{message}");
    let approver = "system:certificates.k8s.io:kube-apiserver-client-approver";
    admin
        .create(&bindings, &binding("c", "ClusterRole", approver, user("eve")))
        .await;
    assert_eq!(eve.put(&approval, &made).await.code, 200);
}
