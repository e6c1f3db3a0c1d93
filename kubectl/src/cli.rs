//! The tree of client verbs, as clap sees it, and the flags that all of them share.
//!
//! Each verb is an `Args` struct in `commands/` with `run(self, &Global)`. The node's own verbs (`up`, `down`, ...) and the
//! programs stand beside these in main.rs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::commands;
use crate::commands::mark::Which;

/// What every verb understands.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// The kubeconfig file to use instead of $KUBECONFIG or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub kubeconfig: Option<PathBuf>,

    /// The kubeconfig's context to use.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Common options")]
    pub context: Option<String>,

    /// The namespace to work in.
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Common options")]
    pub namespace: Option<String>,

    /// The node on this machine to work with, where there are several.
    #[arg(
        long,
        global = true,
        env = "MINIK_INSTANCE",
        value_name = "NAME",
        help_heading = "Common options"
    )]
    pub instance: Option<String>,

    /// How much to say about what is done: -v6 shows each request.
    #[arg(
        short = 'v',
        long = "v",
        global = true,
        value_name = "LEVEL",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Common options"
    )]
    pub verbosity: u8,
}

impl Global {
    /// The instance's name, which is also part of sockets' and directories' names.
    #[must_use]
    pub fn instance_name(&self) -> &str {
        self.instance.as_deref().unwrap_or("default")
    }
}

/// What a user does with a cluster.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Start the node, run nginx and Python on it, and watch it happen
    Demo(commands::demo::Demo),
    /// Create or change objects so that they are what files say
    Apply(commands::apply::Apply),
    /// Set and remove annotations of objects
    Annotate(commands::mark::Mark),
    /// Create objects that are not there yet
    Create(commands::create::Create),
    /// Show objects
    Get(commands::get::Get),
    /// Show everything about an object, with its events
    Describe(commands::describe::Describe),
    /// Show what a container printed
    Logs(commands::logs::Logs),
    /// Run a command in a container
    Exec(commands::exec::Exec),
    /// Join the input and output of a container's main process
    Attach(commands::attach::Attach),
    /// Make ports of a pod reachable on this machine
    PortForward(commands::port_forward::PortForward),
    /// Delete objects
    Delete(commands::delete::Delete),
    /// Set and remove labels of objects
    Label(commands::mark::Mark),
    /// Change some fields of objects
    Patch(commands::patch::Patch),
    /// Wait until objects are in a state
    Wait(commands::wait::Wait),
    /// Pull, import, list and remove the node's images
    #[command(subcommand, visible_alias = "images")]
    Image(commands::image::ImageVerb),
    /// Show the kinds that the server has
    ApiResources(commands::api_resources::ApiResources),
    /// Show where the server is
    ClusterInfo(commands::cluster_info::ClusterInfo),
    /// Show and change the kubeconfig
    #[command(subcommand)]
    Config(commands::config::ConfigVerb),
    /// Show the client's and the server's version
    Version(commands::version::Version),
}

impl Verb {
    /// Does what the user asked for.
    ///
    /// # Errors
    /// Those of the verb, already in words for the user; see [`crate::failure::report`].
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Demo(verb) => verb.run(global).await,
            Self::Annotate(verb) => verb.run(global, Which::Annotations).await,
            Self::Apply(verb) => verb.run(global).await,
            Self::Create(verb) => verb.run(global).await,
            Self::Get(verb) => verb.run(global).await,
            Self::Describe(verb) => verb.run(global).await,
            Self::Logs(verb) => verb.run(global).await,
            Self::Exec(verb) => verb.run(global).await,
            Self::Attach(verb) => verb.run(global).await,
            Self::PortForward(verb) => verb.run(global).await,
            Self::Delete(verb) => verb.run(global).await,
            Self::Label(verb) => verb.run(global, Which::Labels).await,
            Self::Patch(verb) => verb.run(global).await,
            Self::Wait(verb) => verb.run(global).await,
            Self::Image(verb) => verb.run(global).await,
            Self::ApiResources(verb) => verb.run(global).await,
            Self::ClusterInfo(verb) => verb.run(global).await,
            Self::Config(verb) => verb.run(global),
            Self::Version(verb) => verb.run(global).await,
        }
    }
}
