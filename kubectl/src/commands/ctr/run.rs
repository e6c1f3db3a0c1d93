//! `ctr run`: a container and its task in one; and the options that `container create` shares with it.

use anyhow::Context as _;
use clap::Args;
use minik_api::containers::input::What;
use minik_api::containers::{CreateRequest, DeleteRequest, Mount, Start};

use super::Client;
use super::session;
use crate::failure::Exit;

/// How a container is to be.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Give the process a terminal.
    #[arg(short, long)]
    tty: bool,
    /// NAME=VALUE for the process's environment; can be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Read more of them from a file, one a line.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<std::path::PathBuf>,
    /// type=bind,src=PATH,dst=PATH,options=rbind:ro; can be repeated.
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,
    /// Use the node's network.
    #[arg(long)]
    net_host: bool,
    /// NAME=VALUE to find the container by; can be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// The process's working directory.
    #[arg(long, value_name = "PATH")]
    cwd: Option<String>,
    /// USER[:GROUP], names or numbers.
    #[arg(short, long)]
    user: Option<String>,
    /// All rights and devices of the node's root.
    #[arg(long)]
    privileged: bool,
    /// Let nothing be written to the root filesystem.
    #[arg(long)]
    read_only: bool,
    /// The container's host name.
    #[arg(long)]
    hostname: Option<String>,
    /// Most memory, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 0, hide_default_value = true)]
    memory_limit: u64,
    /// Most CPUs, such as 0.5.
    #[arg(long, value_name = "CPUS", default_value_t = 0.0, hide_default_value = true)]
    cpus: f64,
    #[arg(long, hide = true)]
    platform: Option<String>,
    #[arg(long, hide = true)]
    snapshotter: Option<String>,
    #[arg(long, hide = true)]
    runtime: Option<String>,
    #[arg(long, hide = true)]
    seccomp: bool,
}

/// Arguments of `ctr run`.
#[derive(Args, Debug)]
pub(super) struct Run {
    #[command(flatten)]
    options: Options,
    /// Remove the container when it has ended.
    #[arg(long)]
    rm: bool,
    /// Leave when it has started.
    #[arg(short, long)]
    detach: bool,
    #[arg(long, hide = true)]
    null_io: bool,
    #[arg(value_name = "REF")]
    image: String,
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// In the place of the image's command.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

impl Options {
    pub(super) fn request(
        self,
        client: &Client,
        image: String,
        id: String,
        args: Vec<String>,
    ) -> anyhow::Result<CreateRequest> {
        let mut env = Vec::new();
        for file in &self.env_file {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            let lines = text.lines().map(str::trim);
            env.extend(
                lines
                    .filter(|line| !line.is_empty() && !line.starts_with('#'))
                    .map(str::to_owned),
            );
        }
        env.extend(self.env);
        let labels = self.label.iter().map(|label| {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            (name.to_owned(), value.to_owned())
        });
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from a float to an integer Rust saturates"
        )]
        let cpu_millis = (self.cpus * 1000.0) as u64;
        Ok(CreateRequest {
            namespace: client.namespace.clone(),
            id,
            image,
            args,
            env,
            mounts: self
                .mount
                .iter()
                .map(|text| mount(text))
                .collect::<anyhow::Result<_>>()?,
            terminal: self.tty,
            net_host: self.net_host,
            labels: labels.collect(),
            cwd: self.cwd.unwrap_or_default(),
            user: self.user.unwrap_or_default(),
            privileged: self.privileged,
            read_only: self.read_only,
            hostname: self.hostname.unwrap_or_default(),
            memory_limit_bytes: self.memory_limit,
            cpu_millis,
        })
    }
}

/// `type=bind,src=/a,dst=/b,options=rbind:ro`. Pure.
fn mount(text: &str) -> anyhow::Result<Mount> {
    let mut mount = Mount::default();
    for part in text.split(',') {
        let (key, value) = part
            .split_once('=')
            .with_context(|| format!("mount {text:?}: {part:?} is no KEY=VALUE"))?;
        match key {
            "type" => mount.r#type = value.to_owned(),
            "source" | "src" => mount.source = value.to_owned(),
            "destination" | "dst" => mount.destination = value.to_owned(),
            "options" => mount.options = value.split(':').map(str::to_owned).collect(),
            _ => anyhow::bail!("mount {text:?}: unknown key {key:?}; there are type, src, dst and options"),
        }
    }
    anyhow::ensure!(!mount.destination.is_empty(), "mount {text:?} has no dst");
    Ok(mount)
}

impl Run {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        anyhow::ensure!(
            !(self.rm && self.detach),
            "flags --detach and --rm cannot be specified together"
        );
        let (id, terminal) = (self.id.clone(), self.options.tty);
        let request = self.options.request(client, self.image, self.id, self.args)?;
        client.runtime.containers().create(request).await?;
        let start = What::Start(Start {
            namespace: client.namespace.clone(),
            id: id.clone(),
            detach: self.detach,
        });
        let ended = if self.detach {
            session::detached(client, start).await.map(|_| 0)
        } else {
            session::joined(client, start, &id, terminal).await
        };
        // ctr's order: who has seen the end takes the task away, and with --rm the container.
        if !self.detach && ended.is_ok() {
            delete(client, &id, true).await?;
        }
        if self.rm {
            delete(client, &id, false).await?;
        }
        match ended? {
            0 => Ok(()),
            code => Err(Exit(code).into()),
        }
    }
}

/// Takes a task or a container away.
pub(super) async fn delete(client: &Client, id: &str, task: bool) -> anyhow::Result<u32> {
    let request = DeleteRequest {
        namespace: client.namespace.clone(),
        id: id.to_owned(),
        task,
        force: false,
    };
    Ok(client
        .runtime
        .containers()
        .delete(request)
        .await?
        .into_inner()
        .exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_written_as_ctr_does() {
        let made = mount("type=bind,src=/a,dst=/b,options=rbind:ro").expect("a mount");
        assert_eq!(
            (made.r#type.as_str(), made.source.as_str(), made.destination.as_str()),
            ("bind", "/a", "/b")
        );
        assert_eq!(made.options, ["rbind", "ro"]);
        for text in ["", "src=/a", "dst=/b,x=1", "dst"] {
            assert!(mount(text).is_err(), "{text}");
        }
    }
}
