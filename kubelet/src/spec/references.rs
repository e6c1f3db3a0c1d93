//! Which config maps, secrets and tokens a pod needs, so that they can be fetched before anything pure begins.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Container, Secret, ServiceAccountTokenProjection};

use crate::pod::Pod;
use crate::tokens::TokenRequest;

/// Names of config maps and secrets in the pod's namespace, and tokens of its service account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct References {
    pub(crate) config_maps: BTreeSet<String>,
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) tokens: BTreeSet<TokenRequest>,
}

/// The objects that were found; one that isn't there is missing here too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    pub(crate) config_maps: BTreeMap<String, ConfigMap>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) tokens: BTreeMap<TokenRequest, String>,
}

/// What the container's environment refers to.
pub(crate) fn of_environment(container: &Container) -> References {
    let mut references = References::default();
    for source in container.env_from.iter().flatten() {
        references
            .config_maps
            .extend(source.config_map_ref.as_ref().map(|from| from.name.clone()));
        references
            .secrets
            .extend(source.secret_ref.as_ref().map(|from| from.name.clone()));
    }
    for source in container
        .env
        .iter()
        .flatten()
        .filter_map(|variable| variable.value_from.as_ref())
    {
        references
            .config_maps
            .extend(source.config_map_key_ref.as_ref().map(|key| key.name.clone()));
        references
            .secrets
            .extend(source.secret_key_ref.as_ref().map(|key| key.name.clone()));
    }
    references
}

/// What the pod's volumes refer to.
pub(crate) fn of_volumes(pod: &Pod) -> References {
    let mut references = References::default();
    for volume in pod.spec.volumes.iter().flatten() {
        references
            .config_maps
            .extend(volume.config_map.as_ref().map(|source| source.name.clone()));
        references
            .secrets
            .extend(volume.secret.as_ref().and_then(|source| source.secret_name.clone()));
        let projected = volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten());
        for source in projected {
            references
                .config_maps
                .extend(source.config_map.as_ref().map(|source| source.name.clone()));
            references
                .secrets
                .extend(source.secret.as_ref().map(|source| source.name.clone()));
            references
                .tokens
                .extend(source.service_account_token.as_ref().map(|source| token(pod, source)));
        }
    }
    references
}

/// What a projected token is asked for with.
pub(crate) fn token(pod: &Pod, source: &ServiceAccountTokenProjection) -> TokenRequest {
    const DEFAULT_SECONDS: i64 = 60 * 60;
    let account = pod.spec.service_account_name.clone();
    TokenRequest {
        namespace: pod.namespace.clone(),
        account: account
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "default".to_owned()),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        audience: source.audience.clone().filter(|audience| !audience.is_empty()),
        seconds: source.expiration_seconds.unwrap_or(DEFAULT_SECONDS),
    }
}

impl References {
    /// Nothing has to be fetched.
    pub(crate) fn is_empty(&self) -> bool {
        self.config_maps.is_empty() && self.secrets.is_empty() && self.tokens.is_empty()
    }
}
