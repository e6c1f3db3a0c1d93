//! Delete: at once, or by marking the object for whoever has to finish its work (a kubelet, a finalizer) first.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use minik_api::field::{Error, Path};
use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use serde::Deserialize;

use super::update::is_done;
use super::{Put, Registry, Selection, Target, WriteOptions, namespaces, now};
use crate::admission::{self, Attributes, Operation};
use crate::kinds::Rules;
use crate::storage::Stored;

/// The finalizer by which the garbage collector deletes first what an object owns.
const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer by which it first lets go what an object owns.
const ORPHAN: &str = "orphan";

/// metav1.DeleteOptions, as far as they change anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeleteOptions {
    /// How long to wait for the object's work to end; 0: not at all.
    pub(crate) grace_period_seconds: Option<i64>,
    /// Only if it is this very object.
    pub(crate) preconditions: Option<Preconditions>,
    /// `All`: do everything but delete.
    pub(crate) dry_run: Vec<String>,
    /// `Background`, `Foreground`, `Orphan`: what becomes of what the object owns.
    pub(crate) propagation_policy: Option<String>,
    /// The old way to say `Orphan`.
    pub(crate) orphan_dependents: Option<bool>,
}

impl DeleteOptions {
    /// What they say that can't be.
    pub(crate) fn check(&self) -> Result<(), Status> {
        let path = Path::new("propagationPolicy");
        let error = match (self.propagation_policy.as_deref(), self.orphan_dependents) {
            (Some(policy), Some(_)) => Error::invalid(
                &path,
                policy,
                "orphanDependents and deletionPropagation cannot be both set",
            ),
            (None | Some("Background" | "Foreground" | "Orphan"), _) => return Ok(()),
            (Some(policy), None) => Error::not_supported(&path, policy, &["Foreground", "Background", "Orphan", "nil"]),
        };
        Err(Status::invalid_options("DeleteOptions", &[error]))
    }

    /// The garbage collector's finalizer that the object gets, by what is asked for, what it has, and the habit of its kind.
    fn finalizer(&self, rules: &dyn Rules, old: &Object) -> Option<&'static str> {
        let has = |name: &str| {
            old.metadata
                .finalizers
                .iter()
                .flatten()
                .any(|finalizer| finalizer == name)
        };
        match (self.orphan_dependents, self.propagation_policy.as_deref()) {
            (Some(true), _) | (None, Some("Orphan")) => Some(ORPHAN),
            (None, Some("Foreground")) => Some(FOREGROUND),
            (Some(false), _) | (None, Some(_)) => None,
            (None, None) if has(ORPHAN) => Some(ORPHAN),
            (None, None) if has(FOREGROUND) => Some(FOREGROUND),
            (None, None) => rules.orphans_by_default().then_some(ORPHAN),
        }
    }
}

/// What has to hold for a deletion.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Preconditions {
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

/// What came of a deletion.
pub(crate) struct Deleted {
    /// The object: its last state, or as it is now that it is marked.
    pub(crate) object: Arc<Stored>,
    /// It is gone.
    pub(crate) gone: bool,
}

impl Registry {
    /// Deletes one object.
    pub(crate) async fn delete(
        &self,
        target: Target<'_>,
        asked: &DeleteOptions,
        options: WriteOptions<'_>,
    ) -> Result<Deleted, Status> {
        asked.check()?;
        // What isn't there is nobody else's business.
        let old = self.get(target)?.object();
        let attributes = Attributes {
            old: Some(&old),
            ..self.attributes(Operation::Delete, &target, &options)
        };
        admission::validate(&attributes, None).await?;
        let mut gone = false;
        let rules = self.kinds.rules(target.kind);
        let object = self
            .guaranteed_update(target, options.dry_run, |old| {
                check(&target, old, asked.preconditions.as_ref())?;
                if let Some(why) = rules.forbids_deletion(old) {
                    return Err(Status::forbidden(target.kind, target.name, why));
                }
                let put = marked(target.kind, &*rules, old, asked, &now());
                gone = matches!(put, Put::Remove(_));
                Ok(put)
            })
            .await?;
        Ok(Deleted { object, gone })
    }

