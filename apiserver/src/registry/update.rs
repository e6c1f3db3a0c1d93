//! Update: the order in which an object changes, and the one optimistic loop.

use std::sync::Arc;

use minik_api::object::Object;
use minik_api::status::Status;

use super::addresses::Reservation;
use super::{Registry, Target, WriteOptions, fields, namespaces, now, status_of};
use crate::admission::{self, Attributes, Operation};
use crate::kinds::{validate_metadata, validate_metadata_update};
use crate::storage::{Change, Expect, Stored, WriteError};

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// Through which door an update comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The resource itself: everything but the status.
    Main,
    /// `/status`: nothing but the status.
    Status,
    /// Another subresource with the resource's own body (`ephemeralcontainers`, `resize`): what the kind's rules say of it.
    Named(&'static str),
    /// A subresource whose own rules have decided already (binding, finalize).
    Own,
}

impl Part {
    fn subresource(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Named(name) => name,
            Self::Main | Self::Own => "",
        }
    }
}

/// What a pure function makes of the current object.
pub(crate) enum Put {
    /// Leaves it as it is.
    Keep,
    /// Stores this.
    Store(Object),
    /// Removes it; this is what watchers see last.
    Remove(Object),
}

impl Registry {
    /// Replaces what is stored by what `change` makes of it; called again when somebody else was quicker.
    pub(crate) async fn guaranteed_update(
        &self,
        target: Target<'_>,
        dry_run: bool,
        mut change: impl FnMut(&Object) -> Result<Put, Status>,
    ) -> Result<Arc<Stored>, Status> {
        loop {
            let current = self.get(target)?;
            let put = change(&current.object())?;
            if let Some(stored) = self.put(target, dry_run, current, put).await? {
                return Ok(stored);
            }
        }
    }

    /// Stores what was made of `current`; `None` when somebody else was quicker.
    async fn put(
        &self,
        target: Target<'_>,
        dry_run: bool,
        current: Arc<Stored>,
        put: Put,
    ) -> Result<Option<Arc<Stored>>, Status> {
        let change = match put {
            Put::Keep => return Ok(Some(current)),
            Put::Store(object) | Put::Remove(object) if dry_run => {
                return Ok(Some(Arc::new(Stored::unsaved(target.key(), &object))));
            }
            Put::Store(object) => Change::Put(Box::new(object)),
            Put::Remove(object) => Change::Remove(Box::new(object)),
        };
        let expect = Expect::At(current.revision);
        match self.store.write(target.key(), expect, change).await {
            Err(WriteError::Conflict) => Ok(None),
            outcome => outcome.map(Some).map_err(|error| status_of(&error)),
        }
    }

    /// Updates one part of an object to what `wanted` makes of it (a body that was sent, or a patch).
    pub(crate) async fn update(
        &self,
        target: Target<'_>,
        part: Part,
        options: WriteOptions<'_>,
        mut wanted: impl FnMut(&Object) -> Result<Object, Status>,
    ) -> Result<Arc<Stored>, Status> {
        loop {
            let current = self.get(target)?;
            let old = current.object();
            let new = wanted(&old)?;
            let (put, _reservation) = self.updated(&target, part, &options, &old, new).await?;
            let _charge = match &put {
                Put::Store(new) => self.charge(&target, Some(&old), new).await?,
                Put::Keep | Put::Remove(_) => None,
            };
            if let Some(stored) = self.put(target, options.dry_run, current, put).await? {
                return Ok(stored);
            }
        }
    }

