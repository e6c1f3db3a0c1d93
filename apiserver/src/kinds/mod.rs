//! The rules of each kind: what is filled in, what is refused, what a table shows. Pure; no clock, no store, no request.
//!
//! ```text
//! body -> decode -> [prepare_create | prepare_update | prepare_status_update] -> admission -> defaults
//!      -> [validate | validate_update | validate_status_update] -> store
//! ```
//! The registry calls these in its one order; a kind overrides only what is its own, and a kind without a row here has all
//! of the defaults below. Identities (names, paths) stand in `minik_api::kinds`, shapes of bodies in `minik_api::schema`. Kinds
//! that are defined while the server runs are found, like these, in the [`Kinds`] of the registry.

mod admission_registration;
pub(crate) mod api_service;
mod catalogue;
mod certificates;
mod checks;
mod component_status;
mod config_map;
mod controller_revision;
mod cron_job;
mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod device;
mod duration;
mod endpoint_slice;
mod endpoints;
mod event;
mod fill;
mod flow_control;
mod horizontal_pod_autoscaler;
mod job;
mod lease;
mod limit_range;
mod metadata;
mod namespace;
mod networking;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_disruption_budget;
mod pod_template;
pub(crate) mod priority_class;
mod rbac;
pub(crate) mod read;
mod replica_set;
mod resource_quota;
mod runtime_class;
mod secret;
mod service;
mod service_account;
mod stateful_set;
mod storage;
#[cfg(test)]
mod testing;
pub(crate) mod versions;
mod webhook;
mod workload;

use jiff::Timestamp;
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use minik_api::{field, names};
use serde_json::{Value, json};

use crate::decode::{self, DecodeError};
use crate::fields;

pub(crate) use catalogue::{CustomKind, Identity, KindRules, Kinds, intern};
pub(crate) use custom_resource_definition::CLEANUP;
pub(crate) use duration::since_or_unknown;
pub(crate) use metadata::{validate_metadata, validate_metadata_update};

/// What is wrong with a name; empty when nothing is.
pub(crate) type NameRule = fn(&str) -> Vec<String>;

/// A kind's rules.
pub(crate) trait Rules: Send + Sync {
    /// From a body to an object, without what the kind hasn't got, and a sentence for each field that went.
    fn decode(&self, kind: &'static Kind, body: Value) -> Result<(Object, Vec<String>), DecodeError> {
        decode::object(kind, body)
    }

    /// The OpenAPI schema of a kind that isn't in the table of shapes (`minik_api::schema`), as its definition has it: without
    /// `apiVersion`, `kind` and `metadata`.
    fn schema(&self) -> Option<Value> {
        None
    }

    /// What `metadata.name` may look like.
    fn name_rule(&self) -> NameRule {
        names::subdomain
    }

    /// Why nothing of this kind can be created now.
    fn refuses_new(&self, _kind: &Kind) -> Option<Status> {
        None
    }

    /// Sets what a client has no say in when it creates: the status, mostly.
    fn prepare_create(&self, object: &mut Object) {
        object.body.remove("status");
    }

    /// An update through the resource itself leaves the status as it was.
    fn prepare_update(&self, new: &mut Object, old: &Object) {
        keep(new, old, "status");
    }

    /// An update through the status subresource changes nothing but the status.
    fn prepare_status_update(&self, new: &mut Object, old: &Object) {
        keep_all_but_status(new, old);
    }

    /// An update through another subresource of the same body (`approval`, `resize`) changes what that subresource is about.
    fn prepare_part_update(&self, _part: &str, new: &mut Object, old: &Object) {
        keep_all(new, old);
    }

    /// Writes down when something became as it is, where an update leaves that to the server.
    fn stamp(&self, _new: &mut Object, _old: &Object, _now: Timestamp) {}

    /// Whether a deletion that doesn't say otherwise leaves alone what the object owns.
    fn orphans_by_default(&self) -> bool {
        false
    }

    /// Says on an object that is to be deleted what has to happen before it goes.
    fn prepare_delete(&self, _object: &mut Object) {}

    /// Fills in what the client left out. Idempotent.
    fn defaults(&self, _object: &mut Object) {}

