//! Machines in a table: what doctor says about each.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::decide;
use super::facts::{Cgroup, Disk, Facts, Networking, Trial, Wsl, parse_route};
use super::wsl::{is_windows_drive, networking, systemd_configured, version};
use super::{Check, Verdict};
use crate::node::ports::{Holder, Taken};

/// A machine on which everything works.
fn sound() -> Facts {
    Facts {
        root: true,
        kernel_release: "6.6.87".to_owned(),
        init: "systemd".to_owned(),
        cgroup: Cgroup {
            v2: Some(BTreeSet::from(["cpu", "memory", "pids"].map(str::to_owned))),
            v1: BTreeSet::new(),
            trial: Some(Ok(())),
        },
        namespaces: BTreeMap::from([("net", Some(Ok(()))), ("pid", Some(Ok(())))]),
        mount: Some(Ok(())),
        overlay: Some(Ok(())),
        veth: Some(Ok(())),
        nat: Some(Ok(())),
        ip_forward: Some(true),
        seccomp: Some(true),
        clock_seconds: 1_790_000_000,
        api_port: 6443,
        pod_cidr: Some("10.244.0.0/16".parse().expect("a range")),
        service_cidr: Some("10.96.0.0/16".parse().expect("a range")),
        nameservers: Some(vec!["9.9.9.9".to_owned()]),
        disk: Some(Disk {
            path: "/var/lib".to_owned(),
            free_bytes: 50 << 30,
            total_bytes: 100 << 30,
            free_inodes: None,
        }),
        ..Facts::default()
    }
}

fn find(facts: &Facts, name: &str) -> Check {
    let checks = decide(facts);
    checks
        .into_iter()
        .find(|check| check.name == name)
        .unwrap_or_else(|| panic!("no check {name}"))
}

#[test]
fn a_sound_machine_has_nothing_to_repair() {
    for check in decide(&sound()) {
        assert_eq!(check.verdict, Verdict::Ok, "{check:?}");
        assert!(check.repair.is_empty() && check.breaks.is_empty(), "{check:?}");
    }
}

#[test]
fn whatever_is_wrong_says_what_breaks_and_how_to_repair_it() {
    let failed = || Some(Err("EPERM: Operation not permitted".to_owned()));
    type Breakage = fn(&mut Facts, Trial);
    let cases: [(&str, Verdict, Breakage); 12] = [
        ("root", Verdict::Warn, |facts, _| facts.root = false),
        ("kernel", Verdict::Fatal, |facts, _| {
            facts.kernel_release = "5.11.22-generic".to_owned()
        }),
        ("cgroup", Verdict::Fatal, |facts, _| facts.cgroup.v2 = None),
        ("cgroup", Verdict::Fatal, |facts, failed| facts.cgroup.trial = failed),
        ("namespaces", Verdict::Fatal, |facts, failed| {
            facts.namespaces.insert("net", failed);
        }),
        ("overlayfs", Verdict::Fatal, |facts, failed| facts.overlay = failed),
        ("overlayfs", Verdict::Fatal, |facts, failed| facts.mount = failed),
        ("veth", Verdict::Fatal, |facts, failed| facts.veth = failed),
        ("nat", Verdict::Warn, |facts, failed| facts.nat = failed),
        ("seccomp", Verdict::Warn, |facts, _| facts.seccomp = Some(false)),
        ("clock", Verdict::Warn, |facts, _| facts.clock_seconds = 0),
        ("dns", Verdict::Warn, |facts, _| facts.nameservers = Some(Vec::new())),
    ];
    for (name, verdict, break_it) in cases {
        for wsl in [
            None,
            Some(Wsl {
                version: 2,
                ..Wsl::default()
            }),
        ] {
            let mut facts = sound();
            facts.wsl = wsl;
            break_it(&mut facts, failed());
            let check = find(&facts, name);
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert!(!check.repair.is_empty() && !check.breaks.is_empty(), "{check:?}");
        }
    }
}

#[test]
fn cgroups_in_the_wild() {
    let controllers = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let all = ["cpu", "memory", "pids"];
    for (v2, v1, verdict, word) in [
        (Some(&all[..]), &[][..], Verdict::Ok, "v2"),
        (None, &all[..], Verdict::Ok, "v1"),
        (Some(&[][..]), &all[..], Verdict::Ok, "hybrid"),
        // v1 controllers, and hugetlb alone on the v2 mount.
        (Some(&["hugetlb"][..]), &all[..], Verdict::Ok, "hybrid"),
        (Some(&["cpu", "pids"][..]), &[][..], Verdict::Warn, "without memory"),
        (None, &[][..], Verdict::Fatal, "no hierarchy"),
    ] {
        let mut facts = sound();
        facts.cgroup.v2 = v2.map(controllers);
        facts.cgroup.v1 = controllers(v1);
        let check = find(&facts, "cgroup");
        assert_eq!(check.verdict, verdict, "{check:?}");
        assert!(check.found.contains(word), "{check:?}");
    }
}

