//! A runtime in memory, for tests of the worker's loop: it does at once what it is told, unless a test has it fail or wait.
//!
//! It proves nothing about a real runtime; that is what the end-to-end tests are for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::stream::{self, BoxStream};
use minik_api::cri;
use minik_api::images::Progress;
use tokio::sync::Notify;
use tonic::Code;

use super::{Call, CallError, Runtime, labels};

/// Everything that it holds.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) sandboxes: BTreeMap<String, cri::PodSandboxStatus>,
    /// With the sandbox's id.
    pub(crate) containers: BTreeMap<String, (String, cri::ContainerStatus)>,
    /// Every call that changes something, in order.
    pub(crate) calls: Vec<String>,
    /// What calls of this name fail with.
    pub(crate) failures: BTreeMap<&'static str, String>,
    /// Pulls wait for a permit while this is set.
    pub(crate) pulls_wait: bool,
    /// Images that are there.
    pub(crate) images: Vec<String>,
    next_id: u32,
}

/// The runtime.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    pub(crate) may_pull: Arc<Notify>,
}

impl Fake {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// Ends the running container of this name.
    pub(crate) fn exit(&self, name: &str, code: i32) {
        for (_, status) in self.state().containers.values_mut() {
            let is_it = status.metadata.as_ref().is_some_and(|metadata| metadata.name == name);
            if is_it && status.state() == cri::ContainerState::ContainerRunning {
                end(status, code);
            }
        }
    }

    fn answer<T: Send + 'static>(
        &self,
        call: &'static str,
        answer: impl FnOnce(&mut State) -> Result<T, CallError>,
    ) -> Call<'static, T> {
        let mut state = self.state();
        let result = match state.failures.get(call).cloned() {
            Some(message) => Err(error(call, Code::Unknown, message)),
            None => answer(&mut state),
        };
        Box::pin(async move { result })
    }
}

fn error(call: &'static str, code: Code, message: impl Into<String>) -> CallError {
    CallError {
        call,
        code,
        message: message.into(),
    }
}

fn not_found(call: &'static str) -> CallError {
    error(call, Code::NotFound, "not there")
}

fn end(status: &mut cri::ContainerStatus, code: i32) {
    status.set_state(cri::ContainerState::ContainerExited);
    status.exit_code = code;
    status.finished_at = i64::try_from(jiff::Timestamp::now().as_nanosecond()).expect("this century");
}

fn matches(found: &std::collections::HashMap<String, String>, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(name, value)| found.get(name) == Some(value))
}

impl State {
    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("id{}", self.next_id)
    }

    fn change(
        &mut self,
        id: &str,
        call: &'static str,
        change: impl FnOnce(&mut cri::ContainerStatus),
    ) -> Result<(), CallError> {
        let (_, status) = self.containers.get_mut(id).ok_or_else(|| not_found(call))?;
        let name = status.metadata.clone().unwrap_or_default().name;
        change(status);
        self.calls.push(format!("{call} {name}"));
        Ok(())
    }
}