    /// What is wrong with an object that is to be created; metadata is checked by [`validate_metadata`].
    fn validate(&self, _object: &Object) -> Vec<field::Error> {
        Vec::new()
    }

    /// What is wrong with `new` in the place of `old`.
    fn validate_update(&self, new: &Object, _old: &Object) -> Vec<field::Error> {
        self.validate(new)
    }

    /// What is wrong with the status of `new` in the place of that of `old`.
    fn validate_status_update(&self, _new: &Object, _old: &Object) -> Vec<field::Error> {
        Vec::new()
    }

    /// What is wrong with `new` in the place of `old` after an update through another subresource.
    fn validate_part_update(&self, _part: &str, _new: &Object, _old: &Object) -> Vec<field::Error> {
        Vec::new()
    }

    /// What parts the fields have that can have different owners.
    fn fields_type(&self, kind: &Kind) -> fields::Type<'_> {
        fields::type_of(kind)
    }

    /// The fields that a write through the resource itself (`""`) or a subresource doesn't change, so that nobody comes to own
    /// them by it.
    fn reset_fields(&self, kind: &Kind, subresource: &str) -> fields::Set {
        fields::reset_fields(kind, subresource)
    }

    /// What isn't wrong, but will hurt: sent as `Warning` headers.
    fn warnings(&self, _object: &Object) -> Vec<String> {
        Vec::new()
    }

    /// What everybody is told who asks for the kind at all.
    fn deprecation(&self) -> Option<&str> {
        None
    }

    /// How many replicas there should be and are, and of which pods; `None` for what can't be scaled.
    fn scale(&self, _object: &Object) -> Option<Scale> {
        None
    }

    /// Asks for another number of replicas.
    fn set_replicas(&self, object: &mut Object, replicas: i64) {
        if let Some(spec) = fill::object_or_empty(&mut object.body, "spec") {
            spec.insert("replicas".to_owned(), replicas.into());
        }
    }

    /// Whether `metadata.generation` counts changes of the spec.
    fn has_generation(&self) -> bool {
        false
    }

    /// Whether a change is one of those that `metadata.generation` counts: of anything but the status, which is the spec for
    /// those who have one.
    fn raises_generation(&self, new: &Object, old: &Object) -> bool {
        let fields = new.body.keys().chain(old.body.keys()).filter(|name| *name != "status");
        fields.into_iter().any(|name| new.body.get(name) != old.body.get(name))
    }

    /// How long a deletion waits for somebody to finish the object's work; `None` when it doesn't wait at all.
    fn grace_seconds(&self, _object: &Object, _asked: Option<i64>) -> Option<i64> {
        None
    }

    /// Why nobody may delete the object; `None` when everybody may who is allowed to.
    fn forbids_deletion(&self, _object: &Object) -> Option<&'static str> {
        None
    }

    /// The fields that can be selected on, besides `metadata.name` and `metadata.namespace`.
    fn fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// What a field that can be selected on is called in the version in which the objects are kept, if it has another name
    /// there.
    fn stored_field(&self, _path: &str) -> Option<&'static str> {
        None
    }

    /// Whether this field can be selected on.
    fn has_field(&self, path: &str) -> bool {
        self.fields().contains(&path)
    }

    /// What is said to those who select on any other.
    fn unknown_field(&self, path: &str) -> String {
        match self.fields() {
            // So says upstream of kinds that have no fields of their own.
            [] => format!("{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
            _ => format!("field label not supported: {path}"),
        }
    }

    /// The text of one of [`Rules::fields`]; empty when it is absent.
    fn field(&self, object: &Object, path: &str) -> String {
        text_at(object, path)
    }

    /// The columns of a table.
    fn columns(&self) -> &'static [Column] {
        DEFAULT_COLUMNS
    }

    /// The columns as a Table tells them (metav1.TableColumnDefinition).
    fn column_definitions(&self) -> Vec<Value> {
        self.columns().iter().map(Column::definition).collect()
    }

    /// One cell for each of [`Rules::columns`].
    fn cells(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        vec![object.name().into(), age(object, now).into()]
    }
}

/// What autoscaling/v1 Scale says of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scale {
    /// There should be so many.
    pub(crate) replicas: i64,
    /// There are so many.
    pub(crate) current: i64,
    /// Their labels, as on a command line; empty when nobody knows.
    pub(crate) selector: String,
}

