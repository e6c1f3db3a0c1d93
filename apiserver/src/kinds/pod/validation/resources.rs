//! Requests and limits: of containers, and the pod's own overhead.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PodSpec, ResourceClaim, ResourceRequirements};
use minik_api::field::{Error, Path, Problem};
use minik_api::names::{label, qualified};
use minik_api::quantity::Quantity;

use super::checks;
use crate::kinds::checks::{ResourceList, is_extended, quantity};

/// Resources that are known without a domain, besides huge pages; a container can have the first three.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "requests.storage",
    "storage",
    "services.nodeports",
    "services.loadbalancers",
];
const HUGE_PAGES: &str = "hugepages-";

pub(super) fn check(resources: Option<&ResourceRequirements>, spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let Some(resources) = resources else { return };
    let (none, limits_path, requests_path) = (ResourceList::new(), path.child("limits"), path.child("requests"));
    let limits = resources.limits.as_ref().unwrap_or(&none);
    let requests = resources.requests.as_ref().unwrap_or(&none);
    list(limits, &limits_path, errors);
    for (resource, requested) in requests {
        entry(resource, quantity(requested), &requests_path, errors);
        let requested = quantity(requested);
        let overcommits = can_overcommit(resource);
        let Some(limit) = limits.get(resource).map(quantity) else {
            if !overcommits {
                let detail = "Limit must be set for non overcommitable resources";
                errors.push(Error::required(&limits_path, detail));
            }
            continue;
        };
        if requested != limit && !overcommits {
            let detail = format!("must be equal to {resource} limit of {limit}");
            errors.push(Error::invalid(&requests_path, requested.to_string(), detail));
        } else if requested > limit {
            let detail = format!("must be less than or equal to {resource} limit of {limit}");
            errors.push(Error::invalid(&requests_path, requested.to_string(), detail));
        }
    }
    let has = |pages: bool| {
        let mut names = limits.keys().chain(requests.keys());
        names.any(|name| {
            if pages {
                name.starts_with(HUGE_PAGES)
            } else {
                name == "cpu" || name == "memory"
            }
        })
    };
    if has(true) && !has(false) {
        errors.push(Error::forbidden(path, "HugePages require cpu or memory"));
    }
    claims(
        resources.claims.as_deref().unwrap_or_default(),
        spec,
        &path.child("claims"),
        errors,
    );
}

/// What the sandbox itself takes.
pub(super) fn overhead(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    if let Some(overhead) = &spec.overhead {
        list(overhead, path, errors);
    }
}

fn list(list: &ResourceList, path: &Path, errors: &mut Vec<Error>) {
    for (resource, amount) in list {
        entry(resource, quantity(amount), path, errors);
    }
}

fn entry(resource: &str, amount: Quantity, path: &Path, errors: &mut Vec<Error>) {
    let path = path.key(resource);
    resource_name(resource, &path, errors);
    checks::amount(resource, amount, &path, errors);
    if let Some(size) = resource
        .strip_prefix(HUGE_PAGES)
        .and_then(|size| size.parse::<Quantity>().ok())
        && (size.value() <= 0 || amount.value() % size.value() != 0)
    {
        let detail = format!("{amount} is not positive integer multiple of {resource}");
        errors.push(Error::invalid(&path, amount.to_string(), detail));
    }
}

fn resource_name(resource: &str, path: &Path, errors: &mut Vec<Error>) {
    let broken = qualified(resource);
    let well_formed = broken.is_empty();
    errors.extend(broken.into_iter().map(|rule| Error::invalid(path, resource, rule)));
    let mut refuse = |detail: &str| errors.push(Error::invalid(path, resource, detail));
    if resource.contains('/') {
        if !resource.contains("kubernetes.io/") && !is_extended(resource) {
            refuse("doesn't follow extended resource name standard");
        }
        return;
    }
    let huge_pages = resource.starts_with(HUGE_PAGES);
    if well_formed && !huge_pages && !STANDARD.contains(&resource) {
        refuse("must be a standard resource type or fully qualified");
    }
    if !huge_pages && !STANDARD[..3].contains(&resource) {
        refuse("must be a standard resource for containers");
    }
}

fn can_overcommit(resource: &str) -> bool {
    !is_extended(resource) && !resource.starts_with(HUGE_PAGES)
}

fn claims(claims: &[ResourceClaim], spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let known: BTreeSet<&str> = spec
        .resource_claims
        .iter()
        .flatten()
        .map(|claim| claim.name.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = path.index(index);
        if claim.name.is_empty() {
            errors.push(Error::required(&path, ""));
            continue;
        }
        if let Some(request) = &claim.request {
            checks::name(label, request, &path.child("request"), errors);
        }
        if !seen.insert((claim.name.as_str(), claim.request.as_deref())) {
            errors.push(Error::duplicate(&path, claim.name.as_str()));
        }
        if !known.contains(claim.name.as_str()) {
            let list: Vec<&str> = known.iter().copied().collect();
            let rest = if list.is_empty() {
                " which is empty".to_owned()
            } else {
                format!(": {}", list.join(", "))
            };
            let detail = format!("must be one of the names in pod.spec.resourceClaims{rest}");
            errors.push(Error::new(&path, Problem::NotFound(claim.name.as_str().into()), detail));
        }
    }
}
