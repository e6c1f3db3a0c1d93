//! The kinds that a server has, and what users call them: `pods`, `pod`, `po`, `Pod`, `deployments.apps`.
//!
//! Learned from the server's discovery (the aggregated form where it has one) and kept on disk for a while, so that an
//! `apply` needs no further round trip. A name that the kept answer does not know is looked up afresh.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::Session;
use crate::failure::Failure;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
const KEPT_FOR: Duration = Duration::from_secs(600);

/// One kind of object as the server serves it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `Pod`.
    pub kind: String,
    /// `pods`, as in URLs.
    pub plural: String,
    /// `pod`.
    pub singular: String,
    /// `po`.
    pub short_names: Vec<String>,
    /// `all`.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// `get`, `list`, ...
    pub verbs: Vec<String>,
}

impl Resource {
    /// `v1` or `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods` or `deployments.apps`: how messages name the collection.
    #[must_use]
    pub fn qualified(&self) -> String {
        qualify(&self.plural, &self.group)
    }

    /// `pod/nginx` or `deployment.apps/web`.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        format!("{}/{name}", qualify(&self.singular, &self.group))
    }

    /// The path of the collection in a namespace, or of all of them.
    #[must_use]
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{}/{}", escape(namespace), self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    /// The path of one object.
    #[must_use]
    pub fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.collection(Some(namespace)), escape(name))
    }

    /// Whether its collection understands a verb.
    #[must_use]
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    fn is_called(&self, name: &str) -> bool {
        let (base, rest) = name.split_once('.').unwrap_or((name, ""));
        let base_fits = base == self.plural
            || base == self.singular
            || base.eq_ignore_ascii_case(&self.kind)
            || self.short_names.iter().any(|short| short == base);
        let group_fits = rest.is_empty() || rest == self.group || rest.trim_end_matches('.') == self.version || {
            rest.split_once('.')
                .is_some_and(|(version, group)| version == self.version && group == self.group)
        };
        base_fits && group_fits
    }
}

/// No such kind.
#[derive(Debug, thiserror::Error)]
#[error("error: the server doesn't have a resource type {name:?}{}", suggestion(.nearest.as_deref()))]
pub struct UnknownResource {
    name: String,
    nearest: Option<String>,
}

/// All kinds of a server, in its own order of preference.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Resources {
    known: Vec<Resource>,
    #[serde(skip)]
    from_disk: bool,
}

impl Resources {
    /// The kept answer if it is fresh, else the server's.
    ///
    /// # Errors
    /// Those of asking the server.
    pub async fn load(session: &Session) -> Result<Self, Failure> {
        if let Some(kept) = kept(session) {
            return Ok(kept);
        }
        Self::fetch(session).await
    }

    /// Asks the server and keeps its answer.
    ///
    /// # Errors
    /// Those of asking the server.
    pub async fn fetch(session: &Session) -> Result<Self, Failure> {
        let mut known = Vec::new();
        let core = session.get_as("/api", AGGREGATED).await?;
        let groups = session.get_as("/apis", AGGREGATED).await?;
        for answer in [core, groups] {
            if answer["kind"] == "APIGroupDiscoveryList" {
                known.extend(from_aggregated(&answer));
                continue;
            }
            let lists = group_versions(&answer);
            let lists = try_join_all(lists.iter().map(async |(path, group, version)| {
                let list = session.get(path).await?;
                Ok::<_, Failure>(from_list(&list, group, version))
            }));
            known.extend(lists.await?.into_iter().flatten());
        }
        let found = Self {
            known,
            from_disk: false,
        };
        keep(session, &found);
        Ok(found)
    }

    /// The kinds that a user's word means: one, or those of a category.
    ///
    /// # Errors
    /// [`UnknownResource`] with the nearest name.
    pub fn called(&self, name: &str) -> Result<Vec<&Resource>, UnknownResource> {
        let wanted = name.to_ascii_lowercase();
        if let Some(one) = self.known.iter().find(|resource| resource.is_called(&wanted)) {
            return Ok(vec![one]);
        }
        let mut of_category: Vec<&Resource> = self
            .known
            .iter()
            .filter(|resource| resource.categories.contains(&wanted))
            .collect();
        // Of a kind in several versions the one that the server prefers, which comes first.
        let mut seen = BTreeSet::new();
        of_category.retain(|resource| seen.insert((&resource.group, &resource.plural)));
        if of_category.is_empty() {
            return Err(self.unknown(name));
        }
        Ok(of_category)
    }

