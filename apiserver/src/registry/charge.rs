//! Resource quotas in the path of a write: what is stored is counted, compared and written in one turn, so that two writes never
//! share what is left for one. The quota's status says the same a moment later, to people.
//!
//! Upstream charges `status.used` and has a controller correct it. Here everything that counts is in memory: it is counted
//! anew, in the namespaces that have quotas, and can't be wrong.

use std::collections::BTreeMap;

use minik_api::kinds;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};
use tokio::sync::{MutexGuard, watch};

use super::{Part, Registry, Target, WriteOptions, resource};
use crate::admission::quota::{Amounts, Quota, difference, sum};
use crate::storage::Revision;

const QUOTAS: &str = "resourcequotas";

impl Registry {
    /// Whether there is room for what an object becomes. As long as the turn is held, nobody else takes it.
    pub(super) async fn charge(
        &self,
        target: &Target<'_>,
        old: Option<&Object>,
        new: &Object,
    ) -> Result<Option<MutexGuard<'_, ()>>, Status> {
        if !target.kind.namespaced {
            return Ok(None);
        }
        let resource = resource(target.kind);
        let mut asked = Vec::new();
        for quota in self.quotas(target.namespace) {
            let before = old.map_or_else(Amounts::new, |old| quota.usage(&resource, old));
            let more = difference(&quota.usage(&resource, new), &before);
            if !more.is_empty() {
                asked.push((quota, more));
            }
        }
        if asked.is_empty() {
            return Ok(None);
        }
        let refused = |why: &str| Err(Status::forbidden(target.kind, target.name, why));
        let missing = |quota: &Quota| quota.unspecified(&resource, new);
        if let Some(why) = asked
            .iter()
            .find_map(|(quota, _)| old.is_none().then(|| missing(quota))?)
        {
            return refused(&why);
        }
        let turn = self.charging.lock().await;
        for (quota, more) in &asked {
            let used = self.used(quota, &resource, target.namespace);
            if let Some(why) = quota.exceeded(&used, more) {
                return refused(&why);
            }
        }
        Ok(Some(turn))
    }

    fn quotas(&self, namespace: &str) -> Vec<Quota> {
        let snapshot = self.store.snapshot(QUOTAS);
        let all = snapshot.objects(QUOTAS, namespace, None);
        all.map(|stored| Quota::read(stored.object())).collect()
    }

    /// What the objects of one resource come to in a quota.
    fn used(&self, quota: &Quota, resource: &str, namespace: &str) -> Amounts {
        let snapshot = self.store.snapshot(resource);
        let all = snapshot.objects(resource, namespace, None);
        sum(all.map(|stored| quota.usage(resource, &stored.object())))
    }

    /// Keeps the status of every quota until the store stops.
    pub(crate) async fn tend_quotas(self) {
        let mut watched: BTreeMap<String, watch::Receiver<Revision>> = BTreeMap::new();
        watched.insert(QUOTAS.to_owned(), self.store.subscribe(QUOTAS));
        loop {
            // Before anything is looked at: what changes from now on comes back here.
            watched.values_mut().for_each(|change| drop(change.borrow_and_update()));
            let snapshot = self.store.snapshot(QUOTAS);
            let mut counted = vec![QUOTAS.to_owned()];
            for stored in snapshot.objects(QUOTAS, "", None) {
                let quota = Quota::read(stored.object());
                for resource in quota.resources() {
                    counted.push(resource.to_owned());
                    watched
                        .entry(resource.to_owned())
                        .or_insert_with(|| self.store.subscribe(resource));
                }
                self.tell(&quota, stored.key.namespace()).await;
            }
            watched.retain(|resource, _| counted.contains(resource));
            let waits = watched.values_mut().map(|change| Box::pin(change.changed()));
            if futures::future::select_all(waits).await.0.is_err() {
                return;
            }
        }
    }

    /// Writes down what a quota's objects come to.
    async fn tell(&self, quota: &Quota, namespace: &str) {
        let resources = quota.resources();
        let mut used = sum(resources.iter().map(|resource| self.used(quota, resource, namespace)));
        for name in quota.hard.keys() {
            let none = || "0".parse().expect("nought is a quantity");
            used.entry(name.clone()).or_insert_with(none);
        }
        let status = json!({"hard": shown(&quota.hard), "used": shown(&used)});
        let kind = kinds::of("", "v1", "ResourceQuota").expect("quotas are in the table of kinds");
        let (name, target) = (
            quota.name(),
            Target {
                kind,
                namespace,
                name: quota.name(),
            },
        );
        if self
            .get(target)
            .is_ok_and(|stored| stored.object().body.get("status") == Some(&status))
        {
            return;
        }
        let update = self.update(target, Part::Status, WriteOptions::own(), |old| {
            let mut new = old.clone();
            new.body.insert("status".into(), status.clone());
            Ok(new)
        });
        match update.await {
            Err(error) if error.code != 404 => {
                tracing::warn!(namespace, name, %error, "can't tell what a quota has used; trying again at the next change");
            }
            _ => {}
        }
    }
}

fn shown(list: &Amounts) -> Value {
    list.iter()
        .map(|(name, amount)| (name.clone(), amount.to_string()))
        .collect()
}
