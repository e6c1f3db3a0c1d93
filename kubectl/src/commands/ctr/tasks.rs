//! `ctr task …`: processes of containers.

use std::collections::BTreeMap;
use std::io::Write as _;

use clap::{Args, Subcommand};
use minik_api::containers::input::What;
use minik_api::containers::task::Status;
use minik_api::containers::{
    Attach as AttachRequest, Exec as ExecRequest, InspectRequest, SignalRequest, Start as StartRequest,
};

use super::Client;
use super::images::write;
use super::run::delete;
use super::session;
use super::tabs::WIDE;
use crate::failure::Exit;

/// The verbs of `ctr task`.
#[derive(Subcommand, Debug)]
pub(super) enum TasksVerb {
    /// Start a container's task
    Start(Start),
    /// List tasks
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// List a task's processes
    Ps(One),
    /// Run one more process in a task
    Exec(Exec),
    /// Send a signal to a task
    Kill(Kill),
    /// Join a task's input and output
    Attach(One),
    /// Remove tasks that have ended
    #[command(visible_aliases = ["rm", "remove", "del"])]
    Delete(Delete),
    /// Show a task's figures
    #[command(visible_alias = "metric")]
    Metrics(Metrics),
    /// Stop a task's clock
    Pause(One),
    /// Let a task go on
    Resume(One),
}

#[derive(Args, Debug)]
pub(super) struct Start {
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// Leave when it has started.
    #[arg(short, long)]
    detach: bool,
    #[arg(long, hide = true)]
    null_io: bool,
}

#[derive(Args, Debug)]
pub(super) struct Ls {
    /// Ids only.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Args, Debug)]
pub(super) struct One {
    #[arg(value_name = "CONTAINER")]
    id: String,
}

#[derive(Args, Debug)]
pub(super) struct Exec {
    /// Give the process a terminal.
    #[arg(short, long)]
    tty: bool,
    /// Leave when it has started.
    #[arg(short, long)]
    detach: bool,
    /// A name for the process.
    #[arg(long, value_name = "NAME", required = true)]
    exec_id: String,
    /// Its working directory.
    #[arg(long, value_name = "PATH")]
    cwd: Option<String>,
    /// UID[:GID]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    #[arg(value_name = "CONTAINER")]
    id: String,
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    args: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct Kill {
    #[arg(value_name = "CONTAINER")]
    id: String,
    // By the id of the flag that `-s` is everywhere else: clap lets it stand in for that one here.
    /// SIGTERM, TERM or 15 [default: the image's, else SIGTERM]
    #[arg(id = "server", short = 's', long = "signal", value_name = "SIGNAL")]
    signal: Option<String>,
    /// To all processes.
    #[arg(short, long)]
    all: bool,
    /// To a process that `exec` started.
    #[arg(long, value_name = "NAME")]
    exec_id: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Delete {
    #[arg(value_name = "CONTAINER", required = true)]
    ids: Vec<String>,
    /// Kill what runs.
    #[arg(short, long)]
    force: bool,
}

#[derive(Args, Debug)]
pub(super) struct Metrics {
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"], hide_default_value = true)]
    format: String,
}

impl TasksVerb {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::Start(verb) => verb.run(client).await,
            Self::Ls(verb) => verb.run(client).await,
            Self::Ps(verb) => ps(client, verb.id).await,
            Self::Exec(verb) => verb.run(client).await,
            Self::Kill(verb) => verb.run(client).await,
            Self::Attach(verb) => attach(client, verb.id).await,
            Self::Delete(verb) => verb.run(client).await,
            Self::Metrics(verb) => verb.run(client).await,
            Self::Pause(verb) => clock(client, verb.id, true).await,
            Self::Resume(verb) => clock(client, verb.id, false).await,
        }
    }
}

impl Start {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let start = What::Start(StartRequest {
            namespace: client.namespace.clone(),
            id: self.id.clone(),
            detach: self.detach,
        });
        if self.detach {
            return session::detached(client, start).await.map(drop);
        }
        let terminal = has_terminal(client, &self.id).await?;
        let code = session::joined(client, start, &self.id, terminal).await?;
        delete(client, &self.id, true).await?;
        exit(code)
    }
}

/// Whether a container was made with a terminal.
async fn has_terminal(client: &Client, id: &str) -> anyhow::Result<bool> {
    let containers = client.containers(id).await?;
    let spec = containers.first().map(|container| container.spec.as_slice());
    let spec: serde_json::Value = serde_json::from_slice(spec.unwrap_or_default()).unwrap_or_default();
    Ok(spec["process"]["terminal"].as_bool().unwrap_or_default())
}

