//! Which server, and as whom: the kubeconfig, and the flags that go over it.
//!
//! Where there is no kubeconfig, `--server` is enough, and inside a pod the pod's own service account. Laying the flags over
//! the file is pure; nothing is sent here.

use std::env;
use std::path::PathBuf;

use kube::config::{AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig};
use kube::config::{NamedAuthInfo, NamedCluster, NamedContext};
use serde_json::json;

use super::flags::ConnectionFlags;
use crate::cli::Global;
use crate::failure::Failure;

/// The name of what the flags make up where the kubeconfig has nothing.
const FROM_FLAGS: &str = "from-flags";

/// Everything that a connection needs, and the `proxy-url` where the kubeconfig has one.
///
/// # Errors
/// [`Failure::Kubeconfig`] when there is no kubeconfig, or it lacks what was asked for.
pub async fn load(global: &Global) -> Result<(kube::Config, Option<String>), Failure> {
    let bad = |problem: String| Failure::Kubeconfig { problem };
    let flags = &global.connection;
    let kubeconfig = match read(global) {
        Err(_) if flags.name_a_server() => Kubeconfig::default(),
        Err(failure) => match in_pod(global) {
            Some(config) => return Ok((config, None)),
            None => return Err(failure),
        },
        Ok(kubeconfig) => kubeconfig,
    };
    // A server that is named needs no context but one that was asked for by name.
    let wanted = context(global).filter(|wanted| {
        let there = kubeconfig.contexts.iter().any(|context| &context.name == wanted);
        there || !flags.name_a_server() || global.context.is_some()
    });
    let laid_over = lay_over(kubeconfig, wanted.as_deref(), flags).map_err(bad)?;
    let proxy_url = laid_over
        .0
        .clusters
        .iter()
        .find(|known| known.name == FROM_FLAGS)
        .and_then(|known| known.cluster.as_ref()?.proxy_url.clone());
    let options = KubeConfigOptions {
        context: Some(laid_over.1),
        ..KubeConfigOptions::default()
    };
    let config = kube::Config::from_custom_kubeconfig(laid_over.0, &options)
        .await
        .map_err(|error| bad(error.to_string()))?;
    Ok((config, proxy_url))
}

/// A pod's own service account, where this runs in a pod and nobody asked for another server.
fn in_pod(global: &Global) -> Option<kube::Config> {
    let asked = global.kubeconfig.is_some() || context(global).is_some();
    if asked || env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return None;
    }
    kube::Config::incluster_env().ok()
}

/// The context to use: the named one, else the named instance's, else the kubeconfig's current one.
pub fn context(global: &Global) -> Option<String> {
    let of_instance = || {
        global.instance.as_deref().map(|name| match name {
            "default" => "minik".to_owned(),
            other => format!("minik-{other}"),
        })
    };
    global.context.clone().or_else(of_instance)
}

/// The kubeconfig that this user's commands read and change: `--kubeconfig`, the first of $KUBECONFIG, ~/.kube/config. Under
/// sudo it is the invoking user's, unless root has one.
pub fn kubeconfig_path(global: &Global) -> Option<PathBuf> {
    if let Some(path) = &global.kubeconfig {
        return Some(path.clone());
    }
    if let Some(list) = env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return env::split_paths(&list).next();
    }
    let below = |home: PathBuf| home.join(".kube/config");
    let own = env::var_os("HOME").map(PathBuf::from).map(below);
    if own.as_ref().is_some_and(|path| path.exists()) {
        return own;
    }
    let invoking = env::var("SUDO_USER")
        .ok()
        .and_then(|name| nix::unistd::User::from_name(&name).ok().flatten())
        .map(|user| below(user.dir));
    invoking.or(own)
}

/// All files that are read together: those of $KUBECONFIG, or the one.
pub fn kubeconfig_paths(global: &Global) -> Vec<PathBuf> {
    let list = env::var_os("KUBECONFIG").filter(|list| global.kubeconfig.is_none() && !list.is_empty());
    match list {
        Some(list) => env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect(),
        None => kubeconfig_path(global).into_iter().collect(),
    }
}

