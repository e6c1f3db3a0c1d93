//! The pod security standards: how much a pod may do, by the labels of its namespace (upstream's PodSecurity).
//!
//! `enforce` refuses pods; `warn` tells whoever makes a pod, or something that will make pods. What `audit` asks for would go to
//! an audit log, which there isn't.

mod baseline;
mod containers;
mod restricted;

use std::collections::BTreeMap;

use minik_api::field::{Error, Path};
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::Value;

use super::{Attributes, Operation, Validate};
use crate::kinds::read;
use containers::Pod;

const PREFIX: &str = "pod-security.kubernetes.io/";
const MODES: [&str; 3] = ["enforce", "audit", "warn"];
/// Where the kinds that make pods have their template.
const TEMPLATES: [(&str, &str, &str); 8] = [
    ("", "PodTemplate", "template"),
    ("", "ReplicationController", "spec.template"),
    ("apps", "DaemonSet", "spec.template"),
    ("apps", "Deployment", "spec.template"),
    ("apps", "ReplicaSet", "spec.template"),
    ("apps", "StatefulSet", "spec.template"),
    ("batch", "CronJob", "spec.jobTemplate.spec.template"),
    ("batch", "Job", "spec.template"),
];

/// The plugin.
pub(super) struct PodSecurity;

impl Validate for PodSecurity {
    fn validate(&self, attributes: &Attributes<'_>, object: Option<&Object>) -> Result<(), Status> {
        let Some(object) = object else { return Ok(()) };
        let is_whole = attributes.subresource.is_empty();
        if attributes.is("", "Namespace") && is_whole {
            return namespace(attributes, object);
        }
        if attributes.is("", "Pod") && (is_whole || attributes.subresource == "ephemeralcontainers") {
            return pod(attributes, object);
        }
        let template = TEMPLATES
            .iter()
            .find(|(group, kind, _)| is_whole && attributes.is(group, kind));
        if let Some((.., path)) = template
            && let Some(level) = labels(attributes).as_ref().and_then(|labels| Level::of(labels, "warn"))
            && let Some(template) = object.at(path)
        {
            warn(attributes, &level, template);
        }
        Ok(())
    }
}

/// A level and the minor version of Kubernetes that says what it means.
struct Level {
    is_restricted: bool,
    version: u32,
    /// `restricted:latest`
    shown: String,
}

type Labels = BTreeMap<String, String>;

impl Level {
    /// What the labels of a namespace say; `None`: anything goes. A level that isn't known is the strictest.
    fn of(labels: &Labels, mode: &str) -> Option<Self> {
        let name = labels.get(&format!("{PREFIX}{mode}"))?;
        let version = labels
            .get(&format!("{PREFIX}{mode}-version"))
            .map_or("latest", String::as_str);
        let known = ["baseline", "privileged", "restricted"].contains(&name.as_str());
        let name = if known { name.as_str() } else { "restricted" };
        (name != "privileged").then(|| Self {
            is_restricted: name == "restricted",
            version: minor(version).unwrap_or(u32::MAX),
            shown: format!("{name}:{version}"),
        })
    }

    /// Everything about a pod that this level doesn't have.
    fn findings(&self, pod: &Value) -> Vec<String> {
        let Some(spec) = pod.get("spec") else {
            return Vec::new();
        };
        let annotations = read::pairs(read::at(Some(pod), "metadata.annotations")).collect();
        let pod = Pod {
            spec,
            annotations,
            version: self.version,
        };
        let basic = baseline::CHECKS
            .iter()
            .filter(|(_, replaced)| !(*replaced && self.is_restricted));
        let mut all: Vec<String> = basic.filter_map(|(check, _)| check(&pod)).collect();
        if self.is_restricted {
            all.extend(restricted::CHECKS.iter().filter_map(|check| check(&pod)));
        }
        all
    }
}

/// `v1.29`
fn minor(version: &str) -> Option<u32> {
    match version {
        "latest" => Some(u32::MAX),
        _ => version.strip_prefix("v1.")?.parse().ok(),
    }
}

fn labels(attributes: &Attributes<'_>) -> Option<Labels> {
    attributes
        .object("namespaces", "", attributes.namespace)?
        .metadata
        .labels
}

