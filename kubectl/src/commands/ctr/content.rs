//! `ctr content …` and `ctr snapshot …`: what there is below images.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use futures::StreamExt as _;
use minik_api::images::{ListRequest, ReadContentRequest, Snapshot};

use super::images::{Pull, write};
use super::tabs::{NARROW, TABBED, decimal};
use super::{Client, images};

/// The verbs of `ctr content`.
#[derive(Subcommand, Debug)]
pub(super) enum ContentVerb {
    /// List blobs
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Write a blob to standard output
    Get(Get),
    /// Fetch an image's content; it is unpacked too
    Fetch(Pull),
}

#[derive(Args, Debug)]
pub(super) struct Ls {
    /// Digests only.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Args, Debug)]
pub(super) struct Get {
    #[arg(value_name = "DIGEST")]
    digest: String,
}

/// The verbs of `ctr snapshot`.
#[derive(Subcommand, Debug)]
pub(super) enum SnapshotVerb {
    /// List snapshots
    #[command(visible_alias = "list")]
    Ls(NoArguments),
    /// Show which snapshot stands on which
    Tree(NoArguments),
    /// Show what snapshots take
    Usage(NoArguments),
}

#[derive(Args, Debug)]
pub(super) struct NoArguments {
    #[arg(long, hide = true)]
    snapshotter: Option<String>,
}

impl ContentVerb {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::Ls(verb) => verb.run(client).await,
            Self::Get(verb) => verb.run(client).await,
            Self::Fetch(verb) => images::ImagesVerb::Pull(verb).run(client).await,
        }
    }
}

impl Ls {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let request = ListRequest {
            namespace: client.namespace.clone(),
        };
        let blobs = client.runtime.images().list_content(request).await?.into_inner().blobs;
        if self.quiet {
            let lines: String = blobs.iter().map(|blob| format!("{}\n", blob.digest)).collect();
            return write(&lines);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut text = "DIGEST\tSIZE\tAGE\tLABELS\n".to_owned();
        for blob in blobs {
            let made = Duration::from_nanos(blob.created_at.unsigned_abs());
            let labels: BTreeMap<&String, &String> = blob.labels.iter().collect();
            let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let labels = if labels.is_empty() {
                "-".to_owned()
            } else {
                labels.join(",")
            };
            let (size, age) = (decimal(blob.size_bytes), age(now.saturating_sub(made)));
            text.push_str(&format!("{}\t{size}\t{age}\t{labels}\n", blob.digest));
        }
        write(&TABBED.format(&text))
    }
}

/// An age in docker's words.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let plural = |count: u64, unit: &str| format!("{count} {unit}s");
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => plural(seconds, "second"),
        60..120 => "About a minute".to_owned(),
        120..3600 => plural(seconds / 60, "minute"),
        3600..7200 => "About an hour".to_owned(),
        7200..172_800 => plural(seconds / 3600, "hour"),
        _ => plural(seconds / 86_400, "day"),
    }
}

impl Get {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let request = ReadContentRequest { digest: self.digest };
        let mut pieces = client.runtime.images().read_content(request).await?.into_inner();
        let mut stdout = std::io::stdout().lock();
        while let Some(piece) = pieces.next().await {
            stdout.write_all(&piece?.data)?;
        }
        Ok(stdout.flush()?)
    }
}

impl SnapshotVerb {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let request = ListRequest {
            namespace: client.namespace.clone(),
        };
        let answer = client.runtime.images().list_snapshots(request).await?;
        let snapshots = answer.into_inner().snapshots;
        match self {
            Self::Ls(_) => {
                let row = |snapshot: &Snapshot| format!("{}\t{}\t{}\t\n", snapshot.key, snapshot.parent, snapshot.kind);
                let rows: String = snapshots.iter().map(row).collect();
                write(&NARROW.format(&format!("KEY\tPARENT\tKIND\t\n{rows}")))
            }
            Self::Tree(_) => write(&tree(&snapshots)),
            Self::Usage(_) => {
                let row =
                    |snapshot: &Snapshot| format!("{}\t{}\t\n", snapshot.key, super::tabs::binary(snapshot.size_bytes));
                let rows: String = snapshots.iter().map(row).collect();
                write(&NARROW.format(&format!("KEY\tSIZE\t\n{rows}")))
            }
        }
    }
}

/// Each below what it stands on. Pure.
fn tree(snapshots: &[Snapshot]) -> String {
    let mut text = String::new();
    let has = |key: &str| snapshots.iter().any(|snapshot| snapshot.key == key);
    let mut waiting: Vec<(usize, &Snapshot)> = snapshots
        .iter()
        .rev()
        .filter(|snapshot| !has(&snapshot.parent))
        .map(|snapshot| (0, snapshot))
        .collect();
    while let Some((depth, snapshot)) = waiting.pop() {
        match depth {
            0 => text.push_str(&format!(" {}\n", snapshot.key)),
            depth => text.push_str(&format!(" {}\\_ {}\n", "  ".repeat(depth - 1), snapshot.key)),
        }
        let above = snapshots.iter().rev().filter(|other| other.parent == snapshot.key);
        waiting.extend(above.map(|other| (depth + 1, other)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_below_its_parent() {
        let snapshot = |key: &str, parent: &str| Snapshot {
            key: key.to_owned(),
            parent: parent.to_owned(),
            ..Snapshot::default()
        };
        let all = [
            snapshot("base", ""),
            snapshot("demo", "top"),
            snapshot("other", ""),
            snapshot("top", "base"),
        ];
        assert_eq!(tree(&all), " base\n \\_ top\n   \\_ demo\n other\n");
    }

    #[test]
    fn ages_are_dockers() {
        for (seconds, expected) in [
            (0, "Less than a second"),
            (5, "5 seconds"),
            (90, "About a minute"),
            (600, "10 minutes"),
            (4000, "About an hour"),
            (90_000, "25 hours"),
            (300_000, "3 days"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }
}
