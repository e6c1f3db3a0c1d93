//! Whether what a token is bound to is still there: the very objects, by uid.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::claims::{Claims, Reference};
use crate::storage::{Key, Store};

/// A token outlives the end of what it is bound to by this: its holder may be tidying up.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
const INVALIDATED: &str = "service account token has been invalidated";

/// Checks the service account and the pod, secret or node.
pub(super) fn check(store: &Store, claims: &Claims, now: Timestamp) -> Result<(), String> {
    let private = &claims.private;
    let (namespace, account) = (&private.namespace, &private.account);
    let found = metadata(store, &Key::new("serviceaccounts", namespace, &account.name))
        .ok_or_else(|| format!("serviceaccounts {:?} not found", account.name))?;
    if is_gone(&found, now) {
        return Err(format!("service account {namespace}/{} has been deleted", account.name));
    }
    let uid = found.uid.unwrap_or_default();
    if uid != account.uid {
        return Err(format!(
            "service account UID ({uid}) does not match claim ({})",
            account.uid
        ));
    }
    if let Some(secret) = &private.secret {
        same(
            store,
            Key::new("secrets", namespace, &secret.name),
            secret,
            "secret",
            now,
        )?;
    }
    match (&private.pod, &private.node) {
        (Some(pod), _) => same(store, Key::new("pods", namespace, &pod.name), pod, "pod", now),
        (None, Some(node)) => same(store, Key::new("nodes", "", &node.name), node, "node", now),
        (None, None) => Ok(()),
    }
}

fn same(store: &Store, key: Key, claimed: &Reference, what: &str, now: Timestamp) -> Result<(), String> {
    let found = metadata(store, &key)
        .filter(|found| !is_gone(found, now))
        .ok_or(INVALIDATED)?;
    let uid = found.uid.unwrap_or_default();
    match uid == claimed.uid {
        true => Ok(()),
        false => Err(format!(
            "{what} UID ({uid}) does not match service account {what} ref claim ({})",
            claimed.uid
        )),
    }
}

fn metadata(store: &Store, key: &Key) -> Option<ObjectMeta> {
    // A name out of a token is no key before it is known to be one.
    Key::parse(key.as_str())?;
    Some(store.get(key)?.object().metadata)
}

fn is_gone(metadata: &ObjectMeta, now: Timestamp) -> bool {
    let ends = metadata.deletion_timestamp.as_ref().map(|time| time.0);
    ends.is_some_and(|ends| ends.saturating_add(LEEWAY).unwrap_or(ends) < now)
}
