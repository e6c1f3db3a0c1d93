//! `version`: the client's and the server's.

use std::io::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::print::output::Output;

/// Arguments of `version`.
#[derive(Args, Debug)]
pub struct Version {
    /// Don't ask the server.
    #[arg(long)]
    client: bool,
    /// yaml or json.
    #[arg(short, long)]
    output: Option<Output>,
}

impl Version {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let own = concat!("v", env!("CARGO_PKG_VERSION"));
        let server = if self.client {
            Ok(Value::Null)
        } else {
            ask(global).await
        };
        let mut out = anstream::stdout();
        if let Some(output) = &self.output {
            let mut shown = json!({"clientVersion": {"gitVersion": own}});
            if let Ok(server) = &server
                && !server.is_null()
            {
                shown["serverVersion"] = server.clone();
            }
            output.write(&mut out, &shown)?;
        } else {
            writeln!(out, "Client Version: {own}")?;
            if let Ok(Some(version)) = server.as_ref().map(|server| server["gitVersion"].as_str()) {
                writeln!(out, "Server Version: {version}")?;
            }
        }
        server.map(|_| ())
    }
}

async fn ask(global: &Global) -> anyhow::Result<Value> {
    Ok(Session::open(global).await?.get("/version").await?)
}
