//! Namespaces: how one that is deleted empties itself first.
//!
//! The cleaner is a controller that runs inside this process, because a node without controllers must be able to delete a
//! namespace too. It sees and does only what a client could; when the namespace controller is a program of its own, it goes.

use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::{DeleteOptions, Part, Registry, Selection, Target, WriteOptions, resource};

/// The config map of each namespace that holds the authority's certificate (upstream's root-ca-cert-publisher).
const ROOT_CERTIFICATE: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
/// Never deleted.
pub(crate) const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// The kind itself.
pub(crate) fn kind() -> &'static Kind {
    kinds::of("", "v1", "Namespace").expect("namespaces are in the table of kinds")
}

/// Whether somebody has work to do before the object may go. Namespaces have finalizers of their own in the spec.
pub(super) fn has_finalizers(object: &Object) -> bool {
    let some = |list: Option<&Value>| list.and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let in_metadata = object.metadata.finalizers.as_ref().is_some_and(|list| !list.is_empty());
    in_metadata || (object.kind == "Namespace" && some(object.at("spec.finalizers")))
}

/// A namespace that is deleted says so in its phase.
pub(super) fn mark_terminating(kind: &Kind, object: &mut Object) {
    if kind.kind == "Namespace" {
        object.body.insert("status".into(), json!({"phase": "Terminating"}));
    }
}

impl Registry {
    /// Brings every namespace in order once: who comes after the start finds them so.
    pub(crate) async fn tend_initial(&self, authority: &str) -> Result<(), Status> {
        let namespaces = self.selected(kind(), &Selection::default());
        let namespaces: Vec<Object> = namespaces.iter().map(|stored| stored.object()).collect();
        let tended = namespaces.iter().map(|namespace| self.tend(namespace, authority));
        futures::future::try_join_all(tended).await.map(drop)
    }

    /// Keeps namespaces in order until the store stops: each has its default service account and the certificate by which its
    /// pods know this server, and one that is deleted is emptied and then let go.
    pub(crate) async fn tend_namespaces(self, authority: String) {
        let watched = |kind: &Kind| self.store.subscribe(&resource(kind));
        let mut own = [kind(), service_accounts(), config_maps()].map(watched);
        let mut kinds = self.kinds.subscribe();
        loop {
            kinds.mark_seen();
            let mut contents: Vec<_> = self.namespaced().map(watched).collect();
            // Before anything is looked at: what changes from now on comes back here.
            own.iter_mut().for_each(|change| drop(change.borrow_and_update()));
            let mut terminating = false;
            for stored in self.selected(kind(), &Selection::default()) {
                let namespace = stored.object();
                terminating |= namespace.metadata.deletion_timestamp.is_some();
                if let Err(status) = self.tend(&namespace, &authority).await {
                    let name = namespace.name();
                    tracing::warn!(name, %status, "the namespace can't be tended; trying again at the next change");
                }
            }
            // What is in namespaces matters only while one is being emptied.
            let contents = contents.iter_mut().filter(|_| terminating);
            let waits = own.iter_mut().chain(contents).map(|change| Box::pin(change.changed()));
            let changed = tokio::select! {
                (changed, ..) = futures::future::select_all(waits) => changed,
                changed = kinds.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn tend(&self, namespace: &Object, authority: &str) -> Result<(), Status> {
        let name = namespace.name();
        if namespace.metadata.deletion_timestamp.is_none() {
            let accounts = kinds::of("", "v1", "ServiceAccount").expect("service accounts are in the table of kinds");
            self.ensure(accounts, name, &json!({"metadata": {"name": "default"}}))
                .await?;
            return self.publish(name, authority).await;
        }
        let selection = Selection {
            namespace: name.to_owned(),
            ..Selection::default()
        };
        let mut left = 0;
        for kind in self.namespaced() {
            for stored in self.selected(kind, &selection) {
                let object = stored.object();
                // What is marked already waits for its kubelet or finalizer.
                if object.metadata.deletion_timestamp.is_none() {
                    let target = Target {
                        kind,
                        namespace: name,
                        name: object.name(),
                    };
                    let deleted = self
                        .delete(target, &DeleteOptions::default(), WriteOptions::own())
                        .await;
                    left += usize::from(!deleted.is_ok_and(|deleted| deleted.gone));
                } else {
                    left += 1;
                }
            }
        }
        if left == 0 && has_finalizers(namespace) {
            self.finalize(name).await?;
        }
        Ok(())
    }

    /// Puts the authority's certificate where pods find it.
    async fn publish(&self, namespace: &str, authority: &str) -> Result<(), Status> {
        let target = Target {
            kind: config_maps(),
            namespace,
            name: ROOT_CERTIFICATE,
        };
        let data = json!({"ca.crt": authority});
        let Ok(stored) = self.get(target) else {
            let annotations =
                json!({DESCRIPTION: "The certificate of the authority by which pods know the API server."});
            let object = json!({"metadata": {"name": ROOT_CERTIFICATE, "annotations": annotations}, "data": data});
            return self.ensure(config_maps(), namespace, &object).await;
        };
        if stored.object().at("data") == Some(&data) {
            return Ok(());
        }
        let update = self.update(target, Part::Main, WriteOptions::own(), |old| {
            let mut new = old.clone();
            new.body.insert("data".into(), data.clone());
            Ok(new)
        });
        match update.await {
            Err(status) if status.code != 404 => Err(status),
            _ => Ok(()),
        }
    }

    /// Takes our finalizer away; without another one the namespace is gone with that.
    async fn finalize(&self, name: &str) -> Result<(), Status> {
        let target = Target {
            kind: kind(),
            namespace: "",
            name,
        };
        let updated = self.update(target, Part::Own, WriteOptions::own(), |old| {
            let mut new = old.clone();
            if let Some(Value::Array(finalizers)) = new.body.get_mut("spec").and_then(|spec| spec.get_mut("finalizers"))
            {
                finalizers.retain(|finalizer| finalizer != "kubernetes");
            }
            Ok(new)
        });
        match updated.await {
            Err(status) if status.code != 404 => Err(status),
            _ => Ok(()),
        }
    }

    fn namespaced(&self) -> impl Iterator<Item = &'static Kind> + use<> {
        self.kinds.all().into_iter().filter(|kind| kind.namespaced)
    }

    /// Creates an object unless it is there.
    pub(crate) async fn ensure(&self, kind: &'static Kind, namespace: &str, object: &Value) -> Result<(), Status> {
        let object: Object = serde_json::from_value(object.clone()).expect("written out in this program");
        let target = Target {
            kind,
            namespace,
            name: object.name(),
        };
        if self.get(target).is_ok() {
            return Ok(());
        }
        match self.create(kind, namespace, object, WriteOptions::own()).await {
            // Somebody else was quicker, or the namespace is gone again.
            Err(status) if !["AlreadyExists", "NotFound"].contains(&status.reason.as_str()) => Err(status),
            _ => Ok(()),
        }
    }
}

fn config_maps() -> &'static Kind {
    kinds::of("", "v1", "ConfigMap").expect("config maps are in the table of kinds")
}

fn service_accounts() -> &'static Kind {
    kinds::of("", "v1", "ServiceAccount").expect("service accounts are in the table of kinds")
}