impl Runtime for Fake {
    fn version(&self) -> Call<'_, cri::VersionResponse> {
        self.answer("Version", |_| Ok(cri::VersionResponse::default()))
    }

    fn status(&self) -> Call<'_, cri::StatusResponse> {
        self.answer("Status", |_| Ok(cri::StatusResponse::default()))
    }

    fn run_pod_sandbox(&self, config: cri::PodSandboxConfig, handler: String) -> Call<'_, String> {
        self.answer("RunPodSandbox", |state| {
            let id = state.id();
            state
                .calls
                .push(["RunPodSandbox", &handler].join(" ").trim_end().to_owned());
            let status = cri::PodSandboxStatus {
                id: id.clone(),
                metadata: config.metadata,
                network: Some(cri::PodSandboxNetworkStatus {
                    ip: "10.1.0.2".into(),
                    additional_ips: Vec::new(),
                }),
                labels: config.labels,
                ..Default::default()
            };
            state.sandboxes.insert(id.clone(), status);
            Ok(id)
        })
    }

    fn stop_pod_sandbox(&self, id: &str) -> Call<'_, ()> {
        self.answer("StopPodSandbox", |state| {
            let sandbox = state.sandboxes.get_mut(id).ok_or_else(|| not_found("StopPodSandbox"))?;
            sandbox.set_state(cri::PodSandboxState::SandboxNotready);
            state.calls.push("StopPodSandbox".into());
            Ok(())
        })
    }

    fn remove_pod_sandbox(&self, id: &str) -> Call<'_, ()> {
        self.answer("RemovePodSandbox", |state| {
            state.sandboxes.remove(id);
            state.containers.retain(|_, (sandbox, _)| sandbox != id);
            state.calls.push("RemovePodSandbox".into());
            Ok(())
        })
    }

    fn pod_sandbox_status(&self, id: &str) -> Call<'_, cri::PodSandboxStatus> {
        self.answer("PodSandboxStatus", |state| {
            state
                .sandboxes
                .get(id)
                .cloned()
                .ok_or_else(|| not_found("PodSandboxStatus"))
        })
    }

    fn list_pod_sandboxes(&self, wanted: Vec<(String, String)>) -> Call<'_, Vec<cri::PodSandbox>> {
        self.answer("ListPodSandbox", |state| {
            let found = state
                .sandboxes
                .values()
                .filter(|sandbox| matches(&sandbox.labels, &wanted));
            let listed = |sandbox: &cri::PodSandboxStatus| cri::PodSandbox {
                id: sandbox.id.clone(),
                metadata: sandbox.metadata.clone(),
                ..Default::default()
            };
            Ok(found.map(listed).collect())
        })
    }

    fn list_containers(&self, wanted: Vec<(String, String)>) -> Call<'_, Vec<cri::Container>> {
        self.answer("ListContainers", |state| {
            let found = state
                .containers
                .values()
                .filter(|(_, status)| matches(&status.labels, &wanted));
            let listed = |(sandbox, status): &(String, cri::ContainerStatus)| cri::Container {
                id: status.id.clone(),
                pod_sandbox_id: sandbox.clone(),
                ..Default::default()
            };
            Ok(found.map(listed).collect())
        })
    }

    fn container_status(&self, id: &str) -> Call<'_, cri::ContainerStatus> {
        self.answer("ContainerStatus", |state| {
            let found = state.containers.get(id).map(|(_, status)| status.clone());
            found.ok_or_else(|| not_found("ContainerStatus"))
        })
    }

    fn create_container(
        &self,
        sandbox: &str,
        config: cri::ContainerConfig,
        _: cri::PodSandboxConfig,
    ) -> Call<'_, String> {
        self.answer("CreateContainer", |state| {
            let id = state.id();
            let name = config.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default();
            state.calls.push(format!("CreateContainer {name}"));
            let status = cri::ContainerStatus {
                id: id.clone(),
                metadata: config.metadata,
                labels: config.labels,
                annotations: config.annotations,
                image: config.image,
                ..Default::default()
            };
            state.containers.insert(id.clone(), (sandbox.to_owned(), status));
            Ok(id)
        })
    }

    fn start_container(&self, id: &str) -> Call<'_, ()> {
        self.answer("StartContainer", |state| {
            state.change(id, "StartContainer", |status| {
                status.set_state(cri::ContainerState::ContainerRunning);
                status.started_at = i64::try_from(jiff::Timestamp::now().as_nanosecond()).expect("this century");
            })
        })
    }

    fn stop_container(&self, id: &str, timeout_seconds: i64) -> Call<'_, ()> {
        self.answer("StopContainer", |state| {
            state.calls.push(format!("grace {timeout_seconds}"));
            state.change(id, "StopContainer", |status| end(status, 143))
        })
    }

    fn remove_container(&self, id: &str) -> Call<'_, ()> {
        self.answer("RemoveContainer", |state| {
            state.containers.remove(id);
            Ok(())
        })
    }

    fn exec_sync(&self, _: &str, _: Vec<String>, _: i64) -> Call<'_, cri::ExecSyncResponse> {
        self.answer("ExecSync", |_| Ok(cri::ExecSyncResponse::default()))
    }

    fn exec(&self, _: cri::ExecRequest) -> Call<'_, String> {
        self.answer("Exec", |_| Err(error("Exec", Code::Unimplemented, "")))
    }

    fn attach(&self, _: cri::AttachRequest) -> Call<'_, String> {
        self.answer("Attach", |_| Err(error("Attach", Code::Unimplemented, "")))
    }

    fn port_forward(&self, _: &str, _: Vec<i32>) -> Call<'_, String> {
        self.answer("PortForward", |_| Err(error("PortForward", Code::Unimplemented, "")))
    }

    fn reopen_container_log(&self, _: &str) -> Call<'_, ()> {
        self.answer("ReopenContainerLog", |_| Ok(()))
    }

    fn image_status(&self, image: &str) -> Call<'_, Option<cri::Image>> {
        self.answer("ImageStatus", |state| {
            let image = state.images.iter().find(|known| *known == image);
            Ok(image.map(|image| cri::Image {
                id: format!("sha256:{image}"),
                ..Default::default()
            }))
        })
    }

    fn pull_image(&self, image: &str, _: Option<cri::AuthConfig>, _: cri::PodSandboxConfig) -> Call<'_, String> {
        let image = image.to_owned();
        Box::pin(async move {
            if self.state().pulls_wait {
                self.may_pull.notified().await;
            }
            let answer = self.answer("PullImage", |state| {
                state.calls.push(format!("PullImage {image}"));
                state.images.push(image.clone());
                Ok(format!("sha256:{image}"))
            });
            answer.await
        })
    }

    fn list_images(&self) -> Call<'_, Vec<cri::Image>> {
        self.answer("ListImages", |state| {
            let image = |id: &String| cri::Image {
                id: id.clone(),
                size: 1000,
                ..Default::default()
            };
            Ok(state.images.iter().map(image).collect())
        })
    }

    fn remove_image(&self, id: &str) -> Call<'_, ()> {
        self.answer("RemoveImage", |state| {
            state.images.retain(|image| image != id);
            Ok(())
        })
    }

    fn image_filesystem(&self) -> Call<'_, Option<PathBuf>> {
        self.answer("ImageFsInfo", |_| Ok(Some(PathBuf::from("/"))))
    }

    fn container_events(&self) -> Call<'_, BoxStream<'static, Result<cri::ContainerEventResponse, CallError>>> {
        self.answer("GetContainerEvents", |_| {
            Ok(Box::pin(stream::pending()) as BoxStream<'static, _>)
        })
    }

    fn pull_progress(&self) -> Call<'_, BoxStream<'static, Result<Progress, CallError>>> {
        self.answer("Watch", |_| Err(error("Watch", Code::Unimplemented, "")))
    }
}
