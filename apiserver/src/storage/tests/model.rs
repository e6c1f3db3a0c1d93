//! Any sequence of writes, seen through get, list and watch, is what a map and a list of events would show.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Put, expecting what is there (true) or something else (false).
    Put(u8, u8, bool),
    /// Remove, the same.
    Remove(u8, bool),
    /// Stop and start again.
    Reopen,
    /// Look at the past.
    ListAt(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..5u8, any::<u8>(), prop::bool::weighted(0.8)).prop_map(|(name, value, right)| Step::Put(name, value, right)),
        3 => (0..5u8, prop::bool::weighted(0.8)).prop_map(|(name, right)| Step::Remove(name, right)),
        1 => Just(Step::Reopen),
        2 => (0..20u8).prop_map(Step::ListAt),
    ]
}

/// What a right store would hold.
#[derive(Default)]
struct Model {
    /// Name to revision and value.
    objects: BTreeMap<String, (Revision, String)>,
    revision: Revision,
    /// Objects as they were after each revision since the store was opened.
    past: BTreeMap<Revision, BTreeMap<String, (Revision, String)>>,
    /// Revision, event, name.
    events: Vec<(Revision, EventKind, String)>,
}

impl Model {
    fn expect(&self, name: &str, right: bool) -> Expect {
        match (self.objects.get(name), right) {
            (Some((revision, _)), true) => Expect::At(*revision),
            (None, true) | (Some(_), false) => Expect::Absent,
            (None, false) => Expect::At(self.revision),
        }
    }

    fn wrote(&mut self, name: &str, value: Option<String>) {
        self.revision = self.revision.next();
        let before = match &value {
            Some(value) => self.objects.insert(name.to_owned(), (self.revision, value.clone())),
            None => self.objects.remove(name),
        };
        let kind = match (value, before) {
            (None, _) => EventKind::Deleted,
            (Some(_), None) => EventKind::Added,
            (Some(_), Some(_)) => EventKind::Modified,
        };
        self.events.push((self.revision, kind, name.to_owned()));
        self.past.insert(self.revision, self.objects.clone());
    }

    /// History begins anew.
    fn reopened(&mut self) {
        self.events.clear();
        self.past.clear();
        self.past.insert(self.revision, self.objects.clone());
    }
}

fn listed(snapshot: &Snapshot) -> BTreeMap<String, (Revision, String)> {
    let objects = snapshot.objects("configmaps", "default", None);
    objects
        .map(|stored| {
            let object = stored.object();
            assert_eq!(object.metadata.resource_version, Some(stored.revision.to_string()));
            let value = object
                .at("data.v")
                .and_then(|value| value.as_str())
                .unwrap_or_default()
                .to_owned();
            (stored.key.name().to_owned(), (stored.revision, value))
        })
        .collect()
}

async fn check(store: &Store, model: &Model, opened_at: Revision) -> Result<(), TestCaseError> {
    let snapshot = store.snapshot("configmaps");
    prop_assert_eq!(snapshot.revision, model.revision);
    prop_assert_eq!(&listed(&snapshot), &model.objects);
    let (events, newest) = store
        .events("configmaps", opened_at)
        .expect("all since the start is kept");
    prop_assert_eq!(newest, model.revision);
    let events: Vec<_> = events
        .iter()
        .map(|event| (event.object.revision, event.kind, event.object.key.name().to_owned()))
        .collect();
    prop_assert_eq!(&events, &model.events);
    Ok(())
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut store, mut writer) = open(directory.path());
    let mut model = Model::default();
    let mut opened_at = Revision(0);
    model.reopened();
    for step in steps {
        match step {
            Step::Put(name, value, right) => {
                let (name, value) = (format!("n{name}"), value.to_string());
                let expect = model.expect(&name, right);
                let outcome = store.write(key(&name), expect, put(&name, &value)).await;
                prop_assert_eq!(outcome.is_ok(), right);
                if right {
                    model.wrote(&name, Some(value));
                }
            }
            Step::Remove(name, right) => {
                let name = format!("n{name}");
                let right = right && model.objects.contains_key(&name);
                let expect = if right {
                    model.expect(&name, true)
                } else {
                    Expect::At(Revision(u64::MAX))
                };
                let change = Change::Remove(Box::new(object(&name, "")));
                let outcome = store.write(key(&name), expect, change).await;
                prop_assert_eq!(outcome.is_ok(), right);
                if right {
                    model.wrote(&name, None);
                }
            }
            Step::Reopen => {
                close(store, writer).await;
                (store, writer) = open(directory.path());
                opened_at = model.revision;
                model.reopened();
            }
            Step::ListAt(back) => {
                let at = Revision(model.revision.0.saturating_sub(back.into()));
                match (store.snapshot_at("configmaps", at), model.past.get(&at)) {
                    (Ok(snapshot), Some(past)) => prop_assert_eq!(&listed(&snapshot), past),
                    (Err(expired), None) => prop_assert_eq!(expired.oldest, opened_at),
                    (found, wanted) => prop_assert!(false, "{found:?} instead of {wanted:?}"),
                }
            }
        }
        check(&store, &model, opened_at).await?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_store_is_what_the_model_is(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(play(steps))?;
    }
}

#[tokio::test]
async fn of_many_writers_at_one_revision_one_wins() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, writer) = open(directory.path());
    let first = store
        .write(key("a"), Expect::Absent, put("a", "0"))
        .await
        .expect("nothing is there");
    let writes = (0..64).map(|n| {
        let store = store.clone();
        let revision = first.revision;
        async move {
            store
                .write(key("a"), Expect::At(revision), put("a", &n.to_string()))
                .await
        }
    });
    let outcomes = futures::future::join_all(writes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(store.revision(), first.revision.next());
    close(store, writer).await;
}

#[tokio::test]
async fn a_watcher_slower_than_the_ring_is_told_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, writer) = open(directory.path());
    let start = store.revision();
    let writes = (0..1500).map(|n| store.write(key(&format!("n{n}")), Expect::Absent, put("n", "0")));
    for outcome in futures::future::join_all(writes).await {
        outcome.expect("all are new");
    }
    let expired = store
        .events("configmaps", start)
        .expect_err("more happened than is kept");
    let (kept, newest) = store.events("configmaps", expired.oldest).expect("what is kept");
    assert_eq!((kept.len(), newest), (1024, Revision(1500)));
    close(store, writer).await;
}
