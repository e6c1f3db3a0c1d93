//! The signer: an authority's certificate and key, and the certificate that a request gets.
//!
//! The certificate is written here and not by rcgen, whose names hold one organization: a user's groups are organizations, and
//! the subject is signed as it was asked for, byte by byte.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rcgen::{KeyPair, SigningKey};
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::der::{self, CONSTRUCTED, CONTEXT, OCTET_STRING};
use super::rules;

/// Certificates begin in the past: not every clock is right.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// What is good for less isn't shortened by that.
const SHORT: SignedDuration = SignedDuration::from_hours(8);

/// Bits of the extension `keyUsage`, by their numbers.
const KEY_USAGES: &[(&str, u16)] = &[
    ("signing", 1),
    ("digital signature", 1),
    ("content commitment", 1 << 1),
    ("key encipherment", 1 << 2),
    ("data encipherment", 1 << 3),
    ("key agreement", 1 << 4),
    ("cert sign", 1 << 5),
    ("crl sign", 1 << 6),
    ("encipher only", 1 << 7),
    ("decipher only", 1 << 8),
];
/// Object identifiers, DER: `basicConstraints`, `keyUsage`, `extKeyUsage`, `authorityKeyIdentifier`, `subjectAltName`.
const BASIC_CONSTRAINTS: &[u8] = &[6, 3, 0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[6, 3, 0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[6, 3, 0x55, 0x1d, 0x25];
const AUTHORITY_KEY: &[u8] = &[6, 3, 0x55, 0x1d, 0x23];
const ALTERNATIVE_NAME: &[u8] = &[6, 3, 0x55, 0x1d, 0x11];
const SERVER_AUTH: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];
/// How each sort of key signs, as an `AlgorithmIdentifier`.
const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ECDSA_SHA384: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
const RSA_SHA256: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];

/// Why there is nobody who signs.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate isn't one.
    #[error("{} holds no certificate in PEM", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// The key isn't one.
    #[error("{} holds no private key in PEM that can be used (ECDSA on P-256 or P-384, Ed25519, RSA)", path.display())]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
}

/// Why a request wasn't signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// What is asked for can't be read; who stored it has checked it, though.
    #[error("the request cannot be read: {0}")]
    Read(String),
    /// By the authority's own end.
    #[error("the signer has expired: NotAfter={0}")]
    Expired(Timestamp),
    /// The key refused.
    #[error("cannot sign")]
    Sign(#[source] rcgen::Error),
}

/// Who signs.
pub(crate) struct Authority {
    key: KeyPair,
    algorithm: &'static [u8],
    subject: Vec<u8>,
    key_id: Option<Vec<u8>>,
    ends: Timestamp,
    /// How long its certificates are good for at most.
    pub(crate) longest: SignedDuration,
}

