//! Keeps the catalogue of kinds what the stored definitions say, and the definitions' statuses what is true.
//!
//! One task that wakes when a definition changes (or, while one is being deleted, one of its objects): it accepts names, serves
//! what has them, says so, and empties what is to go. It does only what a client could, but for the catalogue.

use std::collections::BTreeMap;

use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::definition;
use super::naming::{ESTABLISHED, Naming, Taken, decide, is_true, set_condition};
use crate::kinds::CLEANUP;
use crate::registry::{DeleteOptions, Part, Registry, Selection, Target, WriteOptions, now, resource};

fn definitions() -> &'static Kind {
    kinds::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition").expect("definitions are in the table of kinds")
}

/// The definitions with the names they get, by name.
type Decided = BTreeMap<String, (Object, Naming)>;

impl Registry {
    /// Serves what is defined and accepted already: before anybody asks.
    pub(crate) fn serve_customs(&self) {
        let decided = self.decided();
        self.serve(&decided);
    }

    /// Keeps custom kinds in order until the store stops.
    pub(crate) async fn tend_customs(self) {
        let mut definitions = self.store().subscribe(&resource(definitions()));
        loop {
            definitions.borrow_and_update();
            let decided = self.decided();
            self.serve(&decided);
            let leaving: Vec<String> = decided
                .values()
                .filter(|(definition, _)| definition.metadata.deletion_timestamp.is_some())
                .map(|(definition, _)| definition.name().to_owned())
                .collect();
            let mut contents: Vec<_> = leaving
                .iter()
                .map(|resource| self.store().subscribe(resource))
                .collect();
            for (name, (definition, naming)) in &decided {
                if let Err(status) = self.tend_definition(definition, naming).await {
                    tracing::warn!(name, %status, "the definition can't be tended; trying again at the next change");
                }
            }
            let waits = std::iter::once(&mut definitions).chain(&mut contents);
            let waits = waits.map(|change| Box::pin(change.changed()));
            let (changed, ..) = futures::future::select_all(waits).await;
            if changed.is_err() {
                return;
            }
        }
    }

    fn decided(&self) -> Decided {
        let all = self.selected(definitions(), &Selection::default());
        let all: Vec<Object> = all.iter().map(|stored| stored.object()).collect();
        // Those accepted now are taken for those that come after.
        let mut accepted: BTreeMap<&str, Value> = all
            .iter()
            .filter_map(|object| Some((object.name(), object.at("status.acceptedNames")?.clone())))
            .collect();
        let group = |object: &Object| object.at("spec.group").cloned();
        let mut namings = Vec::new();
        for object in &all {
            let others = all
                .iter()
                .filter(|other| other.name() != object.name() && group(other) == group(object));
            let taken = Taken::by(others.filter_map(|other| accepted.get(other.name())));
            let naming = decide(object, &taken);
            accepted.insert(object.name(), naming.accepted.clone());
            namings.push(naming);
        }
        let name = |object: &Object| object.name().to_owned();
        all.iter().map(name).zip(all.iter().cloned().zip(namings)).collect()
    }

    /// A definition that was established once is served with the names that it has; one that is new when it has all.
    fn serve(&self, decided: &Decided) {
        let mut served = Vec::new();
        for (definition, naming) in decided.values() {
            if naming.status == "True" || is_true(definition, ESTABLISHED) {
                let mut definition = definition.clone();
                set_names(&mut definition, naming);
                served.extend(definition::kinds(&definition));
            }
        }
        self.kinds().replace(served);
    }

    async fn tend_definition(&self, definition: &Object, naming: &Naming) -> Result<(), Status> {
        let leaves = definition.metadata.deletion_timestamp.is_some();
        let is_clean = leaves && self.empty(definition).await?;
        if is_clean {
            // Before the definition goes: who sees it gone sees its kind gone.
            self.kinds().withdraw(definition.name());
        }
        let at = now().0.to_string();
        self.change(definition.name(), |object| {
            set_names(object, naming);
            set_condition(
                object,
                "NamesAccepted",
                (naming.status, naming.reason, &naming.message),
                &at,
            );
            match naming.status {
                _ if is_true(object, ESTABLISHED) => {}
                "True" => {
                    let state = ("True", "InitialNamesAccepted", "the initial names have been accepted");
                    set_condition(object, ESTABLISHED, state, &at);
                }
                _ => set_condition(
                    object,
                    ESTABLISHED,
                    ("False", "NotAccepted", "not all names are accepted"),
                    &at,
                ),
            }
            if leaves && !is_clean {
                let state = (
                    "True",
                    "InstanceDeletionInProgress",
                    "CustomResource deletion is in progress",
                );
                set_condition(object, "Terminating", state, &at);
            }
            if is_clean {
                let state = ("False", "InstanceDeletionCompleted", "removed all instances");
                set_condition(object, "Terminating", state, &at);
                let finalizers = object.metadata.finalizers.get_or_insert_default();
                finalizers.retain(|finalizer| finalizer != CLEANUP);
            }
        })
        .await
    }

    /// Deletes the objects of a definition; true when none is left.
    async fn empty(&self, definition: &Object) -> Result<bool, Status> {
        let finalizers = definition.metadata.finalizers.as_deref().unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
            return Ok(false);
        }
        let group = definition.at("spec.group").and_then(Value::as_str).unwrap_or_default();
        let plural = definition
            .at("spec.names.plural")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(kind) = self.kinds().of_resource(group, plural) else {
            // Never served in any version: nothing can be there.
            return Ok(true);
        };
        let mut left = 0;
        for stored in self.selected(kind, &Selection::default()) {
            if stored.object().metadata.deletion_timestamp.is_some() {
                left += 1;
                continue;
            }
            let target = Target {
                kind,
                namespace: stored.key.namespace(),
                name: stored.key.name(),
            };
            match self
                .delete(target, &DeleteOptions::default(), WriteOptions::own())
                .await
            {
                Ok(deleted) => left += usize::from(!deleted.gone),
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        Ok(left == 0)
    }

    async fn change(&self, name: &str, mut change: impl FnMut(&mut Object)) -> Result<(), Status> {
        let target = Target {
            kind: definitions(),
            namespace: "",
            name,
        };
        let updated = self.update(target, Part::Own, WriteOptions::own(), |old| {
            let mut new = old.clone();
            change(&mut new);
            Ok(new)
        });
        match updated.await {
            Err(status) if status.code != 404 => Err(status),
            _ => Ok(()),
        }
    }
}

fn set_names(definition: &mut Object, naming: &Naming) {
    let status = definition.body.entry("status").or_insert_with(|| json!({}));
    if let Some(status) = status.as_object_mut() {
        status.insert("acceptedNames".into(), naming.accepted.clone());
    }
}
