//! What debug containers and pods look like. Pure.

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::custom;
use crate::commands::changing::{containers, fits};

/// What a debug container may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// What kubectl did before there were profiles; still the default.
    #[default]
    Legacy,
    /// What is good for most: it may trace processes.
    General,
    /// What the baseline pod security standard allows.
    Baseline,
    /// What the restricted one allows.
    Restricted,
    /// It may change the network.
    Netadmin,
    /// Everything that root may.
    Sysadmin,
}

/// What is to become of a pod in its copy.
#[derive(Args, Clone, Debug, Default)]
pub struct Copying {
    /// The copy keeps the labels.
    #[arg(long)]
    pub keep_labels: bool,
    /// The copy keeps the annotations.
    #[arg(long)]
    pub keep_annotations: bool,
    /// The copy keeps its liveness probes.
    #[arg(long)]
    pub keep_liveness: bool,
    /// The copy keeps its readiness probes.
    #[arg(long)]
    pub keep_readiness: bool,
    /// The copy keeps its startup probes.
    #[arg(long)]
    pub keep_startup: bool,
    /// Whether the copy runs its init containers.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub keep_init_containers: bool,
    /// The copy runs on the same node.
    #[arg(long)]
    pub same_node: bool,
    /// Whether the copy's containers see each other's processes.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub share_processes: bool,
    /// Other images for the copy: CONTAINER=IMAGE; * for all containers.
    #[arg(long, value_name = "CONTAINER=IMAGE", value_delimiter = ',')]
    pub set_image: Vec<String>,
}

/// What the user wants of the debug container.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// Its image, where it is a new container.
    pub image: Option<String>,
    /// When that is pulled.
    pub pull_policy: Option<String>,
    /// Its variables.
    pub env: Vec<Value>,
    /// The words behind `--`.
    pub words: Vec<String>,
    /// Whether they are arguments.
    pub words_are_arguments: bool,
    /// Whether it has a stdin.
    pub stdin: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// What it may do.
    pub profile: Profile,
    /// What goes over that.
    pub custom: Option<Value>,
}

/// The debug container.
///
/// # Errors
/// When what the user adds to it can't be merged.
pub fn container(wish: &Wish) -> anyhow::Result<Value> {
    custom::over(bare_container(wish), wish.custom.as_ref())
}

fn bare_container(wish: &Wish) -> Value {
    let mut container = json!({"name": wish.name, "terminationMessagePolicy": "File"});
    apply_wish(&mut container, wish);
    if let Some(context) = security_context(wish.profile) {
        container["securityContext"] = context;
    }
    container
}

fn apply_wish(container: &mut Value, wish: &Wish) {
    if let Some(image) = &wish.image {
        container["image"] = json!(image);
    }
    if let Some(policy) = &wish.pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    if !wish.env.is_empty() {
        container["env"] = json!(wish.env);
    }
    if !wish.words.is_empty() {
        let field = if wish.words_are_arguments { "args" } else { "command" };
        container[field] = json!(wish.words);
        if !wish.words_are_arguments
            && let Some(map) = container.as_object_mut()
        {
            // The arguments were for the command that was there.
            map.remove("args");
        }
    }
    for (field, set) in [("stdin", wish.stdin), ("tty", wish.tty)] {
        if set {
            container[field] = json!(true);
        }
    }
}

fn security_context(profile: Profile) -> Option<Value> {
    match profile {
        Profile::Legacy | Profile::Baseline => None,
        Profile::General => Some(json!({"capabilities": {"add": ["SYS_PTRACE"]}})),
        Profile::Netadmin => Some(json!({"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}})),
        Profile::Sysadmin => Some(json!({"privileged": true})),
        Profile::Restricted => Some(json!({
            "allowPrivilegeEscalation": false, "runAsNonRoot": true,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        })),
    }
}

/// A pod on a node, which has the node's files below `/host`.
///
/// # Errors
/// As [`container`].
pub fn on_node(name: &str, node: &str, wish: &Wish) -> anyhow::Result<Value> {
    let mut container = bare_container(wish);
    let sees_node = !matches!(wish.profile, Profile::Baseline | Profile::Restricted);
    if wish.profile == Profile::General {
        // With the node in view there is nothing that tracing would add.
        if let Some(map) = container.as_object_mut() {
            map.remove("securityContext");
        }
    }
    let mut spec = json!({
        "nodeName": node, "restartPolicy": "Never",
        "tolerations": [{"operator": "Exists"}],
    });
    if sees_node {
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            spec[field] = json!(true);
        }
        if wish.profile != Profile::Netadmin {
            spec["volumes"] = json!([{"name": "host-root", "hostPath": {"path": "/"}}]);
            container["volumeMounts"] = json!([{"name": "host-root", "mountPath": "/host"}]);
        }
    }
    spec["containers"] = json!([custom::over(container, wish.custom.as_ref())?]);
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "kubectl-debug"}},
        "spec": spec,
    }))
}

