//! What a client may take: time, connections, and what follows for the connections from how many files may be open.

use jiff::SignedDuration;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For the store, its snapshots, webhooks and what else the program opens by itself.
const OWN_FILES: usize = 64;
/// An idle connection has some ten kilobytes; more of them than this are memory that nobody needs.
const CONNECTIONS_MAX: usize = 4000;
/// Connections of one user, and of all without a certificate.
const USER_MAX: usize = 1000;
/// So many connections a user gets though all are taken.
const ASSURED: usize = 8;
/// Handshakes at once.
const HANDSHAKES_MAX: usize = 512;
/// Streams to kubelets at once, of all users of a share.
const STREAMS_MAX: usize = 400;

/// How long clients are waited for, and how many of them there may be.
#[derive(Clone, Debug, clap::Args)]
pub struct Limits {
    /// How long a client may take for the head of a request, and be silent between two
    #[arg(long, default_value = "30s")]
    pub head_timeout: SignedDuration,
    /// How long a client may take for the body of a request
    #[arg(long, default_value = "30s")]
    pub body_timeout: SignedDuration,
    /// How many connections there may be; as many as open files allow, up to 4000, unless given
    #[arg(long)]
    pub max_connections: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: SignedDuration::from_secs(30),
            body_timeout: SignedDuration::from_secs(30),
            max_connections: None,
        }
    }
}

/// How many of each there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Connections that shake hands.
    pub(super) handshakes: usize,
    /// All others.
    pub(super) connections: usize,
    /// For users who have hardly any, when all are taken.
    pub(super) spare: usize,
    /// So many are hardly any.
    pub(super) assured: usize,
    /// Connections of one user.
    pub(super) user: usize,
    /// Streams of all users of a share, each of which has a connection to a kubelet besides.
    pub(super) streams: usize,
}

impl Capacity {
    /// Half of the files are for connections; a twelfth for handshakes, and a sixth for each share's connections to kubelets.
    /// What is left is a reserve: who can't open a file can't store a large object.
    pub(crate) fn new(files: usize, max_connections: Option<usize>) -> Self {
        let files = files.saturating_sub(OWN_FILES);
        let connections = max_connections.unwrap_or((files / 2).min(CONNECTIONS_MAX)).max(1);
        Self {
            handshakes: (files / 12).clamp(1, HANDSHAKES_MAX),
            connections,
            spare: connections / 8,
            assured: ASSURED,
            user: (connections / 2).clamp(1, USER_MAX),
            // A third more for users who have hardly any, on each of two lanes.
            streams: (files / 18).min(connections / 2).clamp(1, STREAMS_MAX),
        }
    }
}

/// How many files may be open.
pub(crate) fn open_files() -> usize {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    usize::try_from(soft).unwrap_or(usize::MAX)
}

/// Takes as many as may be had: the soft limit is low for the sake of programs that use select(2), which this doesn't.
pub(crate) fn raise_open_files() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, files = open_files(), "can't raise the number of open files");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_at_most_is_less_than_what_may_be() {
        for files in [256, 1024, 4096, 20_000, 1 << 20] {
            let capacity = Capacity::new(files, None);
            let kubelets = 2 * 2 * (capacity.streams + capacity.streams / 2);
            let all = capacity.handshakes + capacity.connections + capacity.spare + kubelets + OWN_FILES;
            assert!(all <= files, "{files}: {capacity:?}");
            assert!(capacity.user <= capacity.connections / 2);
        }
        let usual = Capacity::new(1 << 20, None);
        assert_eq!(
            (usual.connections, usual.user, usual.handshakes, usual.streams),
            (4000, 1000, 512, 400)
        );
        assert_eq!(Capacity::new(20_000, Some(10)).user, 5);
        assert_eq!(Capacity::new(0, None).connections, 1);
    }
}