fn read(global: &Global) -> Result<Kubeconfig, Failure> {
    let bad = |problem: String| Failure::Kubeconfig { problem };
    let several = global.kubeconfig.is_none()
        && env::var_os("KUBECONFIG").is_some_and(|list| env::split_paths(&list).count() > 1);
    if several {
        return Kubeconfig::from_env()
            .map_err(|error| bad(error.to_string()))?
            .ok_or_else(|| bad("KUBECONFIG names no file".to_owned()));
    }
    let path = kubeconfig_path(global).ok_or_else(|| bad("no kubeconfig: HOME is not set".to_owned()))?;
    if !path.exists() {
        return Err(bad(format!("there is no kubeconfig at {}", path.display())));
    }
    Kubeconfig::read_from(&path).map_err(|error| bad(format!("{}: {error}", path.display())))
}

/// The kubeconfig with the flags' values in place, and the name of the context that has them. Pure.
fn lay_over(
    mut kubeconfig: Kubeconfig,
    wanted: Option<&str>,
    flags: &ConnectionFlags,
) -> Result<(Kubeconfig, String), String> {
    let mut context = match has_context(&kubeconfig, wanted) {
        Ok(name) => {
            let named = kubeconfig.contexts.iter().find(|context| context.name == name);
            named.and_then(|named| named.context.clone()).unwrap_or_default()
        }
        Err(_) if flags.name_a_server() && wanted.is_none() => Context::default(),
        Err(problem) => return Err(problem),
    };
    if let Some(cluster) = &flags.cluster {
        if !kubeconfig.clusters.iter().any(|known| &known.name == cluster) {
            return Err(format!("cluster {cluster:?} does not exist in the kubeconfig"));
        }
        context.cluster.clone_from(cluster);
    }
    if let Some(user) = &flags.user {
        if !kubeconfig.auth_infos.iter().any(|known| &known.name == user) {
            return Err(format!("auth info {user:?} does not exist in the kubeconfig"));
        }
        context.user = Some(user.clone());
    }
    let clusters = kubeconfig.clusters.iter();
    let mut cluster = clusters
        .filter(|known| known.name == context.cluster)
        .find_map(|known| known.cluster.clone())
        .unwrap_or_default();
    over_cluster(&mut cluster, flags);
    let users = kubeconfig.auth_infos.iter();
    let mut user = users
        .filter(|known| Some(&known.name) == context.user.as_ref())
        .find_map(|known| known.auth_info.clone())
        .unwrap_or_default();
    over_user(&mut user, flags)?;
    context.cluster = FROM_FLAGS.to_owned();
    context.user = Some(FROM_FLAGS.to_owned());
    let name = || FROM_FLAGS.to_owned();
    kubeconfig.clusters.retain(|known| known.name != FROM_FLAGS);
    kubeconfig.auth_infos.retain(|known| known.name != FROM_FLAGS);
    kubeconfig.contexts.retain(|known| known.name != FROM_FLAGS);
    kubeconfig.clusters.push(NamedCluster {
        name: name(),
        cluster: Some(cluster),
        ..NamedCluster::default()
    });
    kubeconfig.auth_infos.push(NamedAuthInfo {
        name: name(),
        auth_info: Some(user),
        ..NamedAuthInfo::default()
    });
    kubeconfig.contexts.push(NamedContext {
        name: name(),
        context: Some(context),
        ..NamedContext::default()
    });
    Ok((kubeconfig, name()))
}

fn over_cluster(cluster: &mut Cluster, flags: &ConnectionFlags) {
    if let Some(server) = &flags.server {
        // kubectl takes an address without a scheme for a plain one.
        let scheme = if server.contains("://") { "" } else { "http://" };
        cluster.server = Some(format!("{scheme}{server}"));
    }
    if let Some(authority) = &flags.certificate_authority {
        cluster.certificate_authority = Some(authority.display().to_string());
        cluster.certificate_authority_data = None;
    }
    if flags.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(true);
        cluster.certificate_authority = None;
        cluster.certificate_authority_data = None;
    }
    if let Some(name) = &flags.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
}

