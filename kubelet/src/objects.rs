//! Config maps, secrets and image pull secrets: read from the API server when a container or volume needs them.

use futures::future::{BoxFuture, try_join, try_join_all};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;

use crate::spec::references::{Objects, References};

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
    let (config_maps, secrets) = try_join(try_join_all(config_maps), try_join_all(secrets)).await?;
    Ok(Objects {
        config_maps: config_maps.into_iter().flatten().collect(),
        secrets: secrets.into_iter().flatten().collect(),
    })
}

/// The API server.
pub(crate) struct Server(pub(crate) kube::Client);

impl Lookup for Server {
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ConfigMap>, LookupError>> {
        let api: Api<ConfigMap> = Api::namespaced(self.0.clone(), namespace);
        Box::pin(async move {
            api.get_opt(name)
                .await
                .map_err(|error| failed("configmap", name, &error))
        })
    }

    fn secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, LookupError>> {
        let api: Api<Secret> = Api::namespaced(self.0.clone(), namespace);
        Box::pin(async move { api.get_opt(name).await.map_err(|error| failed("secret", name, &error)) })
    }
}

fn failed(kind: &'static str, name: &str, error: &kube::Error) -> LookupError {
    LookupError {
        kind,
        name: name.to_owned(),
        message: error.to_string(),
    }
}
