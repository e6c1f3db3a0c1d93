//! What is inside a request and inside a certificate, as far as it has to be good: PEM, DER, and the requester's own signature.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// A PKCS#10 request, in base64 as it stands in JSON: well-formed and signed with the key that it is for.
pub(super) fn check_request(base64: &str) -> Result<(), String> {
    const WANTED: &str = "PEM block type must be CERTIFICATE REQUEST";
    let text = BASE64_STANDARD.decode(base64).map_err(|error| error.to_string())?;
    let block = Pem::iter_from_buffer(&text).next();
    let block = block.and_then(Result::ok).ok_or_else(|| WANTED.to_owned())?;
    if block.label != "CERTIFICATE REQUEST" {
        return Err(WANTED.to_owned());
    }
    let (rest, request) = X509CertificationRequest::from_der(&block.contents).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err("x509: trailing data".to_owned());
    }
    request.verify_signature().map_err(|error| error.to_string())
}

/// Certificates one after another, in base64 as they stand in JSON. None is fine.
pub(super) fn check_certificates(base64: &str) -> Result<(), String> {
    if base64.is_empty() {
        return Ok(());
    }
    let text = BASE64_STANDARD.decode(base64).map_err(|error| error.to_string())?;
    let mut blocks = 0;
    for block in Pem::iter_from_buffer(&text) {
        let Ok(block) = block else { break };
        if block.label != "CERTIFICATE" {
            return Err(format!(
                "only CERTIFICATE PEM blocks are allowed, found {:?}",
                block.label
            ));
        }
        block.parse_x509().map_err(|error| error.to_string())?;
        blocks += 1;
    }
    if blocks == 0 {
        return Err("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    Ok(())
}
