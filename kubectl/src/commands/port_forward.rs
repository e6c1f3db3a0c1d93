//! `port-forward`: ports of a pod on this machine, each connection through the API server.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::{duration, pod, workload};
use crate::failure::Failure;

/// Arguments of `port-forward`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl port-forward pod/nginx 8080:80
  minikctl port-forward nginx :80                 # any free port here
  minikctl port-forward service/web 8080:http
  minikctl port-forward deploy/web 8080:80 8443:443
  minikctl port-forward --address 0.0.0.0 pod/nginx 8080:80")]
pub struct PortForward {
    /// The pod: nginx, pod/nginx, or one of service/web, deploy/web.
    #[arg(value_name = "POD")]
    pod: Option<String>,
    /// The ports: LOCAL:REMOTE, PORT, or :REMOTE for any free local one.
    #[arg(value_name = "PORT")]
    ports: Vec<String>,
    /// The addresses to listen on.
    #[arg(long, value_delimiter = ',', default_value = "localhost")]
    address: Vec<String>,
    /// How long to wait until there is a pod that runs.
    #[arg(long, value_parser = duration::parse, default_value = "1m0s", value_name = "DURATION")]
    pod_running_timeout: Duration,
}

/// A local port and the pod's port behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    local: u16,
    remote: u16,
}

impl PortForward {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let word = self.pod.as_deref().filter(|_| !self.ports.is_empty());
        let word = word.ok_or_else(|| anyhow!("TYPE/NAME and list of ports are required for port-forward"))?;
        let session = Session::open(global).await?;
        let (resource, object) = pod::named(&session, word).await?;
        let service = (resource.kind == "Service").then_some(&object);
        let pod = if resource.kind == "Pod" {
            object.clone()
        } else {
            let selector = workload::selector_for(&resource, &object, "forward ports of")?;
            let found = workload::first_pod(&session, &selector, self.pod_running_timeout).await?;
            found.0
        };
        let phase = pod["status"]["phase"].as_str().unwrap_or("Unknown");
        if phase != "Running" {
            bail!("unable to forward port because pod is not running. Current status={phase}");
        }
        let pairs = self
            .ports
            .iter()
            .map(|text| pair(text, service, &pod))
            .collect::<Result<Vec<_>, _>>()?;
        let listeners = self.listen(&pairs).await?;
        let api: Api<Pod> = Api::namespaced(session.kube.clone(), &session.namespace);
        serve(Rc::new(api), pod::name(&pod), listeners, &session.server_address()).await
    }

    async fn listen(&self, pairs: &[Pair]) -> anyhow::Result<Vec<(TcpListener, Pair)>> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in &self.address {
            match address.as_str() {
                "localhost" => addresses.extend([IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]),
                other => addresses.push(other.parse().with_context(|| format!("{other} is not a valid IP"))?),
            }
        }
        let mut listeners = Vec::new();
        for pair in pairs {
            let mut pair = *pair;
            let mut problems = Vec::new();
            let before = listeners.len();
            for address in &addresses {
                match TcpListener::bind(SocketAddr::new(*address, pair.local)).await {
                    Ok(listener) => {
                        // A port chosen by the kernel is the same on all addresses.
                        pair.local = listener.local_addr()?.port();
                        let shown = SocketAddr::new(*address, pair.local);
                        writeln!(anstream::stdout(), "Forwarding from {shown} -> {}", pair.remote)?;
                        listeners.push((listener, pair));
                    }
                    Err(error) => problems.push(format!("{}: {error}", SocketAddr::new(*address, pair.local))),
                }
            }
            if listeners.len() == before {
                bail!(
                    "unable to listen on any of the requested ports: {}",
                    problems.join("; ")
                );
            }
            // A machine without IPv6 can do without ::1.
        }
        Ok(listeners)
    }
}

/// Accepts for ever; each connection lives by itself.
async fn serve(api: Rc<Api<Pod>>, pod: &str, listeners: Vec<(TcpListener, Pair)>, server: &str) -> anyhow::Result<()> {
    let mut accepting: FuturesUnordered<_> = listeners.iter().map(accept).collect();
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some((accepted, listener)) = accepting.next() => {
                accepting.push(accept(listener));
                let pair = listener.1;
                match accepted {
                    Ok(stream) => {
                        writeln!(anstream::stdout(), "Handling connection for {}", pair.local)?;
                        connections.push(forward(api.clone(), pod, stream, pair, server));
                    }
                    Err(error) => writeln!(anstream::stderr(), "error accepting connection on port {}: {error}", pair.local)?,
                }
            }
            Some(result) = connections.next() => {
                if let Err(error) = result {
                    writeln!(anstream::stderr(), "error: {error:#}")?;
                }
            }
        }
    }
}

