//! Looking through the containers of a pod for the checks, and putting their sentences together.

use serde_json::Value;

use crate::kinds::read;

/// The spec of a pod.
pub(super) struct Pod<'a> {
    pub(super) spec: &'a Value,
    /// Its annotations.
    pub(super) annotations: Vec<(&'a str, &'a str)>,
    /// The minor version of the policy.
    pub(super) version: u32,
}

/// What is wrong: `privileged (container "a" must not set …)`.
pub(super) type Finding = Option<String>;
/// Looks for one thing that a level doesn't have.
pub(super) type Check = fn(&Pod<'_>) -> Finding;

impl<'a> Pod<'a> {
    /// Every container of any sort.
    pub(super) fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec;
        ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(|field| read::list(spec.get(field)))
    }

    pub(super) fn volumes(&self) -> &'a [Value] {
        read::list(self.spec.get("volumes"))
    }

    /// What stands in the pod's own security context.
    pub(super) fn own(&self, path: &str) -> Option<&'a Value> {
        secured(self.spec, path)
    }

    /// The names of containers of which something is true.
    pub(super) fn named(&self, is_bad: impl Fn(&'a Value) -> bool) -> Vec<&'a str> {
        let bad = self.containers().filter(|container| is_bad(container));
        bad.map(|container| read::text(container.get("name"))).collect()
    }

    pub(super) fn is_windows(&self) -> bool {
        self.spec["os"]["name"] == "windows"
    }
}

/// What stands in the security context of a container or pod; nothing when it is null.
pub(super) fn secured<'a>(holder: &'a Value, path: &str) -> Option<&'a Value> {
    read::at(holder.get("securityContext"), path).filter(|value| !value.is_null())
}

/// `container "a"`, `containers "a", "b"`.
pub(super) fn those(what: &str, names: &[&str]) -> String {
    format!("{} {}", many(what, names.len()), quoted(names))
}

/// `pod and container "a"`: who sets something.
pub(super) fn setters(is_pod: bool, names: &[&str]) -> Option<String> {
    let pod = is_pod.then(|| "pod".to_owned());
    let containers = (!names.is_empty()).then(|| those("container", names));
    let all: Vec<String> = pod.into_iter().chain(containers).collect();
    (!all.is_empty()).then(|| all.join(" and "))
}

pub(super) fn many(what: &str, count: usize) -> String {
    if count == 1 {
        what.to_owned()
    } else {
        format!("{what}s")
    }
}

pub(super) fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

/// Each once, in order.
pub(super) fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names.dedup();
    names
}

/// A finding when there is something to tell.
pub(super) fn finding(reason: &str, detail: Option<String>) -> Finding {
    detail.map(|detail| format!("{reason} ({detail})"))
}
