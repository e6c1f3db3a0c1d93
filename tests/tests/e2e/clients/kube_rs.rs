//! The common scenario by kube-rs: typed objects of k8s-openapi, and a dynamic one of the custom kind.

mod calls;
mod custom;
mod objects;
mod patches;
mod pods;

use std::fmt::{Debug, Display, Write as _};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::{Client, Error};
use minik_tests::World;
use serde_json::json;

use calls::make;

/// What the scenario prints, as kube-rs sees it, in a namespace of its own.
pub(super) fn scenario(world: &World, namespace: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime");
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(world.kubeconfig()).expect("`up` wrote the kubeconfig");
        let client = client(world, kubeconfig.clone()).await;
        let mut scenario = Scenario {
            maps: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            said: String::new(),
        };
        let all: Api<Namespace> = Api::all(scenario.client.clone());
        make(&all, json!({"metadata": {"name": namespace}})).await;
        scenario.objects().await;
        scenario.lists().await;
        scenario.watches().await;
        scenario.patches().await;
        scenario.replaces().await;
        scenario.custom().await;
        scenario.owners().await;
        scenario.pods().await;
        scenario.accounts(world, kubeconfig).await;
        let _ = all
            .delete(namespace, &DeleteParams::default())
            .await
            .expect("it is deleted");
        scenario.said
    })
}

async fn client(world: &World, kubeconfig: Kubeconfig) -> Client {
    let options = KubeConfigOptions {
        context: Some(world.context()),
        ..Default::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .expect("a usable kubeconfig");
    Client::try_from(config).expect("a client")
}

/// What its steps share.
struct Scenario {
    client: Client,
    namespace: String,
    maps: Api<ConfigMap>,
    said: String,
}

impl Scenario {
    fn say(&mut self, step: &str, what: impl Display) {
        let _ = writeln!(self.said, "{step}: {what}");
    }

    /// What the server says when it refuses; a success is said too, and differs from what is expected.
    fn say_refusal<T: Debug>(&mut self, step: &str, result: Result<T, Error>) {
        match result {
            Err(Error::Api(status)) => {
                // kubectl names a kind without its group here.
                let message = status
                    .message
                    .replace(&format!("Widget.{}.example.com", self.namespace), "Widget")
                    .replace(&self.namespace, "NAMESPACE");
                self.say(step, format!("{} {message}", status.reason));
            }
            other => self.say(step, format!("{other:?}")),
        }
    }
}
