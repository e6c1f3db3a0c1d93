//! Other people's entries survive; ours come, are renewed and go.

use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;
use serde_yaml::Value;

use super::*;

const ENTRY: Entry<'static> = Entry {
    name: "minik",
    server: "https://127.0.0.1:6443",
    authority: "CA",
    certificate: "CERT",
    key: "KEY",
};

const OTHERS: &str = "apiVersion: v1
kind: Config
preferences: {colors: true}
x-unknown: [1, {a: b}]
clusters:
- name: prod
  cluster: {server: 'https://prod', x-extra: 0x10}
users:
- name: prod
  user: {token: abc}
contexts:
- name: prod
  context: {cluster: prod, user: prod, namespace: shop}
current-context: prod
";

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).expect("is YAML")
}

fn merged(text: &str, switch: bool) -> document::MergedText {
    document::merge(text, &ENTRY, switch).expect("a sound kubeconfig")
}

#[test]
fn an_empty_file_becomes_a_kubeconfig_that_clients_read() {
    let text = standalone(&ENTRY);
    let config = kube::config::Kubeconfig::from_yaml(&text).expect("kube reads it");
    assert_eq!(config.current_context.as_deref(), Some("minik"));
    let cluster = config.clusters[0].cluster.as_ref().expect("has a cluster");
    assert_eq!(cluster.server.as_deref(), Some(ENTRY.server));
}

#[test]
fn the_current_context_is_switched_only_when_asked_or_when_there_is_none() {
    let kept = merged(OTHERS, false);
    assert!(!kept.current);
    assert_eq!(yaml(&kept.text.expect("changed"))["current-context"], "prod");
    assert!(merged(OTHERS, true).current);
    assert!(merged("", false).current);
    assert!(merged("current-context: ''", false).current);
}

#[test]
fn a_second_merge_changes_nothing() {
    let once = merged(OTHERS, false).text.expect("changed");
    assert!(merged(&once, false).text.is_none());
}

#[test]
fn what_the_user_chose_for_our_context_stays() {
    let once = merged("", false)
        .text
        .expect("changed")
        .replace("    cluster: minik", "    namespace: dev\n    cluster: minik");
    let moved = Entry {
        server: "https://127.0.0.1:16443",
        ..ENTRY
    };
    let text = document::merge(&once, &moved, false)
        .expect("sound")
        .text
        .expect("the server moved");
    let root = yaml(&text);
    assert_eq!(root["contexts"][0]["context"]["namespace"], "dev");
    assert_eq!(root["clusters"][0]["cluster"]["server"], moved.server);
    assert_eq!(root["clusters"].as_sequence().map(Vec::len), Some(1));
}

#[test]
fn removing_takes_ours_and_leaves_the_rest() {
    let with = merged(OTHERS, true).text.expect("changed");
    let without = document::remove(&with, "minik").expect("sound").expect("changed");
    let (mut before, after) = (yaml(OTHERS), yaml(&without));
    before["current-context"] = "".into();
    assert_eq!(after, before);
    assert!(document::remove(OTHERS, "minik").expect("sound").is_none());
}

#[test]
fn what_is_no_kubeconfig_is_refused() {
    for text in [
        "[1]",
        "clusters: 5",
        "a: [",
        "text",
        "clusters:\n- name: minik\n  cluster: 7\n",
    ] {
        assert!(document::merge(text, &ENTRY, false).is_err(), "{text}");
    }
}

#[test]
fn the_invoking_user_is_found_through_sudo() {
    let variables = |list: &'static [(&str, &str)]| {
        move |name: &str| {
            list.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| OsString::from(value))
        }
    };
    let home_of = |uid: Uid| (uid.as_raw() == 1000).then(|| PathBuf::from("/home/ann"));
    let find = |explicit: Option<&str>, list| {
        let variable = variables(list);
        let invoker = Invoker::find_in(&variable, &home_of);
        Target::find_in(explicit.map(Path::new), variable("KUBECONFIG"), invoker).map(|target| target.path)
    };
    let sudo: &[(&str, &str)] = &[("SUDO_UID", "1000"), ("SUDO_GID", "1000"), ("HOME", "/root")];
    assert_eq!(find(None, sudo).expect("found"), Path::new("/home/ann/.kube/config"));
    assert_eq!(
        find(None, &[("HOME", "/root")]).expect("found"),
        Path::new("/root/.kube/config")
    );
    assert_eq!(find(None, &[("KUBECONFIG", ":/a:/b")]).expect("found"), Path::new("/a"));
    assert_eq!(find(Some("/x"), sudo).expect("found"), Path::new("/x"));
    assert!(matches!(find(None, &[]), Err(KubeconfigError::NoHome)));
}

#[test]
fn mode_owner_and_links_are_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (real, link) = (dir.path().join("real"), dir.path().join("config"));
    fs::write(&real, OTHERS).expect("writable");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("ours");
    nix::unistd::chown(&real, Some(Uid::from_raw(1234)), Some(Gid::from_raw(4321))).expect("this test needs root");
    symlink("real", &link).expect("writable");
    let target = Target {
        path: link.clone(),
        owner: None,
    };
    assert!(target.merge(&ENTRY, false).expect("merges").written);
    assert!(!target.merge(&ENTRY, false).expect("merges").written);
    let meta = fs::metadata(&real).expect("is there");
    assert_eq!((meta.mode() & 0o777, meta.uid(), meta.gid()), (0o640, 1234, 4321));
    assert!(fs::symlink_metadata(&link).expect("is there").is_symlink());
    assert_eq!(
        fs::read_dir(dir.path()).expect("readable").count(),
        2,
        "no temporary file is left"
    );
    assert!(target.remove("minik").expect("removes"));
    assert_eq!(yaml(&fs::read_to_string(&real).expect("readable")), yaml(OTHERS));
}

#[test]
fn a_new_file_is_the_users_own() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let target = Target {
        path: dir.path().join(".kube/config"),
        owner: Some((Uid::from_raw(1234), Gid::from_raw(4321))),
    };
    assert!(target.merge(&ENTRY, false).expect("this test needs root").current);
    for path in [dir.path().join(".kube"), target.path.clone()] {
        let meta = fs::metadata(&path).expect("is there");
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mode() & 0o077),
            (1234, 4321, 0),
            "{}",
            path.display()
        );
    }
}

proptest! {
    #[test]
    fn entries_of_others_survive_value_for_value(
        names in prop::collection::btree_set("[a-z]{1,8}", 0..6),
        extra in prop::collection::btree_map("x-[a-z]{1,6}", "[ -~]{0,20}", 0..4),
        switch: bool,
    ) {
        let list = |body: &str| -> Value {
            names.iter().filter(|name| *name != "minik").map(|name| {
                yaml(&format!("{{name: {name:?}, {body}: {{cluster: {name:?}, x-more: [1, null, true]}}}}"))
            }).collect::<Vec<_>>().into()
        };
        let mut root = yaml("{}");
        for (field, body) in [("clusters", "cluster"), ("contexts", "context"), ("users", "user")] {
            root[field] = list(body);
        }
        for (key, value) in &extra {
            root[key.as_str()] = value.as_str().into();
        }
        let text = serde_yaml::to_string(&root).expect("prints");
        let with = merged(&text, switch).text.expect("changed");
        let without = document::remove(&with, "minik").expect("sound").expect("changed");
        let after = yaml(&without);
        for (key, value) in root.as_mapping().expect("a mapping") {
            prop_assert_eq!(&after[key], value);
        }
    }
}
