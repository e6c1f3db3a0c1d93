//! How Kubernetes' own kinds merge: which lists have a key, which are sets, which maps are replaced as a whole.
//!
//! From the `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key` of Kubernetes 1.36's OpenAPI. Only types on the way to
//! such a field stand here; a list that is not here is replaced as a whole, a map is merged.

/// How a field merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A map: merged field by field.
    Map,
    /// A map whose absent fields are cleared (a union: a volume's source, an update strategy).
    MapRetainKeys,
    /// A list of objects told apart by a field.
    ListByKey(&'static str),
    /// The same, with each element's absent fields cleared.
    ListByKeyRetainKeys(&'static str),
    /// A list of scalars that is a set.
    Set,
}

/// A type's fields that merge in a way of their own, or lead to such.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema(&'static [(&'static str, Strategy, &'static Schema)]);

impl Schema {
    /// How a field merges, and the type behind it. Fields that nothing is known of: maps, and lists replaced as a whole.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<(Strategy, &'static Schema)> {
        self.0
            .iter()
            .find(|(field, ..)| *field == name)
            .map(|(_, strategy, schema)| (*strategy, *schema))
    }
}

/// The type of a built-in kind; none for custom resources.
#[must_use]
pub fn of_kind(api_version: &str, kind: &str) -> Option<&'static Schema> {
    let schema = match (api_version, kind) {
        ("v1", "Pod") => &POD,
        ("v1", "PodTemplate") => &POD_TEMPLATE_OBJECT,
        ("v1", "Node") => &NODE,
        ("v1", "Service") => &SERVICE,
        ("v1", "ServiceAccount") => &SERVICE_ACCOUNT,
        ("v1", "ReplicationController")
        | ("apps/v1", "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch/v1", "Job") => &TEMPLATED,
        ("apps/v1", "Deployment") => &DEPLOYMENT,
        ("batch/v1", "CronJob") => &CRON_JOB,
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            &WEBHOOKS
        }
        (version, _) if is_built_in(version) => &OBJECT,
        _ => return None,
    };
    Some(schema)
}

fn is_built_in(api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    matches!(group, "" | "apps" | "autoscaling" | "batch" | "policy")
        || matches!(
            group.strip_suffix(".k8s.io"),
            Some(
                "admissionregistration"
                    | "authentication"
                    | "authorization"
                    | "certificates"
                    | "coordination"
                    | "discovery"
                    | "events"
                    | "flowcontrol.apiserver"
                    | "networking"
                    | "node"
                    | "rbac.authorization"
                    | "resource"
                    | "scheduling"
                    | "storage"
            )
        )
}

use Strategy::{ListByKey, ListByKeyRetainKeys, Map, MapRetainKeys, Set};

const NOTHING: Schema = Schema(&[]);
const METADATA: Schema = Schema(&[
    ("finalizers", Set, &NOTHING),
    ("ownerReferences", ListByKey("uid"), &NOTHING),
]);
const OBJECT: Schema = Schema(&[("metadata", Map, &METADATA)]);
const CONDITIONS: Schema = Schema(&[("conditions", ListByKey("type"), &NOTHING)]);
const CONTAINER: Schema = Schema(&[
    ("env", ListByKey("name"), &NOTHING),
    ("ports", ListByKey("containerPort"), &NOTHING),
    ("volumeDevices", ListByKey("devicePath"), &NOTHING),
    ("volumeMounts", ListByKey("mountPath"), &NOTHING),
]);
const POD_SPEC: Schema = Schema(&[
    ("containers", ListByKey("name"), &CONTAINER),
    ("initContainers", ListByKey("name"), &CONTAINER),
    ("ephemeralContainers", ListByKey("name"), &CONTAINER),
    ("hostAliases", ListByKey("ip"), &NOTHING),
    ("imagePullSecrets", ListByKey("name"), &NOTHING),
    ("resourceClaims", ListByKeyRetainKeys("name"), &NOTHING),
    ("schedulingGates", ListByKey("name"), &NOTHING),
    ("topologySpreadConstraints", ListByKey("topologyKey"), &NOTHING),
    ("volumes", ListByKeyRetainKeys("name"), &NOTHING),
]);
const POD_STATUS: Schema = Schema(&[
    ("conditions", ListByKey("type"), &NOTHING),
    ("hostIPs", ListByKey("ip"), &NOTHING),
    ("podIPs", ListByKey("ip"), &NOTHING),
    ("resourceClaimStatuses", ListByKeyRetainKeys("name"), &NOTHING),
]);
const POD: Schema = Schema(&[
    ("metadata", Map, &METADATA),
    ("spec", Map, &POD_SPEC),
    ("status", Map, &POD_STATUS),
]);
const TEMPLATE: Schema = Schema(&[("metadata", Map, &METADATA), ("spec", Map, &POD_SPEC)]);
const POD_TEMPLATE_OBJECT: Schema = Schema(&[("metadata", Map, &METADATA), ("template", Map, &TEMPLATE)]);
const WITH_TEMPLATE: Schema = Schema(&[("template", Map, &TEMPLATE)]);
const TEMPLATED: Schema = Schema(&[
    ("metadata", Map, &METADATA),
    ("spec", Map, &WITH_TEMPLATE),
    ("status", Map, &CONDITIONS),
]);
const DEPLOYMENT_SPEC: Schema = Schema(&[("template", Map, &TEMPLATE), ("strategy", MapRetainKeys, &NOTHING)]);
const DEPLOYMENT: Schema = Schema(&[
    ("metadata", Map, &METADATA),
    ("spec", Map, &DEPLOYMENT_SPEC),
    ("status", Map, &CONDITIONS),
]);
const JOB_TEMPLATE: Schema = Schema(&[("metadata", Map, &METADATA), ("spec", Map, &WITH_TEMPLATE)]);
const CRON_JOB_SPEC: Schema = Schema(&[("jobTemplate", Map, &JOB_TEMPLATE)]);
const CRON_JOB: Schema = Schema(&[("metadata", Map, &METADATA), ("spec", Map, &CRON_JOB_SPEC)]);
const NODE_SPEC: Schema = Schema(&[("podCIDRs", Set, &NOTHING)]);
const NODE_STATUS: Schema = Schema(&[
    ("addresses", ListByKey("type"), &NOTHING),
    ("conditions", ListByKey("type"), &NOTHING),
]);
const NODE: Schema = Schema(&[
    ("metadata", Map, &METADATA),
    ("spec", Map, &NODE_SPEC),
    ("status", Map, &NODE_STATUS),
]);
const SERVICE_SPEC: Schema = Schema(&[("ports", ListByKey("port"), &NOTHING)]);
const SERVICE: Schema = Schema(&[
    ("metadata", Map, &METADATA),
    ("spec", Map, &SERVICE_SPEC),
    ("status", Map, &CONDITIONS),
]);
const SERVICE_ACCOUNT: Schema = Schema(&[("metadata", Map, &METADATA), ("secrets", ListByKey("name"), &NOTHING)]);
const WEBHOOK: Schema = Schema(&[("matchConditions", ListByKey("name"), &NOTHING)]);
const WEBHOOKS: Schema = Schema(&[("metadata", Map, &METADATA), ("webhooks", ListByKey("name"), &WEBHOOK)]);
