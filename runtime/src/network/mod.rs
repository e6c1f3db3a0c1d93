//! The network of pods: one routed veth pair each, and nothing that a kernel has only as a module.
//!
//! ```text
//!   pod's namespace                     node's namespace
//!   eth0  10.88.0.2/32  ── veth pair ──  minik3f9c01ab    10.88.0.2/32 dev minik3f9c01ab src 10.88.0.1
//!     169.254.1.1 dev eth0                 (no address)   unreachable 10.88.0.0/16, unreachable <service range>
//!     default via 169.254.1.1                             lo: 10.88.0.1/32, what pods see the node as
//!     both ends know the other's hardware address:        table minik-<instance>: masquerade what leaves 10.88.0.0/16
//!     no ARP, nothing to wait for
//! ```
//!
//! There is no bridge: every packet of a pod is routed by the node. The gateway is a link-local address that no interface
//! carries; a permanent neighbour entry stands for it, so that all pods have the same two routes. A pod or service that is not
//! there is answered with "unreachable" by the node, and the packet never leaves the machine.
//!
//! All of it is done by netlink, each call in a few microseconds, except that veth pairs are removed with an RCU grace period.
//! What isn't done here: the namespace itself (the shim makes it) and published ports (the shim listens).

mod addresses;
mod cidr;
mod links;
mod masquerade;
mod netlink;
mod routes;
mod traffic;

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use addresses::Addresses;
pub use cidr::{Cidr, InvalidCidr};
use netlink::Socket;
pub use traffic::{Traffic, read_traffic};

/// Where the kernel says whether this namespace forwards packets between interfaces.
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// What can go wrong with the network of a node or a pod.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NetworkError {
    #[error("open a netlink socket")]
    Open(#[source] Errno),
    #[error("{act} {thing}")]
    Netlink {
        act: &'static str,
        thing: String,
        #[source]
        errno: Errno,
    },
    #[error(
        "a route for {0} is there already: another network uses this range, choose another with --pod-cidr or --service-cidr"
    )]
    RangeTaken(Cidr),
    #[error("write {IP_FORWARD}")]
    Forwarding(#[source] io::Error),
    #[error("open the network namespace {path}")]
    Namespace {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("enter the network namespace {path}")]
    Enter {
        path: PathBuf,
        #[source]
        errno: Errno,
    },
    #[error("record {path}")]
    Record {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("start a thread to configure the pod's network namespace")]
    Thread(#[source] io::Error),
    #[error("all {count} addresses of {range} are in use: remove pods or choose a wider --pod-cidr")]
    Exhausted { range: Cidr, count: u32 },
}

impl NetworkError {
    fn netlink(act: &'static str, thing: impl ToString) -> impl FnOnce(Errno) -> NetworkError {
        let thing = thing.to_string();
        move |errno| NetworkError::Netlink { act, thing, errno }
    }
}

/// The ranges and names one instance's network is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// Addresses of pods; the first is the node's.
    pub pod_cidr: Cidr,
    /// Addresses of services; only made unreachable here.
    pub service_cidr: Cidr,
    /// What the names of this instance's interfaces begin with, at most seven bytes.
    pub interface_prefix: String,
    /// Name of the nftables table.
    pub table: String,
}

/// The network of one instance on this node.
pub struct Network {
    plan: NetworkPlan,
    addresses: Mutex<Addresses>,
    masquerade: Result<(), NetworkError>,
}

impl Network {
    /// Makes what all pods share: the node's address, unreachable ranges, forwarding, and the masquerade rule.
    ///
    /// `record` is where the plan is kept on disk, so that [`Network::undo`] removes what was really made.
    /// A kernel without NAT is no error: [`Network::masquerade`] tells why pods can't reach beyond the node.
    pub fn open(plan: NetworkPlan, record: &Path) -> Result<Network, NetworkError> {
        let before = read_record(record);
        if before.as_ref().is_some_and(|before| *before != plan) {
            Network::undo(record)?;
        }
        let ours = before.is_some();
        write_record(record, &plan)?;
        let mut socket = Socket::route().map_err(NetworkError::Open)?;
        claim_ranges(&mut socket, &plan, ours).inspect_err(|_| {
            if !ours {
                // Nothing of ours is left, so no record may lead `undo` to what is another's.
                let _ = fs::remove_file(record);
            }
        })?;
        routes::add_gateway(&mut socket, plan.pod_cidr.gateway())?;
        if fs::read_to_string(IP_FORWARD).is_ok_and(|text| text.trim() != "1") {
            fs::write(IP_FORWARD, "1").map_err(NetworkError::Forwarding)?;
        }
        let masquerade = masquerade::install(&plan.table, plan.pod_cidr);
        let addresses = Mutex::new(Addresses::new(plan.pod_cidr));
        Ok(Network {
            plan,
            addresses,
            masquerade,
        })
    }

