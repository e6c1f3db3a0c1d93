//! From records to the messages that lists, statuses and events are made of. Pure.

use std::collections::HashMap;

use minik_api::cri;

use super::signal::cri_signal;
use crate::state::{ContainerPhase, ContainerRecord, SandboxRecord};

/// A sandbox in a list.
pub(super) fn sandbox_item(record: &SandboxRecord) -> cri::PodSandbox {
    cri::PodSandbox {
        id: record.id.clone(),
        metadata: record.config.metadata.clone(),
        state: record.state().into(),
        created_at: record.created_at_nanos,
        labels: record.config.labels.clone(),
        annotations: record.config.annotations.clone(),
        runtime_handler: record.runtime_handler.clone(),
    }
}

/// A sandbox with all that is known of it.
pub(super) fn sandbox_status(record: &SandboxRecord) -> cri::PodSandboxStatus {
    let ip = record
        .network
        .as_ref()
        .map(|network| network.address.to_string())
        .unwrap_or_default();
    let ready = record.state() == cri::PodSandboxState::SandboxReady;
    let namespaces = cri::Namespace {
        options: Some(record.namespaces()),
    };
    cri::PodSandboxStatus {
        id: record.id.clone(),
        metadata: record.config.metadata.clone(),
        state: record.state().into(),
        created_at: record.created_at_nanos,
        // One that isn't ready has given its address back, or will.
        network: Some(cri::PodSandboxNetworkStatus {
            ip: if ready { ip } else { String::new() },
            additional_ips: vec![],
        }),
        linux: Some(cri::LinuxPodSandboxStatus {
            namespaces: Some(namespaces),
        }),
        labels: record.config.labels.clone(),
        annotations: record.config.annotations.clone(),
        runtime_handler: record.runtime_handler.clone(),
    }
}

/// A container in a list.
pub(super) fn container_item(record: &ContainerRecord) -> cri::Container {
    cri::Container {
        id: record.id.clone(),
        pod_sandbox_id: record.sandbox_id.clone(),
        metadata: record.config.metadata.clone(),
        image: record.config.image.clone(),
        image_ref: record.image_reference.clone(),
        state: record.phase.state().into(),
        created_at: record.created_at_nanos,
        labels: record.config.labels.clone(),
        annotations: record.config.annotations.clone(),
        image_id: record.image_id.clone(),
    }
}

/// A container with all that is known of it.
pub(super) fn container_status(record: &ContainerRecord) -> cri::ContainerStatus {
    let exit = match &record.phase {
        ContainerPhase::Exited(exit) => Some(exit),
        ContainerPhase::Created | ContainerPhase::Running { .. } => None,
    };
    let linux = record.config.linux.as_ref();
    let resources = linux.and_then(|linux| linux.resources.clone());
    let user = cri::LinuxContainerUser {
        uid: record.user.uid.into(),
        gid: record.user.gid.into(),
        supplemental_groups: record
            .user
            .supplemental_groups
            .iter()
            .map(|group| i64::from(*group))
            .collect(),
    };
    let image = cri::ImageSpec {
        image: record.image_name.clone(),
        ..record.config.image.clone().unwrap_or_default()
    };
    cri::ContainerStatus {
        id: record.id.clone(),
        metadata: record.config.metadata.clone(),
        state: record.phase.state().into(),
        created_at: record.created_at_nanos,
        started_at: record.phase.started_at_nanos(),
        finished_at: exit.map(|exit| exit.finished_at_nanos).unwrap_or_default(),
        exit_code: exit.map(|exit| exit.code).unwrap_or_default(),
        image: Some(image),
        image_ref: record.image_reference.clone(),
        reason: exit.map(|exit| exit.reason.clone()).unwrap_or_default(),
        message: exit.map(|exit| exit.message.clone()).unwrap_or_default(),
        labels: record.config.labels.clone(),
        annotations: record.config.annotations.clone(),
        mounts: record.config.mounts.clone(),
        log_path: record
            .log_path
            .as_ref()
            .map(|path| path.display().to_string())
            .unwrap_or_default(),
        resources: resources.map(|linux| cri::ContainerResources {
            linux: Some(linux),
            windows: None,
        }),
        image_id: record.image_id.clone(),
        user: Some(cri::ContainerUser { linux: Some(user) }),
        stop_signal: cri_signal(record.stop_signal).into(),
    }
}

/// What `verbose` adds: one JSON text, as crictl expects it.
pub(super) fn info(verbose: bool, value: serde_json::Value) -> HashMap<String, String> {
    if verbose {
        HashMap::from([("info".to_owned(), value.to_string())])
    } else {
        HashMap::new()
    }
}
