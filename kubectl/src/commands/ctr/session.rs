//! This process's terminal or pipes, joined with a process of a container until that ends.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use futures::channel::mpsc as sizes;
use futures::stream::FuturesUnordered;
use kube::api::TerminalSize;
use minik_api::containers::input::What;
use minik_api::containers::output::What as Told;
use minik_api::containers::{Input, Output, SignalRequest, Size};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Client;
use crate::commands::terminal::{RawTerminal, follow_size, typed};

/// Messages on their way to the runtime.
const BACKLOG: usize = 16;
/// Signals that are the process's, not ours, when it has no terminal; with one, keys are.
const FORWARDED: [(SignalKind, &str); 6] = [
    (SignalKind::interrupt(), "INT"),
    (SignalKind::terminate(), "TERM"),
    (SignalKind::hangup(), "HUP"),
    (SignalKind::quit(), "QUIT"),
    (SignalKind::user_defined1(), "USR1"),
    (SignalKind::user_defined2(), "USR2"),
];

/// Starts something and leaves it; gives its pid.
pub(super) async fn detached(client: &Client, first: What) -> anyhow::Result<u32> {
    let (sender, receiver) = mpsc::channel(1);
    sender.send(Input { what: Some(first) }).await?;
    let mut outputs = client.runtime.containers().run(inputs(receiver)).await?.into_inner();
    match outputs.message().await?.and_then(|output| output.what) {
        Some(Told::Started(started)) => Ok(started.pid),
        _ => bail!("the runtime ended without saying why; see its log"),
    }
}

/// Joins until the process ends; gives its exit code. `id` is whose signals are passed on.
pub(super) async fn joined(client: &Client, first: What, id: &str, terminal: bool) -> anyhow::Result<u8> {
    let raw = if terminal {
        Some(RawTerminal::enter().context("can't use this terminal: provided file is not a console")?)
    } else {
        None
    };
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let (changes, mut changed) = sizes::channel(1);
    sender.send(Input { what: Some(first) }).await?;
    let mut outputs = client.runtime.containers().run(inputs(receiver)).await?.into_inner();
    // The end of what is typed is the end of the stream; a terminal's goes on for as long as its size may change.
    let input = async move {
        let sizing = async {
            while let Some(TerminalSize { width, height }) = changed.next().await {
                let size = Size {
                    width: width.into(),
                    height: height.into(),
                };
                send(&sender, What::Size(size)).await;
            }
        };
        let typing = async {
            let mut typed = typed();
            while let Some(bytes) = typed.recv().await {
                send(&sender, What::Stdin(bytes)).await;
            }
        };
        futures::join!(follow_size(terminal.then_some(changes)), sizing, typing);
    };
    let signals = forward(client, id, terminal);
    let output = show(&mut outputs);
    tokio::pin!(input, signals, output);
    let mut input_goes_on = true;
    let code = loop {
        tokio::select! {
            code = &mut output => break code,
            () = &mut input, if input_goes_on => input_goes_on = false,
            () = &mut signals => {}
        }
    };
    drop(raw);
    code
}

fn inputs(receiver: mpsc::Receiver<Input>) -> impl futures::Stream<Item = Input> + Send + 'static {
    futures::stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    })
}

async fn send(sender: &mpsc::Sender<Input>, what: What) {
    // The output tells why nobody listens any more.
    let _ = sender.send(Input { what: Some(what) }).await;
}

async fn show(outputs: &mut tonic::Streaming<Output>) -> anyhow::Result<u8> {
    while let Some(output) = outputs.message().await? {
        match output.what {
            Some(Told::Stdout(bytes)) => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&bytes)?;
                stdout.flush()?;
            }
            Some(Told::Stderr(bytes)) => std::io::stderr().write_all(&bytes)?,
            // An exit code has eight bits.
            Some(Told::Exited(exited)) => return Ok(u8::try_from(exited.code & 0xff).expect("eight bits are a u8")),
            Some(Told::Started(_)) | None => {}
        }
    }
    bail!("the runtime ended before the process; it goes on, see `ctr task ls`")
}

/// Passes signals on for as long as the session goes on.
async fn forward(client: &Client, id: &str, terminal: bool) {
    let waiting = FORWARDED.iter().filter(|_| !terminal).map(|(kind, name)| async move {
        let Ok(mut signals) = signal(*kind) else { return };
        while signals.recv().await.is_some() {
            let request = SignalRequest {
                namespace: client.namespace.clone(),
                id: id.to_owned(),
                signal: (*name).to_owned(),
                ..SignalRequest::default()
            };
            // It may end in this moment.
            let _ = client.runtime.containers().signal(request).await;
        }
    });
    let mut waiting: FuturesUnordered<_> = waiting.collect();
    while waiting.next().await.is_some() {}
    std::future::pending::<()>().await;
}
