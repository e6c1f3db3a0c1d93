//! `expose`: a service in front of pods, or of what makes them.

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::making::Making;
use crate::commands::objects::{Files, Selection, Wanted, finish};
use crate::resources::Resource;

/// Arguments of `expose`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl expose deployment web --port=80 --target-port=8080
  minikctl expose pod nginx --port=80 --name=front
  minikctl expose service web --port=443 --target-port=8443 --name=web-tls")]
pub struct Expose {
    /// What to expose: deployment web, pod/nginx, service/web.
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    ports: Ports,
    /// The service's name; what is exposed gives it, where none is said.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The service's type: ClusterIP, NodePort, LoadBalancer, ExternalName.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// The service's address; None for none at all.
    #[arg(long = "cluster-ip", value_name = "IP")]
    cluster_ip: Option<String>,
    /// Another address that leads to the service.
    #[arg(long = "external-ip", value_name = "IP")]
    external_ip: Option<String>,
    /// The load balancer's address.
    #[arg(long = "load-balancer-ip", value_name = "IP")]
    load_balancer_ip: Option<String>,
    /// Whether a client stays with a pod: None, ClientIP.
    #[arg(long, value_name = "AFFINITY")]
    session_affinity: Option<String>,
    /// Which pods, where it isn't those of what is exposed: app=web,tier=front.
    #[arg(long, value_name = "LABELS")]
    selector: Option<String>,
    /// The service's labels, where they aren't those of what is exposed.
    #[arg(short, long, value_name = "LABELS")]
    labels: Option<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    making: Making,
}

/// Which ports.
#[derive(Args, Clone, Debug, Default)]
struct Ports {
    /// The service's port; what is exposed gives them, where none is said.
    #[arg(long, value_name = "PORTS")]
    port: Option<String>,
    /// TCP, UDP or SCTP.
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// The pods' port, or its name.
    #[arg(long, value_name = "PORT")]
    target_port: Option<String>,
}

impl Expose {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let wanted = Wanted {
            words: &self.words,
            files: &self.files,
            selection: &Selection::default(),
            kind_is_enough: false,
        };
        let (found, mut errors) = wanted.find(&session).await?;
        for named in found {
            let made = async {
                let exposed = named.fetch(&session).await?;
                let object = self.object(&named.resource, &exposed)?;
                self.making.create(global, "kubectl-expose", object, "exposed").await
            };
            if let Err(error) = made.await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    /// The service. Pure.
    fn object(&self, resource: &Resource, exposed: &Value) -> anyhow::Result<Value> {
        let name = exposed["metadata"]["name"].as_str().unwrap_or_default();
        // A service's name is a DNS label, and its kind's names may be longer.
        let default: String = name.chars().take(63).collect();
        let selector = match &self.selector {
            Some(text) => labels(text)?,
            None => selector_of(resource, exposed)?,
        };
        let ports = match &self.ports.port {
            Some(ports) => self.ports.wanted(ports, exposed)?,
            None => self.ports.found(resource, exposed)?,
        };
        let own_labels = match &self.labels {
            Some(text) => Value::Object(labels(text)?),
            None => exposed["metadata"]["labels"].clone(),
        };
        let mut object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"creationTimestamp": null, "name": self.name.as_deref().unwrap_or(&default)},
            "spec": {"ports": ports, "selector": selector},
            "status": {"loadBalancer": {}},
        });
        if own_labels.is_object() {
            object["metadata"]["labels"] = own_labels;
        }
        let spec = &mut object["spec"];
        for (field, value) in [
            ("type", &self.kind),
            ("clusterIP", &self.cluster_ip),
            ("loadBalancerIP", &self.load_balancer_ip),
            ("sessionAffinity", &self.session_affinity),
        ] {
            if let Some(value) = value {
                spec[field] = json!(value);
            }
        }
        if let Some(address) = &self.external_ip {
            spec["externalIPs"] = json!([address]);
        }
        Ok(object)
    }
}

impl Ports {
    /// Those that the user named: `80`, `80,443`.
    fn wanted(&self, ports: &str, exposed: &Value) -> anyhow::Result<Vec<Value>> {
        let numbers: Vec<&str> = ports.split(',').collect();
        let several = numbers.len() > 1;
        let mut made = Vec::new();
        for (index, text) in numbers.iter().enumerate() {
            let number: u16 = text.parse().map_err(|_| anyhow!("{text:?} is no port number"))?;
            let known = container_ports(exposed).find(|port| port["containerPort"] == number);
            let protocol = known.and_then(|port| port["protocol"].as_str().map(str::to_owned));
            made.push(self.one(number, protocol.as_deref(), several.then_some(index)));
        }
        Ok(made)
    }

