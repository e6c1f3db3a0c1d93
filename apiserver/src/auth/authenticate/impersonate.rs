//! Acting as somebody else (`kubectl --as`): each thing that is claimed needs the verb `impersonate` on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use minik_api::status::Status;
use percent_encoding::percent_decode_str;

use crate::auth::user::{ANONYMOUS, groups, service_account, service_account_groups};
use crate::auth::{Asked, Authorizer, Resource, User};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";
/// The most that one request may claim; each is authorized.
const CLAIMS: usize = 256;

/// Whom the request is to be answered as; `None`: as whoever asks.
pub(crate) fn impersonated(
    headers: &HeaderMap,
    asker: &User,
    authorizer: &Authorizer,
) -> Result<Option<Arc<User>>, Status> {
    let Some(claimed) = claimed(headers)? else {
        return Ok(None);
    };
    for claim in claims(&claimed) {
        authorizer.authorize(
            asker,
            &Asked::Resource(Resource {
                verb: "impersonate",
                ..claim
            }),
        )?;
    }
    tracing::debug!(asker.name, claimed.name, "impersonation");
    Ok(Some(Arc::new(completed(claimed))))
}

/// What the headers say, without what comes along by itself.
fn claimed(headers: &HeaderMap) -> Result<Option<User>, Status> {
    let wrong = |what: &str| Status::internal(what);
    let texts = |name: &str| -> Result<Vec<String>, Status> {
        let values = headers.get_all(name).into_iter();
        let read = values.map(|value| value.to_str().map(str::to_owned));
        read.collect::<Result<_, _>>()
            .map_err(|_| wrong("impersonation headers are no text"))
    };
    let mut user = User {
        name: texts(USER)?.into_iter().next().unwrap_or_default(),
        uid: texts(UID)?.into_iter().next().unwrap_or_default(),
        groups: texts(GROUP)?,
        extra: BTreeMap::new(),
    };
    for name in headers.keys() {
        let Some(key) = name.as_str().strip_prefix(EXTRA) else {
            continue;
        };
        let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
        user.extra.entry(key).or_default().extend(texts(name.as_str())?);
    }
    let count = user.groups.len() + user.extra.values().map(Vec::len).sum::<usize>();
    if count > CLAIMS {
        return Err(Status::bad_request("too many impersonation headers"));
    }
    match (user.name.is_empty(), user == User::default()) {
        (_, true) => Ok(None),
        (true, false) => Err(wrong("impersonation of a uid, groups or extra without a user")),
        (false, false) => Ok(Some(user)),
    }
}

/// What has to be allowed, one by one.
fn claims(user: &User) -> Vec<Resource<'_>> {
    const AUTHENTICATION: &str = "authentication.k8s.io";
    let named = |group, resource, name| Resource {
        group,
        resource,
        name,
        ..Resource::default()
    };
    let who = match service_account(&user.name) {
        Some((namespace, name)) => Resource {
            namespace,
            ..named("", "serviceaccounts", name)
        },
        None => named("", "users", &user.name),
    };
    let mut claims = vec![who];
    claims.extend(user.groups.iter().map(|group| named("", "groups", group)));
    if !user.uid.is_empty() {
        claims.push(named(AUTHENTICATION, "uids", &user.uid));
    }
    for (key, values) in &user.extra {
        claims.extend(values.iter().map(|value| Resource {
            subresource: key,
            ..named(AUTHENTICATION, "userextras", value)
        }));
    }
    claims
}

/// With the groups that such a user has by itself.
fn completed(mut user: User) -> User {
    if user.groups.is_empty()
        && let Some((namespace, _)) = service_account(&user.name)
    {
        user.groups = service_account_groups(namespace);
    }
    let known = if user.name == ANONYMOUS {
        groups::UNAUTHENTICATED
    } else {
        groups::AUTHENTICATED
    };
    let is_told = user.is_in(groups::AUTHENTICATED) || user.is_in(groups::UNAUTHENTICATED);
    if !is_told {
        user.groups.push(known.into());
    }
    user
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_is_claimed_has_to_be_allowed_one_by_one() {
        let headers = headers(&[
            ("impersonate-user", "eve"),
            ("impersonate-group", "people"),
            ("impersonate-extra-acme.com%2fscope", "view"),
        ]);
        let user = claimed(&headers).expect("readable").expect("somebody");
        let asked: Vec<_> = claims(&user)
            .iter()
            .map(|claim| (claim.group, claim.resource, claim.subresource, claim.name))
            .map(|(group, resource, subresource, name)| format!("{group}/{resource}/{subresource}/{name}"))
            .collect();
        assert_eq!(
            asked,
            [
                "/users//eve",
                "/groups//people",
                "authentication.k8s.io/userextras/acme.com/scope/view"
            ]
        );
        assert_eq!(completed(user).groups, ["people", "system:authenticated"]);
    }

    #[test]
    fn groups_come_by_themselves() {
        for (name, expected) in [
            ("eve", vec!["system:authenticated"]),
            ("system:anonymous", vec!["system:unauthenticated"]),
            (
                "system:serviceaccount:a:b",
                vec![
                    "system:serviceaccounts",
                    "system:serviceaccounts:a",
                    "system:authenticated",
                ],
            ),
        ] {
            let user = User {
                name: name.into(),
                ..User::default()
            };
            assert_eq!(completed(user).groups, expected, "{name}");
        }
    }

    #[test]
    fn nobody_has_no_groups() {
        assert_eq!(claimed(&HeaderMap::new()).expect("nothing"), None);
        assert_eq!(
            claimed(&headers(&[("impersonate-group", "system:masters")])).map_err(|status| status.code),
            Err(500)
        );
    }
}