    /// Removes what [`Network::open`] made, as its record tells; pods' interfaces are removed by [`Network::detach`].
    pub fn undo(record: &Path) -> Result<(), NetworkError> {
        let Some(plan) = read_record(record) else {
            return Ok(());
        };
        let mut socket = Socket::route().map_err(NetworkError::Open)?;
        for range in [plan.pod_cidr, plan.service_cidr] {
            routes::remove_unreachable(&mut socket, range)?;
        }
        routes::remove_gateway(&mut socket, plan.pod_cidr.gateway())?;
        masquerade::remove(&plan.table)?;
        fs::remove_file(record).map_err(|source| NetworkError::Record {
            path: record.to_owned(),
            source,
        })
    }

    /// Why pods can't reach beyond this node, if they can't.
    pub fn masquerade(&self) -> Result<(), &NetworkError> {
        self.masquerade.as_ref().copied()
    }

    /// Takes a free address for a pod. The caller records it before it uses it, and gives it back with [`Network::release`].
    pub fn allocate(&self) -> Result<Ipv4Addr, NetworkError> {
        let range = self.plan.pod_cidr;
        self.addresses().take().ok_or(NetworkError::Exhausted {
            range,
            count: range.host_count(),
        })
    }

    /// Marks an address as in use that a record from before a restart names.
    pub fn reserve(&self, address: Ipv4Addr) {
        self.addresses().reserve(address);
    }

    /// Gives an address back.
    pub fn release(&self, address: Ipv4Addr) {
        self.addresses().release(address);
    }

    /// The node's end of the pair of a pod: what [`Network::attach`] makes and [`Network::detach`] removes.
    pub fn interface(&self, sandbox_id: &str) -> String {
        let id: String = sandbox_id.chars().take(8).collect();
        format!("{}{id}", self.plan.interface_prefix)
    }

    /// Connects the network namespace at `namespace` (a file) to the node. Blocks for about a millisecond.
    pub fn attach(&self, interface: &str, address: Ipv4Addr, namespace: &Path) -> Result<(), NetworkError> {
        let file = fs::File::open(namespace).map_err(|source| NetworkError::Namespace {
            path: namespace.to_owned(),
            source,
        })?;
        let mut socket = Socket::route().map_err(NetworkError::Open)?;
        links::create_pair(&mut socket, interface, address, &file)?;
        let made = links::configure_pod(namespace, &file, address)
            .and_then(|()| links::configure_node(&mut socket, interface, address, self.plan.pod_cidr.gateway()));
        if made.is_err() {
            // The first error is the one to tell; the pair goes with the namespace in any case.
            let _ = links::remove(&mut socket, interface);
        }
        made
    }

    /// Removes the pair; the routes and neighbours go with it. Nothing happens if it is gone already.
    pub fn detach(interface: &str) -> Result<(), NetworkError> {
        let mut socket = Socket::route().map_err(NetworkError::Open)?;
        links::remove(&mut socket, interface)
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        // Nothing panics while it holds this lock; a set of addresses is whole at every moment anyway.
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes both ranges unreachable, or neither. The routes are also the claim: who comes second finds the range taken.
fn claim_ranges(socket: &mut Socket, plan: &NetworkPlan, ours: bool) -> Result<(), NetworkError> {
    routes::add_unreachable(socket, plan.pod_cidr, ours)?;
    let second = routes::add_unreachable(socket, plan.service_cidr, ours);
    if second.is_err() && !ours {
        routes::remove_unreachable(socket, plan.pod_cidr)?;
    }
    second
}

fn read_record(path: &Path) -> Option<NetworkPlan> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write_record(path: &Path, plan: &NetworkPlan) -> Result<(), NetworkError> {
    let text = serde_json::to_vec_pretty(plan).expect("a plan has only strings for keys");
    let partial = path.with_extension("partial");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|source| NetworkError::Record {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests;
