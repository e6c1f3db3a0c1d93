//! Its pod, and its account that may not do what it tries.

use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::api::{Api, AttachParams, DeleteParams, ListParams, LogParams, PostParams, WatchEvent};
use kube::config::{AuthInfo, Kubeconfig};
use minik_tests::World;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::calls::{gone, make, watched};
use super::{Scenario, client};

impl Scenario {
    pub(super) async fn pods(&mut self) {
        let script = "echo serving; trap 'exit 0' TERM; while :; do sleep 1; done";
        let container = json!({
            "name": "main", "image": "test/busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script],
        });
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let spec = json!({"terminationGracePeriodSeconds": 5, "containers": [container]});
        make(&pods, json!({"metadata": {"name": "pod"}, "spec": spec})).await;
        let mut phase = None;
        watched(&pods, "pod", "0", |event| {
            let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else {
                return false;
            };
            phase = pod.status.as_ref().and_then(|status| status.phase.clone());
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions
                .into_iter()
                .any(|each| each.type_ == "Ready" && each.status == "True")
        })
        .await;
        self.say("pod", phase.unwrap_or_default());
        let log = pods.logs("pod", &LogParams::default()).await.expect("its log");
        self.say("log", log.trim());
        let command = ["sh", "-c", "echo from inside; echo aside >&2; exit 3"];
        let mut run = pods
            .exec("pod", command, &AttachParams::default())
            .await
            .expect("it runs");
        let status = run.take_status().expect("it is taken once");
        let (stdout, stderr) = (run.stdout(), run.stderr());
        let (out, aside, status) = tokio::join!(all_of(stdout), all_of(stderr), status);
        let causes = status
            .and_then(|status| status.details)
            .and_then(|details| details.causes);
        let code = causes
            .into_iter()
            .flatten()
            .find(|cause| cause.reason.as_deref() == Some("ExitCode"));
        self.say(
            "exec",
            format!(
                "{out} | {aside} | {}",
                code.and_then(|cause| cause.message).unwrap_or_default()
            ),
        );
        let _ = pods
            .delete("pod", &DeleteParams::default())
            .await
            .expect("it is deleted");
        gone(&pods, "pod").await;
        let deleted = pods.get("pod").await;
        self.say_refusal("get deleted", deleted);
    }

    pub(super) async fn accounts(&mut self, world: &World, mut kubeconfig: Kubeconfig) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        make(&accounts, json!({"metadata": {"name": "visitor"}})).await;
        let request = serde_json::from_value(json!({"spec": {"audiences": []}})).expect("a TokenRequest");
        let token = accounts
            .create_token_request("visitor", &PostParams::default(), &request)
            .await;
        let token = token.expect("a token").status.expect("the token").token;
        for user in &mut kubeconfig.auth_infos {
            user.auth_info = Some(AuthInfo {
                token: token.clone().map(Into::into),
                ..Default::default()
            });
        }
        let visitor = client(world, kubeconfig).await;
        let secrets: Api<Secret> = Api::namespaced(visitor, &self.namespace);
        let forbidden = secrets.list(&ListParams::default()).await;
        self.say_refusal("forbidden", forbidden);
    }
}

/// All that a stream gives, as text.
async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut text = String::new();
    let mut stream = stream.expect("it is attached");
    let _ = stream.read_to_string(&mut text).await.expect("text");
    text.trim().to_owned()
}
