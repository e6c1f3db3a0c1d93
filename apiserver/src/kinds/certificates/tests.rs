use super::*;
use crate::kinds::testing::{created, decoded, rules_of, sentences, with};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

fn request() -> Value {
    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = rcgen::CertificateParams::new(Vec::new())
        .and_then(|params| params.serialize_request(&key))
        .and_then(|request| request.pem())
        .expect("a request");
    json!({"metadata": {"name": "r"}, "spec": {"request": BASE64_STANDARD.encode(pem),
        "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}})
}

fn decided(request: &Value, conditions: Value) -> Object {
    decoded(
        "CertificateSigningRequest",
        with(request.clone(), "/status/conditions", conditions),
    )
}

#[test]
fn requests_are_signed_and_say_what_for() {
    let request = request();
    assert_eq!(
        created("CertificateSigningRequest", request.clone()),
        Vec::<String>::new()
    );
    for (pointer, value, expected) in [
        (
            "/spec/request",
            json!("YQ=="),
            "spec.request: Invalid value: \"YQ==\": PEM block type must be CERTIFICATE REQUEST",
        ),
        ("/spec/usages", json!([]), "spec.usages: Required value"),
        (
            "/spec/usages/-",
            json!("client auth"),
            "spec.usages[1]: Duplicate value: \"client auth\"",
        ),
        (
            "/spec/expirationSeconds",
            json!(60),
            "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 600 seconds (10 minutes)",
        ),
        (
            "/spec/signerName",
            json!("kubernetes.io/legacy-unknown"),
            "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via this API version",
        ),
        (
            "/spec/signerName",
            json!("me"),
            "spec.signerName: Invalid value: \"me\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
        ),
        (
            "/spec/signerName",
            json!("com/me"),
            "spec.signerName: Invalid value: \"com\": should be a domain with at least two segments separated by dots",
        ),
    ] {
        let told = created("CertificateSigningRequest", with(request.clone(), pointer, value));
        assert_eq!(told, [expected], "{pointer}");
    }
}

#[test]
fn a_request_signed_with_another_key_is_refused() {
    let request = request();
    let text = request["spec"]["request"].as_str().expect("base64");
    let pem = BASE64_STANDARD.decode(text).expect("base64");
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).expect("PEM");
    let mut der = block.contents.clone();
    // The last byte is the signature's.
    let last = der.last_mut().expect("not empty");
    *last ^= 1;
    let body = BASE64_STANDARD.encode(&der);
    let forged = format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
    let forged = with(request, "/spec/request", json!(BASE64_STANDARD.encode(forged)));
    let told = created("CertificateSigningRequest", forged);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("spec.request: Invalid value"), "{told:?}");
}

#[test]
fn decisions_come_through_approval_and_stay() {
    let request = request();
    let rules = rules_of("CertificateSigningRequest");
    let (none, approved) = (
        decided(&request, json!([])),
        decided(&request, json!([{"type": "Approved", "status": "True"}])),
    );
    assert_eq!(
        sentences(&rules.validate_part_update("approval", &approved, &none)),
        Vec::<String>::new()
    );
    assert_eq!(
        sentences(&rules.validate_status_update(&approved, &none)),
        ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]
    );
    assert_eq!(
        sentences(&rules.validate_part_update("approval", &none, &approved)),
        ["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""]
    );
    let both = json!([{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "False"}]);
    assert_eq!(
        sentences(&rules.validate_part_update("approval", &decided(&request, both), &none)),
        [
            "status.conditions[1].status: Unsupported value: \"False\": supported values: \"True\"",
            "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
        ]
    );
}

#[test]
fn approval_changes_conditions_alone_and_they_get_their_times() {
    let request = request();
    let rules = rules_of("CertificateSigningRequest");
    let old = decided(&request, json!([]));
    let mut new = decided(
        &with(request.clone(), "/spec/signerName", json!("example.com/other")),
        json!([{"type": "Approved", "status": "True"}]),
    );
    new.body["status"]["certificate"] = "YQ==".into();
    rules.prepare_part_update("approval", &mut new, &old);
    rules.stamp(&mut new, &old, "2026-01-01T00:00:00Z".parse().expect("a time"));
    assert_eq!(new.body["spec"], old.body["spec"]);
    assert_eq!(new.at("status.certificate"), None);
    let condition = &new.body["status"]["conditions"][0];
    assert_eq!(condition["lastUpdateTime"], "2026-01-01T00:00:00Z");
    assert_eq!(condition["lastTransitionTime"], "2026-01-01T00:00:00Z");
}

#[test]
fn certificates_are_issued_once() {
    let request = request();
    let rules = rules_of("CertificateSigningRequest");
    let certificate = rcgen::generate_simple_self_signed(Vec::new())
        .expect("a certificate")
        .cert
        .pem();
    let issued = |text: &str| {
        let value = with(
            request.clone(),
            "/status/certificate",
            json!(BASE64_STANDARD.encode(text)),
        );
        decoded("CertificateSigningRequest", value)
    };
    let (none, good) = (decided(&request, json!([])), issued(&certificate));
    assert_eq!(
        sentences(&rules.validate_status_update(&good, &none)),
        Vec::<String>::new()
    );
    assert_eq!(
        sentences(&rules.validate_status_update(&issued("a"), &none)),
        ["status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block"]
    );
    assert_eq!(
        sentences(&rules.validate_status_update(&none, &good)),
        ["status.certificate: Forbidden: updates may not modify existing certificate content"]
    );
}

#[test]
fn tables_show_the_decision() {
    let request = request();
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let cell = |object: &Object| SigningRequests.cells(object, now)[5].clone();
    assert_eq!(cell(&decided(&request, json!([]))), "Pending");
    let mut approved = decided(&request, json!([{"type": "Approved", "status": "True"}]));
    assert_eq!(cell(&approved), "Approved");
    approved.body["status"]["certificate"] = "YQ==".into();
    assert_eq!(cell(&approved), "Approved,Issued");
    assert_eq!(
        cell(&decided(&request, json!([{"type": "Denied", "status": "True"}]))),
        "Denied"
    );
}
