//! What a pod's spec may say. Every rule adds to one list, so that a user sees all that is wrong at once.
//!
//! ```text
//! spec -> volumes -> containers (env, ports, mounts, probes, resources, security) -> scheduling -> dns -> the pod's own fields
//! ```
//! The sentences and their order are upstream's (`pkg/apis/core/validation`). The spec has been defaulted before.

mod containers;
mod dns;
mod env;
mod mounts;
mod names;
mod ports;
mod probes;
mod resources;
pub(super) mod scheduling;
mod security;
mod spread;
mod volumes;

use k8s_openapi::api::core::v1::PodSpec;
use minik_api::field::{Error, Path};
use minik_api::names::{label, qualified, subdomain};

pub(in crate::kinds) use scheduling::{TAINT_EFFECTS, node_selector, tolerations};

use crate::kinds::checks;
use crate::kinds::metadata::validate_labels;

/// What the checks of parts need to know of the whole.
struct Context<'a> {
    spec: &'a PodSpec,
    /// The names of the volumes that are well-formed, and whether each is a claim.
    volumes: Vec<(&'a str, bool)>,
}

/// The spec of a pod or of a template.
pub(in crate::kinds) fn pod_spec(spec: &PodSpec, pod_name: Option<&str>, path: &Path, errors: &mut Vec<Error>) {
    if spec.termination_grace_period_seconds.is_none() {
        errors.push(Error::required(&path.child("terminationGracePeriodSeconds"), ""));
    }
    let volumes = volumes::check(spec, pod_name, &path.child("volumes"), errors);
    let context = Context { spec, volumes };
    containers::check(&context, path, errors);
    containers::check_init(&context, &path.child("initContainers"), errors);
    containers::check_ephemeral(&context, &path.child("ephemeralContainers"), errors);
    ports::host_network(spec, &path.child("containers"), errors);
    policies(spec, path, errors);
    if let Some(labels) = &spec.node_selector {
        errors.extend(validate_labels(labels, &path.child("nodeSelector")));
    }
    security::pod(spec, path, errors);
    scheduling::affinity(spec, &path.child("affinity"), errors);
    dns::check(spec, path, errors);
    gates(spec, path, errors);
    spread::check(spec, &path.child("topologySpreadConstraints"), errors);
    names::check(spec, path, errors);
    scheduling::tolerations(
        spec.tolerations.as_deref().unwrap_or_default(),
        &path.child("tolerations"),
        errors,
    );
    dns::host_aliases(spec, &path.child("hostAliases"), errors);
    resources::overhead(spec, &path.child("overhead"), errors);
    operating_system(spec, path, errors);
}

/// What only a real pod must fulfil when it is created.
pub(in crate::kinds) fn created_pod(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    if spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()) {
        errors.push(Error::forbidden(
            &path.child("ephemeralContainers"),
            "cannot be set on create",
        ));
    }
    let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    if spec.node_name.is_some() && gated {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(Error::forbidden(&path.child("nodeName"), detail));
    }
}

/// What only a real pod must fulfil, not a template.
pub(in crate::kinds) fn pod_only(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let lists = [
        ("containers", spec.containers.as_slice()),
        ("initContainers", spec.init_containers.as_deref().unwrap_or_default()),
    ];
    for (name, list) in lists {
        for (index, container) in list.iter().enumerate() {
            let image = container.image.as_deref().unwrap_or_default();
            if image.trim() != image {
                let path = path.child(name).index(index).child("image");
                errors.push(Error::invalid(
                    &path,
                    image,
                    "must not have leading or trailing whitespace",
                ));
            }
        }
    }
    if spec.service_account_name.is_some() {
        return;
    }
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let sources = volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten());
        for (source_index, source) in sources.enumerate() {
            if source.service_account_token.is_some() {
                let path = path.child("volumes").index(index).child("projected").child("sources");
                let path = path.index(source_index).child("serviceAccountToken");
                errors.push(Error::forbidden(
                    &path,
                    "must not be specified when serviceAccountName is not set",
                ));
            }
        }
    }
}

fn policies(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let restart = ["Always", "OnFailure", "Never"];
    checks::one_of(
        spec.restart_policy.as_deref(),
        &restart,
        &path.child("restartPolicy"),
        errors,
    );
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    checks::one_of(spec.dns_policy.as_deref(), &dns, &path.child("dnsPolicy"), errors);
    let preemption = ["PreemptLowerPriority", "Never"];
    checks::one_of_or_none(
        spec.preemption_policy.as_deref(),
        &preemption,
        &path.child("preemptionPolicy"),
        errors,
    );
    let deadline = spec.active_deadline_seconds;
    if let Some(seconds) = deadline.filter(|seconds| !(1..=i64::from(i32::MAX)).contains(seconds)) {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.push(Error::invalid(&path.child("activeDeadlineSeconds"), seconds, detail));
    }
}

fn gates(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    for (index, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let path = path.child("readinessGates").index(index).child("conditionType");
        checks::name(qualified, &gate.condition_type, &path, errors);
    }
    let gates = spec.scheduling_gates.as_deref().unwrap_or_default();
    for (index, gate) in gates.iter().enumerate() {
        let path = path.child("schedulingGates").index(index);
        checks::name(qualified, &gate.name, &path, errors);
        if gates[..index].iter().any(|earlier| earlier.name == gate.name) {
            errors.push(Error::duplicate(&path, gate.name.as_str()));
        }
    }
}

fn operating_system(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let Some(os) = &spec.os else { return };
    let os_path = path.child("os");
    if os.name.is_empty() {
        errors.push(Error::required(&os_path.child("name"), ""));
    } else if !["linux", "windows"].contains(&os.name.as_str()) {
        errors.push(Error::not_supported(&os_path, os.name.as_str(), &["linux", "windows"]));
    } else if os.name == "linux" {
        security::no_windows_options(spec, path, errors);
    }
}

#[cfg(test)]
mod tests;
