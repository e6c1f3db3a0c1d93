//! Tokens that secrets hold: a secret of type `kubernetes.io/service-account-token` that names an account is filled with a
//! token that lasts as long as both, the authority and the namespace; the secret goes when its account does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::status::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Tokens, jwt};
use crate::auth::User;
use crate::auth::user::{groups, service_account_groups, service_account_name};
use crate::registry::{DeleteOptions, Part, Registry, Selection, Target, WriteOptions, resource};
use crate::storage::{Key, Store};

const TYPE: &str = "kubernetes.io/service-account-token";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";
const ISSUER: &str = "kubernetes/serviceaccount";

/// What such a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    secret: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    account: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    uid: String,
    sub: String,
}

impl Claims {
    /// If a token's claims are of this kind.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let is_legacy = value["iss"] == ISSUER;
        is_legacy.then(|| Self::deserialize(value).ok())?
    }
}

/// The user of a token that its secret still holds.
pub(super) fn user(store: &Store, claims: &Claims, token: &str) -> Result<User, String> {
    let invalidated = || "service account token has been invalidated".to_owned();
    let get = |resource: &str, name: &str| {
        let key = Key::parse(Key::new(resource, &claims.namespace, name).as_str())?;
        let object = store.get(&key)?.object();
        object.metadata.deletion_timestamp.is_none().then_some(object)
    };
    let secret = get("secrets", &claims.secret).ok_or_else(invalidated)?;
    let held = secret.at("data.token").and_then(Value::as_str).unwrap_or_default();
    let held = STANDARD.decode(held).map_err(|_| invalidated())?;
    // By digest: how long it takes tells nothing about the token.
    if Sha256::digest(held) != Sha256::digest(token) {
        return Err("service account token does not match server's copy".into());
    }
    let account = get("serviceaccounts", &claims.account).ok_or_else(invalidated)?;
    if account.metadata.uid.as_ref() != Some(&claims.uid) {
        return Err("service account UID does not match claim".into());
    }
    let mut all = service_account_groups(&claims.namespace);
    all.push(groups::AUTHENTICATED.into());
    Ok(User {
        name: service_account_name(&claims.namespace, &claims.account),
        uid: claims.uid.clone(),
        groups: all,
        ..User::default()
    })
}

fn secrets() -> &'static Kind {
    kinds::of("", "v1", "Secret").expect("secrets are in the table of kinds")
}

fn accounts() -> &'static Kind {
    kinds::of("", "v1", "ServiceAccount").expect("service accounts are in the table of kinds")
}

/// Fills secrets, and removes those whose account is gone, until the store stops.
pub(crate) async fn tend(registry: Registry, tokens: std::sync::Arc<Tokens>, authority: String) {
    let mut changes = [secrets(), accounts()].map(|kind| registry.store().subscribe(&resource(kind)));
    loop {
        changes.iter_mut().for_each(|change| drop(change.borrow_and_update()));
        let selection = Selection::of_field("type", TYPE);
        for stored in registry.selected(secrets(), &selection) {
            let secret = stored.object();
            if let Err(status) = one(&registry, &tokens, &authority, &secret).await {
                let (namespace, name) = (secret.namespace(), secret.name());
                tracing::warn!(namespace, name, %status, "a token secret can't be filled; trying again at the next change");
            }
        }
        let waits = changes.iter_mut().map(|change| Box::pin(change.changed()));
        let (changed, ..) = futures::future::select_all(waits).await;
        if changed.is_err() {
            return;
        }
    }
}

async fn one(registry: &Registry, tokens: &Tokens, authority: &str, secret: &Object) -> Result<(), Status> {
    let annotation = |name: &str| secret.metadata.annotations.as_ref()?.get(name).cloned();
    let Some(name) = annotation(NAME).filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    let account = registry.get(Target {
        kind: accounts(),
        namespace: secret.namespace(),
        name: &name,
    });
    let target = Target {
        kind: secrets(),
        namespace: secret.namespace(),
        name: secret.name(),
    };
    let uid = account.ok().and_then(|account| account.object().metadata.uid);
    let is_of_another = annotation(UID).is_some_and(|own| Some(own) != uid);
    let Some(uid) = uid.filter(|_| !is_of_another) else {
        let deleted = registry
            .delete(target, &DeleteOptions::default(), WriteOptions::own())
            .await;
        return match deleted {
            Err(status) if status.code != 404 => Err(status),
            _ => Ok(()),
        };
    };
    if is_filled(secret) && annotation(UID).is_some() {
        return Ok(());
    }
    let claims = Claims {
        iss: ISSUER.into(),
        namespace: secret.namespace().into(),
        secret: secret.name().into(),
        sub: service_account_name(secret.namespace(), &name),
        account: name,
        uid,
    };
    let token = jwt::sign(&claims, &tokens.key);
    let filled = registry.update(target, Part::Main, WriteOptions::own(), |old| {
        Ok(filled(old, &claims, &token, authority))
    });
    match filled.await {
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}

fn is_filled(secret: &Object) -> bool {
    let has = |key: &str| {
        secret
            .at("data")
            .and_then(|data| data.get(key))
            .is_some_and(|value| value != "")
    };
    ["token", "ca.crt", "namespace"].into_iter().all(has)
}

fn filled(old: &Object, claims: &Claims, token: &str, authority: &str) -> Object {
    let mut new = old.clone();
    let annotations = new.metadata.annotations.get_or_insert_default();
    annotations.insert(UID.into(), claims.uid.clone());
    let data = new.body.entry("data").or_insert_with(|| json!({}));
    for (key, text) in [
        ("token", token),
        ("ca.crt", authority),
        ("namespace", &claims.namespace),
    ] {
        let is_there = data.get(key).is_some_and(|value| value != "");
        if !is_there {
            data[key] = STANDARD.encode(text).into();
        }
    }
    new
}