#[test]
fn wsl_in_the_wild() {
    for (osrelease, interop, expected) in [
        ("5.15.167.4-microsoft-standard-WSL2", true, Some(2)),
        ("6.6.87.2-microsoft-standard-WSL2+", true, Some(2)),
        ("4.4.0-19041-Microsoft", true, Some(1)),
        ("6.18.0-my-own-kernel", true, Some(2)),
        ("6.18.0-amd64", false, None),
    ] {
        assert_eq!(version(osrelease, "Linux version", interop), expected, "{osrelease}");
    }
    assert_eq!(systemd_configured("[boot]\nsystemd=true\n"), Some(true));
    assert_eq!(systemd_configured("# systemd=true\n[user]\nsystemd=true\n"), None);
    assert_eq!(systemd_configured("[Boot]\r\n systemd = false # no\r\n"), Some(false));
    for (wslinfo, wslconfig, expected) in [
        (Some("mirrored\n"), None, Networking::Mirrored),
        (None, Some("[wsl2]\nnetworkingMode=Mirrored\n"), Networking::Mirrored),
        (None, Some("\u{feff}[wsl2]\r\nmemory=8GB\r\n"), Networking::Nat),
        (Some("nat"), Some("[wsl2]\nnetworkingMode=mirrored\n"), Networking::Nat),
        (
            None,
            Some("[wsl2]\nnetworkingMode=virtioproxy"),
            Networking::VirtioProxy,
        ),
        (None, None, Networking::Unknown),
    ] {
        assert_eq!(networking(wslinfo, wslconfig), expected, "{wslinfo:?} {wslconfig:?}");
    }
}

#[test]
fn windows_drives_are_known_by_their_letter() {
    for (dir, windows) in [
        ("/mnt/c", true),
        ("/mnt/d/data", true),
        ("/mnt/disk", false),
        ("/mnt", false),
        ("/c", false),
    ] {
        assert_eq!(is_windows_drive(std::path::Path::new(dir)), windows, "{dir}");
    }
}

#[test]
fn wsl_1_and_windows_drives_are_fatal_and_wsl_2_without_systemd_is_fine() {
    let with = |wsl: Wsl, init: &str| Facts {
        wsl: Some(wsl),
        init: init.to_owned(),
        ..sound()
    };
    let first = with(
        Wsl {
            version: 1,
            ..Wsl::default()
        },
        "init",
    );
    assert_eq!(find(&first, "wsl").verdict, Verdict::Fatal);
    let second = Wsl {
        version: 2,
        ..Wsl::default()
    };
    assert_eq!(find(&with(second.clone(), "init"), "wsl init").verdict, Verdict::Ok);
    let pending = Wsl {
        systemd_configured: Some(true),
        ..second.clone()
    };
    assert_eq!(find(&with(pending, "init"), "wsl init").verdict, Verdict::Warn);
    let on_windows = Wsl {
        data_on_windows: true,
        ..second
    };
    assert_eq!(
        find(&with(on_windows, "systemd"), "data directory").verdict,
        Verdict::Fatal
    );
}

#[test]
fn a_vpns_route_inside_our_range_is_named() {
    let line = "tun0\t0005F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0";
    let (route, interface) = parse_route(line).expect("a route");
    assert_eq!(
        (route.to_string().as_str(), interface.as_str()),
        ("10.244.5.0/24", "tun0")
    );
    let mut facts = sound();
    facts.routes = vec![(route, interface)];
    let check = find(&facts, "pod range");
    assert_eq!(check.verdict, Verdict::Warn);
    assert!(check.found.contains("tun0"), "{check:?}");
    assert_eq!(find(&facts, "service range").verdict, Verdict::Ok);
    // A wider route, such as a VPN's 10.0.0.0/8, only loses the part that is ours.
    facts.routes = vec![("10.0.0.0/8".parse().expect("a range"), "tun0".to_owned())];
    assert_eq!(find(&facts, "pod range").verdict, Verdict::Ok);
}

#[test]
fn disks_and_ports() {
    for (free_bytes, free_inodes, verdict) in [
        (10_u64 << 20, None, Verdict::Fatal),
        (1 << 30, None, Verdict::Warn),
        (50 << 30, Some(10), Verdict::Warn),
        (50 << 30, Some(1_000_000), Verdict::Ok),
    ] {
        let mut facts = sound();
        facts.disk = Some(Disk {
            path: "/".to_owned(),
            free_bytes,
            total_bytes: 100 << 30,
            free_inodes,
        });
        assert_eq!(find(&facts, "disk").verdict, verdict, "{free_bytes} {free_inodes:?}");
    }
    let mut facts = sound();
    facts.ports_taken = vec![Taken {
        port: 6443,
        holder: Some(Holder {
            pid: 42,
            command: "k3s server".to_owned(),
        }),
    }];
    assert_eq!(find(&facts, "ports").found, "port 6443 is taken by k3s server (pid 42)");
}

#[test]
fn this_machine_can_be_examined() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let overrides = crate::node::instance::Overrides {
        data_dir: Some(dir.path().join("data")),
        run_dir: Some("/run/minik-doctor-test".into()),
        ..Default::default()
    };
    let instance = crate::node::instance::Instance::resolve("doctor-test", &overrides).expect("resolves");
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test makes namespaces and mounts: run it as root"
    );
    let facts = super::gather::everything(&instance, false);
    for (name, trial) in &facts.namespaces {
        assert_eq!(trial, &Some(Ok(())), "{name}");
    }
    assert_eq!(facts.overlay, Some(Ok(())));
    assert_eq!(facts.veth, Some(Ok(())));
    assert_eq!(facts.cgroup.trial, Some(Ok(())));
    assert_eq!(
        std::fs::read_dir(dir.path()).expect("readable").count(),
        0,
        "trials leave nothing behind"
    );
    let links = std::fs::read_to_string("/proc/net/dev").expect("readable");
    assert!(!links.contains("doctor0"), "trials stay in their own namespace");
}