fn over_user(user: &mut AuthInfo, flags: &ConnectionFlags) -> Result<(), String> {
    // The secret's type is not ours to make: it comes out of JSON, as it does out of the file.
    let secrets: AuthInfo = serde_json::from_value(json!({"token": flags.token, "password": flags.password}))
        .map_err(|error| error.to_string())?;
    if flags.token.is_some() {
        user.token = secrets.token;
        user.token_file = None;
        user.exec = None;
    }
    if flags.username.is_some() {
        user.username.clone_from(&flags.username);
        user.password = secrets.password;
        user.exec = None;
    }
    let path = |path: &PathBuf| path.display().to_string();
    if let Some(certificate) = &flags.client_certificate {
        user.client_certificate = Some(path(certificate));
        user.client_certificate_data = None;
    }
    if let Some(key) = &flags.client_key {
        user.client_key = Some(path(key));
        user.client_key_data = None;
    }
    if flags.impersonate.is_none() && (flags.impersonate_uid.is_some() || !flags.impersonate_groups.is_empty()) {
        return Err("requesting uid, groups or user-extra for impersonation requires a user: say --as too".to_owned());
    }
    if let Some(name) = &flags.impersonate {
        user.impersonate = Some(name.clone());
        user.impersonate_uid.clone_from(&flags.impersonate_uid);
        user.impersonate_groups = (!flags.impersonate_groups.is_empty()).then(|| flags.impersonate_groups.clone());
    }
    Ok(())
}

