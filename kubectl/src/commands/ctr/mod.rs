//! `ctr`: containerd's client, spoken to our runtime. Its verbs, aliases, tables and exit codes are those of containerd's `ctr`,
//! so that what its documents show runs with `minikctl` before it.
//!
//! A namespace has images and containers of its own: without `-n` it is `default`; what pods consist of is in `k8s.io`.
//! `tabs` and `status` draw (pure), `session` joins a terminal with a process, the rest are verbs.

mod containers;
mod content;
mod images;
mod mounts;
mod node;
mod run;
mod session;
mod status;
mod tabs;
mod tasks;

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Global;
use crate::failure::Exit;
use crate::image::runtime::Runtime;
use crate::node::{Instance, Overrides};

/// Without `-n`, as with ctr.
const NAMESPACE: &str = "default";

/// Arguments of `ctr`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sudo minikctl ctr image pull docker.io/library/hello-world:latest
  sudo minikctl ctr run --rm docker.io/library/hello-world:latest demo
  sudo minikctl ctr -n k8s.io task ls")]
pub struct Ctr {
    /// The runtime's socket, in the place of the instance's.
    #[arg(short, long, value_name = "SOCKET")]
    address: Option<PathBuf>,
    #[command(subcommand)]
    verb: CtrVerb,
}

#[derive(Subcommand, Debug)]
enum CtrVerb {
    /// Pull, list, push, import, export, mount and remove images
    #[command(subcommand, visible_aliases = ["images", "i"])]
    Image(images::ImagesVerb),
    /// See the blobs that images consist of
    #[command(subcommand)]
    Content(content::ContentVerb),
    /// See unpacked layers and the containers' own
    #[command(subcommand, visible_alias = "snapshots")]
    Snapshot(content::SnapshotVerb),
    /// Make, list and remove containers: only metadata
    #[command(subcommand, visible_aliases = ["containers", "c"])]
    Container(containers::ContainersVerb),
    /// Start, join, signal and measure processes of containers
    #[command(subcommand, visible_aliases = ["tasks", "t"])]
    Task(tasks::TasksVerb),
    /// Make a container and start it
    Run(Box<run::Run>),
    /// Show what happens
    #[command(visible_aliases = ["event"])]
    Events(node::Events),
    /// Show the namespaces
    #[command(subcommand, visible_aliases = ["namespace", "ns"])]
    Namespaces(node::NamespacesVerb),
    /// Show the parts of the runtime
    #[command(subcommand, visible_alias = "plugin")]
    Plugins(node::PluginsVerb),
    /// Show the client's and the runtime's version
    Version(node::Version),
}

/// The runtime, and the namespace to work in.
pub(super) struct Client {
    pub(super) runtime: Runtime,
    pub(super) namespace: String,
}

impl Ctr {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self.verb(global).await {
            Err(error) if error.downcast_ref::<Exit>().is_none() => {
                // Nothing can be said when stderr is gone.
                let _ = writeln!(anstream::stderr(), "ctr: {}", words(&error));
                Err(Exit(1).into())
            }
            result => result,
        }
    }

    async fn verb(self, global: &Global) -> anyhow::Result<()> {
        let socket = match self.address {
            Some(address) => address,
            None => Instance::resolve(global.instance_name(), &Overrides::default())?.runtime_socket(),
        };
        let client = Client {
            runtime: Runtime::connect(&socket).await?,
            namespace: global.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned()),
        };
        match self.verb {
            CtrVerb::Image(verb) => verb.run(&client).await,
            CtrVerb::Content(verb) => verb.run(&client).await,
            CtrVerb::Snapshot(verb) => verb.run(&client).await,
            CtrVerb::Container(verb) => verb.run(&client).await,
            CtrVerb::Task(verb) => verb.run(&client).await,
            CtrVerb::Run(verb) => verb.run(&client).await,
            CtrVerb::Events(_) => node::events(&client).await,
            CtrVerb::Namespaces(verb) => verb.run(&client).await,
            CtrVerb::Plugins(verb) => verb.run(&client).await,
            CtrVerb::Version(_) => node::version(&client).await,
        }
    }
}

/// What the runtime says, without gRPC around it.
fn words(error: &anyhow::Error) -> String {
    match error.downcast_ref::<tonic::Status>() {
        Some(status) if status.code() == tonic::Code::Unimplemented => {
            "this runtime can't do that; minik's own can".to_owned()
        }
        Some(status) => status.message().to_owned(),
        None => format!("{error:#}"),
    }
}
