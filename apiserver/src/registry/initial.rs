//! What is there from the start: namespaces, the service that pods find this server by, the range of services, the system's
//! priority classes, and an API service for each group and version.

use minik_api::kinds::{self, Kind};
use minik_api::status::Status;
use serde_json::{Value, json};

use super::{Registry, namespaces};
use crate::kinds::{api_service, priority_class};

const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

impl Registry {
    /// Creates what everything relies on, where it is missing.
    pub(crate) async fn create_initial_objects(&self, port: u16) -> Result<(), Status> {
        for name in NAMESPACES {
            let namespace = json!({"metadata": {"name": name}});
            self.ensure(namespaces::kind(), "", &namespace).await?;
        }
        self.create_service_of_this_server(port).await?;
        for class in priority_class::system() {
            self.ensure(kind("scheduling.k8s.io", "PriorityClass"), "", &class)
                .await?;
        }
        for service in api_services() {
            self.ensure(kind("apiregistration.k8s.io", "APIService"), "", &service)
                .await?;
        }
        Ok(())
    }

    async fn create_service_of_this_server(&self, port: u16) -> Result<(), Status> {
        let range = self.addresses.range();
        let cidr = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [range.to_string()]}});
        self.ensure(kind("networking.k8s.io", "ServiceCIDR"), "", &cidr).await?;
        let service = json!({
            "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"clusterIP": range.first().to_string(),
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]},
        });
        self.ensure(kind("", "Service"), "default", &service).await
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
