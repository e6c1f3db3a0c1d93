//! `ctr events`, `namespaces`, `plugins` and `version`: the runtime as a whole.

use std::io::Write as _;

use clap::{Args, Subcommand};
use futures::StreamExt as _;
use minik_api::containers::{EventsRequest, ListRequest};

use super::Client;
use super::images::write;
use super::tabs::{NARROW, WIDE};

/// What our runtime has of what containerd's plugins are, in its words.
const PARTS: [(&str, &str); 10] = [
    ("io.containerd.content.v1", "content"),
    ("io.containerd.snapshotter.v1", "overlayfs"),
    ("io.containerd.differ.v1", "walking"),
    ("io.containerd.event.v1", "exchange"),
    ("io.containerd.gc.v1", "scheduler"),
    ("io.containerd.runtime.v2", "task"),
    ("io.containerd.grpc.v1", "cri"),
    ("io.containerd.grpc.v1", "images"),
    ("io.containerd.grpc.v1", "containers"),
    ("io.containerd.grpc.v1", "events"),
];

#[derive(Args, Debug)]
pub(super) struct Events {}

#[derive(Args, Debug)]
pub(super) struct Version {}

/// The verbs of `ctr namespaces`.
#[derive(Subcommand, Debug)]
pub(super) enum NamespacesVerb {
    /// List namespaces
    #[command(visible_alias = "list")]
    Ls(Quiet),
}

/// The verbs of `ctr plugins`.
#[derive(Subcommand, Debug)]
pub(super) enum PluginsVerb {
    /// List the runtime's parts
    #[command(visible_alias = "list")]
    Ls(Quiet),
}

#[derive(Args, Debug)]
pub(super) struct Quiet {
    /// Names only.
    #[arg(short, long)]
    quiet: bool,
}

/// Shows events until the runtime or the user ends it.
pub(super) async fn events(client: &Client) -> anyhow::Result<()> {
    let mut events = client.runtime.containers().events(EventsRequest {}).await?.into_inner();
    while let Some(event) = events.next().await {
        let event = event?;
        let time = time(event.timestamp);
        writeln!(
            anstream::stdout(),
            "{time} {} {} {}",
            event.namespace,
            event.topic,
            event.body
        )?;
    }
    Ok(())
}

/// As Go writes a time down.
pub(super) fn time(nanos: i64) -> String {
    let time = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap_or_default();
    format!("{} +0000 UTC", time.strftime("%Y-%m-%d %H:%M:%S%.f"))
}

impl NamespacesVerb {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let Self::Ls(verb) = self;
        let request = ListRequest {
            namespace: client.namespace.clone(),
            id: String::new(),
        };
        let names = client.runtime.containers().list(request).await?.into_inner().namespaces;
        if verb.quiet {
            let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
            return write(&lines);
        }
        let rows: String = names.iter().map(|name| format!("{name}\t\t\n")).collect();
        write(&NARROW.format(&format!("NAME\tLABELS\t\n{rows}")))
    }
}

impl PluginsVerb {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let Self::Ls(verb) = self;
        // A runtime that doesn't answer has none.
        version_of(client).await?;
        if verb.quiet {
            let lines: String = PARTS.iter().map(|(_, id)| format!("{id}\n")).collect();
            return write(&lines);
        }
        let rows: String = PARTS
            .iter()
            .map(|(kind, id)| format!("{kind}\t{id}\t-\tok\t\n"))
            .collect();
        write(&WIDE.format(&format!("TYPE\tID\tPLATFORMS\tSTATUS\t\n{rows}")))
    }
}

pub(super) async fn version(client: &Client) -> anyhow::Result<()> {
    let server = version_of(client).await?;
    write(&format!(
        "Client:\n  Version:  {}\n\nServer:\n  Name:     {}\n  Version:  {}\n",
        env!("CARGO_PKG_VERSION"),
        server.runtime_name,
        server.runtime_version
    ))
}

async fn version_of(client: &Client) -> anyhow::Result<minik_api::cri::VersionResponse> {
    let request = minik_api::cri::VersionRequest::default();
    Ok(client.runtime.pods().version(request).await?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        assert_eq!(
            time(1_700_000_000_123_456_789),
            "2023-11-14 22:13:20.123456789 +0000 UTC"
        );
        assert_eq!(time(1_700_000_000_500_000_000), "2023-11-14 22:13:20.5 +0000 UTC");
    }
}
