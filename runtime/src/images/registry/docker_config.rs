//! Logins from docker's `config.json`, as `docker login` leaves them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::credentials::Credentials;
use crate::images::reference::DOCKER_HUB;

/// docker's key for Docker Hub, from its first registry API.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Why docker's configuration gives no login.
#[derive(Debug, thiserror::Error)]
pub enum DockerConfigError {
    /// It can't be read.
    #[error("can't read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// It isn't what docker writes.
    #[error("{path} is no docker configuration; repair or remove it", path = .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        #[source]
        source: serde_json::Error,
    },
    /// The login is kept by another program.
    #[error(
        "{path} keeps the login for {registry} in the credential helper {helper:?}, which this runtime doesn't run; \
         put the login into an imagePullSecret, or into \"auths\" of that file", path = .path.display()
    )]
    Helper {
        /// The file.
        path: PathBuf,
        /// Whose login.
        registry: String,
        /// `docker-credential-<this>`.
        helper: String,
    },
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Login>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase", default)]
struct Login {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// The login for a registry. No file is no login.
pub(crate) fn credentials_for(path: &Path, registry: &str) -> Result<Option<Credentials>, DockerConfigError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.to_owned();
            return Err(DockerConfigError::Read { path, source });
        }
    };
    let config: DockerConfig = serde_json::from_slice(&bytes).map_err(|source| DockerConfigError::Parse {
        path: path.to_owned(),
        source,
    })?;
    let helper = |helper: &String| DockerConfigError::Helper {
        path: path.to_owned(),
        registry: registry.to_owned(),
        helper: helper.clone(),
    };
    if let Some((_, name)) = config.cred_helpers.iter().find(|(key, _)| is_for(key, registry)) {
        return Err(helper(name));
    }
    let login = config.auths.iter().find(|(key, _)| is_for(key, registry));
    match login.map(|(_, login)| login.credentials()) {
        // With a store, `docker login` leaves an entry without content as a marker.
        Some(None) if !config.creds_store.is_empty() => Err(helper(&config.creds_store)),
        found => Ok(found.flatten()),
    }
}

impl Login {
    fn credentials(&self) -> Option<Credentials> {
        Credentials::from_cri(&minik_api::cri::AuthConfig {
            username: self.username.clone(),
            password: self.password.clone(),
            auth: self.auth.clone(),
            identity_token: self.identitytoken.clone(),
            registry_token: self.registrytoken.clone(),
            server_address: String::new(),
        })
    }
}

/// Keys are hosts, or URLs of which the host counts.
fn is_for(key: &str, registry: &str) -> bool {
    if registry == DOCKER_HUB && matches!(key, DOCKER_HUB_KEY | "index.docker.io") {
        return true;
    }
    let without_scheme = key.split_once("://").map_or(key, |(_, rest)| rest);
    without_scheme.split('/').next() == Some(registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(config: &str, registry: &str) -> Result<Option<Credentials>, DockerConfigError> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), config).expect("written");
        credentials_for(file.path(), registry)
    }

    fn basic(username: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Basic {
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }

    #[test]
    fn logins_are_found_by_host() {
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHVidXNlcjpwOnc="},
            "quay.io": {"username": "q", "password": "w"},
            "https://ghcr.io/v2/": {"identitytoken": "t"}},
            "credsStore": "", "HttpHeaders": {"a": "b"}}"#;
        assert_eq!(look_up(config, "docker.io").expect("readable"), basic("hubuser", "p:w"));
        assert_eq!(look_up(config, "quay.io").expect("readable"), basic("q", "w"));
        assert_eq!(
            look_up(config, "ghcr.io").expect("readable"),
            Some(Credentials::IdentityToken("t".to_owned()))
        );
        assert_eq!(look_up(config, "quay.io:444").expect("readable"), None);
    }

    #[test]
    fn helpers_are_named_and_only_where_they_matter() {
        let config =
            r#"{"auths": {"quay.io": {}}, "credHelpers": {"ghcr.io": "desktop.exe"}, "credsStore": "secretservice"}"#;
        for (registry, name) in [("ghcr.io", "desktop.exe"), ("quay.io", "secretservice")] {
            let error = look_up(config, registry).expect_err(registry);
            assert!(
                matches!(&error, DockerConfigError::Helper { helper, .. } if helper == name),
                "{error}"
            );
        }
        assert_eq!(look_up(config, "localhost:5000").expect("readable"), None);
    }

    #[test]
    fn no_file_is_no_login_and_garbage_is_said() {
        assert_eq!(
            credentials_for(Path::new("/does/not/exist"), "quay.io").expect("no file"),
            None
        );
        assert!(matches!(
            look_up("nonsense", "quay.io"),
            Err(DockerConfigError::Parse { .. })
        ));
    }
}
