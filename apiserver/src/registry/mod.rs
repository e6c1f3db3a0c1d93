//! The registry: the one order of create, read, update and delete, the same for every kind.
//!
//! Handlers (`http/`) give it decoded objects; a kind's own part comes from [`crate::kinds`], what crosses kinds from
//! [`crate::admission`], and [`crate::storage`] keeps the result. Every failure is a `Status`.

mod addresses;
mod apply;
mod charge;
mod create;
mod delete;
mod events;
mod fields;
mod initial;
mod list;
pub(crate) mod namespaces;
mod update;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use minik_api::field;
use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::status::Status;
use minik_api::trace::Traceparent;
use tokio::sync::Mutex;

use crate::admission::{self, Attributes, Expressions, Operation, Warnings};
use crate::auth::{Authorizer, User};
use crate::kinds::{Kinds, rules};
use crate::storage::{Key, Store, Stored, WriteError, chain};

use addresses::{Addresses, Reservation};

pub use addresses::{InvalidRange, ServiceRange};
pub(crate) use create::generated;
pub(crate) use delete::{DeleteOptions, Deleted};
pub(crate) use list::{List, ListOptions, Match, Selection, too_large};
pub(crate) use update::{Part, Put};

/// The registry; cloning it shares the store.
#[derive(Clone)]
pub(crate) struct Registry {
    store: Store,
    kinds: Arc<Kinds>,
    addresses: Arc<Addresses>,
    authorizer: Arc<Authorizer>,
    expressions: Arc<Expressions>,
    /// Held by who writes what counts in a quota.
    charging: Arc<Mutex<()>>,
}

/// What the order of a write has to know of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteOptions<'a> {
    /// Who writes.
    pub(crate) user: &'a Arc<User>,
    /// Who will own the fields that change; `None`: what the object says already stays.
    pub(crate) manager: Option<FieldManager<'a>>,
    /// Do everything but store.
    pub(crate) dry_run: bool,
    /// The request's place in its trace.
    pub(crate) traceparent: Traceparent,
    /// Where admission puts what is to be told besides the answer.
    pub(crate) warnings: Option<&'a Warnings>,
}

/// Which program writes, as `managedFields` will say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldManager<'a> {
    /// What the request gives, or the client's program.
    pub(crate) name: &'a str,
    /// Through which subresource; empty for the resource itself.
    pub(crate) subresource: &'a str,
}

impl WriteOptions<'static> {
    /// Of the server's own writes, which begin a trace of their own.
    pub(crate) fn own() -> Self {
        Self {
            user: User::server(),
            manager: Some(FieldManager {
                name: "minik-apiserver",
                subresource: "",
            }),
            dry_run: false,
            traceparent: Traceparent::new(),
            warnings: None,
        }
    }
}

/// Which object of which kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The kind.
    pub(crate) kind: &'static Kind,
    /// Empty for cluster kinds.
    pub(crate) namespace: &'a str,
    /// Its name.
    pub(crate) name: &'a str,
}

impl Target<'_> {
    fn key(&self) -> Key {
        Key::new(&resource(self.kind), self.namespace, self.name)
    }

    fn not_found(&self) -> Status {
        Status::not_found(self.kind, self.name)
    }

    fn conflict(&self, why: &str) -> Status {
        Status::conflict(self.kind, self.name, why)
    }
}

impl Registry {
    /// On this store, with these addresses for services.
    pub(crate) fn new(store: Store, services: ServiceRange) -> Self {
        Self {
            authorizer: Arc::new(Authorizer::new(store.clone())),
            addresses: Arc::new(Addresses::new(services)),
            kinds: Arc::default(),
            expressions: Arc::default(),
            charging: Arc::default(),
            store,
        }
    }

    /// Who decides who may what.
    pub(crate) fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// Every kind that is served, and its rules.
    pub(crate) fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// For those who watch.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// One object.
    pub(crate) fn get(&self, target: Target<'_>) -> Result<Arc<Stored>, Status> {
        self.store.get(&target.key()).ok_or_else(|| target.not_found())
    }

    /// Gives a service what it hasn't got yet: addresses and ports that no other has. They are its own as long as the second
    /// part of the answer is kept.
    fn assign_addresses(
        &self,
        target: &Target<'_>,
        object: &mut Object,
    ) -> (Vec<field::Error>, Option<Reservation<'_>>) {
        if !is_service(target.kind) {
            return (Vec::new(), None);
        }
        let stored = || self.selected(target.kind, &Selection::default());
        let (errors, reservation) = self.addresses.assign(&target.key(), object, stored);
        (errors, Some(reservation))
    }

    /// Asks admission whether somebody may connect to what an object stands for.
    pub(crate) async fn admit_connection(
        &self,
        target: Target<'_>,
        subresource: &str,
        (kind, options): (&'static str, &Object),
        write: WriteOptions<'_>,
    ) -> Result<(), Status> {
        let attributes = Attributes {
            subresource,
            body_kind: Some(kind),
            ..self.attributes(Operation::Connect, &target, &write)
        };
        admission::connect(&attributes, options).await
    }

    fn attributes<'a>(
        &'a self,
        operation: Operation,
        target: &Target<'a>,
        options: &WriteOptions<'a>,
    ) -> Attributes<'a> {
        Attributes {
            operation,
            kind: target.kind,
            namespace: target.namespace,
            name: target.name,
            subresource: "",
            body_kind: None,
            old: None,
            user: options.user,
            store: &self.store,
            expressions: &self.expressions,
            authorizer: &self.authorizer,
            traceparent: options.traceparent,
            dry_run: options.dry_run,
            warnings: options.warnings,
        }
    }
}

fn is_service(kind: &Kind) -> bool {
    kind.group.is_empty() && kind.kind == "Service"
}

/// What the store calls a kind: by group and plural, since all versions of a kind are the same objects.
pub(crate) fn resource(kind: &Kind) -> String {
    match kind.stored_in {
        Some(("", _)) => kind.plural.to_owned(),
        Some((group, _)) => format!("{}.{group}", kind.plural),
        None => kind.resource(),
    }
}

/// The fields of an object that can be selected on: the store's index.
pub(crate) fn index(resource: &str, object: &Object) -> Vec<(&'static str, String)> {
    // Called for every write: nothing is put together to compare.
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let kind = kinds::all()
        .iter()
        .find(|kind| (kind.plural, kind.group) == (plural, group));
    let Some(rules) = kind.map(rules) else {
        return Vec::new();
    };
    rules
        .fields()
        .iter()
        .map(|&path| (path, rules.field(object, path)))
        .collect()
}

/// A write that didn't happen, as clients are told.
fn status_of(error: &WriteError) -> Status {
    match error {
        WriteError::Backend(_) => {
            let message = format!("{}; free space or repair the disk, then try again", chain(error));
            Status::internal(message)
        }
        WriteError::Stopped => Status::unavailable("the API server is shutting down"),
        WriteError::Conflict => Status::internal("a conflict was not resolved"),
    }
}

/// Timestamps of the API have whole seconds.
pub(crate) fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
