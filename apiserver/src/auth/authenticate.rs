//! Client certificates: the common name is the user, the organizations are the groups.
//!
//! rustls has verified the chain against `--client-ca-file` by then; here the names are only read.

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::User;

/// Everybody who is known at all.
const AUTHENTICATED: &str = "system:authenticated";

/// The user of a verified client certificate; `None` when it names nobody.
pub(crate) fn user_of(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let organizations = subject.iter_organization().filter_map(|entry| entry.as_str().ok());
    let groups = organizations
        .map(str::to_owned)
        .chain([AUTHENTICATED.to_owned()])
        .collect();
    (!name.is_empty()).then_some(User { name, groups })
}
