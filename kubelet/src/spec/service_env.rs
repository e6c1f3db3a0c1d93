//! Where services are, as environment variables: `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT` and the older form of Docker links.
//! Client libraries find the API server by the first two. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// The services of the cluster by namespace and name.
pub(crate) type Services = BTreeMap<(String, String), Service>;

/// Where the API server's own service is.
const KUBERNETES: (&str, &str) = ("default", "kubernetes");

/// The variables for a pod of this namespace: those of all its services unless it wants no links, and always the API server's.
pub(crate) fn variables(services: &Services, namespace: &str, links: bool) -> Vec<(String, String)> {
    let own = |name: &str| links && services.contains_key(&(namespace.to_owned(), name.to_owned()));
    let wanted = services.iter().filter(|((of, name), _)| {
        let is_kubernetes = (of.as_str(), name.as_str()) == KUBERNETES;
        (links && of == namespace) || (is_kubernetes && !own(name))
    });
    let mut variables = Vec::new();
    for ((_, name), service) in wanted {
        one(name, service, &mut variables);
    }
    variables
}

fn one(name: &str, service: &Service, variables: &mut Vec<(String, String)>) {
    let Some(spec) = &service.spec else {
        return;
    };
    let address = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first().filter(|_| !address.is_empty() && address != "None") else {
        return;
    };
    let name = variable(name);
    let mut add = |suffix: &str, value: String| variables.push((format!("{name}_{suffix}"), value));
    add("SERVICE_HOST", address.to_owned());
    add("SERVICE_PORT", first.port.to_string());
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            add(&format!("SERVICE_PORT_{}", variable(port_name)), port.port.to_string());
        }
    }
    let host = if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    };
    let url = |port: &ServicePort| format!("{}://{host}:{}", protocol(port).to_lowercase(), port.port);
    add("PORT", url(first));
    for port in ports {
        let prefix = format!("PORT_{}_{}", port.port, protocol(port));
        add(&prefix, url(port));
        add(&format!("{prefix}_PROTO"), protocol(port).to_lowercase());
        add(&format!("{prefix}_PORT"), port.port.to_string());
        add(&format!("{prefix}_ADDR"), address.to_owned());
    }
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol
        .as_deref()
        .filter(|protocol| !protocol.is_empty())
        .unwrap_or("TCP")
}

fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn services() -> Services {
        let service = |spec| serde_json::from_value(json!({"spec": spec})).expect("a service");
        let key = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        Services::from([
            (
                key("default", "kubernetes"),
                service(json!({"clusterIP": "10.0.0.1", "ports": [{"name": "https", "port": 443}]})),
            ),
            (
                key("a", "my-db"),
                service(json!({"clusterIP": "10.0.0.2", "ports": [{"port": 53, "protocol": "UDP"}]})),
            ),
            (
                key("a", "headless"),
                service(json!({"clusterIP": "None", "ports": [{"port": 1}]})),
            ),
            (
                key("b", "other"),
                service(json!({"clusterIP": "10.0.0.3", "ports": [{"port": 1}]})),
            ),
        ])
    }

    #[test]
    fn a_pod_finds_its_namespaces_services_and_the_api_server() {
        let variables: BTreeMap<_, _> = variables(&services(), "a", true).into_iter().collect();
        for (name, value) in [
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
            ("KUBERNETES_SERVICE_PORT_HTTPS", "443"),
            ("KUBERNETES_PORT_443_TCP", "tcp://10.0.0.1:443"),
            ("MY_DB_SERVICE_HOST", "10.0.0.2"),
            ("MY_DB_PORT", "udp://10.0.0.2:53"),
            ("MY_DB_PORT_53_UDP_PROTO", "udp"),
            ("MY_DB_PORT_53_UDP_PORT", "53"),
            ("MY_DB_PORT_53_UDP_ADDR", "10.0.0.2"),
        ] {
            assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(
            !variables
                .keys()
                .any(|name| name.starts_with("OTHER") || name.starts_with("HEADLESS"))
        );
    }

    #[test]
    fn without_links_there_is_the_api_server_alone() {
        let variables = variables(&services(), "a", false);
        assert!(variables.iter().all(|(name, _)| name.starts_with("KUBERNETES_")));
        assert!(!variables.is_empty());
    }
}
