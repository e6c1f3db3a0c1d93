//! By what other servers know this one, where they look for it: the config map `extension-apiserver-authentication`. A request
//! that comes with a certificate of this authority and this name says truly who asks, in these headers.

use minik_api::kinds;
use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Value, json};

use crate::registry::{Part, Registry, Target, WriteOptions};

const NAME: &str = "extension-apiserver-authentication";
const NAMESPACE: &str = "kube-system";

/// Who signs whose certificates, PEM.
pub(crate) struct Authorities {
    /// Of clients.
    pub(crate) client: String,
    /// Of this server as a proxy, if it is one.
    pub(crate) proxy: Option<String>,
    /// Whom that authority may name.
    pub(crate) allowed_names: Vec<String>,
}

impl Registry {
    /// Writes it down as it is now.
    pub(crate) async fn publish_authorities(&self, authorities: &Authorities) -> Result<(), Status> {
        let data = data(authorities);
        let kind = kinds::of("", "v1", "ConfigMap").expect("config maps are in the table of kinds");
        let map = json!({"metadata": {"name": NAME, "namespace": NAMESPACE}, "data": data});
        self.ensure(kind, NAMESPACE, &map).await?;
        let target = Target {
            kind,
            namespace: NAMESPACE,
            name: NAME,
        };
        if self.get(target)?.object().body.get("data") == Some(&data) {
            return Ok(());
        }
        let update = self.update(target, Part::Main, WriteOptions::own(), |old: &Object| {
            let mut new = old.clone();
            new.body.insert("data".into(), data.clone());
            Ok(new)
        });
        update.await.map(drop)
    }
}

fn data(authorities: &Authorities) -> Value {
    let mut data = json!({"client-ca-file": authorities.client});
    if let Some(proxy) = &authorities.proxy {
        data["requestheader-client-ca-file"] = json!(proxy);
        for (name, list) in [
            ("allowed-names", json!(authorities.allowed_names)),
            ("extra-headers-prefix", json!(["X-Remote-Extra-"])),
            ("group-headers", json!(["X-Remote-Group"])),
            ("uid-headers", json!(["X-Remote-Uid"])),
            ("username-headers", json!(["X-Remote-User"])),
        ] {
            data[format!("requestheader-{name}")] = list.to_string().into();
        }
    }
    data
}
