//! The restricted level: what today counts as good practice, besides the baseline.

use serde_json::Value;

use super::containers::{Check, Finding, Pod, finding, many, quoted, secured, setters, sorted, those};
use crate::kinds::read;

const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// In the order of upstream's names.
pub(super) const CHECKS: [Check; 6] = [
    privilege_escalation,
    capabilities,
    volumes,
    run_as_non_root,
    run_as_user,
    seccomp,
];

/// What can't be said of a program of Windows.
fn is_exempt(pod: &Pod<'_>) -> bool {
    pod.version >= 25 && pod.is_windows()
}

fn privilege_escalation(pod: &Pod<'_>) -> Finding {
    if is_exempt(pod) {
        return None;
    }
    let names = pod.named(|container| secured(container, "allowPrivilegeEscalation") != Some(&Value::Bool(false)));
    let detail =
        setters(false, &names).map(|who| format!("{who} must set securityContext.allowPrivilegeEscalation=false"));
    finding("allowPrivilegeEscalation != false", detail)
}

fn capabilities(pod: &Pod<'_>) -> Finding {
    if is_exempt(pod) || pod.version < 22 {
        return None;
    }
    let list = |container, which: &str| read::texts(secured(container, &format!("capabilities.{which}")));
    let is_bad = |name: &&str| *name != "NET_BIND_SERVICE";
    let keeps = pod.named(|container| !list(container, "drop").contains(&"ALL"));
    let adds = pod.named(|container| list(container, "add").iter().any(is_bad));
    let added = sorted(
        pod.containers()
            .flat_map(|container| list(container, "add"))
            .filter(is_bad)
            .collect(),
    );
    let keeps = setters(false, &keeps).map(|who| format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    let adds = setters(false, &adds).map(|who| {
        format!(
            "{who} must not include {} in securityContext.capabilities.add",
            quoted(&added)
        )
    });
    let all: Vec<String> = keeps.into_iter().chain(adds).collect();
    finding("unrestricted capabilities", (!all.is_empty()).then(|| all.join("; ")))
}

fn volumes(pod: &Pod<'_>) -> Finding {
    let kind = |volume: &'_ Value| -> Option<String> {
        let fields = volume.as_object()?;
        let mut sources = fields
            .iter()
            .filter(|(field, value)| *field != "name" && !value.is_null());
        sources
            .next()
            .map(|(field, _)| field.clone())
            .filter(|field| !VOLUMES.contains(&field.as_str()))
    };
    let bad: Vec<(&str, String)> = pod
        .volumes()
        .iter()
        .filter_map(|volume| Some((read::text(volume.get("name")), kind(volume)?)))
        .collect();
    let names: Vec<&str> = bad.iter().map(|(name, _)| *name).collect();
    let kinds = sorted(bad.iter().map(|(_, kind)| kind.as_str()).collect());
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let detail = (!names.is_empty()).then(|| {
        let types = many("restricted volume type", kinds.len());
        format!("{} {verb} {types} {}", those("volume", &names), quoted(&kinds))
    });
    finding("restricted volume types", detail)
}

fn run_as_non_root(pod: &Pod<'_>) -> Finding {
    let said = |holder: &Value| secured(holder, "runAsNonRoot").and_then(Value::as_bool);
    let silent = pod.named(|container| said(container).is_none());
    let own = said(pod.spec);
    let wrong = pod.named(|container| said(container) == Some(false));
    let is_pod_wrong = own == Some(false) && !silent.is_empty();
    let detail = setters(is_pod_wrong, &wrong)
        .map(|who| format!("{who} must not set securityContext.runAsNonRoot=false"))
        .or_else(|| {
            let who = setters(false, &silent).filter(|_| own.is_none())?;
            Some(format!("pod or {who} must set securityContext.runAsNonRoot=true"))
        });
    finding("runAsNonRoot != true", detail)
}

fn run_as_user(pod: &Pod<'_>) -> Finding {
    if pod.version < 23 {
        return None;
    }
    let is_root = |holder: &Value| secured(holder, "runAsUser").and_then(Value::as_i64) == Some(0);
    let detail = setters(is_root(pod.spec), &pod.named(is_root)).map(|who| format!("{who} must not set runAsUser=0"));
    finding("runAsUser=0", detail)
}

fn seccomp(pod: &Pod<'_>) -> Finding {
    if is_exempt(pod) || pod.version < 19 {
        return None;
    }
    let said = |holder| read::text(secured(holder, "seccompProfile.type"));
    let is_good = |kind: &str| ["RuntimeDefault", "Localhost"].contains(&kind);
    let is_wrong = |holder| !said(holder).is_empty() && !is_good(said(holder));
    let silent = pod.named(|container| said(container).is_empty());
    let is_pod_wrong = is_wrong(pod.spec) && !silent.is_empty();
    let detail = setters(is_pod_wrong, &pod.named(is_wrong))
        .map(|who| format!("{who} must not set securityContext.seccompProfile.type to \"Unconfined\""))
        .or_else(|| {
            let who = setters(false, &silent).filter(|_| !is_good(said(pod.spec)))?;
            Some(format!(
                "pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""
            ))
        });
    finding("seccompProfile", detail)
}
