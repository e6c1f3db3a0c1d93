//! `create secret generic`, `tls` and `docker-registry`.

use std::fs;

use anyhow::{anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::creating::Creating;
use super::sources::{Sources, Values, hash, metadata};
use crate::print::gojson;

/// The kinds of secrets.
#[derive(Subcommand, Debug)]
pub enum Secret {
    /// A secret of values and files
    Generic(Generic),
    /// A certificate and its key
    Tls(Tls),
    /// What a registry wants to know before it gives images away
    DockerRegistry(DockerRegistry),
}

/// Arguments of `create secret generic`.
#[derive(Args, Debug)]
pub struct Generic {
    /// Its name.
    name: String,
    #[command(flatten)]
    sources: Sources,
    /// The type that it says to be of.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Put a hash of what is in it behind the name.
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    creating: Creating,
}

/// Arguments of `create secret tls`.
#[derive(Args, Debug)]
pub struct Tls {
    /// Its name.
    name: String,
    /// The file of the certificate, PEM.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    cert: String,
    /// The file of the key, PEM.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    key: String,
    /// Put a hash of what is in it behind the name.
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    creating: Creating,
}

/// Arguments of `create secret docker-registry`.
#[derive(Args, Debug)]
pub struct DockerRegistry {
    /// Its name.
    name: String,
    /// The registry's address.
    #[arg(long, value_name = "URL", default_value = "https://index.docker.io/v1/")]
    docker_server: String,
    /// Who asks.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    docker_username: String,
    /// How they prove it.
    #[arg(long, value_name = "PASSWORD", default_value = "", hide_default_value = true)]
    docker_password: String,
    /// Where to write to them.
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    docker_email: String,
    /// A file such as ~/.docker/config.json in the place of all of these.
    #[arg(long, value_name = "[KEY=]FILE", value_delimiter = ',')]
    from_file: Vec<String>,
    /// Put a hash of what is in it behind the name.
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    creating: Creating,
}

impl Secret {
    pub fn creating(&self) -> &Creating {
        match self {
            Self::Generic(words) => &words.creating,
            Self::Tls(words) => &words.creating,
            Self::DockerRegistry(words) => &words.creating,
        }
    }

    pub fn object(&self) -> anyhow::Result<Value> {
        match self {
            Self::Generic(words) => {
                let values = words.sources.read("Secret", &words.name)?;
                let kind = words.kind.as_deref().unwrap_or_default();
                Ok(object(&words.name, kind, &values, words.append_hash))
            }
            Self::Tls(words) => words.object(),
            Self::DockerRegistry(words) => words.object(),
        }
    }
}

impl Tls {
    fn object(&self) -> anyhow::Result<Value> {
        if self.cert.is_empty() || self.key.is_empty() {
            bail!("key and cert must be specified");
        }
        let read = |file: &str| fs::read(file).map_err(|error| anyhow!("Cannot read file {file}, {error}"));
        let (cert, key) = (read(&self.cert)?, read(&self.key)?);
        check(&cert, &key)?;
        let values = Values::from([("tls.crt".to_owned(), cert), ("tls.key".to_owned(), key)]);
        Ok(object(&self.name, "kubernetes.io/tls", &values, self.append_hash))
    }
}

/// Whether these are a certificate and the key that belongs to it.
fn check(cert: &[u8], key: &[u8]) -> anyhow::Result<()> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certs: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(cert).collect();
    let certs = certs.map_err(|error| anyhow!("tls: failed to find any PEM data in certificate input: {error}"))?;
    if certs.is_empty() {
        bail!("tls: failed to find any PEM data in certificate input");
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| anyhow!("tls: failed to find any PEM data in key input: {error}"))?;
    // Fails only when a provider is there already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let provider = rustls::crypto::ring::default_provider();
    rustls::sign::CertifiedKey::from_der(certs, key, &provider)
        .map(|_| ())
        .map_err(|error| anyhow!("tls: private key does not match public key: {error}"))
}

impl DockerRegistry {
    fn object(&self) -> anyhow::Result<Value> {
        let sources = [&self.docker_username, &self.docker_password, &self.docker_server];
        let mut values = Values::new();
        if let [file] = self.from_file.as_slice() {
            let path = file.split_once('=').map_or(file.as_str(), |(_, path)| path);
            let text = fs::read(path).map_err(|error| anyhow!("error reading {path}: {error}"))?;
            values.insert(".dockerconfigjson".to_owned(), text);
        } else if sources.iter().any(|source| source.is_empty()) {
            bail!(
                "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required"
            );
        } else {
            let auth = STANDARD.encode(format!("{}:{}", self.docker_username, self.docker_password));
            let fields = [
                ("username", self.docker_username.as_str()),
                ("password", &self.docker_password),
                ("email", &self.docker_email),
                ("auth", &auth),
            ];
            // In the order of kubectl's fields, which the bytes of the secret keep.
            let fields: Vec<String> = fields
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| format!("{}:{}", json!(name), gojson::compact(&json!(value))))
                .collect();
            let server = gojson::compact(&json!(self.docker_server));
            let text = format!("{{\"auths\":{{{server}:{{{}}}}}}}", fields.join(","));
            values.insert(".dockerconfigjson".to_owned(), text.into_bytes());
        }
        let kind = "kubernetes.io/dockerconfigjson";
        Ok(object(&self.name, kind, &values, self.append_hash))
    }
}

fn object(name: &str, kind: &str, values: &Values, append_hash: bool) -> Value {
    let encoded = values
        .iter()
        .map(|(key, value)| (key.clone(), Value::from(STANDARD.encode(value))));
    let data: Map<String, Value> = encoded.collect();
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name)});
    if append_hash {
        let content = json!({"kind": "Secret", "type": kind, "name": name, "data": data});
        object["metadata"]["name"] = json!(format!("{name}-{}", hash(&content)));
    }
    if !data.is_empty() {
        object["data"] = Value::Object(data);
    }
    if !kind.is_empty() {
        object["type"] = json!(kind);
    }
    object
}