async fn accept(listener: &(TcpListener, Pair)) -> (std::io::Result<TcpStream>, &(TcpListener, Pair)) {
    let accepted = listener.0.accept().await.map(|(stream, _)| {
        // A connection that refuses this has ended already.
        let _ = stream.set_nodelay(true);
        stream
    });
    (accepted, listener)
}

async fn forward(api: Rc<Api<Pod>>, pod: &str, mut local: TcpStream, pair: Pair, server: &str) -> anyhow::Result<()> {
    let mut forwarder = api
        .portforward(pod, &[pair.remote])
        .await
        .map_err(|error| Failure::from_kube(error, server))?;
    let refused = forwarder.take_error(pair.remote);
    let remote = forwarder
        .take_stream(pair.remote)
        .ok_or_else(|| anyhow!("the server opened no stream"))?;
    let copied = async move {
        let mut remote = remote;
        // A peer that goes away in the middle ends the connection, nothing more.
        let _ = tokio::io::copy_bidirectional(&mut local, &mut remote).await;
    };
    let refused = async {
        match refused {
            Some(refused) => refused.await,
            None => None,
        }
    };
    let (refused, ()) = futures::join!(refused, async {
        copied.await;
        forwarder.abort();
    });
    match refused {
        Some(problem) if !problem.trim().is_empty() => {
            bail!(
                "an error occurred forwarding {} -> {}: {}",
                pair.local,
                pair.remote,
                problem.trim()
            )
        }
        _ => Ok(()),
    }
}

/// Reads `8080:80`, `80`, `:80`, `8080:http`. Pure.
fn pair(text: &str, service: Option<&Value>, pod: &Value) -> anyhow::Result<Pair> {
    let (local, remote) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u16>().ok();
    let target = match (service, number(remote)) {
        (None, Some(port)) => port,
        (None, None) => port_named(pod, remote)
            .ok_or_else(|| anyhow!("Pod '{}' does not have a named port '{remote}'", pod::name(pod)))?,
        (Some(service), port) => port_of_service(service, pod, remote, port)?,
    };
    let local = match local {
        "" => 0,
        same if same == remote => number(same).unwrap_or(target),
        other => number(other).ok_or_else(|| anyhow!("error parsing local port {other:?}: it is no port number"))?,
    };
    if target == 0 {
        bail!("remote port must be > 0");
    }
    Ok(Pair { local, remote: target })
}

fn port_of_service(service: &Value, pod: &Value, text: &str, number: Option<u16>) -> anyhow::Result<u16> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let mut ports = ports.filter(|port| match number {
        Some(number) => port["port"].as_u64() == Some(u64::from(number)),
        None => port["name"] == text,
    });
    let port = ports
        .next()
        .ok_or_else(|| anyhow!("Service does not have a service port {text}"))?;
    if let Some(protocol @ ("UDP" | "SCTP")) = port["protocol"].as_str() {
        bail!("{protocol} protocol is not supported for {text}");
    }
    let behind = &port["targetPort"];
    let number = behind
        .as_u64()
        .or(behind.is_null().then(|| port["port"].as_u64()).flatten());
    let found = number.and_then(|number| u16::try_from(number).ok());
    found.or_else(|| port_named(pod, behind.as_str()?)).ok_or_else(|| {
        anyhow!(
            "pod {:?} does not have the service's target port {behind}",
            pod::name(pod)
        )
    })
}

fn port_named(pod: &Value, name: &str) -> Option<u16> {
    let containers = pod["spec"]["containers"].as_array()?.iter();
    let mut ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let port = ports.find(|port| port["name"] == name)?;
    u16::try_from(port["containerPort"].as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pairs_are_read() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 80}]}]}});
        let service = json!({"spec": {"ports": [{"name": "web", "port": 8000, "targetPort": "http"}, {"port": 9000, "targetPort": 81}]}});
        let of = |text: &str, service: Option<&Value>| {
            pair(text, service, &pod)
                .map(|pair| (pair.local, pair.remote))
                .map_err(|error| error.to_string())
        };
        assert_eq!(of("8080:80", None), Ok((8080, 80)));
        assert_eq!(of("80", None), Ok((80, 80)));
        assert_eq!(of(":80", None), Ok((0, 80)));
        assert_eq!(of("8080:http", None), Ok((8080, 80)));
        assert_eq!(of("8080:8000", Some(&service)), Ok((8080, 80)));
        assert_eq!(of("8080:web", Some(&service)), Ok((8080, 80)));
        assert_eq!(of("9000", Some(&service)), Ok((9000, 81)));
        for bad in ["x:80", "8080:0", "8080:https", "70000"] {
            assert!(of(bad, None).is_err(), "{bad}");
        }
        assert!(of("8080:1", Some(&service)).is_err());
    }
}
