//! Images from Dockerfiles.
//!
//! ```text
//!   client: Dockerfile, arguments, secrets; the context folder when it is asked for
//!      └─> service ─> dockerfile (stages and steps) ─> graph (which stages are needed)
//!                      └─> engine, step by step: expand (variables) ─> cache (known by what goes in?) ── yes ─> its layer
//!                                                                        └── no ─┬─> run  (a container) ─> diff ─┐
//!                                                                                └─> copy (files) ──────────────┴─> tarball
//!                             └─> config (what is run), image                       images::compose <──────────────┘
//! ```
//! Steps run one after the other. A step is known by all that goes into it: the steps before, its text with the variables'
//! values, and the content of the files that it copies; so the same Dockerfile on the same files builds nothing twice. Steps
//! run in containers without a pod, on the node's network: proxies, VPNs and names are there what they are on the node.
//!
//! Pure: `dockerfile`, `expand`, `graph`, `config`. Left to others: reading the context with the user's rights (the client).

mod add;
mod cache;
mod config;
mod context;
mod copy;
mod diff;
mod dockerfile;
mod engine;
mod expand;
mod graph;
mod mounts;
mod run;
mod service;
mod stage;
mod tarball;

pub use copy::matches as name_matches;
pub(crate) use service::BuildService;

/// Of the containers that steps run in, and of images that keep the layers of steps for the next build.
pub(crate) const NAMESPACE: &str = "minik.build";

/// What is wrong with a Dockerfile, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    line: usize,
    what: String,
}

impl Wrong {
    fn new(line: usize, what: String) -> Self {
        Self { line, what }
    }
}
