use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const SERVING: &str = "kubernetes.io/kubelet-serving";
const YEAR: SignedDuration = SignedDuration::from_hours(8760);

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn request(signer: &str, usages: &[&str], subject: &[(DnType, &str)], names: Vec<SanType>) -> Value {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, name) in subject {
        params.distinguished_name.push(kind.clone(), *name);
    }
    params.subject_alt_names = names;
    let key = KeyPair::generate().expect("a key");
    let pem = params.serialize_request(&key).expect("a request").pem().expect("PEM");
    json!({
        "metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"signerName": signer, "usages": usages, "request": BASE64_STANDARD.encode(pem)},
        "status": {"conditions": [{"type": "Approved", "status": "True", "lastUpdateTime": "2026-01-01T00:00:00Z"}]},
    })
}

fn dns() -> Vec<SanType> {
    vec![SanType::DnsName("n1".try_into().expect("a name"))]
}

fn authority(ends: (i32, u8)) -> Authority {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.not_after = rcgen::date_time_ymd(ends.0, ends.1, 1);
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key_file) = (directory.path().join("ca.crt"), directory.path().join("ca.key"));
    std::fs::write(&certificate, params.self_signed(&key).expect("a certificate").pem()).expect("written");
    std::fs::write(&key_file, key.serialize_pem()).expect("written");
    let authority = Authority::read(&certificate, &key_file, YEAR).expect("an authority");
    let swapped = Authority::read(&key_file, &certificate, YEAR)
        .err()
        .expect("no authority");
    assert!(matches!(swapped, AuthorityError::NoKey { .. }), "{swapped}");
    authority
}

#[test]
fn what_is_approved_is_signed_for_as_long_as_is_asked_for() {
    let user = [(DnType::CommonName, "eve")];
    let mut asked = request(CLIENT, &["client auth"], &user, Vec::new());
    let decided = |asked: &Value| decide(asked, Some(YEAR), now());
    assert_eq!(decided(&asked), Verdict::Sign(YEAR));
    for (seconds, expected) in [
        (86_400, 86_400),
        (600, 600),
        (60, 600),
        (i64::from(i32::MAX), 8760 * 3600),
    ] {
        asked["spec"]["expirationSeconds"] = seconds.into();
        assert_eq!(
            decided(&asked),
            Verdict::Sign(SignedDuration::from_secs(expected)),
            "{seconds}"
        );
    }
    let kept = |hours: i64| Verdict::Keep(now() + SignedDuration::from_hours(hours));
    assert_eq!(decide(&asked, None, now()), kept(24), "nobody signs");
    let conditions = |names: &[&str]| -> Value {
        let all = names
            .iter()
            .map(|name| json!({"type": name, "status": "True", "lastUpdateTime": "2026-01-01T00:00:00Z"}));
        all.collect::<Vec<_>>().into()
    };
    for (names, expected) in [
        (&[][..], kept(24)),
        (&["Denied"], kept(1)),
        (&["Approved", "Failed"], kept(1)),
        (&["Approved", "Denied"], kept(1)),
    ] {
        asked["status"]["conditions"] = conditions(names);
        assert_eq!(decided(&asked), expected, "{names:?}");
    }
    asked["status"]["conditions"] = conditions(&["Approved"]);
    let done = signed(asked.clone(), "PEM");
    assert_eq!(decided(&done), kept(1));
    assert_eq!(
        decide(&done, Some(YEAR), now() + SignedDuration::from_hours(1)),
        Verdict::Delete
    );
    assert_eq!(
        decide(&asked, Some(YEAR), now() + SignedDuration::from_hours(24)),
        Verdict::Delete
    );
    asked["spec"]["signerName"] = "example.com/other".into();
    assert_eq!(decided(&asked), kept(24));
}

#[test]
fn signers_have_rules() {
    let node = [
        (DnType::OrganizationName, "system:nodes"),
        (DnType::CommonName, "system:node:n1"),
    ];
    let (client, server) = (
        &["digital signature", "client auth"][..],
        &["digital signature", "server auth"][..],
    );
    for (signer, usages, subject, names, expected) in [
        (
            CLIENT,
            &["client auth", "server auth"][..],
            &node[..],
            vec![],
            Some("invalid usage for client certificate: server auth"),
        ),
        (
            CLIENT,
            &["digital signature"],
            &node,
            vec![],
            Some("missing required usage for client certificate: client auth"),
        ),
        (KUBELET, client, &node, vec![], None),
        (
            KUBELET,
            server,
            &node,
            vec![],
            Some("usages did not match [client auth digital signature key encipherment]"),
        ),
        (
            KUBELET,
            client,
            &node[..1],
            vec![],
            Some("subject common name does not begin with system:node:"),
        ),
        (
            KUBELET,
            client,
            &node[1..],
            vec![],
            Some("subject organization is not system:nodes"),
        ),
        (
            KUBELET,
            client,
            &node,
            dns(),
            Some("DNS subjectAltNames are not allowed"),
        ),
        (SERVING, server, &node, dns(), None),
        (
            SERVING,
            server,
            &node,
            vec![],
            Some("DNS or IP subjectAltName is required"),
        ),
        (
            SERVING,
            client,
            &node,
            dns(),
            Some("usages did not match [digital signature key encipherment server auth]"),
        ),
    ] {
        let asked = request(signer, usages, subject, names);
        let expected = expected.map_or(Verdict::Sign(YEAR), |why| Verdict::Fail(why.to_owned()));
        assert_eq!(decide(&asked, Some(YEAR), now()), expected);
    }
    let refused = failed(request(CLIENT, &[], &node, vec![]), "why");
    assert_eq!(refused["status"]["conditions"][1]["message"], "why");
    assert!(matches!(decide(&refused, Some(YEAR), now()), Verdict::Keep(_)));
}