/// A copy of a pod under another name, without what would make a controller or a service take it for its own.
///
/// # Errors
/// When an image is set for a container that isn't there.
pub fn copy(pod: &Value, name: &str, copying: &Copying) -> anyhow::Result<Value> {
    let mut metadata = json!({"name": name});
    for (field, keep) in [
        ("labels", copying.keep_labels),
        ("annotations", copying.keep_annotations),
    ] {
        if keep && pod["metadata"][field].is_object() {
            metadata[field] = pod["metadata"][field].clone();
        }
    }
    let mut spec = pod["spec"].clone();
    let map = spec.as_object_mut().ok_or_else(|| anyhow!("the pod has no spec"))?;
    map.remove("ephemeralContainers");
    if !copying.same_node {
        map.remove("nodeName");
    }
    if !copying.keep_init_containers {
        map.remove("initContainers");
    }
    if copying.share_processes {
        map.insert("shareProcessNamespace".to_owned(), json!(true));
    }
    for container in containers(&mut spec, "*", true).filter_map(Value::as_object_mut) {
        drop_probes(container, copying);
    }
    for pair in &copying.set_image {
        let (wanted, image) = pair.split_once('=').ok_or_else(|| anyhow!("invalid image: {pair}"))?;
        let mut found = false;
        for container in containers(&mut spec, "*", true) {
            if fits(wanted, container["name"].as_str().unwrap_or_default()) {
                container["image"] = json!(image);
                found = true;
            }
        }
        if !found {
            bail!("unable to find container named {wanted:?}");
        }
    }
    Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
}

fn drop_probes(container: &mut Map<String, Value>, copying: &Copying) {
    for (probe, keep) in [
        ("livenessProbe", copying.keep_liveness),
        ("readinessProbe", copying.keep_readiness),
        ("startupProbe", copying.keep_startup),
    ] {
        if !keep {
            container.remove(probe);
        }
    }
}

/// Puts the debug container into a copy, or changes the one of that name.
///
/// # Errors
/// When there is none of that name and no image for a new one.
pub fn put_container(pod: &mut Value, wish: &Wish) -> anyhow::Result<()> {
    let list = pod["spec"]["containers"]
        .as_array_mut()
        .ok_or_else(|| anyhow!("the pod has no containers"))?;
    match list
        .iter_mut()
        .find(|container| container["name"] == wish.name.as_str())
    {
        Some(present) => {
            apply_wish(present, wish);
            *present = custom::over(present.take(), wish.custom.as_ref())?;
        }
        None if wish.image.is_some() => list.push(container(wish)?),
        None => bail!(
            "container {:?} not found: name one that is there, or an --image",
            wish.name
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(profile: Profile) -> Wish {
        Wish {
            name: "debugger".to_owned(),
            image: Some("busybox".to_owned()),
            words: vec!["sh".to_owned()],
            stdin: true,
            tty: true,
            profile,
            ..Wish::default()
        }
    }

    #[test]
    fn profiles_decide_what_it_may_do() {
        let container = |wish: &Wish| container(wish).expect("made");
        let made = container(&wish(Profile::General));
        assert_eq!(
            made,
            json!({"name": "debugger", "image": "busybox", "command": ["sh"], "stdin": true, "tty": true,
                "terminationMessagePolicy": "File", "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}})
        );
        assert_eq!(container(&wish(Profile::Legacy)).get("securityContext"), None);
        assert_eq!(
            container(&wish(Profile::Sysadmin))["securityContext"]["privileged"],
            true
        );
        assert_eq!(
            container(&wish(Profile::Restricted))["securityContext"]["runAsNonRoot"],
            true
        );
    }

    #[test]
    fn a_node_is_seen_from_a_pod_on_it() {
        let on_node = |name: &str, node: &str, wish: &Wish| on_node(name, node, wish).expect("made");
        let made = on_node("p", "n", &wish(Profile::General));
        let spec = &made["spec"];
        assert_eq!(
            (&spec["nodeName"], &spec["hostPID"], &spec["hostNetwork"]),
            (&json!("n"), &json!(true), &json!(true))
        );
        assert_eq!(spec["containers"][0]["volumeMounts"][0]["mountPath"], "/host");
        let made = on_node("p", "n", &wish(Profile::Restricted));
        assert_eq!((made["spec"].get("hostPID"), made["spec"].get("volumes")), (None, None));
    }

    #[test]
    fn a_copy_is_nobodys() {
        let pod = json!({"metadata": {"name": "p", "uid": "u", "labels": {"app": "a"}, "ownerReferences": [{}]},
            "spec": {"nodeName": "n", "ephemeralContainers": [{}], "containers": [
                {"name": "web", "image": "i", "args": ["x"], "livenessProbe": {}, "readinessProbe": {}}]}, "status": {}});
        let copying = Copying {
            keep_init_containers: true,
            share_processes: true,
            set_image: vec!["*=j".to_owned()],
            ..Copying::default()
        };
        let mut made = copy(&pod, "q", &copying).expect("made");
        assert_eq!(
            made,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"},
                "spec": {"shareProcessNamespace": true, "containers": [{"name": "web", "image": "j", "args": ["x"]}]}})
        );
        put_container(&mut made, &wish(Profile::Legacy)).expect("put");
        assert_eq!(made["spec"]["containers"][1]["name"], "debugger");
        let change = Wish {
            name: "web".to_owned(),
            words: vec!["sh".to_owned()],
            ..Wish::default()
        };
        put_container(&mut made, &change).expect("changed");
        assert_eq!(
            made["spec"]["containers"][0],
            json!({"name": "web", "image": "j", "command": ["sh"]})
        );
        assert!(put_container(&mut made, &Wish::default()).is_err());
    }
}
