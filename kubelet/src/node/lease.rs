//! The node's Lease in `kube-node-lease`: a small object whose renewal says that the kubelet is alive.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as ApiLease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tracing::debug;

const NAMESPACE: &str = "kube-node-lease";
/// Kubernetes' default: after so long without renewal a node counts as dead.
const DURATION_SECONDS: i32 = 40;

/// This node's lease.
pub(crate) struct Lease {
    api: Api<ApiLease>,
    name: String,
}

impl Lease {
    /// Nothing is written yet.
    pub(crate) fn new(client: Client, node: &str) -> Self {
        Self {
            api: Api::namespaced(client, NAMESPACE),
            name: node.to_owned(),
        }
    }

    /// Renews it, or makes it. A failure is repaired by the next renewal.
    pub(crate) async fn renew(&mut self) {
        let now = MicroTime(Timestamp::now());
        let patch =
            json!({"spec": {"holderIdentity": self.name, "leaseDurationSeconds": DURATION_SECONDS, "renewTime": now}});
        let renewed = self
            .api
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        let result = match renewed {
            Err(kube::Error::Api(error)) if error.code == 404 => self.create(now).await,
            other => other.map(drop),
        };
        if let Err(error) = result {
            debug!(%error, "the node's lease couldn't be renewed");
        }
    }

    async fn create(&self, now: MicroTime) -> Result<(), kube::Error> {
        let lease = ApiLease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(NAMESPACE.to_owned()),
                ..Default::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.name.clone()),
                lease_duration_seconds: Some(DURATION_SECONDS),
                renew_time: Some(now),
                ..Default::default()
            }),
        };
        self.api.create(&PostParams::default(), &lease).await.map(drop)
    }
}