/// A column of a table (metav1.TableColumnDefinition).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// As kubectl shows it, in upper case then: `Nominated Node`.
    pub(crate) name: &'static str,
    /// `string`, `integer`, `date`.
    pub(crate) kind: &'static str,
    /// `name` for the column that names the object, else empty.
    pub(crate) format: &'static str,
    /// For those who ask what it means.
    pub(crate) description: &'static str,
    /// Above 0 only `-o wide` shows it.
    pub(crate) priority: i32,
}

impl Column {
    /// A column of text that is always shown.
    pub(crate) const fn text(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            kind: "string",
            format: "",
            description,
            priority: 0,
        }
    }

    /// metav1.TableColumnDefinition
    pub(crate) fn definition(&self) -> Value {
        json!({"name": self.name, "type": self.kind, "format": self.format, "description": self.description,
            "priority": self.priority})
    }

    /// The same, holding whole numbers.
    pub(crate) const fn number(self) -> Self {
        Self {
            kind: "integer",
            ..self
        }
    }

    /// The same, holding yes or no.
    pub(crate) const fn flag(self) -> Self {
        Self {
            kind: "boolean",
            ..self
        }
    }

    /// The same, holding points in time; clients show how long ago they were.
    pub(crate) const fn date(self) -> Self {
        Self { kind: "date", ..self }
    }

    /// The same, shown by `-o wide` alone.
    pub(crate) const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }
}

/// The first column of every table.
pub(crate) const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    description: "Name must be unique within a namespace.",
    priority: 0,
};

/// The column that most tables end with.
pub(crate) const AGE: Column = Column::text("Age", "The time since the object was created.");

const DEFAULT_COLUMNS: &[Column] = &[NAME, AGE];

