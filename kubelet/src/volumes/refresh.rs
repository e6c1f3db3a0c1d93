//! Notices when something that a pod's volumes show has changed, or when a token in them has to be replaced.
//!
//! There is one watch for each config map and secret, however many pods show it; it ends with the last of them. Each change
//! brings the volumes of these pods up to date.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::spec::references::References;
use crate::tokens::TokenRequest;

/// The longest time between two looks at the wall clock, which goes on while a laptop sleeps and tokio's clock doesn't.
const LOOK: Duration = Duration::from_secs(600);

/// One object that pods show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Object {
    is_secret: bool,
    namespace: String,
    name: String,
}

/// A watch, shared by all who hold it.
struct Watch {
    changes: watch::Receiver<()>,
    task: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// All watches of this kubelet.
pub(crate) struct Watches {
    client: Client,
    open: Mutex<HashMap<Object, Weak<Watch>>>,
}

impl Watches {
    /// None yet.
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            open: Mutex::default(),
        }
    }

    /// Sends `message()` for each change of these, and when a token of theirs is due. It ends when the set is dropped.
    pub(crate) fn follow<M: Send + 'static>(
        &self,
        namespace: &str,
        references: &References,
        changed: &Sender<M>,
        message: fn() -> M,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let config_maps = references.config_maps.iter().map(|name| (false, name));
        let secrets = references.secrets.iter().map(|name| (true, name));
        for (is_secret, name) in config_maps.chain(secrets) {
            let watch = self.watch(Object {
                is_secret,
                namespace: namespace.to_owned(),
                name: name.clone(),
            });
            let mut changes = watch.changes.clone();
            // What was seen before now is in what the pod is about to read.
            changes.mark_unchanged();
            tasks.spawn(tell_changes((watch, changes), changed.clone(), message));
        }
        for request in &references.tokens {
            tasks.spawn(tell_due(request.clone(), changed.clone(), message));
        }
        tasks
    }

    fn watch(&self, object: Object) -> Arc<Watch> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = open.get(&object).and_then(Weak::upgrade) {
            return watch;
        }
        open.retain(|_, watch| watch.strong_count() > 0);
        let (sender, changes) = watch::channel(());
        let (client, Object { namespace, name, .. }) = (self.client.clone(), object.clone());
        let task = match object.is_secret {
            true => tokio::spawn(run(Api::<Secret>::namespaced(client, &namespace), name, sender)),
            false => tokio::spawn(run(Api::<ConfigMap>::namespaced(client, &namespace), name, sender)),
        };
        let watch = Arc::new(Watch {
            changes,
            task: task.abort_handle(),
        });
        open.insert(object, Arc::downgrade(&watch));
        watch
    }
}

async fn run<K>(api: Api<K>, name: String, changed: watch::Sender<()>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher(api, config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        // After a listing too: the object may have changed before the watch began, and unchanged files are left alone.
        if matches!(event, Ok(Event::Apply(_) | Event::Delete(_) | Event::InitDone)) {
            changed.send_replace(());
        }
    }
}

/// Holds the watch for as long as it runs.
async fn tell_changes<M>(
    (_watch, mut changes): (Arc<Watch>, watch::Receiver<()>),
    changed: Sender<M>,
    message: fn() -> M,
) {
    while changes.changed().await.is_ok() {
        if changed.send(message()).await.is_err() {
            return;
        }
    }
}

async fn tell_due<M>(request: TokenRequest, changed: Sender<M>, message: fn() -> M) {
    loop {
        let begun = Timestamp::now();
        while let Some(left) = left(begun, request.due_after(), Timestamp::now()) {
            tokio::time::sleep(left.min(LOOK)).await;
        }
        if changed.send(message()).await.is_err() {
            return;
        }
    }
}

/// How long there is until then; none when that is over.
fn left(begun: Timestamp, after: SignedDuration, now: Timestamp) -> Option<Duration> {
    let left = after.saturating_sub(now.duration_since(begun));
    Duration::try_from(left).ok().filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_due_by_the_wall_clock() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        let after = SignedDuration::from_secs(100);
        assert_eq!(left(at(0), after, at(40)), Some(Duration::from_secs(60)));
        assert_eq!(left(at(0), after, at(100)), None);
        assert_eq!(left(at(0), after, at(9999)), None, "the laptop slept");
        assert_eq!(
            left(at(0), after, at(-10)),
            Some(Duration::from_secs(110)),
            "the clock was set back"
        );
    }
}
