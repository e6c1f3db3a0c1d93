//! Tables and properties of what derives from an instance's name.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::derive::{PORT_DISTANCES, checked_name, instance, slot};
use super::*;

fn fresh(name: &str) -> Instance {
    instance(name, slot(name, &BTreeSet::new()), "node")
}

#[test]
fn the_default_instance_has_what_users_know() {
    let node = fresh(DEFAULT_NAME);
    assert_eq!(node.context, "minik");
    assert_eq!((node.api_port, node.kubelet_port), (6443, 10_250));
    assert_eq!(node.pod_cidr.to_string(), "10.244.0.0/16");
    assert_eq!(node.service_address().to_string(), "10.96.0.1");
    assert_eq!(node.data_dir, Path::new("/var/lib/minik/default"));
    assert_eq!(node.runtime_socket(), Path::new("/run/minik/default/runtime.sock"));
    assert_eq!(node.flag(), "");
}

#[test]
fn two_names_share_nothing() {
    let (a, b) = (fresh("one"), fresh("two"));
    assert_ne!(a.slot, b.slot);
    assert_ne!(a.interface_prefix, b.interface_prefix);
    assert!(!a.pod_cidr.overlaps(b.pod_cidr) && !a.service_cidr.overlaps(b.service_cidr));
    assert_eq!(a.context, "minik-one");
    assert_eq!(a.flag(), " --instance one");
}

#[test]
fn a_taken_slot_is_passed_over() {
    let first = slot("one", &BTreeSet::new());
    let second = slot("one", &BTreeSet::from([first]));
    assert_ne!(first, second);
    assert_ne!(second, 0);
}

#[test]
fn names_that_break_paths_are_refused() {
    for name in ["", "-a", "a-", "A", "a/b", "..", "a.b", "ä", "a b", &"a".repeat(33)] {
        assert!(checked_name(name).is_err(), "{name:?}");
    }
    for name in ["a", "ci-42", "0", &"a".repeat(32)] {
        assert!(checked_name(name).is_ok(), "{name:?}");
    }
}

#[test]
fn overrides_win_and_are_checked() {
    let overrides = Overrides {
        api_port: Some(7443),
        pod_cidr: Some("10.1.0.0/16".parse().expect("a range")),
        ..Overrides::default()
    };
    let node = fresh(DEFAULT_NAME).with(&overrides).expect("sound overrides");
    assert_eq!((node.api_port, node.api_port_fixed), (7443, true));
    assert_eq!(node.pod_cidr.to_string(), "10.1.0.0/16");

    let overlapping = Overrides {
        pod_cidr: Some("10.96.4.0/24".parse().expect("a range")),
        ..Overrides::default()
    };
    assert!(matches!(
        fresh(DEFAULT_NAME).with(&overlapping),
        Err(InstanceError::RangesOverlap { .. })
    ));
    let relative = Overrides {
        data_dir: Some("data".into()),
        ..Overrides::default()
    };
    assert!(matches!(
        fresh(DEFAULT_NAME).with(&relative),
        Err(InstanceError::RelativeDirectory { option: "data-dir", .. })
    ));
    let long = Overrides {
        run_dir: Some(format!("/{}", "x".repeat(60)).into()),
        ..Overrides::default()
    };
    assert!(matches!(
        fresh(DEFAULT_NAME).with(&long),
        Err(InstanceError::RunDirectoryTooLong { .. })
    ));
}

#[test]
fn a_remembered_instance_is_found_again_with_what_was_set() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let overrides = Overrides {
        data_dir: Some(dir.path().join("data")),
        run_dir: Some(dir.path().join("run")),
        api_port: Some(7001),
        ..Overrides::default()
    };
    let name = format!("t-{}", std::process::id());
    let first = Instance::resolve(&name, &overrides).expect("resolves");
    first.remember().expect("the directory is writable");
    let by_name = Instance::resolve(&name, &Overrides::default()).expect("resolves");
    assert_eq!(by_name, first);
    assert!(first.owns(&first.data_dir) && first.owns(&first.run_dir));
    assert!(!first.owns(dir.path()));
    let other = Instance::resolve("other", &overrides).expect_err("the directory is another instance's");
    assert!(other.to_string().contains("belongs to instance"), "{other}");
    first.forget();
    assert_ne!(
        Instance::resolve(&name, &Overrides::default()).expect("resolves"),
        first
    );
}

#[test]
fn mirrors_are_host_and_url() {
    assert!(mirror("docker.io=http://127.0.0.1:5000").is_ok());
    for text in ["docker.io", "=http://x", "docker.io=ftp://x", ""] {
        assert!(mirror(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_derives_stays_usable(name in "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?") {
        prop_assume!(name != DEFAULT_NAME);
        let node = fresh(&name);
        prop_assert!((1..4096).contains(&node.slot));
        // Linux's IFNAMSIZ leaves 15 characters, ten of them for the pod.
        prop_assert_eq!(node.interface_prefix.len(), 5);
        prop_assert!(!node.pod_cidr.overlaps(node.service_cidr));
        prop_assert!(node.run_dir.as_os_str().len() <= derive::RUN_DIR_LENGTH_MAX);
        for distance in PORT_DISTANCES {
            prop_assert!(node.api_port + distance < 30_000);
            prop_assert!(node.kubelet_port + distance < 32_000);
        }
        prop_assert!(node.clone().with(&Overrides::default()).is_ok());
    }
}
