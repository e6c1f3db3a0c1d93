//! Certificates are kept while they do, and issued anew when they don't.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;

use jiff::ToSpan;

use super::*;

fn names() -> Names {
    Names {
        node_name: "box".to_owned(),
        node_ip: IpAddr::V4(Ipv4Addr::new(192, 168, 1, 7)),
        service_ip: Ipv4Addr::new(10, 96, 0, 1),
    }
}

fn files_of(issued: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    issued.iter().map(|(file, _)| *file).collect()
}

#[test]
fn a_second_run_keeps_everything() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let now = Timestamp::now();
    let first = ensure(dir.path(), &names(), now).expect("issues");
    assert_eq!(first.len(), 10);
    assert_eq!(ensure(dir.path(), &names(), now).expect("keeps"), []);
    let mode = fs::metadata(dir.path().join("admin.key"))
        .expect("was written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_moved_machine_gets_new_names_and_keeps_its_authority() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let now = Timestamp::now();
    ensure(dir.path(), &names(), now).expect("issues");
    let moved = Names {
        node_ip: IpAddr::V4(Ipv4Addr::new(172, 20, 3, 4)),
        ..names()
    };
    assert_eq!(
        ensure(dir.path(), &moved, now).expect("issues"),
        [("kubelet", "its names changed")]
    );
    let renamed = Names {
        node_name: "other".to_owned(),
        ..moved
    };
    let issued = ensure(dir.path(), &renamed, now).expect("issues");
    assert_eq!(files_of(&issued), ["apiserver", "kubelet", "node"]);
}

#[test]
fn what_expires_soon_is_renewed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let now = Timestamp::now();
    ensure(dir.path(), &names(), now).expect("issues");
    let later = now + (24 * 300).hours();
    assert_eq!(ensure(dir.path(), &names(), later).expect("issues"), []);
    let later = now + (24 * 310).hours();
    let issued = ensure(dir.path(), &names(), later).expect("issues");
    assert_eq!(issued.len(), 8, "all but the authorities");
    let much_later = now + (24 * 3640).hours();
    assert_eq!(ensure(dir.path(), &names(), much_later).expect("issues").len(), 10);
}

#[test]
fn damage_is_repaired() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let now = Timestamp::now();
    ensure(dir.path(), &names(), now).expect("issues");
    fs::write(dir.path().join("admin.crt"), "garbage").expect("writable");
    fs::remove_file(dir.path().join("node.key")).expect("was there");
    let issued = ensure(dir.path(), &names(), now).expect("issues");
    assert_eq!(issued, [("admin", "it couldn't be read"), ("node", "it was missing")]);
    fs::write(dir.path().join("ca.key"), "garbage").expect("writable");
    let issued = ensure(dir.path(), &names(), now).expect("issues");
    assert_eq!(issued.len(), 8);
    assert!(
        issued[1..].iter().all(|(_, reason)| *reason == "the authority changed"),
        "{issued:?}"
    );
}

#[test]
fn the_api_server_is_known_by_all_its_names() {
    let all = identities(&names());
    let apiserver = all
        .iter()
        .find(|identity| identity.file == "apiserver")
        .expect("is listed");
    for name in [
        "127.0.0.1",
        "::1",
        "localhost",
        "box",
        "kubernetes.default.svc",
        "10.96.0.1",
    ] {
        assert!(apiserver.names.iter().any(|known| known == name), "{name}");
    }
}
