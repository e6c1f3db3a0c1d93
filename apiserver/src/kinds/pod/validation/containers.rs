//! Containers: those proper, those that run first, and those that are put in later to debug.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, EphemeralContainer};
use minik_api::field::{Error, Path};

use super::{Context, checks, env, label, mounts, ports, probes, resources, security};

const RESTART_POLICIES: &[&str] = &["Always", "Never", "OnFailure"];
const NOT_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";

pub(super) fn check(context: &Context<'_>, spec_path: &Path, errors: &mut Vec<Error>) {
    let path = spec_path.child("containers");
    let list = &context.spec.containers;
    if list.is_empty() {
        errors.push(Error::required(&path, ""));
        return;
    }
    let mut names = BTreeSet::new();
    for (index, container) in list.iter().enumerate() {
        let path = path.index(index);
        common(container, context, &path, errors);
        unique_name(&container.name, &mut names, &path, errors);
        probes::of_container(container, context.spec, &path, errors);
        restart_rules(container, &path, errors);
    }
    ports::unique_host_ports(list, &path, errors);
}

pub(super) fn check_init(context: &Context<'_>, path: &Path, errors: &mut Vec<Error>) {
    let mut names: BTreeSet<&str> = context
        .spec
        .containers
        .iter()
        .map(|container| container.name.as_str())
        .collect();
    for (index, container) in context.spec.init_containers.iter().flatten().enumerate() {
        let own_path = path.index(index);
        common(container, context, &own_path, errors);
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        if sidecar && !rules(container).is_empty() {
            let detail = "restartPolicyRules are not allowed for init containers with restart policy Always";
            errors.push(Error::forbidden(&own_path.child("restartPolicyRules"), detail));
        } else if !sidecar {
            restart_rules(container, &own_path, errors);
        }
        unique_name(&container.name, &mut names, &own_path, errors);
        ports::unique_host_ports(std::slice::from_ref(container), path, errors);
        if sidecar {
            probes::of_container(container, context.spec, &own_path, errors);
        } else {
            probes::not_for_init(container, &own_path, errors);
        }
    }
}

pub(super) fn check_ephemeral(context: &Context<'_>, path: &Path, errors: &mut Vec<Error>) {
    let init = context.spec.init_containers.iter().flatten();
    let others: BTreeSet<&str> = context
        .spec
        .containers
        .iter()
        .chain(init)
        .map(|other| other.name.as_str())
        .collect();
    let mut names = others.clone();
    for (index, ephemeral) in context.spec.ephemeral_containers.iter().flatten().enumerate() {
        let path = path.index(index);
        common(&as_container(ephemeral), context, &path, errors);
        unique_name(&ephemeral.name, &mut names, &path, errors);
        if let Some(target) = &ephemeral.target_container_name
            && !others.contains(target.as_str())
        {
            errors.push(Error::not_found(&path.child("targetContainerName"), target.as_str()));
        }
        ephemeral_fields(ephemeral, &path, errors);
    }
}

/// What holds for every container.
fn common(container: &Container, context: &Context<'_>, path: &Path, errors: &mut Vec<Error>) {
    checks::required_name(label, &container.name, &path.child("name"), errors);
    checks::required(
        container.image.as_deref().unwrap_or_default(),
        &path.child("image"),
        errors,
    );
    let policies = ["File", "FallbackToLogsOnError"];
    let policy = container.termination_message_policy.as_deref();
    checks::one_of(policy, &policies, &path.child("terminationMessagePolicy"), errors);
    ports::check(container, &path.child("ports"), errors);
    env::check(container, path, errors);
    mounts::check(container, context, path, errors);
    let policies = ["Always", "IfNotPresent", "Never"];
    let policy = container.image_pull_policy.as_deref();
    checks::one_of(policy, &policies, &path.child("imagePullPolicy"), errors);
    resources::check(
        container.resources.as_ref(),
        context.spec,
        &path.child("resources"),
        errors,
    );
    resize_policy(container, context, &path.child("resizePolicy"), errors);
    security::container(container, context.spec, &path.child("securityContext"), errors);
}

fn unique_name<'a>(name: &'a str, names: &mut BTreeSet<&'a str>, path: &Path, errors: &mut Vec<Error>) {
    if !name.is_empty() && !names.insert(name) {
        errors.push(Error::duplicate(&path.child("name"), name));
    }
}

