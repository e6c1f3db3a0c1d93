//! What a token says (upstream's `pkg/serviceaccount`): whose it is, for whom, how long, and what it ends with. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::User;
use crate::auth::user::{groups, service_account, service_account_groups, service_account_name};

/// The lifetime that the kubelet asks for on behalf of pods which didn't ask themselves: such a token lasts a year, and its
/// kubelet is told the hour, so that programs which read it only once go on.
const UNASKED_SECONDS: i64 = 60 * 60 + 7;
const EXTENDED_SECONDS: i64 = 365 * 24 * 60 * 60;

/// A token's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    #[serde(rename = "aud")]
    pub(crate) audiences: Vec<String>,
    #[serde(rename = "exp")]
    pub(crate) expires: i64,
    #[serde(rename = "iat")]
    issued: i64,
    #[serde(rename = "iss")]
    issuer: String,
    #[serde(rename = "jti", default)]
    id: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) private: Private,
    #[serde(rename = "nbf")]
    not_before: i64,
    #[serde(rename = "sub")]
    subject: String,
}

/// What it is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Private {
    pub(crate) namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Reference>,
    #[serde(rename = "serviceaccount")]
    pub(crate) account: Reference,
    #[serde(rename = "warnafter", default, skip_serializing_if = "Option::is_none")]
    warn_after: Option<i64>,
}

/// An object, and no other of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) uid: String,
}

/// A token that is asked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Of whom.
    pub(crate) namespace: String,
    /// Of whom.
    pub(crate) account: Reference,
    /// For whom.
    pub(crate) audiences: Vec<String>,
    /// For how long.
    pub(crate) seconds: i64,
    /// It ends with these.
    pub(crate) pod: Option<Reference>,
    /// It ends with these; beside a pod it only says where that runs.
    pub(crate) node: Option<Reference>,
    /// It ends with these.
    pub(crate) secret: Option<Reference>,
    /// It is for this server.
    pub(crate) is_for_api: bool,
}

impl Claims {
    /// What the token will say. The second number is when whoever asked is told that it ends.
    pub(crate) fn new(wanted: Wanted, issuer: &str, id: String, now: i64) -> (Self, i64) {
        let told = now + wanted.seconds;
        let is_extended = wanted.pod.is_some() && wanted.is_for_api && wanted.seconds == UNASKED_SECONDS;
        let claims = Self {
            subject: service_account_name(&wanted.namespace, &wanted.account.name),
            audiences: wanted.audiences,
            expires: if is_extended { now + EXTENDED_SECONDS } else { told },
            issued: now,
            not_before: now,
            issuer: issuer.to_owned(),
            id,
            private: Private {
                namespace: wanted.namespace,
                node: wanted.node,
                pod: wanted.pod,
                secret: wanted.secret,
                account: wanted.account,
                warn_after: is_extended.then_some(told),
            },
        };
        (claims, told)
    }

    /// Whether it holds at this time.
    pub(crate) fn check(&self, issuer: &str, now: i64) -> Result<(), String> {
        /// Clocks differ, and a laptop's jumps.
        const LEEWAY_SECONDS: i64 = 60;
        if self.issuer != issuer {
            return Err("the token is of another issuer".into());
        }
        if now > self.expires.saturating_add(LEEWAY_SECONDS) {
            return Err("service account token has expired".into());
        }
        if now.saturating_add(LEEWAY_SECONDS) < self.not_before {
            return Err("service account token is not valid yet".into());
        }
        let named = service_account(&self.subject);
        if named != Some((&self.private.namespace, &self.private.account.name)) {
            return Err("the token's subject isn't the service account that it names".into());
        }
        Ok(())
    }

    /// The user that it makes.
    pub(crate) fn user(&self) -> User {
        const AUTHENTICATION: &str = "authentication.kubernetes.io";
        let mut extra = BTreeMap::new();
        let mut add = |name: &str, value: &str| {
            extra.insert(format!("{AUTHENTICATION}/{name}"), vec![value.to_owned()]);
        };
        if !self.id.is_empty() {
            add("credential-id", &format!("JTI={}", self.id));
        }
        if let Some(pod) = &self.private.pod {
            add("pod-name", &pod.name);
            add("pod-uid", &pod.uid);
        }
        if let Some(node) = &self.private.node {
            add("node-name", &node.name);
            if !node.uid.is_empty() {
                add("node-uid", &node.uid);
            }
        }
        let mut all = service_account_groups(&self.private.namespace);
        all.push(groups::AUTHENTICATED.into());
        User {
            name: self.subject.clone(),
            uid: self.private.account.uid.clone(),
            groups: all,
            extra,
        }
    }
}

/// The claims of a token, if it is one of these.
pub(super) fn read(value: &Value) -> Result<Claims, String> {
    Claims::deserialize(value).map_err(|error| format!("the token's claims can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(seconds: i64, is_for_api: bool, pod: bool) -> Wanted {
        let reference = |name: &str| Reference {
            name: name.into(),
            uid: "u".into(),
        };
        Wanted {
            namespace: "default".into(),
            account: reference("web"),
            audiences: vec!["api".into()],
            seconds,
            is_for_api,
            pod: pod.then(|| reference("p")),
            ..Wanted::default()
        }
    }

    #[test]
    fn a_token_holds_for_its_time() {
        let (claims, told) = Claims::new(wanted(600, true, true), "api", "id".into(), 1000);
        assert_eq!((claims.expires, told), (1600, 1600));
        for (now, holds) in [(1000, true), (1600, true), (1661, false), (939, false), (940, true)] {
            assert_eq!(claims.check("api", now).is_ok(), holds, "{now}");
        }
        assert!(claims.check("other", 1000).is_err());
    }

    #[test]
    fn what_nobody_asked_for_lasts_longer_than_it_says() {
        for (seconds, is_for_api, pod, expires) in [
            (UNASKED_SECONDS, true, true, EXTENDED_SECONDS),
            (UNASKED_SECONDS, false, true, UNASKED_SECONDS),
            (UNASKED_SECONDS, true, false, UNASKED_SECONDS),
            (3600, true, true, 3600),
        ] {
            let (claims, told) = Claims::new(wanted(seconds, is_for_api, pod), "api", "id".into(), 0);
            assert_eq!((claims.expires, told), (expires, seconds));
        }
    }

    #[test]
    fn the_user_is_who_it_names() {
        let (claims, _) = Claims::new(wanted(600, true, true), "api", "id".into(), 0);
        let read = read(&serde_json::to_value(&claims).expect("JSON")).expect("its own");
        assert_eq!(read, claims);
        let user = claims.user();
        assert_eq!(user.name, "system:serviceaccount:default:web");
        assert_eq!(
            user.groups,
            [
                "system:serviceaccounts",
                "system:serviceaccounts:default",
                "system:authenticated"
            ]
        );
        assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
        assert_eq!(user.extra["authentication.kubernetes.io/credential-id"], ["JTI=id"]);
        let mut forged = claims;
        forged.private.account.name = "admin".into();
        assert!(forged.check("api", 0).is_err());
    }
}
