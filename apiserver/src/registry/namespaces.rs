//! Namespaces: what each has from its first moment, without which no pod could be created in it.
//!
//! Upstream's controllers for it run as a program of their own. Here they run in this process, so that whoever creates a
//! namespace can use it at once; they see and do only what a client could. Emptying one that is deleted is the controllers'.

use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use super::{Part, Registry, Selection, Target, WriteOptions, resource};

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
    /// pods know this server.
    pub(crate) async fn tend_namespaces(self, authority: String) {
        let watched = |kind: &Kind| self.store.subscribe(&resource(kind));
        let mut own = [kind(), service_accounts(), config_maps()].map(watched);
        loop {
            // Before anything is looked at: what changes from now on comes back here.
            own.iter_mut().for_each(|change| drop(change.borrow_and_update()));
            for stored in self.selected(kind(), &Selection::default()) {
                let namespace = stored.object();
                if let Err(status) = self.tend(&namespace, &authority).await {
                    let name = namespace.name();
                    tracing::warn!(name, %status, "the namespace can't be tended; trying again at the next change");
                }
            }
            let waits = own.iter_mut().map(|change| Box::pin(change.changed()));
            if futures::future::select_all(waits).await.0.is_err() {
                return;
            }
        }
    }

    async fn tend(&self, namespace: &Object, authority: &str) -> Result<(), Status> {
        let name = namespace.name();
        if namespace.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        self.ensure(service_accounts(), name, &json!({"metadata": {"name": "default"}}))
            .await?;
        self.publish(name, authority).await
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
