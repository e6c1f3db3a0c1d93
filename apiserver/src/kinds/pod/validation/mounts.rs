//! Where a container finds the pod's volumes.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, VolumeMount};
use minik_api::field::{Error, Path};

use super::{Context, checks};

pub(super) fn check(container: &Container, context: &Context<'_>, path: &Path, errors: &mut Vec<Error>) {
    let list_path = path.child("volumeMounts");
    let mut places = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = list_path.index(index);
        checks::required(&mount.name, &path.child("name"), errors);
        if !context.volumes.iter().any(|(name, _)| *name == mount.name) {
            errors.push(Error::not_found(&path.child("name"), mount.name.as_str()));
        }
        checks::required(&mount.mount_path, &path.child("mountPath"), errors);
        if !places.insert(mount.mount_path.as_str()) {
            errors.push(Error::invalid(
                &path.child("mountPath"),
                mount.mount_path.as_str(),
                "must be unique",
            ));
        }
        device_conflicts(container, mount, &path, errors);
        sub_paths(mount, &list_path, &path, errors);
        propagation(container, mount, &list_path.child("mountPropagation"), errors);
        recursive_read_only(mount, &list_path.child("recursiveReadOnly"), errors);
    }
    devices(container, context, &path.child("volumeDevices"), errors);
}

fn device_conflicts(container: &Container, mount: &VolumeMount, path: &Path, errors: &mut Vec<Error>) {
    let devices = || container.volume_devices.iter().flatten();
    if devices().any(|device| device.name == mount.name) {
        let detail = "must not already exist in volumeDevices";
        errors.push(Error::invalid(&path.child("name"), mount.name.as_str(), detail));
    }
    if devices().any(|device| device.device_path == mount.mount_path) {
        let detail = "must not already exist as a path in volumeDevices";
        errors.push(Error::invalid(
            &path.child("mountPath"),
            mount.mount_path.as_str(),
            detail,
        ));
    }
}

/// Upstream tells the list's path for what is wrong in a sub path, and clients know it so.
fn sub_paths(mount: &VolumeMount, list_path: &Path, path: &Path, errors: &mut Vec<Error>) {
    if let Some(sub_path) = &mount.sub_path {
        checks::descending_path(sub_path, &list_path.child("subPath"), errors);
    }
    if let Some(expression) = &mount.sub_path_expr {
        if mount.sub_path.is_some() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(&path.child("subPathExpr"), expression.as_str(), detail));
        }
        checks::descending_path(expression, &list_path.child("subPathExpr"), errors);
    }
}

fn propagation(container: &Container, mount: &VolumeMount, path: &Path, errors: &mut Vec<Error>) {
    let modes = ["Bidirectional", "HostToContainer", "None"];
    let mode = mount.mount_propagation.as_deref();
    checks::one_of_or_none(mode, &modes, path, errors);
    let security = container.security_context.as_ref();
    let privileged = security.is_some_and(|security| security.privileged == Some(true));
    if mode == Some("Bidirectional") && !privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(Error::forbidden(path, detail));
    }
}

fn recursive_read_only(mount: &VolumeMount, path: &Path, errors: &mut Vec<Error>) {
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount.read_only != Some(true) {
                errors.push(Error::forbidden(path, "may only be specified when readOnly is true"));
            }
            if mount.mount_propagation.as_deref().is_some_and(|mode| mode != "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(Error::forbidden(path, detail));
            }
        }
        Some(other) => errors.push(Error::not_supported(
            path,
            other,
            &["Disabled", "Enabled", "IfPossible"],
        )),
    }
}

fn devices(container: &Container, context: &Context<'_>, path: &Path, errors: &mut Vec<Error>) {
    let mut seen = BTreeSet::new();
    for (index, device) in container.volume_devices.iter().flatten().enumerate() {
        let path = path.index(index);
        checks::required(&device.name, &path.child("name"), errors);
        checks::required(&device.device_path, &path.child("devicePath"), errors);
        if !device.device_path.is_empty() && !seen.insert(device.device_path.as_str()) {
            errors.push(Error::invalid(
                &path.child("devicePath"),
                device.device_path.as_str(),
                "must be unique",
            ));
        }
        checks::no_backsteps(&device.device_path, &path.child("devicePath"), errors);
        match context.volumes.iter().find(|(name, _)| *name == device.name) {
            None => errors.push(Error::not_found(&path.child("name"), device.name.as_str())),
            Some((_, false)) => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(Error::invalid(&path.child("name"), device.name.as_str(), detail));
            }
            Some((_, true)) => {}
        }
    }
}
