//! Who is asked before something is stored: `/apis/admissionregistration.k8s.io/v1`.

use super::{Kind, PLAIN, STATUS};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        kind: "MutatingAdmissionPolicy",
        plural: "mutatingadmissionpolicies",
        singular: "mutatingadmissionpolicy",
        categories: &["api-extensions"],
        ..ADMISSION
    },
    Kind {
        kind: "MutatingAdmissionPolicyBinding",
        plural: "mutatingadmissionpolicybindings",
        singular: "mutatingadmissionpolicybinding",
        categories: &["api-extensions"],
        ..ADMISSION
    },
    Kind {
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
        singular: "mutatingwebhookconfiguration",
        categories: &["api-extensions"],
        ..ADMISSION
    },
    Kind {
        kind: "ValidatingAdmissionPolicy",
        plural: "validatingadmissionpolicies",
        singular: "validatingadmissionpolicy",
        categories: &["api-extensions"],
        subresources: &[STATUS],
        ..ADMISSION
    },
    Kind {
        kind: "ValidatingAdmissionPolicyBinding",
        plural: "validatingadmissionpolicybindings",
        singular: "validatingadmissionpolicybinding",
        categories: &["api-extensions"],
        ..ADMISSION
    },
    Kind {
        kind: "ValidatingWebhookConfiguration",
        plural: "validatingwebhookconfigurations",
        singular: "validatingwebhookconfiguration",
        categories: &["api-extensions"],
        ..ADMISSION
    },
];

const ADMISSION: Kind = Kind {
    group: "admissionregistration.k8s.io",
    namespaced: false,
    ..PLAIN
};