    /// Those that what is exposed has.
    fn found(&self, resource: &Resource, exposed: &Value) -> anyhow::Result<Vec<Value>> {
        let all: Vec<(u64, Option<String>)> = if resource.kind == "Service" {
            let ports = exposed["spec"]["ports"].as_array().into_iter().flatten();
            let ports =
                ports.filter_map(|port| Some((port["port"].as_u64()?, port["protocol"].as_str().map(str::to_owned))));
            ports.collect()
        } else {
            container_ports(exposed)
                .filter_map(|port| {
                    Some((
                        port["containerPort"].as_u64()?,
                        port["protocol"].as_str().map(str::to_owned),
                    ))
                })
                .collect()
        };
        if all.is_empty() {
            bail!("couldn't find port via --port flag or introspection");
        }
        let several = all.len() > 1;
        let numbered = all.iter().enumerate().filter_map(|(index, (number, protocol))| {
            let number = u16::try_from(*number).ok()?;
            Some(self.one(number, protocol.as_deref(), several.then_some(index)))
        });
        Ok(numbered.collect())
    }

    fn one(&self, number: u16, protocol: Option<&str>, index: Option<usize>) -> Value {
        let target = match &self.target_port {
            None => json!(number),
            Some(text) => text.parse::<u16>().map_or_else(|_| json!(text), |number| json!(number)),
        };
        let protocol = self.protocol.as_deref().or(protocol).unwrap_or("TCP");
        let mut port = json!({"port": number, "protocol": protocol.to_uppercase(), "targetPort": target});
        if let Some(index) = index {
            port["name"] = json!(format!("port-{}", index + 1));
        }
        port
    }
}

/// Which pods stand behind what is exposed.
fn selector_of(resource: &Resource, exposed: &Value) -> anyhow::Result<Map<String, Value>> {
    let spec = &exposed["spec"];
    let selector = match resource.kind.as_str() {
        "Pod" => {
            let labels = exposed["metadata"]["labels"].as_object();
            labels
                .cloned()
                .ok_or_else(|| anyhow!("the pod has no labels and cannot be exposed"))?
        }
        "Service" => {
            let selector = spec["selector"].as_object();
            selector
                .cloned()
                .ok_or_else(|| anyhow!("the service has no pod selector set"))?
        }
        "ReplicationController" => spec["selector"].as_object().cloned().unwrap_or_default(),
        "Deployment" | "ReplicaSet" => {
            if spec["selector"]["matchExpressions"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
            {
                bail!(
                    "couldn't convert expressions - \"{}\" to map-based selector format",
                    spec["selector"]["matchExpressions"]
                );
            }
            spec["selector"]["matchLabels"].as_object().cloned().unwrap_or_default()
        }
        _ => bail!("cannot expose a {}", resource.kind),
    };
    if selector.is_empty() {
        bail!("couldn't retrieve selectors via --selector flag or introspection: nothing is selected");
    }
    Ok(selector)
}

fn container_ports(object: &Value) -> impl Iterator<Item = &Value> {
    let template = &object["spec"]["template"]["spec"];
    let spec = if template.is_object() {
        template
    } else {
        &object["spec"]
    };
    let containers = spec["containers"].as_array().into_iter().flatten();
    containers.flat_map(|container| container["ports"].as_array().into_iter().flatten())
}

fn labels(text: &str) -> anyhow::Result<Map<String, Value>> {
    let mut map = Map::new();
    for pair in text.split(',') {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| anyhow!("unexpected label spec: {pair}"))?;
        map.insert(name.to_owned(), json!(value));
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::local;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        expose: Expose,
    }

    fn exposed(line: &str, kind: &str, object: &Value) -> anyhow::Result<Value> {
        let words = std::iter::once("expose").chain(line.split_whitespace());
        let api_version = if kind == "Deployment" { "apps/v1" } else { "v1" };
        Line::parse_from(words)
            .expose
            .object(&local::resource(api_version, kind), object)
    }

    #[test]
    fn ports_and_labels_come_from_what_is_exposed() {
        let pod = json!({"metadata": {"name": "p", "labels": {"app": "a"}}, "spec": {"containers": [
            {"ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]}]}});
        let service = exposed("", "Pod", &pod).expect("made");
        assert_eq!(service["metadata"]["name"], "p");
        assert_eq!(service["spec"]["selector"], json!({"app": "a"}));
        assert_eq!(
            service["spec"]["ports"],
            json!([{"name": "port-1", "port": 80, "protocol": "TCP", "targetPort": 80},
                   {"name": "port-2", "port": 53, "protocol": "UDP", "targetPort": 53}])
        );
        let service = exposed(
            "--port=8080 --target-port=http --name=front --type=NodePort",
            "Pod",
            &pod,
        )
        .expect("made");
        assert_eq!(
            service["spec"]["ports"],
            json!([{"port": 8080, "protocol": "TCP", "targetPort": "http"}])
        );
        assert_eq!(
            (&service["metadata"]["name"], &service["spec"]["type"]),
            (&json!("front"), &json!("NodePort"))
        );
    }

    #[test]
    fn what_selects_nothing_is_refused() {
        assert!(exposed("--port=80", "Pod", &json!({"metadata": {"name": "p"}, "spec": {}})).is_err());
        assert!(exposed("--port=80", "Node", &json!({"metadata": {"name": "n"}})).is_err());
        let plain = json!({"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {"containers": [{}]}});
        let error = exposed("", "Pod", &plain).expect_err("no port");
        assert!(error.to_string().contains("couldn't find port"), "{error}");
    }
}
