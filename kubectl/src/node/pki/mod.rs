//! The instance's certificates: one authority, and a certificate for each who serves or asks.
//!
//! [`identities`] lists them (pure), [`verdict`] decides which have to be issued anew (pure), [`ensure`] does it. The
//! authority is kept as long as it lasts, since users' kubeconfigs embed it. Keys are ECDSA P-256, files are for root alone.

mod identity;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::files::{self, Durability, FileError};
pub(super) use identity::{Identity, Names, PROXY_NAME, Usage, identities};

const DAY: Duration = Duration::from_secs(86_400);
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(3650 * 86_400);
const LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// Issued anew when less than this is left.
const RENEW_BEFORE: Duration = Duration::from_secs(60 * 86_400);
/// Certificates start in the past: clocks of a virtual machine and its host differ, and WSL2's lags after sleep.
const BACKDATE: Duration = Duration::from_secs(3600);

/// The authority's file name without its ending.
pub(super) const AUTHORITY: &str = "ca";
/// Who signs the certificate by which other API servers know this one. Of its own, since whoever has that certificate may say
/// who asks, and the authority of clients signs whatever somebody approves.
pub(super) const PROXY_AUTHORITY: &str = "front-proxy-ca";

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key or certificate can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One can't be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// One can't be made.
    #[error("cannot issue the certificate {name}")]
    Issue {
        /// File name without its ending.
        name: &'static str,
        /// Why.
        source: rcgen::Error,
    },
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub(super) struct Credential {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// What to do with a certificate that may be there already.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Issue(&'static str),
}

/// Sees to it that each identity has a certificate that is good for a while; returns which were issued, and why.
pub(super) fn ensure(dir: &Path, names: &Names, now: Timestamp) -> Result<Vec<(&'static str, &'static str)>, PkiError> {
    files::create_dir(dir, 0o700)?;
    let mut issued = Vec::new();
    for name in [AUTHORITY, PROXY_AUTHORITY] {
        let authority = ensure_authority(dir, name, now, &mut issued)?;
        for identity in identities(names).iter().filter(|identity| identity.authority == name) {
            let present = load(dir, identity.file)?;
            if let Verdict::Issue(reason) = verdict(present.as_ref(), identity, &authority, now) {
                store(dir, identity.file, issue(identity, &authority, now)?)?;
                issued.push((identity.file, reason));
            }
        }
    }
    Ok(issued)
}

fn ensure_authority(
    dir: &Path,
    name: &'static str,
    now: Timestamp,
    issued: &mut Vec<(&'static str, &'static str)>,
) -> Result<Credential, PkiError> {
    let present = load(dir, name)?;
    let kept = present.filter(|authority| authority_verdict(authority, now) == Verdict::Keep);
    if let Some(kept) = kept {
        return Ok(kept);
    }
    issued.push((name, "there was no usable one"));
    store(dir, name, issue_authority(name, now)?)
}

/// Reads a credential; none when it was never made.
pub(super) fn load(dir: &Path, name: &str) -> Result<Option<Credential>, PkiError> {
    let (certificate, key) = paths(dir, name);
    let read = |path: PathBuf| match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::Read { path, source }),
    };
    Ok(read(certificate)?
        .zip(read(key)?)
        .map(|(certificate, key)| Credential { certificate, key }))
}

/// Where certificate and key of `name` stand.
pub(super) fn paths(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")))
}

fn store(dir: &Path, name: &'static str, credential: Credential) -> Result<Credential, PkiError> {
    let (certificate, key) = paths(dir, name);
    // Others are issued anew without anybody noticing; a new authority has to get into every kubeconfig.
    let durability = if name == AUTHORITY {
        Durability::Kept
    } else {
        Durability::Remade
    };
    // The key first: a certificate without its key would be kept by the next run, a key without one is replaced.
    let _ = fs::remove_file(&certificate);
    files::write(&key, credential.key.as_bytes(), 0o600, durability)?;
    files::write(&certificate, credential.certificate.as_bytes(), 0o600, durability)?;
    Ok(credential)
}

