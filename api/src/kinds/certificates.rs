//! Certificates on request: `/apis/certificates.k8s.io/v1`.

use super::{Kind, PLAIN, STATUS, Subresource};

pub(super) const KINDS: &[Kind] = &[Kind {
    group: "certificates.k8s.io",
    kind: "CertificateSigningRequest",
    plural: "certificatesigningrequests",
    singular: "certificatesigningrequest",
    short_names: &["csr"],
    namespaced: false,
    subresources: &[
        Subresource {
            name: "approval",
            ..STATUS
        },
        STATUS,
    ],
    ..PLAIN
}];
