//! The baseline: nothing that is known to lead out of a container. In the order of upstream's names of the checks.

use serde_json::Value;

use super::containers::{Check, Finding, Pod, finding, many, quoted, secured, setters, sorted, those};
use crate::kinds::read;

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// What may be set, and from which minor version on.
const SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];
const SELINUX: [&str; 5] = [
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// A check, and whether the restricted level has a stricter one in its place.
pub(super) const CHECKS: [(Check, bool); 12] = [
    (app_armor, false),
    (capabilities, true),
    (host_namespaces, false),
    (host_paths, true),
    (host_ports, false),
    (probe_hosts, false),
    (privileged, false),
    (proc_mount, false),
    (selinux, false),
    (seccomp, true),
    (sysctls, false),
    (host_process, false),
];

fn app_armor(pod: &Pod<'_>) -> Finding {
    let is_bad = |holder: &Value| read::text(secured(holder, "appArmorProfile.type")) == "Unconfined";
    let names = pod.named(is_bad);
    let mut all: Vec<String> = setters(is_bad(pod.spec), &names)
        .map(|who| format!("{who} must not set securityContext.appArmorProfile.type to \"Unconfined\""))
        .into_iter()
        .collect();
    let allowed = |value: &str| ["", "runtime/default"].contains(&value) || value.starts_with("localhost/");
    let annotations = pod
        .annotations
        .iter()
        .filter(|(key, value)| key.starts_with(APP_ARMOR) && !allowed(value));
    all.extend(annotations.map(|(key, value)| format!("{key}={value:?}")));
    let reason = many("forbidden AppArmor profile", all.len());
    finding(&reason, (!all.is_empty()).then(|| all.join(", ")))
}

fn capabilities(pod: &Pod<'_>) -> Finding {
    let added = |container| read::texts(secured(container, "capabilities.add"));
    let is_bad = |name: &&str| !CAPABILITIES.contains(name);
    let names = pod.named(|container| added(container).iter().any(is_bad));
    let bad = sorted(pod.containers().flat_map(added).filter(is_bad).collect());
    let detail = setters(false, &names).map(|who| {
        format!(
            "{who} must not include {} in securityContext.capabilities.add",
            quoted(&bad)
        )
    });
    finding("non-default capabilities", detail)
}

fn host_namespaces(pod: &Pod<'_>) -> Finding {
    let set = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| pod.spec[*field] == true);
    let set: Vec<String> = set.map(|field| format!("{field}=true")).collect();
    finding("host namespaces", (!set.is_empty()).then(|| set.join(", ")))
}

fn host_paths(pod: &Pod<'_>) -> Finding {
    let bad = pod.volumes().iter().filter(|volume| volume["hostPath"].is_object());
    let names: Vec<&str> = bad.map(|volume| read::text(volume.get("name"))).collect();
    finding("hostPath volumes", (!names.is_empty()).then(|| those("volume", &names)))
}

fn host_ports(pod: &Pod<'_>) -> Finding {
    let ports = |container: &Value| -> Vec<u64> {
        let all = read::list(container.get("ports")).iter();
        all.filter_map(|port| port["hostPort"].as_u64())
            .filter(|port| *port != 0)
            .collect()
    };
    let names = pod.named(|container| !ports(container).is_empty());
    let mut all: Vec<u64> = pod.containers().flat_map(ports).collect();
    all.sort_unstable();
    all.dedup();
    let shown: Vec<String> = all.iter().map(ToString::to_string).collect();
    let detail = setters(false, &names).map(|who| {
        let verb = if names.len() == 1 { "uses" } else { "use" };
        format!("{who} {verb} {} {}", many("hostPort", all.len()), shown.join(", "))
    });
    finding("hostPort", detail)
}

