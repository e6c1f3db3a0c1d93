//! The key that signs the tokens: ECDSA on P-256, in a file that only root reads.
//!
//! Whoever removes the file makes all tokens worthless; kubelets get new ones when they next ask.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What stands before the point in the DER of a public key on P-256 (RFC 5480).
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It can't be read.
    #[error("can't read the signing key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can't be written.
    #[error("can't write the signing key {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is another kind of key, or none.
    #[error("the signing key {} has to be an ECDSA key on P-256 in PKCS#8, PEM", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
    /// No random numbers.
    #[error("can't make a signing key")]
    Generate,
}

/// The key.
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    /// What tokens call it.
    pub(super) id: String,
}

impl SigningKey {
    /// Reads it, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, KeyError> {
        let pem = match fs::read(path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
            Err(source) => {
                let path = path.to_owned();
                return Err(KeyError::Read { path, source });
            }
        };
        let unusable = || KeyError::Unusable { path: path.to_owned() };
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| unusable())?;
        Self::from_der(der.secret_pkcs8_der()).ok_or_else(unusable)
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new()).ok()?;
        let public = [&SPKI_HEAD, pair.public_key().as_ref()].concat();
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(public));
        Some(Self { pair, id })
    }

    /// A key that nobody keeps.
    #[cfg(test)]
    pub(super) fn ephemeral() -> Self {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("made");
        Self::from_der(der.as_ref()).expect("just made")
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signed = self.pair.sign(&SystemRandom::new(), message);
        signed
            .expect("the system has random numbers, or the key couldn't have been read")
            .as_ref()
            .to_vec()
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
        key.verify(message, signature).is_ok()
    }

    /// The public half (RFC 7518, section 6.2).
    pub(super) fn jwk(&self) -> Value {
        // An uncompressed point: a byte, x, y.
        let point = &self.pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        json!({"use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
    }
}

fn make(path: &Path) -> Result<Vec<u8>, KeyError> {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let text = STANDARD.encode(der.map_err(|_| KeyError::Generate)?.as_ref());
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    write(path, pem.as_bytes()).map_err(|source| KeyError::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(pem.into_bytes())
}

/// All of it or nothing: half a key would keep the server from starting.
fn write(path: &Path, pem: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(pem)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("service-account.key");
        let first = SigningKey::open(&path).expect("made");
        let second = SigningKey::open(&path).expect("read");
        assert_eq!(first.id, second.id);
        assert!(second.verifies(b"text", &first.sign(b"text")));
        assert!(!second.verifies(b"other", &first.sign(b"text")));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_key_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("k");
        fs::write(&path, "nothing").expect("written");
        assert!(matches!(SigningKey::open(&path), Err(KeyError::Unusable { .. })));
    }

    #[test]
    fn others_see_the_point() {
        let jwk = SigningKey::ephemeral().jwk();
        assert_eq!(
            (&jwk["kty"], &jwk["crv"], &jwk["alg"]),
            (&"EC".into(), &"P-256".into(), &"ES256".into())
        );
        for half in ["x", "y"] {
            let bytes = URL_SAFE_NO_PAD
                .decode(jwk[half].as_str().expect("text"))
                .expect("base64");
            assert_eq!(bytes.len(), 32);
        }
    }
}
