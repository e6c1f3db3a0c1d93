//! The flags that say which server to talk to, and as whom, over what the kubeconfig says: kubectl's names for them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::commands::duration;

const HEADING: &str = "Connection options";

/// What every verb understands about the connection. Shown by `minikctl options`, not by each verb's help.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = HEADING)]
pub struct ConnectionFlags {
    /// The server's address.
    #[arg(short = 's', long, global = true, hide = true, value_name = "URL")]
    pub server: Option<String>,
    /// The kubeconfig's cluster to talk to.
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// The kubeconfig's user to be.
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    pub user: Option<String>,
    /// A bearer token to authenticate with.
    #[arg(long, global = true, hide = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// A user name for basic authentication.
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    pub username: Option<String>,
    /// A password for basic authentication.
    #[arg(long, global = true, hide = true, value_name = "PASSWORD")]
    pub password: Option<String>,
    /// The authority that signed the server's certificate.
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// A client certificate to authenticate with.
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// The client certificate's key.
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Take any server for the right one: nothing protects what is sent then.
    #[arg(long, global = true, hide = true)]
    pub insecure_skip_tls_verify: bool,
    /// The name that the server's certificate must have, where it isn't the address's.
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// The user to act as.
    #[arg(long = "as", global = true, hide = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// A group to act as; may be repeated.
    #[arg(long = "as-group", global = true, hide = true, value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// The uid to act as.
    #[arg(long = "as-uid", global = true, hide = true, value_name = "UID")]
    pub impersonate_uid: Option<String>,
    /// How long one request may take; 0 means as long as it takes.
    #[arg(long, global = true, hide = true, value_parser = duration::parse_or_seconds, value_name = "DURATION")]
    pub request_timeout: Option<Duration>,
    /// Where what the server says about its kinds is kept.
    #[arg(long, global = true, hide = true, value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
    /// Ask for answers as they are, without compression (they always are).
    #[arg(long, global = true, hide = true)]
    pub disable_compression: bool,
    /// Go on only when the server is of the Kubernetes version that minikctl is made for.
    #[arg(long, global = true, hide = true)]
    pub match_server_version: bool,
    /// Let a warning of the server fail the command.
    #[arg(long, global = true, hide = true)]
    pub warnings_as_errors: bool,
}

impl ConnectionFlags {
    /// Whether the flags alone say where the server is.
    #[must_use]
    pub fn name_a_server(&self) -> bool {
        self.server.is_some()
    }
}