fn pod(attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
    // Nothing else in the spec of a pod can change.
    let images = |object: &Object| -> Vec<Value> {
        let fields = ["spec.initContainers", "spec.containers", "spec.ephemeralContainers"];
        let all = fields.iter().flat_map(|field| read::list(object.at(field)));
        all.map(|container| container["image"].clone()).collect()
    };
    if attributes.old.is_some_and(|old| images(old) == images(object)) {
        return Ok(());
    }
    let Some(labels) = labels(attributes) else {
        return Ok(());
    };
    let value = object.to_value();
    if let Some(level) = Level::of(&labels, "enforce") {
        let findings = level.findings(&value);
        if !findings.is_empty() {
            let why = format!("violates PodSecurity {:?}: {}", level.shown, findings.join(", "));
            return Err(Status::forbidden(attributes.kind, attributes.name, &why));
        }
    }
    if let Some(level) = Level::of(&labels, "warn") {
        warn(attributes, &level, &value);
    }
    Ok(())
}

fn warn(attributes: &Attributes<'_>, level: &Level, pod: &Value) {
    let findings = level.findings(pod);
    if !findings.is_empty() {
        attributes.warn(format!(
            "would violate PodSecurity {:?}: {}",
            level.shown,
            findings.join(", ")
        ));
    }
}

/// The labels have to be known; and who makes them stricter is told what is there already.
fn namespace(attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
    let none = Labels::new();
    let labels = object.metadata.labels.as_ref().unwrap_or(&none);
    let before = attributes
        .old
        .and_then(|old| old.metadata.labels.as_ref())
        .unwrap_or(&none);
    let errors = wrong(labels);
    if !errors.is_empty() && wrong(before) != errors {
        return Err(Status::invalid(attributes.kind, attributes.name, &errors));
    }
    let (new, old) = (Level::of(labels, "enforce"), Level::of(before, "enforce"));
    let shown = |level: &Option<Level>| level.as_ref().map(|level| level.shown.clone());
    let Some(level) = new.as_ref().filter(|_| shown(&new) != shown(&old)) else {
        return Ok(());
    };
    if attributes.operation != Operation::Update {
        return Ok(());
    }
    let mut by_finding: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in attributes.objects("pods", attributes.name) {
        let reasons: Vec<String> = level
            .findings(&pod.to_value())
            .iter()
            .map(|text| reason(text))
            .collect();
        if !reasons.is_empty() {
            by_finding
                .entry(reasons.join(", "))
                .or_default()
                .push(pod.name().to_owned());
        }
    }
    if !by_finding.is_empty() {
        attributes.warn(format!(
            "existing pods in namespace {:?} violate the new PodSecurity enforce level {:?}",
            attributes.name, level.shown
        ));
    }
    for (reasons, pods) in by_finding {
        let others = match pods.len() - 1 {
            0 => String::new(),
            1 => " (and 1 other pod)".to_owned(),
            count => format!(" (and {count} other pods)"),
        };
        attributes.warn(format!("{}{others}: {reasons}", pods[0]));
    }
    Ok(())
}

/// A finding without its details.
fn reason(finding: &str) -> String {
    finding.split(" (").next().unwrap_or(finding).to_owned()
}

fn wrong(labels: &Labels) -> Vec<Error> {
    let (path, mut errors) = (Path::new("metadata").child("labels"), Vec::new());
    for mode in MODES {
        let (level, version) = (format!("{PREFIX}{mode}"), format!("{PREFIX}{mode}-version"));
        if let Some(value) = labels.get(&level)
            && !["privileged", "baseline", "restricted"].contains(&value.as_str())
        {
            let detail = "must be one of privileged, baseline, restricted";
            errors.push(Error::invalid(&path.key(&level), value.as_str(), detail));
        }
        if let Some(value) = labels.get(&version)
            && minor(value).is_none()
        {
            let detail = "must be \"latest\" or \"v1.x\"";
            errors.push(Error::invalid(&path.key(&version), value.as_str(), detail));
        }
    }
    errors
}

#[cfg(test)]
mod tests;