    /// The resource that serves a manifest's apiVersion and kind.
    #[must_use]
    pub fn serving(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.known
            .iter()
            .find(|resource| resource.kind == kind && resource.api_version() == api_version)
    }

    /// The kind whose name is most like a misspelt one.
    #[must_use]
    pub fn nearest_kind(&self, kind: &str) -> Option<&Resource> {
        let lower = kind.to_ascii_lowercase();
        nearest(
            self.known
                .iter()
                .map(|resource| (resource, resource.kind.to_ascii_lowercase())),
            &lower,
        )
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Resource] {
        &self.known
    }

    /// Whether the answer may be out of date.
    #[must_use]
    pub fn is_from_disk(&self) -> bool {
        self.from_disk
    }

    fn unknown(&self, name: &str) -> UnknownResource {
        let candidates = self.known.iter().flat_map(|resource| {
            let names = [resource.plural.clone(), resource.singular.clone()];
            names.into_iter().map(move |name| (resource.plural.clone(), name))
        });
        UnknownResource {
            name: name.to_owned(),
            nearest: nearest(candidates, &name.to_ascii_lowercase()),
        }
    }
}

/// The thing whose name is most like `wanted`, if any is like it at all.
pub fn nearest<T>(candidates: impl Iterator<Item = (T, String)>, wanted: &str) -> Option<T> {
    candidates
        .map(|(thing, name)| (strsim::normalized_damerau_levenshtein(&name, wanted), thing))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, thing)| thing)
}

/// `; did you mean "x"?`, or nothing.
pub fn suggestion(nearest: Option<&str>) -> String {
    nearest
        .map(|name| format!("; did you mean {name:?}?"))
        .unwrap_or_default()
}

/// Percent-encodes what may not stand in a path segment or query value.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn qualify(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

fn from_aggregated(answer: &Value) -> Vec<Resource> {
    let mut found = Vec::new();
    for group in items(&answer["items"]) {
        for version in items(&group["versions"]) {
            for resource in items(&version["resources"]) {
                let kind = text(&resource["responseKind"]["kind"]);
                let singular = text(&resource["singularResource"]);
                found.push(Resource {
                    group: text(&group["metadata"]["name"]),
                    version: text(&version["version"]),
                    plural: text(&resource["resource"]),
                    singular: if singular.is_empty() {
                        kind.to_lowercase()
                    } else {
                        singular
                    },
                    kind,
                    short_names: texts(&resource["shortNames"]),
                    categories: texts(&resource["categories"]),
                    namespaced: resource["scope"] == "Namespaced",
                    verbs: texts(&resource["verbs"]),
                });
            }
        }
    }
    found
}

/// The path, group and version of each list in a legacy `/api` or `/apis` answer, preferred versions first.
fn group_versions(answer: &Value) -> Vec<(String, String, String)> {
    let core = items(&answer["versions"])
        .iter()
        .map(|version| (format!("/api/{}", text(version)), String::new(), text(version)));
    let others = items(&answer["groups"]).iter().flat_map(|group| {
        let name = text(&group["name"]);
        items(&group["versions"]).iter().map(move |version| {
            let version = text(&version["version"]);
            (format!("/apis/{name}/{version}"), name.clone(), version)
        })
    });
    core.chain(others).collect()
}

fn from_list(list: &Value, group: &str, version: &str) -> Vec<Resource> {
    items(&list["resources"])
        .iter()
        .filter(|resource| !text(&resource["name"]).contains('/'))
        .map(|resource| {
            let kind = text(&resource["kind"]);
            let singular = text(&resource["singularName"]);
            Resource {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: text(&resource["name"]),
                singular: if singular.is_empty() {
                    kind.to_lowercase()
                } else {
                    singular
                },
                kind,
                short_names: texts(&resource["shortNames"]),
                categories: texts(&resource["categories"]),
                namespaced: resource["namespaced"] == true,
                verbs: texts(&resource["verbs"]),
            }
        })
        .collect()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    items(value).iter().map(text).collect()
}

