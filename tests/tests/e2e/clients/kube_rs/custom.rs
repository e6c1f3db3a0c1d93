//! Its objects of a custom kind, and those that belong to others.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, WatchEvent};
use serde_json::json;

use super::Scenario;
use super::calls::{gone, make, map, merge, try_make, watched};

impl Scenario {
    pub(super) async fn custom(&mut self) {
        let group = format!("{}.example.com", self.namespace);
        let name = format!("widgets.{group}");
        let number = json!({"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}}});
        let schema = json!({"type": "object", "properties": {"spec": number, "status": number}});
        let version = json!({
            "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema},
        });
        let names = json!({"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"});
        let spec = json!({"group": group, "scope": "Namespaced", "versions": [version], "names": names});
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        make(&definitions, json!({"metadata": {"name": name}, "spec": spec})).await;
        watched(&definitions, &name, "0", |event| {
            let (WatchEvent::Added(definition) | WatchEvent::Modified(definition)) = event else {
                return false;
            };
            let conditions = definition
                .status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten());
            conditions
                .into_iter()
                .any(|each| each.type_ == "Established" && each.status == "True")
        })
        .await;
        self.say("define", "Established");

        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(&group, "v1", "Widget"));
        let widgets: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let widget = |name: &str, size: u8| {
            let api_version = format!("{group}/v1");
            json!({"apiVersion": api_version, "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}})
        };
        let created = make(&widgets, widget("one", 3)).await;
        self.say("create custom", &created.data["spec"]["size"]);
        let invalid = try_make(&widgets, widget("two", 10)).await;
        self.say_refusal("create custom invalid", invalid);
        let sizes =
            |widget: &DynamicObject| format!("{} {}", widget.data["spec"]["size"], widget.data["status"]["size"]);
        let change = Patch::Merge(json!({"spec": {"size": 4}, "status": {"size": 5}}));
        let patched = widgets.patch_status("one", &PatchParams::default(), &change).await;
        self.say("status", sizes(&patched.expect("patched")));
        let patched = merge(&widgets, "one", json!({"spec": {"size": 6}, "status": {"size": 7}})).await;
        self.say("spec", sizes(&patched));
        let _ = definitions
            .delete(&name, &DeleteParams::default())
            .await
            .expect("it is deleted");
    }

    pub(super) async fn owners(&mut self) {
        for (policy, how) in [
            ("Orphan", DeleteParams::orphan()),
            ("Background", DeleteParams::background()),
        ] {
            let owner = make(&self.maps, map("owner", json!({}))).await;
            let name = format!("owned-{}", policy.to_lowercase());
            let mut owned = map(&name, json!({}));
            owned["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}]);
            let since = make(&self.maps, owned)
                .await
                .resource_version()
                .expect("it has a version");
            let _ = self.maps.delete("owner", &how).await.expect("it is deleted");
            let mut end = String::new();
            watched(&self.maps, &name, &since, |event| {
                match event {
                    WatchEvent::Modified(map) if policy == "Orphan" => {
                        end = format!("owners {}", map.owner_references().len());
                    }
                    WatchEvent::Deleted(_) if policy == "Background" => end = "gone".to_owned(),
                    _ => return false,
                }
                true
            })
            .await;
            self.say(&format!("delete {policy}"), end);
            gone(&self.maps, "owner").await;
        }
    }
}