fn resize_policy(container: &Container, context: &Context<'_>, path: &Path, errors: &mut Vec<Error>) {
    let list = container.resize_policy.as_deref().unwrap_or_default();
    for (index, policy) in list.iter().enumerate() {
        if list[..index]
            .iter()
            .any(|earlier| earlier.resource_name == policy.resource_name)
        {
            errors.push(Error::duplicate(&path.index(index), policy.resource_name.as_str()));
        }
        checks::one_of(Some(&policy.resource_name), &["cpu", "memory"], path, errors);
        checks::one_of(
            Some(&policy.restart_policy),
            &["NotRequired", "RestartContainer"],
            path,
            errors,
        );
        let never = context.spec.restart_policy.as_deref() == Some("Never");
        if never && policy.restart_policy != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(Error::invalid(path, policy.restart_policy.as_str(), detail));
        }
    }
}

fn rules(container: &Container) -> &[ContainerRestartRule] {
    container.restart_policy_rules.as_deref().unwrap_or_default()
}

/// A container's own restart policy, and what may depend on its exit code.
fn restart_rules(container: &Container, path: &Path, errors: &mut Vec<Error>) {
    let rules = rules(container);
    if container.restart_policy.is_none() && !rules.is_empty() {
        let detail = "must specify restartPolicy when restart rules are used";
        errors.push(Error::required(&path.child("restartPolicy"), detail));
    }
    checks::one_of_or_none(
        container.restart_policy.as_deref(),
        RESTART_POLICIES,
        &path.child("restartPolicy"),
        errors,
    );
    let path = path.child("restartPolicyRules");
    if rules.len() > 20 {
        errors.push(Error::too_long(&path, 20));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        checks::one_of(
            Some(&rule.action),
            &["Restart", "RestartAllContainers"],
            &path.child("action"),
            errors,
        );
        match &rule.exit_codes {
            None => errors.push(Error::required(&path.child("exitCodes"), "must be specified")),
            Some(codes) => {
                let operators = ["In", "NotIn"];
                checks::one_of(
                    Some(&codes.operator),
                    &operators,
                    &path.child("exitCodes").child("operator"),
                    errors,
                );
            }
        }
    }
}

/// An ephemeral container has a container's fields, and one more.
fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let from = ephemeral.clone();
    Container {
        name: from.name,
        image: from.image,
        ports: from.ports,
        env: from.env,
        env_from: from.env_from,
        resources: from.resources,
        resize_policy: from.resize_policy,
        volume_mounts: from.volume_mounts,
        volume_devices: from.volume_devices,
        termination_message_policy: from.termination_message_policy,
        image_pull_policy: from.image_pull_policy,
        security_context: from.security_context,
        ..Container::default()
    }
}

/// It comes late and leaves early: nothing that is planned for, restarted or waited for.
fn ephemeral_fields(ephemeral: &EphemeralContainer, path: &Path, errors: &mut Vec<Error>) {
    let resources = ephemeral.resources.as_ref();
    let reserves = resources.is_some_and(|resources| resources.limits.is_some() || resources.requests.is_some());
    for (field, there) in [
        ("ports", ephemeral.ports.is_some()),
        ("resources", reserves),
        ("livenessProbe", ephemeral.liveness_probe.is_some()),
        ("readinessProbe", ephemeral.readiness_probe.is_some()),
        ("startupProbe", ephemeral.startup_probe.is_some()),
        ("lifecycle", ephemeral.lifecycle.is_some()),
        ("resizePolicy", ephemeral.resize_policy.is_some()),
        ("restartPolicy", ephemeral.restart_policy.is_some()),
    ] {
        if there {
            errors.push(Error::forbidden(&path.child(field), NOT_EPHEMERAL));
        }
    }
    for (index, mount) in ephemeral.volume_mounts.iter().flatten().enumerate() {
        let path = path.child("volumeMounts").index(index);
        if mount.sub_path.is_some() {
            errors.push(Error::forbidden(&path.child("subPath"), NOT_EPHEMERAL));
        }
        if mount.sub_path_expr.is_some() {
            errors.push(Error::forbidden(&path.child("subPathExpr"), NOT_EPHEMERAL));
        }
    }
}
