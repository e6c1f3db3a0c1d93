//! Its first steps: objects, lists and a watch.

use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, WatchEvent};
use serde_json::json;

use super::Scenario;
use super::calls::{make, map, merge, pairs, try_make, watched};

impl Scenario {
    pub(super) async fn objects(&mut self) {
        let created = make(&self.maps, map("list", json!({"milk": "1", "eggs": "6"}))).await;
        self.say("create", pairs(&created));
        let got = self.maps.get("list").await.expect("it is there");
        self.say("get", pairs(&got));
        let again = try_make(&self.maps, map("list", json!({}))).await;
        self.say_refusal("create again", again);
        let nothing = self.maps.get("nothing").await;
        self.say_refusal("get nothing", nothing);
        let invalid = try_make(&self.maps, map("Not_Valid", json!({}))).await;
        self.say_refusal("create invalid", invalid);
    }

    pub(super) async fn lists(&mut self) {
        for number in 1..=5 {
            let mut page = map(&format!("page-{number}"), json!({}));
            page["metadata"]["labels"] = json!({"page": "yes", "odd": if number % 2 == 1 { "yes" } else { "no" }});
            make(&self.maps, page).await;
        }
        let mut parameters = ListParams::default().labels("page").limit(2);
        let mut sizes = Vec::new();
        loop {
            let page = self.maps.list(&parameters).await.expect("a page");
            sizes.push(page.items.len().to_string());
            match page.metadata.continue_.filter(|more| !more.is_empty()) {
                Some(more) => parameters = parameters.continue_token(&more),
                None => break,
            }
        }
        self.say("list by pages", sizes.join(" "));
        for selector in ["odd=yes", "odd notin (yes),page"] {
            let names = self.names(&ListParams::default().labels(selector)).await;
            self.say(&format!("list {selector}"), names);
        }
        let names = self.names(&ListParams::default().fields("metadata.name=page-2")).await;
        self.say("list by field", names);
    }

    pub(super) async fn watches(&mut self) {
        let list = self.maps.list(&ListParams::default()).await.expect("a list");
        let since = list.metadata.resource_version.expect("a list has a version");
        make(&self.maps, map("seen", json!({}))).await;
        merge(&self.maps, "seen", json!({"data": {"by": "all"}})).await;
        let _ = self
            .maps
            .delete("seen", &DeleteParams::default())
            .await
            .expect("it is deleted");
        let mut said = Vec::new();
        watched(&self.maps, "seen", &since, |event| {
            let (kind, map) = match event {
                WatchEvent::Added(map) => ("ADDED", map),
                WatchEvent::Modified(map) => ("MODIFIED", map),
                WatchEvent::Deleted(map) => ("DELETED", map),
                _ => return false,
            };
            said.push(format!("{kind} {} {}", map.name_any(), pairs(map)));
            kind == "DELETED"
        })
        .await;
        for event in said {
            self.say("watch", event);
        }
    }

    async fn names(&self, parameters: &ListParams) -> String {
        let list = self.maps.list(parameters).await.expect("a list");
        let mut names: Vec<String> = list.iter().map(kube::ResourceExt::name_any).collect();
        names.sort();
        names.join(" ")
    }
}
