//! Who reaches what over the network (`networking.k8s.io`): rules of its kinds. Nothing here moves a packet.

mod addresses;
mod ingress;
mod ingress_class;
mod network_policy;

pub(super) use addresses::{IpAddresses, ServiceCidrs};
pub(super) use ingress::Ingresses;
pub(super) use ingress_class::IngressClasses;
pub(super) use network_policy::NetworkPolicies;