    /// Deletes everything that is selected; what is deleted in between by others is nobody's fault.
    pub(crate) async fn delete_collection(
        &self,
        kind: &'static Kind,
        selection: &Selection,
        asked: &DeleteOptions,
        options: WriteOptions<'_>,
    ) -> Result<Vec<Arc<Stored>>, Status> {
        let mut deleted = Vec::new();
        for stored in self.selected(kind, selection) {
            let target = Target {
                kind,
                namespace: stored.key.namespace(),
                name: stored.key.name(),
            };
            match self.delete(target, asked, options).await {
                Ok(done) => deleted.push(done.object),
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        Ok(deleted)
    }
}

fn check(target: &Target<'_>, object: &Object, preconditions: Option<&Preconditions>) -> Result<(), Status> {
    let Some(preconditions) = preconditions else {
        return Ok(());
    };
    let metadata = &object.metadata;
    for (what, happened, wanted, stored) in [
        ("UID", "deleted and then recreated", &preconditions.uid, &metadata.uid),
        (
            "ResourceVersion",
            "modified",
            &preconditions.resource_version,
            &metadata.resource_version,
        ),
    ] {
        if let Some(wanted) = wanted
            && Some(wanted) != stored.as_ref()
        {
            let stored = stored.as_deref().unwrap_or_default();
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({stored}). The object might \
                 have been {happened}"
            );
            return Err(kind_conflict(target, &why));
        }
    }
    Ok(())
}

/// A conflict in which upstream names the kind, not the resource.
fn kind_conflict(target: &Target<'_>, why: &str) -> Status {
    let (kind, group) = (target.kind.kind, target.kind.group);
    let what = match group {
        "" => kind.to_owned(),
        group => format!("{kind}.{group}"),
    };
    let message = format!("Operation cannot be fulfilled on {what} {:?}: {why}", target.name);
    let mut status = Status::failure(409, "Conflict", message).about(target.kind, target.name);
    status.details.get_or_insert_default().kind = kind.into();
    status
}

/// What a deletion makes of an object: gone, marked, or as it was when it is marked already and needn't go sooner.
fn marked(kind: &Kind, rules: &dyn Rules, old: &Object, options: &DeleteOptions, now: &Time) -> Put {
    let asked = options.grace_period_seconds;
    let grace = rules.grace_seconds(old, asked).map_or(0, |seconds| seconds.max(0));
    let mut new = old.clone();
    let metadata = &mut new.metadata;
    set_finalizer(metadata, options.finalizer(rules, old));
    if let Some(deadline) = &old.metadata.deletion_timestamp {
        let before = old.metadata.deletion_grace_period_seconds.unwrap_or(0);
        let sooner = (asked.is_some() && grace < before).then_some(grace);
        if let Some(grace) = sooner {
            metadata.deletion_timestamp = Some(after(&deadline.0, grace - before));
            metadata.deletion_grace_period_seconds = Some(grace);
        }
    } else {
        metadata.deletion_timestamp = Some(after(&now.0, grace));
        metadata.deletion_grace_period_seconds = Some(grace);
        if rules.has_generation() {
            metadata.generation = metadata.generation.map(|generation| generation + 1);
        }
        namespaces::mark_terminating(kind, &mut new);
        rules.prepare_delete(&mut new);
    }
    if is_done(&new) {
        Put::Remove(new)
    } else if new == *old {
        Put::Keep
    } else {
        Put::Store(new)
    }
}

/// Of the garbage collector's finalizers, the object has this one or none.
fn set_finalizer(metadata: &mut ObjectMeta, wanted: Option<&str>) {
    let mut finalizers = metadata.finalizers.take().unwrap_or_default();
    finalizers.retain(|name| Some(name.as_str()) == wanted || (name != ORPHAN && name != FOREGROUND));
    if let Some(wanted) = wanted.filter(|wanted| !finalizers.iter().any(|name| name == wanted)) {
        finalizers.push(wanted.to_owned());
    }
    metadata.finalizers = (!finalizers.is_empty()).then_some(finalizers);
}

fn after(time: &Timestamp, seconds: i64) -> Time {
    Time(time.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(*time))
}
