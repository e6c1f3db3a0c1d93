//! The shell: what is seen goes into the graph, what is decided goes out. One task owns it all; requests run beside it.

mod collector;
mod emptier;
mod signer;
mod view;

use std::future;
use std::sync::Arc;

use futures::future::BoxFuture;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::Error;
use crate::certificates::Authority;
use crate::garbage::Kind;
use crate::watches::{Event, Seen, Watches, discover};

use collector::Collector;
use emptier::Emptier;
use signer::Signer;
use view::View;

/// The definitions of further kinds: when one changes, what is served may have changed.
const DEFINITIONS: &str = "CustomResourceDefinition";

/// Tends the cluster until SIGTERM or SIGINT.
pub(crate) async fn run(client: Client, authority: Option<Authority>) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    let (collected, mut collections) = mpsc::unbounded_channel();
    let (emptied, mut emptyings) = mpsc::unbounded_channel();
    let mut shell = Shell {
        view: View::default(),
        watches: Watches::new(client.clone()),
        collector: Collector::new(client.clone(), collected),
        emptier: Emptier::new(client.clone(), emptied),
        signer: Signer::new(client.clone(), authority),
        kinds: KindsAsked::new(client),
    };
    minik_api::notify::ready().map_err(Error::Notify)?;
    tracing::info!("tending");
    loop {
        shell.work();
        tokio::select! {
            seen = shell.watches.next() => shell.seen(seen),
            kinds = shell.kinds.next() => shell.discovered(&kinds),
            Some(outcome) = collections.recv() => shell.collector.done(outcome, &mut shell.view.graph),
            Some(outcome) = emptyings.recv() => shell.emptier.done(outcome),
            () = shell.signer.next() => {}
            () = shell.collector.due() => {}
            () = shell.emptier.due() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("stopping");
    Ok(())
}

struct Shell {
    view: View,
    watches: Watches,
    collector: Collector,
    emptier: Emptier,
    signer: Signer,
    kinds: KindsAsked,
}

impl Shell {
    fn seen(&mut self, Seen { kind, event }: Seen) {
        if kind.kind == DEFINITIONS {
            self.kinds.ask();
        }
        if kind.kind == signer::KIND
            && let Event::Apply(request) | Event::InitApply(request) = &event
        {
            self.signer.touched(request.metadata.name.clone());
        }
        let change = self.view.apply(&kind, event);
        for namespace in change.namespaces {
            self.emptier.touched(namespace);
        }
        self.collector.look_at(change.concerned);
    }

    fn discovered(&mut self, kinds: &[Arc<Kind>]) {
        self.view.set_kinds(kinds);
        self.watches.set(kinds);
    }

    /// Decides on everything that may have to be decided anew. Before all watches have told what there is, nothing is: what
    /// isn't known yet would look as if it weren't there.
    fn work(&mut self) {
        if self.view.is_complete() {
            self.collector.work(&self.view.graph);
            self.emptier.work(&self.view.graph);
        }
    }
}

/// The question what is served: asked at the start and again when definitions change, one at a time.
struct KindsAsked {
    client: Client,
    answer: Option<BoxFuture<'static, Vec<Arc<Kind>>>>,
    is_outdated: bool,
}

impl KindsAsked {
    fn new(client: Client) -> Self {
        let answer = Some(ask(&client));
        Self {
            client,
            answer,
            is_outdated: false,
        }
    }

    fn ask(&mut self) {
        match self.answer {
            Some(_) => self.is_outdated = true,
            None => self.answer = Some(ask(&self.client)),
        }
    }

    async fn next(&mut self) -> Vec<Arc<Kind>> {
        let Some(answer) = &mut self.answer else {
            return future::pending().await;
        };
        let kinds = answer.await;
        let again = std::mem::take(&mut self.is_outdated);
        self.answer = again.then(|| ask(&self.client));
        kinds
    }
}

fn ask(client: &Client) -> BoxFuture<'static, Vec<Arc<Kind>>> {
    Box::pin(discover(client.clone()))
}