    async fn updated(
        &self,
        target: &Target<'_>,
        part: Part,
        options: &WriteOptions<'_>,
        old: &Object,
        mut new: Object,
    ) -> Result<(Put, Option<Reservation<'_>>), Status> {
        check_preconditions(target, old, &new)?;
        keep_identity(&mut new, old);
        new.api_version = target.kind.stored_api_version();
        let rules = self.kinds.rules(target.kind);
        match part {
            Part::Main => rules.prepare_update(&mut new, old),
            Part::Status => rules.prepare_status_update(&mut new, old),
            Part::Named(part) => rules.prepare_part_update(part, &mut new, old),
            Part::Own => {}
        }
        rules.defaults(&mut new);
        // As upstream: nobody owns the node that a pod is bound to, so that no apply conflicts with the scheduler.
        if part != Part::Own {
            fields::updated(target.kind, &*rules, options, old, &mut new);
        }
        rules.stamp(&mut new, old, now().0);
        let attributes = Attributes {
            subresource: part.subresource(),
            old: Some(old),
            ..self.attributes(Operation::Update, target, options)
        };
        admission::mutate(&attributes, &*rules, &mut new).await?;
        rules.defaults(&mut new);
        let (mut errors, reservation) = match part {
            Part::Main => self.assign_addresses(target, &mut new),
            Part::Status | Part::Named(_) | Part::Own => (Vec::new(), None),
        };
        if part != Part::Status && rules.has_generation() && rules.raises_generation(&new, old) {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or(0) + 1);
        }
        if fields::is_same(&mut new, old) {
            return Ok((Put::Keep, None));
        }
        errors.extend(validate_metadata(target.kind, rules.name_rule(), &new.metadata));
        errors.extend(validate_metadata_update(&new.metadata, &old.metadata));
        match part {
            Part::Main => errors.extend(rules.validate_update(&new, old)),
            Part::Status => errors.extend(rules.validate_status_update(&new, old)),
            Part::Named(part) => errors.extend(rules.validate_part_update(part, &new, old)),
            Part::Own => {}
        }
        if !errors.is_empty() {
            return Err(Status::invalid(target.kind, target.name, &errors));
        }
        admission::validate(&attributes, Some(&new)).await?;
        let put = if is_done(&new) {
            Put::Remove(new)
        } else {
            Put::Store(new)
        };
        Ok((put, reservation))
    }
}

/// A deleted object that nobody waits for any more: taking its last finalizer away removes it.
pub(super) fn is_done(object: &Object) -> bool {
    let metadata = &object.metadata;
    metadata.deletion_timestamp.is_some()
        && metadata.deletion_grace_period_seconds.unwrap_or(0) == 0
        && !namespaces::has_finalizers(object)
}

fn check_preconditions(target: &Target<'_>, old: &Object, new: &Object) -> Result<(), Status> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if new.name() != target.name && !new.name().is_empty() {
        let message = format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            new.name(),
            target.name
        );
        return Err(Status::bad_request(message));
    }
    if !new.namespace().is_empty() && new.namespace() != target.namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(message));
    }
    if let Some(uid) = given(&new.metadata.uid)
        && Some(&uid) != old.metadata.uid.as_ref()
    {
        let stored = old.metadata.uid.as_deref().unwrap_or_default();
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {stored}");
        return Err(target.conflict(&why));
    }
    match given(&new.metadata.resource_version) {
        Some(version) if Some(&version) != old.metadata.resource_version.as_ref() => Err(target.conflict(MODIFIED)),
        _ => Ok(()),
    }
}

/// What a client left out or can't change comes from the stored object.
fn keep_identity(new: &mut Object, old: &Object) {
    new.kind.clone_from(&old.kind);
    let (new, old) = (&mut new.metadata, &old.metadata);
    new.name.clone_from(&old.name);
    new.namespace.clone_from(&old.namespace);
    new.uid.clone_from(&old.uid);
    new.resource_version.clone_from(&old.resource_version);
    new.generate_name.clone_from(&old.generate_name);
    new.generation = old.generation;
    new.self_link = None;
    if new.creation_timestamp.is_none() {
        new.creation_timestamp.clone_from(&old.creation_timestamp);
    }
    if new.deletion_timestamp.is_none() {
        new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    }
    if new.deletion_grace_period_seconds.is_none() {
        new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    }
}
