//! Create: the order in which an object comes into being.

use std::sync::Arc;

use minik_api::kinds::Kind;
use minik_api::object::Object;
use minik_api::status::Status;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::addresses::Reservation;
use super::{Registry, Target, WriteOptions, fields, now, status_of};
use crate::admission::{self, Operation};
use crate::kinds::{Rules, validate_metadata};
use crate::storage::{Change, Expect, Stored, WriteError};

/// What generated names end in: neither vowels nor what looks alike, so that no words come out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;
/// The longest prefix that leaves room for the suffix within a label.
const PREFIX_MAX: usize = 63 - SUFFIX;
/// How often a generated name is tried anew when it is taken.
const ATTEMPTS: usize = 8;

impl Registry {
    /// Creates an object in `namespace` (empty for cluster kinds).
    pub(crate) async fn create(
        &self,
        kind: &'static Kind,
        namespace: &str,
        mut object: Object,
        options: WriteOptions<'_>,
    ) -> Result<Arc<Stored>, Status> {
        let rules = self.kinds.rules(kind);
        if let Some(refusal) = rules.refuses_new(kind) {
            return Err(refusal);
        }
        check_identity(kind, namespace, &mut object)?;
        fill(kind, &*rules, &mut object);
        let prefix = object
            .metadata
            .generate_name
            .clone()
            .filter(|prefix| !prefix.is_empty());
        let prefix = prefix.filter(|_| object.name().is_empty());
        for attempt in 1..=ATTEMPTS {
            let mut object = object.clone();
            if let Some(prefix) = &prefix {
                object.metadata.name = Some(generated(prefix, &mut rand::rng()));
            }
            // Some kinds put the name and the uid where others look for them.
            rules.prepare_create(&mut object);
            let name = object.name().to_owned();
            let target = Target {
                kind,
                namespace,
                name: &name,
            };
            let (object, _reservation) = self.admit_new(&target, object, &options).await?;
            let _charge = self.charge(&target, None, &object).await?;
            match self.store_new(&target, object, options.dry_run).await {
                Err(WriteError::Conflict) if prefix.is_none() || attempt == ATTEMPTS => break,
                Err(WriteError::Conflict) => {}
                outcome => return outcome.map_err(|error| status_of(&error)),
            }
        }
        Err(Status::already_exists(kind, object.name()))
    }

    async fn admit_new(
        &self,
        target: &Target<'_>,
        mut object: Object,
        options: &WriteOptions<'_>,
    ) -> Result<(Object, Option<Reservation<'_>>), Status> {
        let rules = self.kinds.rules(target.kind);
        rules.defaults(&mut object);
        fields::created(target.kind, &*rules, options, &mut object);
        let attributes = self.attributes(Operation::Create, target, options);
        admission::mutate(&attributes, &*rules, &mut object).await?;
        rules.defaults(&mut object);
        let (mut errors, reservation) = self.assign_addresses(target, &mut object);
        errors.extend(validate_metadata(target.kind, rules.name_rule(), &object.metadata));
        errors.extend(rules.validate(&object));
        if !errors.is_empty() {
            return Err(Status::invalid(target.kind, target.name, &errors));
        }
        admission::validate(&attributes, Some(&object)).await?;
        Ok((object, reservation))
    }

    async fn store_new(&self, target: &Target<'_>, object: Object, dry_run: bool) -> Result<Arc<Stored>, WriteError> {
        let key = target.key();
        if !dry_run {
            return self
                .store
                .write(key, Expect::Absent, Change::Put(Box::new(object)))
                .await;
        }
        match self.store.get(&key) {
            Some(_) => Err(WriteError::Conflict),
            None => Ok(Arc::new(Stored::unsaved(key, &object))),
        }
    }
}

/// The object has to be of the kind and in the namespace that the path says.
fn check_identity(kind: &Kind, namespace: &str, object: &mut Object) -> Result<(), Status> {
    let said = object.namespace();
    if kind.namespaced && !said.is_empty() && said != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if kind.namespaced {
        object.metadata.namespace = Some(namespace.to_owned());
    }
    if object
        .metadata
        .resource_version
        .as_ref()
        .is_some_and(|version| !version.is_empty())
    {
        // Upstream's storage says so, to which nobody gives a code.
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Status::failure(500, "", message));
    }
    Ok(())
}

/// What the server alone decides.
fn fill(kind: &'static Kind, rules: &dyn Rules, object: &mut Object) {
    object.api_version = kind.stored_api_version();
    object.kind = kind.kind.to_owned();
    let metadata = &mut object.metadata;
    metadata.uid = Some(uuid::Uuid::new_v4().to_string());
    metadata.creation_timestamp = Some(now());
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.self_link = None;
    metadata.resource_version = None;
    metadata.generation = rules.has_generation().then_some(1);
}

/// A name that begins with `prefix` and that nothing else is likely to have.
pub(crate) fn generated(prefix: &str, random: &mut impl Rng) -> String {
    let end = (0..=PREFIX_MAX.min(prefix.len()))
        .rev()
        .find(|&end| prefix.is_char_boundary(end));
    let mut name = prefix[..end.unwrap_or(0)].to_owned();
    for _ in 0..SUFFIX {
        let byte = ALPHABET.choose(random).expect("the alphabet isn't empty");
        name.push(char::from(*byte));
    }
    name
}
