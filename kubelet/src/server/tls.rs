//! Who this kubelet is, and whom it lets in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The API server's own name as a client of kubelets.
const API_SERVER: &str = "system:apiserver-kubelet-client";
/// Those who may do anything.
const MASTERS: &str = "system:masters";

/// A certificate or key that can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("reading {path:?}: {source}")]
    Read {
        path: PathBuf,
        source: rustls_pki_types::pem::Error,
    },
    #[error("the certificate authority {path:?} can't be used: {reason}")]
    Authority { path: PathBuf, reason: String },
    #[error("the certificate {path:?} and its key don't make a server: {source}")]
    Server { path: PathBuf, source: rustls::Error },
}

/// Accepts clients whose certificate this authority signed.
pub(crate) fn acceptor(certificate: &Path, key: &Path, authority: &Path) -> Result<TlsAcceptor, TlsError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Read { path, source }
    };
    let certificates = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(read(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(read(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |reason: String| TlsError::Authority {
        path: authority.to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    let authorities = CertificateDer::pem_file_iter(authority).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    for root in authorities.map_err(read(authority))? {
        roots.add(root).map_err(|error| unusable(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = verifier.build().map_err(|error| unusable(error.to_string()))?;
    let server = |source| TlsError::Server {
        path: certificate.to_owned(),
        source,
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(server)?;
    let config = config
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key)
        .map_err(server)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Whether the holder of this certificate may see logs and run commands in pods: the API server and administrators, not
/// every component that the same authority signed for.
pub(crate) fn may_enter(certificates: Option<&[CertificateDer<'_>]>) -> bool {
    let Some(certificate) = certificates.and_then(<[_]>::first) else {
        return false;
    };
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let subject = parsed.subject();
    let is_api_server = subject.iter_common_name().any(|name| name.as_str() == Ok(API_SERVER));
    is_api_server || subject.iter_organization().any(|group| group.as_str() == Ok(MASTERS))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(name: &str, group: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().clone()
    }

    #[test]
    fn only_the_api_server_and_administrators_enter() {
        for (name, group, enters) in [
            ("system:apiserver-kubelet-client", "", true),
            ("minik-admin", "system:masters", true),
            ("system:kube-scheduler", "", false),
            ("system:node:n1", "system:nodes", false),
        ] {
            assert_eq!(may_enter(Some(&[certificate(name, group)])), enters, "{name}");
        }
        assert!(!may_enter(None) && !may_enter(Some(&[])));
    }
}