fn authority_verdict(authority: &Credential, now: Timestamp) -> Verdict {
    let usable = with_certificate(&authority.certificate, |certificate| {
        certificate.is_ca() && lasts(certificate, now)
    });
    match (usable, KeyPair::from_pem(&authority.key)) {
        (Some(true), Ok(_)) => Verdict::Keep,
        _ => Verdict::Issue("it has expired or can't be read"),
    }
}

/// Whether `present` still does for `identity`.
pub(super) fn verdict(
    present: Option<&Credential>,
    identity: &Identity,
    authority: &Credential,
    now: Timestamp,
) -> Verdict {
    let Some(present) = present else {
        return Verdict::Issue("it was missing");
    };
    let issuer = with_certificate(&authority.certificate, subject_key).flatten();
    let checked = with_certificate(&present.certificate, |certificate| {
        if !lasts(certificate, now) {
            Verdict::Issue("it expires soon")
        } else if authority_key(certificate) != issuer {
            Verdict::Issue("the authority changed")
        } else if alternative_names(certificate) != identity.sorted_names() {
            Verdict::Issue("its names changed")
        } else if !speaks_for(certificate, identity) {
            Verdict::Issue("its subject changed")
        } else {
            Verdict::Keep
        }
    });
    match (checked, KeyPair::from_pem(&present.key)) {
        (Some(verdict), Ok(_)) => verdict,
        _ => Verdict::Issue("it couldn't be read"),
    }
}

fn issue_authority(name: &'static str, now: Timestamp) -> Result<Credential, PkiError> {
    let fail = |source| PkiError::Issue { name, source };
    let mut params = params(now, AUTHORITY_LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
        .distinguished_name
        .push(DnType::CommonName, format!("minik-{name}"));
    let key = KeyPair::generate().map_err(fail)?;
    let certificate = params.self_signed(&key).map_err(fail)?;
    Ok(Credential {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn issue(identity: &Identity, authority: &Credential, now: Timestamp) -> Result<Credential, PkiError> {
    let name = identity.file;
    let fail = |source| PkiError::Issue { name, source };
    let mut params = params(now, LIFETIME);
    params.subject_alt_names = CertificateParams::new(identity.names.clone())
        .map_err(fail)?
        .subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match identity.usage {
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    if let Some(organization) = identity.organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params
        .distinguished_name
        .push(DnType::CommonName, identity.common_name.as_str());
    let authority_key = KeyPair::from_pem(&authority.key).map_err(fail)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, authority_key).map_err(fail)?;
    let key = KeyPair::generate().map_err(fail)?;
    let certificate = params.signed_by(&key, &issuer).map_err(fail)?;
    Ok(Credential {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn params(now: Timestamp, lifetime: Duration) -> CertificateParams {
    // rcgen takes dates of another crate, and offers this one way to make one.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since_epoch = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)).max(DAY);
    let mut params = CertificateParams::default();
    params.not_before = epoch + (since_epoch - BACKDATE);
    params.not_after = epoch + since_epoch + lifetime;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

fn with_certificate<T>(pem: &str, read: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
    Some(read(&certificate))
}

fn lasts(certificate: &X509Certificate<'_>, now: Timestamp) -> bool {
    let validity = certificate.validity();
    let renew_before = i64::try_from(RENEW_BEFORE.as_secs()).expect("sixty days");
    validity.not_before.timestamp() <= now.as_second()
        && validity.not_after.timestamp() - renew_before > now.as_second()
}

fn subject_key(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
}

fn authority_key(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        })
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let mut names: Vec<String> = names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => identity::address_text(bytes),
            other => format!("{other:?}"),
        })
        .collect();
    names.sort();
    names
}

fn speaks_for(certificate: &X509Certificate<'_>, identity: &Identity) -> bool {
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().next().and_then(|name| name.as_str().ok());
    let organization = subject.iter_organization().next().and_then(|name| name.as_str().ok());
    (common_name, organization) == (Some(identity.common_name.as_str()), identity.organization)
}
