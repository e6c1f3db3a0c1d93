//! Who reaches what over the network: `/apis/networking.k8s.io/v1`.

use super::{Kind, PLAIN, STATUS};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        kind: "IngressClass",
        plural: "ingressclasses",
        singular: "ingressclass",
        namespaced: false,
        ..NETWORKING
    },
    Kind {
        kind: "Ingress",
        plural: "ingresses",
        singular: "ingress",
        short_names: &["ing"],
        subresources: &[STATUS],
        ..NETWORKING
    },
    Kind {
        kind: "IPAddress",
        plural: "ipaddresses",
        singular: "ipaddress",
        short_names: &["ip"],
        namespaced: false,
        ..NETWORKING
    },
    Kind {
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        singular: "networkpolicy",
        short_names: &["netpol"],
        ..NETWORKING
    },
    Kind {
        kind: "ServiceCIDR",
        plural: "servicecidrs",
        singular: "servicecidr",
        namespaced: false,
        subresources: &[STATUS],
        ..NETWORKING
    },
];

const NETWORKING: Kind = Kind {
    group: "networking.k8s.io",
    ..PLAIN
};
