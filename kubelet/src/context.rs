//! What every pod's worker reaches for: the world outside, and what is the same for all pods of this node.

use std::sync::Arc;

use tokio::sync::watch;

use crate::cri::Runtime;
use crate::objects::Lookup;
use crate::pod::status::Host;
use crate::pod::writer::PodApi;
use crate::progress::Pulls;
use crate::recorder::Recorder;
use crate::services;
use crate::spec::Node;
use crate::volumes::refresh::Watches;

/// Shared by all workers.
pub(crate) struct Context {
    pub(crate) node: Node,
    pub(crate) host: Host,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) pods: Arc<dyn PodApi>,
    pub(crate) recorder: Recorder,
    /// How far each pull is.
    pub(crate) pulls: watch::Receiver<Pulls>,
    /// Where services are.
    pub(crate) services: watch::Receiver<services::Known>,
    /// Of what volumes show; none in tests.
    pub(crate) watches: Option<Watches>,
}
