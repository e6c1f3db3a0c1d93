//! An authority with a server, two known users and a stranger, as files.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "for tests: what can't write its files can't go on"
)]

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Name of the files, user, group.
const IDENTITIES: [(&str, &str, &str); 5] = [
    ("server", "apiserver", ""),
    ("admin", "admin", "system:masters"),
    ("node", "system:node:n1", "system:nodes"),
    ("eve", "eve", "people"),
    ("proxy", "front-proxy-client", ""),
];

/// Writes `ca.crt`, and `NAME.crt` and `NAME.key` for each identity.
pub fn write(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(directory.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for (name, user, group) in IDENTITIES {
        let names = ["127.0.0.1", "localhost", "hooks.default.svc"];
        let mut params = CertificateParams::new(names.map(str::to_owned)).unwrap();
        params.distinguished_name.push(DnType::CommonName, user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(directory.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
