//! Pods and their service accounts: what is in the pod is good at the API server, and ends with the pod.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minik_tests::{World, executable};
use serde_json::{Value, json};

use crate::{SERVE, node, pod};

const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[test]
fn a_pod_speaks_for_its_service_account_while_it_lives() {
    let world = node();
    world.apply(&pod("speaker", SERVE, json!({})));
    world.wait("pod/speaker", "condition=Ready");
    let exec = |script: &str| world.minikctl(["exec", "speaker", "--", "sh", "-c", script]).ok();
    assert_eq!(exec(&format!("cat {FOLDER}/namespace")), "default");
    assert!(exec(&format!("cat {FOLDER}/ca.crt")).starts_with("-----BEGIN CERTIFICATE-----"));
    let address = exec("echo $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT");
    let service = world.value("service/kubernetes", "{.spec.clusterIP}");
    assert_eq!(address, format!("{service} 443\n"));

    let token = exec(&format!("cat {FOLDER}/token"));
    let status = review(&world, &token);
    assert_eq!(status["authenticated"], true, "{status}");
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:default");
    let name = &status["user"]["extra"]["authentication.kubernetes.io/pod-name"];
    assert_eq!(name, &json!(["speaker"]));
    let _ = world.minikctl(["delete", "pod", "speaker", "--grace-period=1"]).ok();
    assert_eq!(
        review(&world, &token).get("authenticated"),
        None,
        "it ended with the pod"
    );

    let quiet = json!({"spec": {"automountServiceAccountToken": false}});
    world.apply(&pod("quiet", SERVE, quiet));
    world.wait("pod/quiet", "condition=Ready");
    let there = world.minikctl(["exec", "quiet", "--", "ls", FOLDER]).fails();
    assert!(there.contains("No such file"), "{there}");
}

fn review(world: &World, token: &str) -> Value {
    let kubectls = executable::kubectls();
    let kubectl = kubectls.last().expect("tests/setup.sh installs one");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let answer = world
        .kubectl(kubectl, ["create", "-f", "-", "-o", "json"])
        .stdin(&review.to_string())
        .ok();
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["status"].clone()
}

#[test]
fn a_request_that_is_approved_becomes_a_certificate_that_logs_in() {
    let world = node();
    let kubectls = executable::kubectls();
    let kubectl = kubectls.last().expect("tests/setup.sh installs one");
    let mut asked = rcgen::CertificateParams::default();
    asked.distinguished_name.push(rcgen::DnType::CommonName, "jane");
    asked
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "developers");
    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = asked.serialize_request(&key).expect("a request").pem().expect("PEM");
    world.apply(
        &json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "jane"},
            "spec": {"request": BASE64_STANDARD.encode(pem), "signerName": "kubernetes.io/kube-apiserver-client",
                "expirationSeconds": 3600, "usages": ["client auth"]}})
        .to_string(),
    );
    let _ = world.kubectl(kubectl, ["certificate", "approve", "jane"]).ok();
    world.wait("csr/jane", "jsonpath={.status.certificate}");
    let certificate = BASE64_STANDARD.decode(world.value("csr/jane", "{.status.certificate}"));
    let files = [world.folder().join("jane.crt"), world.folder().join("jane.key")];
    std::fs::write(&files[0], certificate.expect("base64")).expect("written");
    std::fs::write(&files[1], key.serialize_pem()).expect("written");
    let [certificate, key] = files.map(|file| file.display().to_string());
    let flags = [
        format!("--client-certificate={certificate}"),
        format!("--client-key={key}"),
    ];
    let [certificate, key] = flags.each_ref().map(String::as_str);
    let _ = world
        .kubectl(kubectl, ["config", "set-credentials", "jane", certificate, key])
        .ok();
    let who = world.kubectl(kubectl, ["auth", "whoami", "--user=jane"]).ok();
    assert!(
        who.contains("jane") && who.contains("[developers system:authenticated]"),
        "{who}"
    );
}