impl Authority {
    /// Of these files, PEM.
    pub(crate) fn read(certificate: &Path, key: &Path, longest: SignedDuration) -> Result<Self, AuthorityError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| AuthorityError::Read {
                path: path.to_owned(),
                source,
            })
        };
        let (text, key_text) = (read(certificate)?, read(key)?);
        let no_key = || AuthorityError::NoKey { path: key.to_owned() };
        let key = KeyPair::from_pem(&key_text).map_err(|_| no_key())?;
        let algorithm = algorithm(&key).ok_or_else(no_key)?;
        Self::of(&text, key, algorithm, longest).ok_or_else(|| AuthorityError::NoCertificate {
            path: certificate.to_owned(),
        })
    }

    fn of(pem: &str, key: KeyPair, algorithm: &'static [u8], longest: SignedDuration) -> Option<Self> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
        let mut extensions = certificate.iter_extensions();
        let key_id = extensions.find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        Some(Self {
            key,
            algorithm,
            subject: certificate.subject().as_raw().to_vec(),
            key_id,
            ends: Timestamp::from_second(certificate.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX),
            longest,
        })
    }

    /// The certificate for a stored request, PEM.
    pub(crate) fn sign(
        &self,
        request: &Value,
        lifetime: SignedDuration,
        serial: [u8; 16],
        now: Timestamp,
    ) -> Result<String, SignError> {
        let (begins, ends) = self.validity(lifetime, now)?;
        let usages = request["spec"]["usages"].as_array();
        let usages: Vec<&str> = usages.into_iter().flatten().filter_map(Value::as_str).collect();
        let validity = der::sequence(&[&der::time(begins), &der::time(ends)]);
        let tbs = rules::with_request(request, |request| {
            let info = &request.certification_request_info;
            der::sequence(&[
                // The third version, counted from zero.
                &der::value(CONTEXT | CONSTRUCTED, &[&der::integer(&[2])]),
                &der::integer(&serial),
                self.algorithm,
                &self.subject,
                &validity,
                info.subject.as_raw(),
                info.subject_pki.raw,
                &der::value(CONTEXT | CONSTRUCTED | 3, &[&self.extensions(request, &usages)]),
            ])
        });
        let tbs = tbs.map_err(SignError::Read)?;
        let signature = self.key.sign(&tbs).map_err(SignError::Sign)?;
        let certificate = der::sequence(&[&tbs, self.algorithm, &der::bit_string(&signature)]);
        Ok(pem(&certificate))
    }

    /// The authority's public key, DER.
    #[cfg(test)]
    pub(super) fn public_key(&self) -> Vec<u8> {
        use rcgen::PublicKeyData;
        self.key.subject_public_key_info()
    }

    /// Never beyond the authority's own end.
    fn validity(&self, lifetime: SignedDuration, now: Timestamp) -> Result<(Timestamp, Timestamp), SignError> {
        let begins = now.checked_sub(BACKDATE).unwrap_or(now);
        let from = if lifetime < SHORT { now } else { begins };
        let ends = from.checked_add(lifetime).unwrap_or(Timestamp::MAX).min(self.ends);
        if ends <= now {
            return Err(SignError::Expired(self.ends));
        }
        Ok((begins, ends))
    }

    fn extensions(&self, request: &X509CertificationRequest<'_>, usages: &[&str]) -> Vec<u8> {
        let key_usage = KEY_USAGES.iter().filter(|(name, _)| usages.contains(name));
        let key_usage = key_usage.fold(0, |bits, (_, bit)| bits | bit);
        let purposes = [("server auth", SERVER_AUTH), ("client auth", CLIENT_AUTH)];
        let purposes = purposes.iter().filter(|(name, _)| usages.contains(name));
        let purposes: Vec<&[u8]> = purposes.map(|(_, purpose)| *purpose).collect();
        let mut all = Vec::new();
        if key_usage != 0 {
            all.extend(extension(KEY_USAGE, true, &der::named_bits(key_usage)));
        }
        if !purposes.is_empty() {
            all.extend(extension(EXTENDED_KEY_USAGE, false, &der::sequence(&purposes)));
        }
        all.extend(extension(BASIC_CONSTRAINTS, true, &der::sequence(&[])));
        if let Some(id) = &self.key_id {
            let id = der::sequence(&[&der::value(CONTEXT, &[id])]);
            all.extend(extension(AUTHORITY_KEY, false, &id));
        }
        let names: Vec<u8> = rules::names(request).into_iter().flat_map(general_name).collect();
        if !names.is_empty() {
            let is_alone = request.certification_request_info.subject.iter().next().is_none();
            all.extend(extension(ALTERNATIVE_NAME, is_alone, &der::sequence(&[&names])));
        }
        der::sequence(&[&all])
    }
}

fn algorithm(key: &KeyPair) -> Option<&'static [u8]> {
    let known = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, ECDSA_SHA256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, ECDSA_SHA384),
        (&rcgen::PKCS_ED25519, ED25519),
        (&rcgen::PKCS_RSA_SHA256, RSA_SHA256),
    ];
    let found = known.into_iter().find(|(algorithm, _)| key.algorithm() == *algorithm);
    found.map(|(_, identifier)| identifier)
}

fn extension(id: &[u8], is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if is_critical { &der::TRUE } else { &[] };
    der::sequence(&[id, critical, &der::value(OCTET_STRING, &[value])])
}

/// Names of the sorts that upstream signs; others are left out.
fn general_name(name: &GeneralName<'_>) -> Vec<u8> {
    match name {
        GeneralName::RFC822Name(text) => der::value(CONTEXT | 1, &[text.as_bytes()]),
        GeneralName::DNSName(text) => der::value(CONTEXT | 2, &[text.as_bytes()]),
        GeneralName::URI(text) => der::value(CONTEXT | 6, &[text.as_bytes()]),
        GeneralName::IPAddress(bytes) => der::value(CONTEXT | 7, &[bytes]),
        _ => Vec::new(),
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
