//! `describe`: everything about an object, for people. Pure: from JSON to text; the verb fetches.
//!
//! Kinds that people describe often have a file of their own, with kubectl's layout; all others are shown field by field.

mod access;
mod autoscaler;
mod certificate;
mod config;
mod container;
mod generic;
mod limits;
mod namespace;
mod network;
mod node;
mod pod;
mod policy;
mod service;
mod sheet;
mod storage;
mod template;
mod volume;
mod workload;

use jiff::Timestamp;
use serde_json::Value;

use sheet::Sheet;

/// An object and what belongs to its description.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The object.
    pub object: Value,
    /// Its events, oldest first.
    pub events: Vec<Value>,
    /// For a node: the pods on it. For a service: its endpoints. For a controller: its pods, for a deployment its replica
    /// sets. For a claim: the pods that use it. For a namespace: its quotas and limit ranges.
    pub related: Vec<Value>,
    /// For a node: the lease by which it says that it lives.
    pub lease: Value,
}

/// The description of a subject as of a time.
#[must_use]
pub fn describe(subject: &Subject, now: Timestamp) -> String {
    let mut sheet = Sheet::new(now);
    let object = &subject.object;
    let related = &subject.related;
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, object["kind"].as_str().unwrap_or_default()) {
        ("", "ConfigMap") => config::config_map(&mut sheet, object),
        ("", "Endpoints") => network::endpoints(&mut sheet, object),
        ("", "LimitRange") => limits::limit_range(&mut sheet, object),
        ("", "Namespace") => namespace::describe(&mut sheet, object, related),
        ("", "Node") => node::describe(&mut sheet, object, related, &subject.lease),
        ("", "PersistentVolume") => storage::volume(&mut sheet, object),
        ("", "PersistentVolumeClaim") => storage::claim(&mut sheet, object, related),
        ("", "Pod") => pod::describe(&mut sheet, object),
        ("", "ReplicationController") => workload::replica_set(&mut sheet, object, related),
        ("", "ResourceQuota") => limits::quota(&mut sheet, object),
        ("", "Secret") => config::secret(&mut sheet, object),
        ("", "Service") => service::describe(&mut sheet, object, related),
        ("", "ServiceAccount") => access::service_account(&mut sheet, object, related),
        ("apps", "DaemonSet") => workload::daemon_set(&mut sheet, object, related),
        ("apps", "Deployment") => workload::deployment(&mut sheet, object, related),
        ("apps", "ReplicaSet") => workload::replica_set(&mut sheet, object, related),
        ("apps", "StatefulSet") => workload::stateful_set(&mut sheet, object, related),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::describe(&mut sheet, object),
        ("batch", "CronJob") => workload::cron_job(&mut sheet, object),
        ("batch", "Job") => workload::job(&mut sheet, object),
        ("certificates.k8s.io", "CertificateSigningRequest") => certificate::describe(&mut sheet, object),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(&mut sheet, object),
        ("networking.k8s.io", "Ingress") => network::ingress(&mut sheet, object, related),
        ("networking.k8s.io", "IngressClass") => network::ingress_class(&mut sheet, object),
        ("networking.k8s.io", "IPAddress") => network::ip_address(&mut sheet, object),
        ("networking.k8s.io", "ServiceCIDR") => network::service_cidr(&mut sheet, object),
        ("networking.k8s.io", "NetworkPolicy") => policy::describe(&mut sheet, object),
        ("policy", "PodDisruptionBudget") => limits::budget(&mut sheet, object),
        ("rbac.authorization.k8s.io", "ClusterRole" | "Role") => access::role(&mut sheet, object),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding" | "RoleBinding") => access::binding(&mut sheet, object),
        ("scheduling.k8s.io", "PriorityClass") => limits::priority_class(&mut sheet, object),
        ("storage.k8s.io", "CSINode") => storage::csi_node(&mut sheet, object),
        ("storage.k8s.io", "VolumeAttributesClass") => storage::attributes_class(&mut sheet, object),
        ("storage.k8s.io", "StorageClass") => storage::class(&mut sheet, object),
        _ => generic::describe(&mut sheet, object),
    }
    if has_events(object) {
        sheet.events(&subject.events);
    }
    sheet.finish()
}

/// To these nothing happens that an event would tell.
fn has_events(object: &Value) -> bool {
    const WITHOUT: [&str; 10] = [
        "ClusterRole",
        "ClusterRoleBinding",
        "Event",
        "LimitRange",
        "Namespace",
        "NetworkPolicy",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Secret",
    ];
    !object["kind"].as_str().is_some_and(|kind| WITHOUT.contains(&kind))
}

#[cfg(test)]
mod tests;
