//! What the scheduler knows of the cluster: each node, and what the pods on it have taken already.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use kube::ResourceExt;

use crate::requests::{self, Amounts, HostPort};

/// Which pod: `namespace/name` and the uid, since a name can come again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PodKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl PodKey {
    pub(crate) fn of(pod: &Pod) -> Self {
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
        }
    }
}

/// The part of a node that decisions look at; heartbeats don't change it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeInfo {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
    pub(crate) unschedulable: bool,
    pub(crate) allocatable: Amounts,
    /// Names of the images that are there, as the kubelet reports them, with their sizes in bytes.
    pub(crate) images: BTreeMap<String, i64>,
}

impl NodeInfo {
    fn of(node: &Node) -> Self {
        let spec = node.spec.as_ref();
        let status = node.status.as_ref();
        let images = status.and_then(|status| status.images.as_ref()).into_iter().flatten();
        Self {
            name: node.name_any(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|spec| spec.taints.clone()).unwrap_or_default(),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            allocatable: Amounts::read(status.and_then(|status| status.allocatable.as_ref())),
            images: images
                .flat_map(|image| {
                    let size = image.size_bytes.unwrap_or(0);
                    image.names.iter().flatten().map(move |name| (name.clone(), size))
                })
                .collect(),
        }
    }
}

/// What the pods on a node have taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Taken {
    pub(crate) amounts: Amounts,
    pub(crate) pods: i64,
    pub(crate) ports: Vec<HostPort>,
}

/// A node as a decision sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) node: &'a NodeInfo,
    pub(crate) taken: &'a Taken,
}

/// All nodes and what is on them.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    nodes: BTreeMap<String, NodeInfo>,
    /// Pods with a node that still run, or that we have just given one.
    placed: HashMap<PodKey, Placed>,
    taken: BTreeMap<String, Taken>,
}

#[derive(Debug, PartialEq)]
struct Placed {
    node: String,
    amounts: Amounts,
    ports: Vec<HostPort>,
}

impl Snapshot {
    /// Takes in a node as it is now; says whether that can make a difference to a decision.
    pub(crate) fn node(&mut self, node: &Node) -> bool {
        let info = NodeInfo::of(node);
        let changed = self.nodes.get(&info.name) != Some(&info);
        self.nodes.insert(info.name.clone(), info);
        changed
    }

    /// Forgets a node.
    pub(crate) fn node_gone(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// Counts a pod on its node, as the API says or as we have just decided.
    pub(crate) fn place(&mut self, pod: &Pod, node: &str) {
        let placed = Placed {
            node: node.to_owned(),
            amounts: requests::of(pod),
            ports: requests::host_ports(pod),
        };
        let key = PodKey::of(pod);
        if self.placed.get(&key) == Some(&placed) {
            return;
        }
        let old = self.placed.insert(key, placed).map(|old| old.node);
        self.recount(node);
        if let Some(old) = old.filter(|old| old != node) {
            self.recount(&old);
        }
    }

    /// A pod has ended, is gone, or was not bound after all; says whether it had taken anything.
    pub(crate) fn remove(&mut self, key: &PodKey) -> bool {
        let Some(placed) = self.placed.remove(key) else {
            return false;
        };
        self.recount(&placed.node);
        true
    }

    /// The nodes to choose from.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        static NOTHING: Taken = Taken {
            amounts: Amounts(BTreeMap::new()),
            pods: 0,
            ports: Vec::new(),
        };
        self.nodes.values().map(|node| Candidate {
            node,
            taken: self.taken.get(&node.name).unwrap_or(&NOTHING),
        })
    }

    fn recount(&mut self, node: &str) {
        let mut taken = Taken::default();
        for placed in self.placed.values().filter(|placed| placed.node == node) {
            taken.amounts.add(&placed.amounts);
            taken.pods += 1;
            taken.ports.extend(placed.ports.iter().cloned());
        }
        self.taken.insert(node.to_owned(), taken);
    }
}
