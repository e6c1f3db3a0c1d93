//! Config maps, secrets, image pull secrets, runtime classes and tokens: asked for at the API server when a container or volume needs them.

use futures::future::{BoxFuture, try_join_all, try_join3};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1 as authentication;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::Api;
use kube::api::PostParams;

use crate::spec::references::{Objects, References};
use crate::tokens::{Token, TokenRequest, Tokens};

/// A lookup that failed; one that found nothing is no failure.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind} \"{name}\" can't be read from the API server: {message}")]
pub(crate) struct LookupError {
    kind: &'static str,
    name: String,
    message: String,
}

/// Where objects are looked up: the API server, or a map in tests.
pub(crate) trait Lookup: Send + Sync + 'static {
    /// None if there is no such config map.
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ConfigMap>, LookupError>>;
    /// None if there is no such secret.
    fn secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, LookupError>>;
    /// The handler of a runtime class; none if there is no such class.
    fn runtime_handler<'a>(&'a self, class: &'a str) -> BoxFuture<'a, Result<Option<String>, LookupError>>;
    /// A token that is fresh.
    fn token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<String, LookupError>>;
}

/// Fetches all at the same time.
pub(crate) async fn fetch(
    lookup: &dyn Lookup,
    namespace: &str,
    references: &References,
) -> Result<Objects, LookupError> {
    let config_maps = references.config_maps.iter().map(|name| async move {
        let found = lookup.config_map(namespace, name).await?;
        Ok::<_, LookupError>(found.map(|object| (name.clone(), object)))
    });
    let secrets = references.secrets.iter().map(|name| async move {
        let found = lookup.secret(namespace, name).await?;
        Ok::<_, LookupError>(found.map(|object| (name.clone(), object)))
    });
    let tokens = references.tokens.iter().map(|request| async move {
        let token = lookup.token(request).await?;
        Ok::<_, LookupError>((request.clone(), token))
    });
    let all = try_join3(try_join_all(config_maps), try_join_all(secrets), try_join_all(tokens));
    let (config_maps, secrets, tokens) = all.await?;
    Ok(Objects {
        config_maps: config_maps.into_iter().flatten().collect(),
        secrets: secrets.into_iter().flatten().collect(),
        tokens: tokens.into_iter().collect(),
    })
}

/// The API server.
pub(crate) struct Server {
    client: kube::Client,
    tokens: Tokens,
}

impl Server {
    /// Asked through this client.
    pub(crate) fn new(client: kube::Client) -> Self {
        Self {
            client,
            tokens: Tokens::default(),
        }
    }
}

impl Lookup for Server {
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ConfigMap>, LookupError>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        Box::pin(async move {
            api.get_opt(name)
                .await
                .map_err(|error| failed("configmap", name, &error))
        })
    }

    fn secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, LookupError>> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        Box::pin(async move { api.get_opt(name).await.map_err(|error| failed("secret", name, &error)) })
    }

    fn runtime_handler<'a>(&'a self, class: &'a str) -> BoxFuture<'a, Result<Option<String>, LookupError>> {
        let api: Api<RuntimeClass> = Api::all(self.client.clone());
        Box::pin(async move {
            let found = api.get_opt(class).await;
            let found = found.map_err(|error| failed("runtimeclass.node.k8s.io", class, &error))?;
            Ok(found.map(|class| class.handler))
        })
    }

    fn token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<String, LookupError>> {
        Box::pin(async move {
            if let Some(token) = self.tokens.fresh(request, Timestamp::now()) {
                return Ok(token);
            }
            let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &request.namespace);
            let answer = api
                .create_token_request(&request.account, &PostParams::default(), &body(request))
                .await;
            let answer = answer.map_err(|error| failed("token of service account", &request.account, &error))?;
            let status = answer.status.unwrap_or_default();
            let text = status.token.unwrap_or_default();
            let now = Timestamp::now();
            // The server's clock says when it ends; an answer that makes no sense there is as good as what was asked for.
            let asked = now.saturating_add(SignedDuration::from_secs(request.seconds));
            let expires = status
                .expiration_timestamp
                .map(|time| time.0)
                .filter(|expires| *expires > now);
            let token = Token {
                text: text.clone(),
                issued: now,
                expires: expires.or(asked.ok()).unwrap_or(now),
            };
            self.tokens.keep(request.clone(), token, now);
            Ok(text)
        })
    }
}

fn body(request: &TokenRequest) -> authentication::TokenRequest {
    let bound = authentication::BoundObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(request.pod.clone()),
        uid: Some(request.uid.clone()),
    };
    authentication::TokenRequest {
        spec: Some(authentication::TokenRequestSpec {
            audiences: request.audience.clone().map(|audience| vec![audience]),
            expiration_seconds: Some(request.seconds),
            bound_object_ref: Some(bound),
        }),
        ..Default::default()
    }
}

fn failed(kind: &'static str, name: &str, error: &kube::Error) -> LookupError {
    LookupError {
        kind,
        name: name.to_owned(),
        message: error.to_string(),
    }
}
