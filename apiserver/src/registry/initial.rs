//! What is there from the start: namespaces, the service that pods find this server by, the range of services, the system's
//! priority classes, and an API service for each group and version.

use futures::future::try_join_all;
use minik_api::kinds::{self, Kind};
use minik_api::status::Status;
use serde_json::{Value, json};

use super::{Registry, namespaces};
use crate::kinds::{api_service, priority_class};

/// Of which kind, in which namespace, and what.
type Wanted = (&'static Kind, &'static str, Value);

const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

impl Registry {
    /// Creates the namespaces in which the rest is, where they are missing.
    pub(crate) async fn create_initial_namespaces(&self) -> Result<(), Status> {
        let namespaces = NAMESPACES.map(|name| (namespaces::kind(), "", json!({"metadata": {"name": name}})));
        self.ensure_all(&namespaces).await
    }

    /// Creates what everything relies on, where it is missing.
    pub(crate) async fn create_initial_objects(&self, port: u16) -> Result<(), Status> {
        let mut all = self.service_of_this_server(port).to_vec();
        let classes = kind("scheduling.k8s.io", "PriorityClass");
        all.extend(priority_class::system().into_iter().map(|class| (classes, "", class)));
        let services = kind("apiregistration.k8s.io", "APIService");
        all.extend(api_services().into_iter().map(|service| (services, "", service)));
        self.ensure_all(&all).await
    }

    /// All at once: what is written together waits for the disk together.
    async fn ensure_all(&self, wanted: &[Wanted]) -> Result<(), Status> {
        let written = wanted
            .iter()
            .map(|(kind, namespace, object)| self.ensure(kind, namespace, object));
        try_join_all(written).await.map(drop)
    }

    fn service_of_this_server(&self, port: u16) -> [Wanted; 2] {
        let range = self.addresses.range();
        let cidr = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [range.to_string()]}});
        let service = json!({
            "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"clusterIP": range.first().to_string(),
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]},
        });
        [
            (kind("networking.k8s.io", "ServiceCIDR"), "", cidr),
            (kind("", "Service"), "default", service),
        ]
    }
}

fn kind(group: &str, name: &str) -> &'static Kind {
    kinds::of(group, "v1", name).expect("the kinds of initial objects are in the table of kinds")
}

/// One for each group and version of the table.
fn api_services() -> Vec<Value> {
    let mut services: Vec<Value> = Vec::new();
    for kind in kinds::all() {
        let service = api_service::local(kind);
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}
