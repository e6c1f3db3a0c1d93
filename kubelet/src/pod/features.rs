//! What the runtime can do with the handler that a pod asks for. Asked only for pods that need to know.

use minik_api::cri::{RuntimeHandlerFeatures, StatusResponse};

use super::Pod;
use super::perform::Failed;
use crate::context::Context;

/// What is on offer for this pod; nothing by a runtime that doesn't say.
pub(crate) async fn of(context: &Context, pod: &Pod) -> Result<RuntimeHandlerFeatures, Failed> {
    let handler = runtime_handler(context, pod).await?;
    let status = context.runtime.status().await;
    let status = status.map_err(Failed::call("FailedCreatePodSandBox"))?;
    Ok(offered(&status, &handler))
}

/// What the pod's runtime class calls the runtime that it wants; the default one has no name.
pub(crate) async fn runtime_handler(context: &Context, pod: &Pod) -> Result<String, Failed> {
    let Some(class) = pod.spec.runtime_class_name.as_deref().filter(|class| !class.is_empty()) else {
        return Ok(String::new());
    };
    let reason = "FailedCreatePodSandBox";
    let found = context.lookup.runtime_handler(class).await;
    let found = found.map_err(|error| Failed::new(reason, error.to_string()))?;
    found.ok_or_else(|| {
        let message = format!("failed to get runtime handler: runtimeclass.node.k8s.io \"{class}\" not found");
        Failed::new(reason, message)
    })
}

fn offered(status: &StatusResponse, handler: &str) -> RuntimeHandlerFeatures {
    let found = status.runtime_handlers.iter().find(|known| known.name == handler);
    found.and_then(|found| found.features).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use minik_api::cri::RuntimeHandler;

    use super::*;

    #[test]
    fn each_handler_has_its_own_features() {
        let handler = |name: &str, user_namespaces| RuntimeHandler {
            name: name.to_owned(),
            features: Some(RuntimeHandlerFeatures {
                user_namespaces,
                ..Default::default()
            }),
        };
        let status = StatusResponse {
            runtime_handlers: vec![handler("", true), handler("runc", false)],
            ..Default::default()
        };
        let has = |name| offered(&status, name).user_namespaces;
        assert!(has("") && !has("runc") && !has("kata"));
    }
}
