//! What each of Kubernetes' signers signs. Pure. The sentences are upstream's, since they stand in a request's conditions.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

const NODES: &str = "system:nodes";
const NODE: &str = "system:node:";

/// `None`: the request is for another signer.
pub(super) fn check(request: &Value) -> Option<Result<(), String>> {
    let spec = &request["spec"];
    let usages: Vec<&str> = spec["usages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let check: fn(&X509CertificationRequest<'_>, &[&str]) -> Result<(), String> = match spec["signerName"].as_str() {
        Some("kubernetes.io/kube-apiserver-client") => |_, usages| client(usages),
        Some("kubernetes.io/kube-apiserver-client-kubelet") => kubelet_client,
        Some("kubernetes.io/kubelet-serving") => kubelet_serving,
        _ => return None,
    };
    let checked = with_request(request, |request| check(request, &usages));
    Some(checked.and_then(|checked| checked))
}

/// Reads the PKCS#10 request inside.
pub(super) fn with_request<T>(
    request: &Value,
    read: impl FnOnce(&X509CertificationRequest<'_>) -> T,
) -> Result<T, String> {
    let text = request["spec"]["request"].as_str().unwrap_or_default();
    let pem = BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?;
    let (_, pem) = parse_x509_pem(&pem).map_err(|_| "PEM block type must be CERTIFICATE REQUEST".to_owned())?;
    let (_, inner) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
    Ok(read(&inner))
}

/// The other names that are asked for.
pub(super) fn names<'a>(request: &'a X509CertificationRequest<'_>) -> Vec<&'a GeneralName<'a>> {
    let extensions = request.requested_extensions().into_iter().flatten();
    let names = extensions.filter_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    names.flatten().collect()
}

fn client(usages: &[&str]) -> Result<(), String> {
    let known = ["digital signature", "key encipherment", "client auth"];
    if let Some(usage) = usages.iter().find(|usage| !known.contains(usage)) {
        return Err(format!("invalid usage for client certificate: {usage}"));
    }
    if !usages.contains(&"client auth") {
        return Err("missing required usage for client certificate: client auth".into());
    }
    Ok(())
}

fn kubelet_client(request: &X509CertificationRequest<'_>, usages: &[&str]) -> Result<(), String> {
    check_organization(request)?;
    let names = names(request);
    let has = |which: fn(&GeneralName<'_>) -> bool| names.iter().any(|name| which(name));
    for (is_there, kind) in [
        (has(is_dns), "DNS"),
        (has(is_email), "Email"),
        (has(is_ip), "IP"),
        (has(is_uri), "URI"),
    ] {
        if is_there {
            return Err(format!("{kind} subjectAltNames are not allowed"));
        }
    }
    check_common_name(request)?;
    check_usages(usages, "client auth")
}

fn kubelet_serving(request: &X509CertificationRequest<'_>, usages: &[&str]) -> Result<(), String> {
    check_organization(request)?;
    let names = names(request);
    if !names.iter().any(|name| is_dns(name) || is_ip(name)) {
        return Err("DNS or IP subjectAltName is required".into());
    }
    if names.iter().any(|name| is_email(name)) {
        return Err("Email subjectAltNames are not allowed".into());
    }
    if names.iter().any(|name| is_uri(name)) {
        return Err("URI subjectAltNames are not allowed".into());
    }
    check_usages(usages, "server auth")?;
    check_common_name(request)
}

fn is_dns(name: &GeneralName<'_>) -> bool {
    matches!(name, GeneralName::DNSName(_))
}

fn is_email(name: &GeneralName<'_>) -> bool {
    matches!(name, GeneralName::RFC822Name(_))
}

fn is_ip(name: &GeneralName<'_>) -> bool {
    matches!(name, GeneralName::IPAddress(_))
}

fn is_uri(name: &GeneralName<'_>) -> bool {
    matches!(name, GeneralName::URI(_))
}

fn check_organization(request: &X509CertificationRequest<'_>) -> Result<(), String> {
    let subject = &request.certification_request_info.subject;
    let organizations: Vec<_> = subject.iter_organization().map(|name| name.as_str().ok()).collect();
    match organizations == [Some(NODES)] {
        true => Ok(()),
        false => Err(format!("subject organization is not {NODES}")),
    }
}

fn check_common_name(request: &X509CertificationRequest<'_>) -> Result<(), String> {
    let subject = &request.certification_request_info.subject;
    let mut names = subject.iter_common_name().map(|name| name.as_str().unwrap_or_default());
    // Of several, one reader takes the first and another the last: each has to be a node's.
    match names.next().is_some_and(|name| name.starts_with(NODE)) && names.all(|name| name.starts_with(NODE)) {
        true => Ok(()),
        false => Err(format!("subject common name does not begin with {NODE}")),
    }
}

/// Digital signature and `purpose`; key encipherment may be among them.
fn check_usages(usages: &[&str], purpose: &str) -> Result<(), String> {
    let allowed = ["digital signature", "key encipherment", purpose];
    let fits = usages.iter().all(|usage| allowed.contains(usage))
        && [allowed[0], allowed[2]].iter().all(|usage| usages.contains(usage));
    if fits {
        return Ok(());
    }
    let mut listed = allowed;
    listed.sort_unstable();
    Err(format!("usages did not match [{}]", listed.join(" ")))
}
