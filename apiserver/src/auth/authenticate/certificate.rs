//! Client certificates: the common name is the user, the organizations are the groups.
//!
//! rustls has verified the chain against `--client-ca-file` by then; here the names are only read.

use std::collections::BTreeMap;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::auth::{User, groups};

/// Which credential it was, for those who look at logs (upstream's since 1.32).
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The user of a verified client certificate; `None` when it names nobody.
pub(crate) fn user_of(certificate: &CertificateDer<'_>) -> Option<User> {
    let id = format!("X509SHA256={}", hex::encode(Sha256::digest(certificate)));
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let organizations = subject.iter_organization().filter_map(|entry| entry.as_str().ok());
    let groups = organizations
        .map(str::to_owned)
        .chain([groups::AUTHENTICATED.to_owned()])
        .collect();
    (!name.is_empty()).then_some(User {
        name,
        groups,
        extra: BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![id])]),
        ..User::default()
    })
}