/// The wanted context, or the current one when none is wanted; says which ones there are, where it isn't there. Pure.
fn has_context(kubeconfig: &Kubeconfig, wanted: Option<&str>) -> Result<String, String> {
    let names: Vec<&str> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.as_str())
        .collect();
    let there = match names.as_slice() {
        [] => "it has none".to_owned(),
        names => format!("it has {}", names.join(", ")),
    };
    let current = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    match wanted.or(current) {
        Some(name) if names.contains(&name) => Ok(name.to_owned()),
        Some(name) => Err(format!("context {name:?} does not exist in the kubeconfig: {there}")),
        None => Err(format!(
            "the kubeconfig has no current context: {there}; `minikctl config use-context NAME` chooses one"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn config(current: &str, names: &[&str]) -> Kubeconfig {
        let contexts: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "context": {"cluster": "c", "user": "u", "namespace": "ns"}}))
            .collect();
        serde_json::from_value(json!({"current-context": current, "contexts": contexts,
            "clusters": [{"name": "c", "cluster": {"server": "https://one", "certificate-authority-data": "eA=="}},
                         {"name": "d", "cluster": {"server": "https://two"}}],
            "users": [{"name": "u", "user": {"client-certificate-data": "eA==", "tokenFile": "/t"}}, {"name": "v", "user": {}}]}))
        .expect("a kubeconfig")
    }

    fn chosen(kubeconfig: Kubeconfig, flags: &ConnectionFlags) -> Result<(Cluster, AuthInfo, Context), String> {
        let (kubeconfig, name) = lay_over(kubeconfig, None, flags)?;
        let context = kubeconfig.contexts.into_iter().find(|context| context.name == name);
        let context = context.and_then(|named| named.context).expect("it is there");
        let cluster = kubeconfig
            .clusters
            .into_iter()
            .find(|cluster| cluster.name == context.cluster);
        let user = kubeconfig
            .auth_infos
            .into_iter()
            .find(|user| Some(&user.name) == context.user.as_ref());
        let cluster = cluster.and_then(|named| named.cluster).expect("it is there");
        Ok((
            cluster,
            user.and_then(|named| named.auth_info).expect("it is there"),
            context,
        ))
    }

    #[test]
    fn a_context_that_is_not_there_is_told_with_those_that_are() {
        let two = config("a", &["a", "b"]);
        assert_eq!(has_context(&two, None).as_deref(), Ok("a"));
        assert_eq!(has_context(&two, Some("b")).as_deref(), Ok("b"));
        let missing = has_context(&two, Some("c")).expect_err("not there");
        assert_eq!(missing, "context \"c\" does not exist in the kubeconfig: it has a, b");
        let none = has_context(&config("", &[]), None).expect_err("not there");
        assert!(none.contains("no current context: it has none"), "{none}");
    }

    #[test]
    fn flags_go_over_the_file() {
        let (cluster, user, context) = chosen(config("a", &["a"]), &ConnectionFlags::default()).expect("fine");
        assert_eq!(cluster.server.as_deref(), Some("https://one"));
        assert_eq!(user.token_file.as_deref(), Some("/t"));
        assert_eq!(context.namespace.as_deref(), Some("ns"));

        let flags = ConnectionFlags {
            cluster: Some("d".to_owned()),
            token: Some("secret".to_owned()),
            impersonate: Some("jane".to_owned()),
            impersonate_groups: vec!["dev".to_owned(), "ops".to_owned()],
            ..ConnectionFlags::default()
        };
        let (cluster, user, _) = chosen(config("a", &["a"]), &flags).expect("fine");
        assert_eq!(cluster.server.as_deref(), Some("https://two"));
        assert!(user.token.is_some() && user.token_file.is_none());
        assert_eq!(user.client_certificate_data.as_deref(), Some("eA=="), "as in kubectl");
        assert_eq!(user.impersonate.as_deref(), Some("jane"));
        assert_eq!(user.impersonate_groups.map(|groups| groups.len()), Some(2));
    }

    #[test]
    fn a_server_needs_no_kubeconfig() {
        let flags = ConnectionFlags {
            server: Some("127.0.0.1:8001".to_owned()),
            insecure_skip_tls_verify: true,
            ..ConnectionFlags::default()
        };
        let (cluster, ..) = chosen(Kubeconfig::default(), &flags).expect("fine");
        assert_eq!(cluster.server.as_deref(), Some("http://127.0.0.1:8001"));
        let (cluster, ..) = chosen(config("a", &["a"]), &flags).expect("fine");
        assert_eq!(
            cluster.certificate_authority_data, None,
            "an authority and no verification contradict each other"
        );
        assert!(chosen(Kubeconfig::default(), &ConnectionFlags::default()).is_err());
    }

    #[test]
    fn what_is_asked_for_must_be_there() {
        let of = |cluster: Option<&str>, user: Option<&str>, uid: Option<&str>| {
            let flags = ConnectionFlags {
                cluster: cluster.map(str::to_owned),
                user: user.map(str::to_owned),
                impersonate_uid: uid.map(str::to_owned),
                ..ConnectionFlags::default()
            };
            chosen(config("a", &["a"]), &flags).map(|_| ())
        };
        assert_eq!(of(Some("d"), Some("v"), None), Ok(()));
        assert_eq!(
            of(Some("x"), None, None),
            Err("cluster \"x\" does not exist in the kubeconfig".to_owned())
        );
        assert_eq!(
            of(None, Some("x"), None),
            Err("auth info \"x\" does not exist in the kubeconfig".to_owned())
        );
        assert!(of(None, None, Some("1")).is_err_and(|problem| problem.contains("--as")));
    }

    #[test]
    fn an_instance_has_its_own_context() {
        let of = |context: Option<&str>, instance: Option<&str>| {
            super::context(&Global {
                context: context.map(str::to_owned),
                instance: instance.map(str::to_owned),
                ..Global::default()
            })
        };
        assert_eq!(of(None, None), None);
        assert_eq!(of(None, Some("default")).as_deref(), Some("minik"));
        assert_eq!(of(None, Some("two")).as_deref(), Some("minik-two"));
        assert_eq!(of(Some("kind"), Some("two")).as_deref(), Some("kind"));
    }
}