/// Probes go to the pod, not elsewhere (from 1.34 on).
fn probe_hosts(pod: &Pod<'_>) -> Finding {
    if pod.version < 34 {
        return None;
    }
    let hosts = |container| -> Vec<&str> {
        let handlers = [
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle.postStart",
            "lifecycle.preStop",
        ];
        let actions = handlers
            .iter()
            .flat_map(|handler| ["httpGet", "tcpSocket"].map(|action| format!("{handler}.{action}.host")));
        let hosts = actions.map(|path| read::text(read::at(Some(container), &path)));
        hosts.filter(|host| !["", "127.0.0.1", "::1"].contains(host)).collect()
    };
    let names = pod.named(|container| !hosts(container).is_empty());
    let all = sorted(pod.containers().flat_map(hosts).collect());
    let detail = setters(false, &names).map(|who| {
        let verb = if names.len() == 1 { "uses" } else { "use" };
        format!(
            "{who} {verb} probe or lifecycle {} {}",
            many("host", all.len()),
            quoted(&all)
        )
    });
    finding("probe or lifecycle host", detail)
}

fn privileged(pod: &Pod<'_>) -> Finding {
    let names = pod.named(|container| secured(container, "privileged") == Some(&Value::Bool(true)));
    let detail = setters(false, &names).map(|who| format!("{who} must not set securityContext.privileged=true"));
    finding("privileged", detail)
}

fn proc_mount(pod: &Pod<'_>) -> Finding {
    let mount = |container| read::text(secured(container, "procMount"));
    let is_bad = |mount: &str| !["", "Default"].contains(&mount);
    let names = pod.named(|container| is_bad(mount(container)));
    let bad = sorted(pod.containers().map(mount).filter(|mount| is_bad(mount)).collect());
    let detail =
        setters(false, &names).map(|who| format!("{who} must not set securityContext.procMount to {}", quoted(&bad)));
    finding("procMount", detail)
}

fn selinux(pod: &Pod<'_>) -> Finding {
    let field = |holder, name: &str| read::text(secured(holder, &format!("seLinuxOptions.{name}")));
    let kind = |holder| field(holder, "type");
    let is_bad = |holder| {
        !SELINUX.contains(&kind(holder)) || !field(holder, "user").is_empty() || !field(holder, "role").is_empty()
    };
    let who = setters(is_bad(pod.spec), &pod.named(is_bad))?;
    let holders = || std::iter::once(pod.spec).chain(pod.containers());
    let types = sorted(holders().map(kind).filter(|kind| !SELINUX.contains(kind)).collect());
    let mut all = Vec::new();
    if !types.is_empty() {
        all.push(those("type", &types));
    }
    for name in ["user", "role"] {
        if holders().any(|holder| !field(holder, name).is_empty()) {
            all.push(format!("{name} may not be set"));
        }
    }
    let detail = format!("{who} set forbidden securityContext.seLinuxOptions: {}", all.join("; "));
    finding("seLinuxOptions", Some(detail))
}

fn seccomp(pod: &Pod<'_>) -> Finding {
    let is_bad = |holder: &Value| read::text(secured(holder, "seccompProfile.type")) == "Unconfined";
    let detail = setters(is_bad(pod.spec), &pod.named(is_bad))
        .map(|who| format!("{who} must not set securityContext.seccompProfile.type to \"Unconfined\""));
    finding("seccompProfile", detail)
}

fn sysctls(pod: &Pod<'_>) -> Finding {
    let set = read::list(pod.own("sysctls"))
        .iter()
        .map(|one| read::text(one.get("name")));
    let allowed = |name: &&str| {
        SYSCTLS
            .iter()
            .any(|(known, since)| known == name && *since <= pod.version)
    };
    let bad: Vec<&str> = set.filter(|name| !allowed(name)).collect();
    finding("forbidden sysctls", (!bad.is_empty()).then(|| bad.join(", ")))
}

fn host_process(pod: &Pod<'_>) -> Finding {
    let is_bad = |holder: &Value| secured(holder, "windowsOptions.hostProcess") == Some(&Value::Bool(true));
    let detail = setters(is_bad(pod.spec), &pod.named(is_bad))
        .map(|who| format!("{who} must not set securityContext.windowsOptions.hostProcess=true"));
    finding("hostProcess", detail)
}
