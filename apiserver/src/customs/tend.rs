//! Keeps the catalogue of kinds what the stored definitions say, and the definitions' statuses what is true.
//!
//! One task that wakes when a definition changes (or, while one is being deleted, one of its objects): it accepts names, serves
//! what has them, says so, and empties what is to go. It does only what a client could, but for the catalogue.

use std::collections::BTreeSet;

use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::Value;

use super::known::Known;
use super::naming::{ESTABLISHED, Naming, is_true, set_condition};
use crate::kinds::{CLEANUP, api_service};
use crate::registry::{DeleteOptions, Part, Registry, Selection, Target, WriteOptions, now, resource};

fn definitions() -> &'static Kind {
    kinds::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition").expect("definitions are in the table of kinds")
}

impl Registry {
    /// Serves what is defined and accepted already: before anybody asks.
    pub(crate) fn serve_customs(&self) -> Known {
        let mut known = Known::default();
        self.serve(&mut known);
        known
    }

    /// Keeps custom kinds in order until the store stops.
    pub(crate) async fn tend_customs(self, mut known: Known) {
        let mut definitions = self.store().subscribe(&resource(definitions()));
        loop {
            definitions.borrow_and_update();
            self.serve(&mut known);
            let leaving = known.decided().filter(|(definition, _)| is_leaving(definition));
            let mut contents: Vec<_> = leaving
                .map(|(definition, _)| self.store().subscribe(definition.name()))
                .collect();
            for (definition, naming) in known.decided() {
                if let Err(status) = self.tend_definition(definition, naming).await {
                    let name = definition.name();
                    tracing::warn!(name, %status, "the definition can't be tended; trying again at the next change");
                }
            }
            if let Err(status) = self.tend_api_services().await {
                tracing::warn!(%status, "the API services of custom kinds can't be tended; trying again at the next change");
            }
            let waits = std::iter::once(&mut definitions).chain(&mut contents);
            let waits = waits.map(|change| Box::pin(change.changed()));
            let (changed, ..) = futures::future::select_all(waits).await;
            if changed.is_err() {
                return;
            }
        }
    }

    /// A definition that was established once is served with the names that it has; one that is new when it has all.
    fn serve(&self, known: &mut Known) {
        known.update(&self.selected(definitions(), &Selection::default()));
        let kinds = known.kinds(|definition, naming| naming.status == "True" || is_true(definition, ESTABLISHED));
        self.kinds().replace(kinds);
    }

    /// Each group and version of custom kinds has an API service, for as long as there are any.
    async fn tend_api_services(&self) -> Result<(), Status> {
        let kind = kinds::of("apiregistration.k8s.io", "v1", "APIService").expect("they are in the table of kinds");
        let mut gone: BTreeSet<String> = BTreeSet::new();
        for stored in self.selected(kind, &Selection::default()) {
            let labels = stored.object().metadata.labels.unwrap_or_default();
            if labels
                .get(api_service::AUTOMANAGED)
                .is_some_and(|value| value == "true")
            {
                gone.insert(stored.key.name().to_owned());
            }
        }
        for custom in self.kinds().customs() {
            let name = format!("{}.{}", custom.kind.version, custom.kind.group);
            if !gone.remove(&name) {
                self.ensure(kind, "", &api_service::of_custom(custom.kind)).await?;
            }
        }
        for name in &gone {
            let (namespace, name) = ("", name.as_str());
            let target = Target { kind, namespace, name };
            match self
                .delete(target, &DeleteOptions::default(), WriteOptions::own())
                .await
            {
                Err(status) if status.code != 404 => return Err(status),
                _ => {}
            }
        }
        Ok(())
    }

    async fn tend_definition(&self, definition: &Object, naming: &Naming) -> Result<(), Status> {
        let leaves = is_leaving(definition);
        let is_clean = leaves && self.empty(definition).await?;
        if is_clean {
            // Before the definition goes: who sees it gone sees its kind gone.
            self.kinds().withdraw(definition.name());
        }
        let at = now().0.to_string();
        self.change(definition.name(), |object| {
            naming.write(object);
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

fn is_leaving(definition: &Object) -> bool {
    definition.metadata.deletion_timestamp.is_some()
}