fn exit(code: u8) -> anyhow::Result<()> {
    if code == 0 { Ok(()) } else { Err(Exit(code).into()) }
}

impl Ls {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let containers = client.containers("").await?;
        let tasks = containers
            .into_iter()
            .filter_map(|container| Some((container.id, container.task?)));
        if self.quiet {
            let lines: String = tasks.map(|(id, _)| format!("{id}\n")).collect();
            return write(&lines);
        }
        let row = |(id, task): (String, minik_api::containers::Task)| {
            let status = match task.status() {
                Status::Created => "CREATED",
                Status::Running => "RUNNING",
                Status::Paused => "PAUSED",
                Status::Stopped => "STOPPED",
            };
            format!("{id}\t{}\t{status}\n", task.pid)
        };
        let rows: String = tasks.map(row).collect();
        write(&WIDE.format(&format!("TASK\tPID\tSTATUS\t\n{rows}")))
    }
}

async fn ps(client: &Client, id: String) -> anyhow::Result<()> {
    let request = InspectRequest {
        namespace: client.namespace.clone(),
        id,
    };
    let answer = client.runtime.containers().inspect(request).await?.into_inner();
    let mut text = "PID\tINFO\n".to_owned();
    for process in answer.processes {
        let info = match process.exec_id.as_str() {
            "" => "-".to_owned(),
            id => format!("&ProcessDetails{{ExecID:{id},}}"),
        };
        text.push_str(&format!("{}\t{info}\n", process.pid));
    }
    write(&WIDE.format(&text))
}

impl Exec {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let exec = What::Exec(ExecRequest {
            namespace: client.namespace.clone(),
            id: self.id.clone(),
            exec_id: self.exec_id,
            args: self.args,
            terminal: self.tty,
            detach: self.detach,
            cwd: self.cwd.unwrap_or_default(),
            user: self.user.unwrap_or_default(),
        });
        if self.detach {
            return session::detached(client, exec).await.map(drop);
        }
        exit(session::joined(client, exec, &self.id, self.tty).await?)
    }
}

async fn attach(client: &Client, id: String) -> anyhow::Result<()> {
    let terminal = has_terminal(client, &id).await?;
    let attach = What::Attach(AttachRequest {
        namespace: client.namespace.clone(),
        id: id.clone(),
    });
    let code = session::joined(client, attach, &id, terminal).await?;
    // ctr's rule: who has seen the end takes the task away. That of a pod's container is the kubelet's.
    let _ = delete(client, &id, true).await;
    exit(code)
}

impl Kill {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let request = SignalRequest {
            namespace: client.namespace.clone(),
            id: self.id,
            exec_id: self.exec_id.unwrap_or_default(),
            signal: self.signal.unwrap_or_default(),
            all: self.all,
            ..SignalRequest::default()
        };
        client.runtime.containers().signal(request).await?;
        Ok(())
    }
}

async fn clock(client: &Client, id: String, pause: bool) -> anyhow::Result<()> {
    let request = SignalRequest {
        namespace: client.namespace.clone(),
        id,
        pause,
        resume: !pause,
        ..SignalRequest::default()
    };
    client.runtime.containers().signal(request).await?;
    Ok(())
}

impl Delete {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        for id in self.ids {
            let request = minik_api::containers::DeleteRequest {
                namespace: client.namespace.clone(),
                id: id.clone(),
                task: true,
                force: self.force,
            };
            let code = client
                .runtime
                .containers()
                .delete(request)
                .await?
                .into_inner()
                .exit_code;
            if code != 0 {
                writeln!(
                    anstream::stderr(),
                    "warning: task {id} exit with non-zero exit code {code}"
                )?;
            }
        }
        Ok(())
    }
}

impl Metrics {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        let request = InspectRequest {
            namespace: client.namespace.clone(),
            id: self.id.clone(),
        };
        let answer = client.runtime.containers().inspect(request).await?.into_inner();
        if self.format == "json" {
            let all: BTreeMap<String, String> = answer
                .metrics
                .into_iter()
                .map(|metric| (metric.name, metric.value))
                .collect();
            return write(&format!("{}\n", serde_json::to_string_pretty(&all)?));
        }
        let time = super::node::time(answer.timestamp);
        let head = WIDE.format(&format!("ID\tTIMESTAMP\t\n{}\t{time}\t\n", self.id));
        let rows: String = answer
            .metrics
            .iter()
            .map(|metric| format!("{}\t{}\t\n", metric.name, metric.value))
            .collect();
        write(&format!("{head}\n{}", WIDE.format(&format!("METRIC\tVALUE\t\n{rows}"))))
    }
}
