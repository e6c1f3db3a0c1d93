//! What other servers serve, among what this one does: groups, versions, resources and where their documents are.

use serde_json::{Value, json};

use super::{Aggregated, Served};

impl Aggregated {
    /// Groups and versions in the older form (`APIGroupList`), those that answer.
    pub(crate) fn add_groups(&self, groups: &mut Vec<Value>) {
        for served in self.served().values().filter(|served| served.is_current) {
            let Served { group, version, .. } = served;
            let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
            match groups.iter_mut().find(|one| one["name"] == **group) {
                Some(known) => append(&mut known["versions"], version),
                None => groups.push(json!({"name": group, "versions": [version], "preferredVersion": version})),
            }
        }
    }

    /// The same in the aggregated form (`APIGroupDiscoveryList`); of who doesn't answer, what it said last.
    pub(crate) fn add_discovery(&self, groups: &mut Vec<Value>) {
        for served in self.served().values() {
            let version = version(served);
            match groups.iter_mut().find(|one| one["metadata"]["name"] == *served.group) {
                Some(known) => append(&mut known["versions"], version),
                None => groups.push(json!({
                    "metadata": {"name": served.group, "creationTimestamp": null}, "versions": [version]})),
            }
        }
    }

    /// Paths and addresses of OpenAPI documents.
    pub(crate) fn documents(&self) -> Vec<(String, String)> {
        let served = self.served();
        let current = served.values().filter(|served| served.is_current);
        current
            .filter_map(|served| {
                let path = format!("apis/{}/{}", served.group, served.version);
                Some((path, served.document.clone()?))
            })
            .collect()
    }
}

fn append(list: &mut Value, item: Value) {
    if let Value::Array(list) = list {
        list.push(item);
    }
}

fn version(served: &Served) -> Value {
    let name = |resource: &Value| resource["name"].as_str().unwrap_or_default().to_owned();
    let main = served.resources.iter().filter(|resource| !name(resource).contains('/'));
    let resources: Vec<Value> = main
        .map(|main| {
            let below = format!("{}/", name(main));
            let mut value = json!({"resource": main["name"], "responseKind": response_kind(served, main),
                "scope": if main["namespaced"] == true { "Namespaced" } else { "Cluster" },
                "singularResource": main["singularName"], "verbs": main["verbs"]});
            for field in ["shortNames", "categories"] {
                if let Some(list) = main.get(field) {
                    value[field] = list.clone();
                }
            }
            let subresources: Vec<Value> = served
                .resources
                .iter()
                .filter_map(|one| {
                    let name = name(one);
                    let subresource = name.strip_prefix(&below)?;
                    Some(
                        json!({"subresource": subresource, "responseKind": response_kind(served, one),
                        "verbs": one["verbs"]}),
                    )
                })
                .collect();
            if !subresources.is_empty() {
                value["subresources"] = subresources.into();
            }
            value
        })
        .collect();
    let freshness = if served.is_current { "Current" } else { "Stale" };
    json!({"version": served.version, "freshness": freshness, "resources": resources})
}

fn response_kind(served: &Served, resource: &Value) -> Value {
    let or = |field: &str, own: &str| {
        resource[field]
            .as_str()
            .filter(|text| !text.is_empty())
            .unwrap_or(own)
            .to_owned()
    };
    json!({"group": or("group", &served.group), "version": or("version", &served.version), "kind": resource["kind"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_told_in_the_aggregated_form() {
        let served = Served {
            group: "metrics.k8s.io".into(),
            version: "v1beta1".into(),
            is_current: true,
            resources: vec![
                json!({"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"]}),
                json!({"name": "pods/scale", "namespaced": true, "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get"]}),
            ],
            document: None,
        };
        assert_eq!(
            version(&served),
            json!({"version": "v1beta1", "freshness": "Current", "resources": [{
                "resource": "pods", "scope": "Namespaced", "singularResource": "", "verbs": ["get", "list"],
                "responseKind": {"group": "metrics.k8s.io", "version": "v1beta1", "kind": "PodMetrics"},
                "subresources": [{"subresource": "scale", "verbs": ["get"],
                    "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}}]}]})
        );
    }
}