#[test]
fn a_certificate_says_what_was_asked_for_and_no_more() {
    let signer = authority((2030, 1));
    let node = [
        (DnType::OrganizationName, "system:nodes"),
        (DnType::CommonName, "system:node:n1"),
    ];
    let names = vec![
        SanType::DnsName("n1".try_into().expect("a name")),
        SanType::IpAddress([10, 0, 0, 1].into()),
    ];
    let asked = request(
        SERVING,
        &["digital signature", "key encipherment", "server auth"],
        &node,
        names,
    );
    let pem = signer.sign(&asked, YEAR, [0xff; 16], now()).expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let (rest, made) = X509Certificate::from_der(&pem.contents).expect("a certificate");
    assert!(rest.is_empty());
    assert_eq!(made.version().0, 2);
    let key = signer.public_key();
    let (_, key) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&key).expect("a key");
    made.verify_signature(Some(&key)).expect("the authority's signature");
    assert_eq!(made.subject().to_string(), "O=system:nodes, CN=system:node:n1");
    assert!(!made.is_ca());
    let usage = made.key_usage().expect("one extension").expect("usages").value;
    assert_eq!(usage.flags, 0b101, "digital signature and key encipherment");
    let purpose = made
        .extended_key_usage()
        .expect("one extension")
        .expect("purposes")
        .value;
    assert!(purpose.server_auth && !purpose.client_auth && !purpose.any);
    let names = made
        .subject_alternative_name()
        .expect("one extension")
        .expect("names")
        .value;
    let expected = [GeneralName::DNSName("n1"), GeneralName::IPAddress(&[10, 0, 0, 1])];
    assert_eq!(names.general_names, expected);
    let validity = made.validity();
    assert_eq!(validity.not_before.timestamp(), now().as_second() - 300);
    assert_eq!(validity.not_after.timestamp(), now().as_second() - 300 + YEAR.as_secs());
}

#[test]
fn nothing_outlives_the_authority() {
    let asked = request(CLIENT, &["client auth"], &[(DnType::CommonName, "eve")], Vec::new());
    let signer = authority((2026, 3));
    let pem = signer.sign(&asked, YEAR, [1; 16], now()).expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let (_, made) = X509Certificate::from_der(&pem.contents).expect("a certificate");
    let ends: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
    assert_eq!(made.validity().not_after.timestamp(), ends.as_second());
    assert!(matches!(
        signer.sign(&asked, YEAR, [1; 16], ends),
        Err(SignError::Expired(_))
    ));
}

/// Asked for by `openssl req -subj /O=first/O=second/CN=eve`.
const TWO_GROUPS: &str = "MIHpMIGRAgEAMC8xDjAMBgNVBAoMBWZpcnN0MQ8wDQYDVQQKDAZzZWNvbmQxDDAKBgNVBAMMA2V2ZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPuearEF+hMhtVdev29n3i3Z+Mxe+tOqPJwEVfwbULN6eQKXqonhrL3Wi+HIaM4MQi/EdvWvgzGVFtwni1e1G8WgADAKBggqhkjOPQQDAgNHADBEAiBAZs9Ogh2rTwD14w6S/xJj2Kwd6xTW9UXE8oTGWDdlcAIgBlRl8XXeoosYmkm4TKTnFGOiLzKGCqQfvlMGCMv5leY=";

#[test]
fn a_user_keeps_all_groups() {
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{TWO_GROUPS}\n-----END CERTIFICATE REQUEST-----\n");
    let asked =
        json!({"spec": {"signerName": CLIENT, "usages": ["client auth"], "request": BASE64_STANDARD.encode(pem)}});
    let pem = authority((2030, 1))
        .sign(&asked, YEAR, [1; 16], now())
        .expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let (_, made) = X509Certificate::from_der(&pem.contents).expect("a certificate");
    let groups: Vec<_> = made
        .subject()
        .iter_organization()
        .map(|name| name.as_str().expect("text"))
        .collect();
    assert_eq!(groups, ["first", "second"]);
}
