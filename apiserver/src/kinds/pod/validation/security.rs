//! Security contexts, of the pod and of its containers.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, PodSpec, SeccompProfile, Sysctl};
use minik_api::field::{Error, Path};
use serde_json::Value;

use super::checks;

const SYSCTL_MAX: usize = 253;
const SYSCTL_RULE: &str = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const NO_WINDOWS: &str = "windows options cannot be set for a linux pod";

pub(super) fn pod(spec: &PodSpec, spec_path: &Path, errors: &mut Vec<Error>) {
    let path = &spec_path.child("securityContext");
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(Error::invalid(&path.child("shareProcessNamespace"), true, detail));
    }
    host_users(spec, spec_path, errors);
    let Some(context) = &spec.security_context else { return };
    checks::user_or_group(context.fs_group, &path.child("fsGroup"), errors);
    checks::user_or_group(context.run_as_user, &path.child("runAsUser"), errors);
    checks::user_or_group(context.run_as_group, &path.child("runAsGroup"), errors);
    for (index, &group) in context.supplemental_groups.iter().flatten().enumerate() {
        checks::user_or_group(Some(group), &path.child("supplementalGroups").index(index), errors);
    }
    sysctls(
        context.sysctls.as_deref().unwrap_or_default(),
        spec,
        &path.child("sysctls"),
        errors,
    );
    for (field, value, supported) in [
        (
            "fsGroupChangePolicy",
            &context.fs_group_change_policy,
            ["Always", "OnRootMismatch"],
        ),
        (
            "supplementalGroupsPolicy",
            &context.supplemental_groups_policy,
            ["Merge", "Strict"],
        ),
        (
            "seLinuxChangePolicy",
            &context.se_linux_change_policy,
            ["MountOption", "Recursive"],
        ),
    ] {
        checks::one_of_or_none(value.as_deref(), &supported, &path.child(field), errors);
    }
    seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), errors);
    app_armor(
        context.app_armor_profile.as_ref(),
        &path.child("appArmorProfile"),
        errors,
    );
}

pub(super) fn container(container: &Container, spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let Some(context) = &container.security_context else {
        return;
    };
    checks::user_or_group(context.run_as_user, &path.child("runAsUser"), errors);
    checks::user_or_group(context.run_as_group, &path.child("runAsGroup"), errors);
    let proc_mount = context.proc_mount.as_deref();
    checks::one_of_or_none(proc_mount, &["Default", "Unmasked"], &path.child("procMount"), errors);
    if proc_mount == Some("Unmasked") && spec.host_users != Some(false) {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.push(Error::invalid(&path.child("procMount"), "Unmasked", detail));
    }
    seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), errors);
    if context.allow_privilege_escalation == Some(false) {
        let shown = || serde_json::to_value(context).unwrap_or(Value::Null);
        if context.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(Error::invalid(path, shown(), detail));
        }
        let added = context
            .capabilities
            .iter()
            .flat_map(|capabilities| capabilities.add.iter().flatten());
        if added.into_iter().any(|capability| capability == "CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(Error::invalid(path, shown(), detail));
        }
    }
    app_armor(
        context.app_armor_profile.as_ref(),
        &path.child("appArmorProfile"),
        errors,
    );
}

/// A pod of Linux has no options of Windows.
pub(super) fn no_windows_options(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let options = "windowsOptions";
    if spec
        .security_context
        .as_ref()
        .is_some_and(|context| context.windows_options.is_some())
    {
        errors.push(Error::forbidden(
            &path.child("securityContext").child(options),
            NO_WINDOWS,
        ));
    }
    let lists = [
        ("containers", Some(&spec.containers)),
        ("initContainers", spec.init_containers.as_ref()),
    ];
    for (name, list) in lists {
        for (index, container) in list.into_iter().flatten().enumerate() {
            if container
                .security_context
                .as_ref()
                .is_some_and(|context| context.windows_options.is_some())
            {
                let path = path.child(name).index(index).child("securityContext").child(options);
                errors.push(Error::forbidden(&path, NO_WINDOWS));
            }
        }
    }
}

/// Without the host's users, the host's other namespaces can't be shared.
fn host_users(spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    if spec.host_users != Some(false) {
        return;
    }
    for (field, shared) in [
        ("hostNetwork", spec.host_network),
        ("HostPID", spec.host_pid),
        ("HostIPC", spec.host_ipc),
    ] {
        if shared == Some(true) {
            let detail = "when `hostUsers` is false";
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    }
}

fn sysctls(sysctls: &[Sysctl], spec: &PodSpec, path: &Path, errors: &mut Vec<Error>) {
    let mut names = BTreeSet::new();
    for (index, sysctl) in sysctls.iter().enumerate() {
        let (path, name) = (path.index(index).child("name"), sysctl.name.as_str());
        if name.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if !is_sysctl(name) {
            errors.push(Error::invalid(&path, name, SYSCTL_RULE));
        } else if !names.insert(name) {
            errors.push(Error::duplicate(&path, name));
        }
        let dotted = name.replace('/', ".");
        if spec.host_network == Some(true) && dotted.starts_with("net.") {
            errors.push(Error::invalid(
                &path,
                name,
                "may not be specified when 'hostNetwork' is true",
            ));
        }
        let ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];
        if spec.host_ipc == Some(true) && ipc.iter().any(|prefix| dotted.starts_with(prefix)) {
            errors.push(Error::invalid(
                &path,
                name,
                "may not be specified when 'hostIPC' is true",
            ));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= SYSCTL_MAX
        && name.split(['.', '/']).all(|part| {
            let bytes = part.as_bytes();
            edge(bytes.first())
                && edge(bytes.last())
                && bytes.iter().all(|byte| edge(Some(byte)) || matches!(byte, b'-' | b'_'))
        })
}

fn seccomp(profile: Option<&SeccompProfile>, path: &Path, errors: &mut Vec<Error>) {
    let Some(profile) = profile else { return };
    let types = ["Localhost", "RuntimeDefault", "Unconfined"];
    checks::one_of(Some(&profile.type_), &types, &path.child("type"), errors);
    let path = path.child("localhostProfile");
    match (profile.type_ == "Localhost", &profile.localhost_profile) {
        (true, None) => errors.push(Error::required(&path, "must be set when seccomp type is Localhost")),
        (true, Some(file)) => checks::descending_path(file, &path, errors),
        (false, Some(file)) => {
            errors.push(Error::invalid(
                &path,
                file.as_str(),
                "can only be set when seccomp type is Localhost",
            ));
        }
        (false, None) => {}
    }
}

fn app_armor(profile: Option<&AppArmorProfile>, path: &Path, errors: &mut Vec<Error>) {
    let Some(profile) = profile else { return };
    let types = ["Localhost", "RuntimeDefault", "Unconfined"];
    if profile.type_.is_empty() {
        errors.push(Error::required(
            &path.child("type"),
            "type is required when appArmorProfile is set",
        ));
        return;
    }
    checks::one_of(Some(&profile.type_), &types, &path.child("type"), errors);
    let path = path.child("localhostProfile");
    match (profile.type_ == "Localhost", profile.localhost_profile.as_deref()) {
        (true, None | Some("")) => errors.push(Error::required(&path, "must be set when AppArmor type is Localhost")),
        (false, Some(name)) => {
            errors.push(Error::invalid(
                &path,
                name,
                "can only be set when AppArmor type is Localhost",
            ));
        }
        _ => {}
    }
}
