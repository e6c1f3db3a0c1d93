//! `create service clusterip`, `nodeport`, `loadbalancer` and `externalname`.

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use minik_api::names;
use serde_json::{Map, Value, json};

use super::creating::Creating;
use super::sources::metadata;

/// The types of services.
#[derive(Subcommand, Debug)]
pub enum Service {
    /// A service with an address inside the cluster
    Clusterip(ClusterIp),
    /// A service with a port on every node
    Nodeport(NodePort),
    /// A service behind a load balancer
    Loadbalancer(LoadBalancer),
    /// Another name for something outside
    Externalname(ExternalName),
}

/// What all types share.
#[derive(Args, Debug)]
pub struct Basics {
    /// Its name.
    name: String,
    /// A port of the service, and that of the pods behind it; may be repeated.
    #[arg(long, value_name = "PORT[:TARGET]", value_delimiter = ',')]
    tcp: Vec<String>,
    #[command(flatten)]
    creating: Creating,
}

/// Arguments of `create service clusterip`.
#[derive(Args, Debug)]
pub struct ClusterIp {
    #[command(flatten)]
    basics: Basics,
    /// The address, or None for a service without one.
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    clusterip: String,
}

/// Arguments of `create service nodeport`.
#[derive(Args, Debug)]
pub struct NodePort {
    #[command(flatten)]
    basics: Basics,
    /// The port on the nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    node_port: u16,
}

/// Arguments of `create service loadbalancer`.
#[derive(Args, Debug)]
pub struct LoadBalancer {
    #[command(flatten)]
    basics: Basics,
}

/// Arguments of `create service externalname`.
#[derive(Args, Debug)]
pub struct ExternalName {
    #[command(flatten)]
    basics: Basics,
    /// The name outside.
    #[arg(long, value_name = "NAME", required = true)]
    external_name: String,
}

impl Service {
    pub fn creating(&self) -> &Creating {
        &self.basics().creating
    }

    fn basics(&self) -> &Basics {
        match self {
            Self::Clusterip(words) => &words.basics,
            Self::Nodeport(words) => &words.basics,
            Self::Loadbalancer(words) => &words.basics,
            Self::Externalname(words) => &words.basics,
        }
    }

    pub fn object(&self) -> anyhow::Result<Value> {
        let basics = self.basics();
        let (kind, headless) = match self {
            Self::Clusterip(words) => ("ClusterIP", words.clusterip == "None"),
            Self::Nodeport(_) => ("NodePort", false),
            Self::Loadbalancer(_) => ("LoadBalancer", false),
            Self::Externalname(_) => ("ExternalName", true),
        };
        if basics.tcp.is_empty() && !headless {
            bail!("at least one tcp port specifier must be provided");
        }
        let labels = json!({"app": basics.name});
        let mut spec = Map::new();
        let mut ports: Vec<Value> = basics.tcp.iter().map(|text| port(text)).collect::<Result<_, _>>()?;
        match self {
            Self::Clusterip(words) if !words.clusterip.is_empty() => {
                spec.insert("clusterIP".to_owned(), json!(words.clusterip));
            }
            Self::Nodeport(words) if words.node_port > 0 => {
                ports
                    .iter_mut()
                    .for_each(|port| port["nodePort"] = json!(words.node_port));
            }
            Self::Externalname(words) => {
                if !names::subdomain(&words.external_name).is_empty() {
                    bail!("invalid service external name {}", words.external_name);
                }
                spec.insert("externalName".to_owned(), json!(words.external_name));
            }
            _ => {}
        }
        if !ports.is_empty() {
            spec.insert("ports".to_owned(), json!(ports));
        }
        spec.insert("selector".to_owned(), labels.clone());
        spec.insert("type".to_owned(), json!(kind));
        let mut metadata = metadata(&basics.name);
        metadata["labels"] = labels;
        Ok(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": {"loadBalancer": {}},
        }))
    }
}

/// `80`, `80:8080` or `80:http`.
fn port(text: &str) -> anyhow::Result<Value> {
    let number = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| anyhow!("{text:?} is no port: ports are numbers from 0 to 65535"))
    };
    let (port, target) = text.split_once(':').unwrap_or((text, text));
    let target = match target.parse::<i64>() {
        Ok(1..=65_535) => json!(number(target)?),
        Ok(_) if target == port => json!(number(target)?),
        Ok(_) => bail!("must be between 1 and 65535, inclusive"),
        Err(_) if names::label(target).is_empty() && target.len() <= 15 => json!(target),
        Err(_) => bail!("{target:?} is neither a port nor the name of one"),
    };
    Ok(json!({"name": text.replace(':', "-"), "port": number(port)?, "targetPort": target, "protocol": "TCP"}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_targets() {
        assert_eq!(
            port("80:http").expect("good"),
            json!({"name": "80-http", "port": 80, "targetPort": "http", "protocol": "TCP"})
        );
        assert_eq!(port("80").expect("good")["targetPort"], 80);
        for text in ["x", "80:0", "80:70000", "70000", "80:a name"] {
            assert!(port(text).is_err(), "{text}");
        }
    }
}