fn kept(session: &Session) -> Option<Resources> {
    let path = kept_at(session)?;
    let age = fs::metadata(&path).ok()?.modified().ok()?.elapsed().ok()?;
    if age > KEPT_FOR {
        return None;
    }
    let mut resources: Resources = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    resources.from_disk = true;
    Some(resources)
}

/// Keeping is for speed alone: a home that can't be written to costs a round trip, no more.
fn keep(session: &Session, resources: &Resources) {
    let Some(path) = kept_at(session) else { return };
    let Ok(json) = serde_json::to_vec(resources) else {
        return;
    };
    let Some(folder) = path.parent() else { return };
    if fs::create_dir_all(folder).is_err() {
        return;
    }
    let half_written = path.with_extension(format!("{}", std::process::id()));
    if fs::write(&half_written, json)
        .and_then(|()| fs::rename(&half_written, &path))
        .is_err()
    {
        let _ = fs::remove_file(&half_written);
    }
}

fn kept_at(session: &Session) -> Option<PathBuf> {
    let usual = || {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
        cache.map(|cache| cache.join("minikctl"))
    };
    let cache = session.cache_dir.clone().or_else(usual)?;
    let name: String = session
        .server_address()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' })
        .collect();
    Some(cache.join("discovery").join(format!("{name}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn some() -> Resources {
        let core = json!({"resources": [
            {"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": true, "shortNames": ["po"],
             "categories": ["all"], "verbs": ["get", "list"]},
            {"name": "pods/log", "kind": "Pod", "namespaced": true, "verbs": ["get"]},
            {"name": "nodes", "singularName": "", "kind": "Node", "namespaced": false, "verbs": ["get", "list"]}]});
        let apps = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "apps"}, "versions": [
            {"version": "v1", "resources": [{"resource": "deployments", "responseKind": {"kind": "Deployment"},
             "scope": "Namespaced", "singularResource": "deployment", "shortNames": ["deploy"],
             "categories": ["all"], "verbs": ["get"]}]}]}]});
        let mut known = from_list(&core, "", "v1");
        known.extend(from_aggregated(&apps));
        Resources {
            known,
            from_disk: false,
        }
    }

    #[test]
    fn every_usual_name_finds_its_kind() {
        let resources = some();
        for name in ["pods", "pod", "po", "Pod", "PODS", "pods.v1."] {
            assert_eq!(resources.called(name).expect(name)[0].kind, "Pod", "{name}");
        }
        for name in ["deploy", "deployments.apps", "deployment.v1.apps"] {
            assert_eq!(resources.called(name).expect(name)[0].kind, "Deployment", "{name}");
        }
        let all: Vec<&str> = resources
            .called("all")
            .expect("a category")
            .iter()
            .map(|r| r.kind.as_str())
            .collect();
        assert_eq!(all, ["Pod", "Deployment"]);
    }

    #[test]
    fn a_misspelt_name_gets_the_nearest_one() {
        let error = some().called("pdos").expect_err("no such kind").to_string();
        assert_eq!(
            error,
            "error: the server doesn't have a resource type \"pdos\"; did you mean \"pods\"?"
        );
        let error = some().called("xyzzy").expect_err("no such kind").to_string();
        assert_eq!(error, "error: the server doesn't have a resource type \"xyzzy\"");
        assert_eq!(some().nearest_kind("pod").map(|r| r.kind.as_str()), Some("Pod"));
    }

    #[test]
    fn paths_are_kubernetes_paths() {
        let resources = some();
        let pod = resources.serving("v1", "Pod").expect("served");
        assert_eq!(pod.object("default", "a"), "/api/v1/namespaces/default/pods/a");
        assert_eq!(pod.collection(None), "/api/v1/pods");
        let node = resources.serving("v1", "Node").expect("served");
        assert_eq!(node.object("default", "a/b"), "/api/v1/nodes/a%2Fb");
        let web = resources.serving("apps/v1", "Deployment").expect("served");
        assert_eq!(web.collection(Some("x")), "/apis/apps/v1/namespaces/x/deployments");
        assert_eq!(web.named("web"), "deployment.apps/web");
    }
}
