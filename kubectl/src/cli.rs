//! Flags that all verbs share.

use std::path::PathBuf;

use clap::Args;

/// What every verb understands.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// The kubeconfig file to use instead of $KUBECONFIG or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub kubeconfig: Option<PathBuf>,

    /// The node on this machine to work with, where there are several.
    #[arg(
        long,
        global = true,
        env = "MINIK_INSTANCE",
        value_name = "NAME",
        help_heading = "Common options"
    )]
    pub instance: Option<String>,
}

impl Global {
    /// The instance's name, which is also part of sockets' and directories' names.
    #[must_use]
    pub fn instance_name(&self) -> &str {
        self.instance.as_deref().unwrap_or("default")
    }
}
