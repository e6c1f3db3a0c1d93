//! Its patches, applies and replacements.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use super::Scenario;
use super::calls::{make, map, merge, pairs};

impl Scenario {
    pub(super) async fn patches(&mut self) {
        let merged = merge(&self.maps, "list", json!({"data": {"milk": null, "tea": "2"}})).await;
        self.say("merge patch", pairs(&merged));
        let changes = json!([
            {"op": "test", "path": "/data/tea", "value": "2"},
            {"op": "replace", "path": "/data/tea", "value": "3"},
            {"op": "remove", "path": "/data/eggs"},
        ]);
        let changes = Patch::Json::<()>(serde_json::from_value(changes).expect("a JSON patch"));
        let patched = self
            .maps
            .patch("list", &PatchParams::default(), &changes)
            .await
            .expect("patched");
        self.say("json patch", pairs(&patched));
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        let spec = json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]});
        make(&services, json!({"metadata": {"name": "web"}, "spec": spec})).await;
        let change = Patch::Strategic(json!({"spec": {"ports": [{"name": "https", "port": 443}]}}));
        let service = services
            .patch("web", &PatchParams::default(), &change)
            .await
            .expect("patched");
        let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let mut ports: Vec<String> = ports.into_iter().filter_map(|port| port.name).collect();
        ports.sort();
        self.say("strategic merge patch", ports.join(" "));

        let apply = async |parameters: PatchParams, milk: &str| {
            let mut applied = map("applied", json!({"milk": milk}));
            applied["apiVersion"] = json!("v1");
            applied["kind"] = json!("ConfigMap");
            self.maps.patch("applied", &parameters, &Patch::Apply(applied)).await
        };
        let first = apply(PatchParams::apply("one"), "1").await.expect("applied");
        let second = apply(PatchParams::apply("two"), "2").await;
        let forced = apply(PatchParams::apply("two").force(), "2").await.expect("applied");
        self.say("apply", pairs(&first));
        self.say_refusal("apply conflicting", second);
        let managers = forced.managed_fields().iter().filter_map(|entry| entry.manager.clone());
        let mut managers: Vec<String> = managers.collect();
        managers.sort();
        self.say("apply forced", format!("{} {}", pairs(&forced), managers.join(" ")));
    }

    pub(super) async fn replaces(&mut self) {
        let stale = self.maps.get("list").await.expect("it is there");
        merge(&self.maps, "list", json!({"data": {"rice": "1"}})).await;
        let refused = self.maps.replace("list", &PostParams::default(), &stale).await;
        self.say_refusal("replace stale", refused);
        let mut fresh = self.maps.get("list").await.expect("it is there");
        fresh.data = Some(BTreeMap::from([("bread".to_owned(), "1".to_owned())]));
        let replaced = self
            .maps
            .replace("list", &PostParams::default(), &fresh)
            .await
            .expect("replaced");
        self.say("replace", pairs(&replaced));
    }
}