/// The rules of a built-in kind, the same in all of its versions: those of the stored form ([`versions`]). Those of any kind
/// are in [`Kinds::rules`].
pub(crate) fn rules(kind: &'static Kind) -> &'static dyn Rules {
    match (kind.group, kind.kind) {
        ("", "Pod") => &pod::Pods,
        ("", "Node") => &node::Nodes,
        ("", "Namespace") => &namespace::Namespaces,
        ("", "Event") => &event::Events,
        ("", "ConfigMap") => &config_map::ConfigMaps,
        ("", "Secret") => &secret::Secrets,
        ("", "ServiceAccount") => &service_account::ServiceAccounts,
        ("", "Service") => &service::Services,
        ("", "Endpoints") => &endpoints::EndpointLists,
        ("apiregistration.k8s.io", "APIService") => &api_service::ApiServices,
        ("events.k8s.io", "Event") => &event::NewEvents,
        ("certificates.k8s.io", "CertificateSigningRequest") => &certificates::SigningRequests,
        ("networking.k8s.io", "IPAddress") => &networking::IpAddresses,
        ("networking.k8s.io", "Ingress") => &networking::Ingresses,
        ("networking.k8s.io", "IngressClass") => &networking::IngressClasses,
        ("networking.k8s.io", "NetworkPolicy") => &networking::NetworkPolicies,
        ("networking.k8s.io", "ServiceCIDR") => &networking::ServiceCidrs,
        ("", "ComponentStatus") => &component_status::ComponentStatuses,
        ("", "LimitRange") => &limit_range::LimitRanges,
        ("", "PersistentVolume") => &persistent_volume::Volumes,
        ("", "PersistentVolumeClaim") => &persistent_volume_claim::Claims,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => &custom_resource_definition::CustomResourceDefinitions,
        ("", "PodTemplate") => &pod_template::PodTemplates,
        ("", "ReplicationController") => &replica_set::ReplicationControllers,
        ("", "ResourceQuota") => &resource_quota::Quotas,
        ("apps", "ControllerRevision") => &controller_revision::ControllerRevisions,
        ("apps", "DaemonSet") => &daemon_set::DaemonSets,
        ("apps", "Deployment") => &deployment::Deployments,
        ("apps", "ReplicaSet") => &replica_set::ReplicaSets,
        ("apps", "StatefulSet") => &stateful_set::StatefulSets,
        ("autoscaling", "HorizontalPodAutoscaler") => &horizontal_pod_autoscaler::Autoscalers,
        ("batch", "CronJob") => &cron_job::CronJobs,
        ("batch", "Job") => &job::Jobs,
        ("policy", "PodDisruptionBudget") => &pod_disruption_budget::Budgets,
        ("rbac.authorization.k8s.io", "ClusterRole") => &rbac::Roles { namespaced: false },
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => &rbac::Bindings { namespaced: false },
        ("rbac.authorization.k8s.io", "Role") => &rbac::Roles { namespaced: true },
        ("rbac.authorization.k8s.io", "RoleBinding") => &rbac::Bindings { namespaced: true },
        ("storage.k8s.io", "CSIDriver") => &storage::CsiDrivers,
        ("storage.k8s.io", "CSINode") => &storage::CsiNodes,
        ("storage.k8s.io", "CSIStorageCapacity") => &storage::CsiStorageCapacities,
        ("storage.k8s.io", "StorageClass") => &storage::StorageClasses,
        ("storage.k8s.io", "VolumeAttachment") => &storage::VolumeAttachments,
        ("storage.k8s.io", "VolumeAttributesClass") => &storage::VolumeAttributesClasses,
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy") => &admission_registration::MutatingPolicies,
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding") => {
            &admission_registration::PolicyBindings { mutating: true }
        }
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => {
            &admission_registration::Webhooks { mutating: true }
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => &admission_registration::ValidatingPolicies,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => {
            &admission_registration::PolicyBindings { mutating: false }
        }
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => {
            &admission_registration::Webhooks { mutating: false }
        }
        ("scheduling.k8s.io", "PriorityClass") => &priority_class::PriorityClasses,
        ("coordination.k8s.io", "Lease") => &lease::Leases,
        ("node.k8s.io", "RuntimeClass") => &runtime_class::RuntimeClasses,
        ("discovery.k8s.io", "EndpointSlice") => &endpoint_slice::EndpointSlices,
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => &flow_control::FlowSchemas,
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => &flow_control::PriorityLevels,
        ("resource.k8s.io", "DeviceClass") => &device::DeviceClasses,
        ("resource.k8s.io", "ResourceClaim") => &device::ResourceClaims,
        ("resource.k8s.io", "ResourceClaimTemplate") => &device::ResourceClaimTemplates,
        ("resource.k8s.io", "ResourceSlice") => &device::ResourceSlices,
        _ => &Plain,
    }
}

/// A kind without rules of its own.
struct Plain;

impl Rules for Plain {}

/// Puts the old value of a top-level field in the place of the new one.
pub(crate) fn keep(new: &mut Object, old: &Object, field: &str) {
    match old.body.get(field) {
        Some(value) => {
            new.body.insert(field.to_owned(), value.clone());
        }
        None => {
            new.body.remove(field);
        }
    }
}

/// The old object, but for what the registry itself looks at.
fn keep_all(new: &mut Object, old: &Object) {
    new.body.clone_from(&old.body);
    let (new, old) = (&mut new.metadata, &old.metadata);
    new.labels.clone_from(&old.labels);
    new.annotations.clone_from(&old.annotations);
    new.owner_references.clone_from(&old.owner_references);
    new.finalizers.clone_from(&old.finalizers);
}

/// All of the old object with the new status, and with the new metadata but for what belongs to the main resource.
fn keep_all_but_status(new: &mut Object, old: &Object) {
    let status = new.body.remove("status");
    new.body.clone_from(&old.body);
    match status {
        Some(status) => new.body.insert("status".to_owned(), status),
        None => new.body.remove("status"),
    };
    new.metadata.owner_references.clone_from(&old.metadata.owner_references);
    new.metadata.finalizers.clone_from(&old.metadata.finalizers);
}

/// The text at a dotted path of the body; empty when nothing is there.
fn text_at(object: &Object, path: &str) -> String {
    match object.at(path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// The object in a field of the body.
fn fields<'a>(object: &'a Object, name: &str) -> Option<&'a fill::Fields> {
    object.body.get(name).and_then(Value::as_object)
}

/// How long ago the object was created, as tables show it.
fn age(object: &Object, now: Timestamp) -> String {
    let created = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    duration::since_or_unknown(created, now)
}

#[cfg(test)]
mod tests;
