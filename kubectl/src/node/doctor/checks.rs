//! From facts to verdicts: pure, a function a check.

use super::Check;
use super::facts::{Facts, Trial};
use super::wsl;

/// Judges all facts, in the order in which a user should look at them.
pub(super) fn decide(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![root(facts), kernel(facts)];
    checks.extend(wsl::checks(facts));
    checks.push(cgroup(facts));
    checks.push(namespaces(facts));
    checks.push(overlay(facts));
    checks.push(seccomp(facts));
    checks.push(veth(facts));
    checks.push(nat(facts));
    checks.push(forwarding(facts));
    checks.extend(ranges(facts));
    checks.extend(limits(facts));
    checks.extend(disk(facts));
    checks.extend(memory(facts));
    checks.push(ports(facts));
    checks.push(clock(facts));
    checks.extend(nameservers(facts));
    checks
}

fn root(facts: &Facts) -> Check {
    if facts.root {
        return Check::ok("root", "yes");
    }
    Check::warn(
        "root",
        "no",
        "Namespaces, mounts, cgroups and network devices can't be tried; only root can start a node.",
        "sudo minikctl doctor",
    )
}

fn kernel(facts: &Facts) -> Check {
    /// The first with mount_setattr, which makes a container's mounts read-only before it can reach them.
    const OLDEST: (u32, u32) = (5, 12);
    let release = &facts.kernel_release;
    match release_numbers(release) {
        Some(numbers) if numbers < OLDEST => Check::fatal(
            "kernel",
            format!("Linux {release}"),
            "Containers' mounts are made by mount_setattr, which this kernel doesn't have (5.12 is the oldest that does).",
            if facts.wsl.is_some() {
                "in PowerShell: wsl --update"
            } else {
                "install a newer kernel"
            },
        ),
        _ => Check::ok("kernel", format!("Linux {release}")),
    }
}

fn release_numbers(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn cgroup(facts: &Facts) -> Check {
    /// Without these no limit of a pod can be kept.
    const NEEDED: [&str; 3] = ["cpu", "memory", "pids"];
    let cgroup = &facts.cgroup;
    let v2 = cgroup.v2.as_ref();
    let kind = match (v2, cgroup.v1.is_empty()) {
        (None, true) => {
            return Check::fatal(
                "cgroup",
                "no hierarchy is mounted",
                "Containers' processes can't be grouped, limited or ended together.",
                "mount -t cgroup2 none /sys/fs/cgroup",
            );
        }
        (None, false) => "v1",
        (Some(_), true) => "v2",
        (Some(_), false) => "hybrid (v1 controllers beside v2)",
    };
    if let Some(Err(reason)) = &cgroup.trial {
        return Check::fatal(
            "cgroup",
            format!("{kind}, but a cgroup can't be made: {reason}"),
            "Containers' processes can't be grouped, limited or ended together.",
            "inside a container, start it with its cgroups writable (docker run --privileged --cgroupns=host)",
        );
    }
    let has = |name: &&str| cgroup.v1.contains(*name) || v2.is_some_and(|v2| v2.contains(*name));
    let missing: Vec<&str> = NEEDED.into_iter().filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return Check::ok("cgroup", kind);
    }
    Check::warn(
        "cgroup",
        format!("{kind}, without {}", missing.join(", ")),
        format!("Pods' limits for {} are not kept.", missing.join(", ")),
        match facts.wsl {
            Some(_) => "%UserProfile%\\.wslconfig: [wsl2] kernelCommandLine=cgroup_no_v1=all, then: wsl --shutdown",
            None => "add cgroup_enable=memory swapaccount=1 to the kernel's command line",
        },
    )
}

fn namespaces(facts: &Facts) -> Check {
    let failed: Vec<String> = facts
        .namespaces
        .iter()
        .filter_map(|(name, trial)| match trial {
            Some(Err(reason)) => Some(format!("{name}: {reason}")),
            _ => None,
        })
        .collect();
    if !failed.is_empty() {
        return Check::fatal(
            "namespaces",
            failed.join("; "),
            "Containers can't be kept apart from each other and from the machine.",
            "inside a container, start it privileged; otherwise look for a security module's message in: dmesg",
        );
    }
    if facts.namespaces.values().all(Option::is_none) {
        return Check::ok("namespaces", "not tried");
    }
    let names: Vec<&str> = facts.namespaces.keys().copied().collect();
    Check::ok("namespaces", names.join(", "))
}

fn overlay(facts: &Facts) -> Check {
    const NAME: &str = "overlayfs";
    if let Some(Err(reason)) = &facts.mount {
        return Check::fatal(
            NAME,
            format!("nothing can be mounted: {reason}"),
            "Containers can't get a root file system.",
            "inside a container, start it privileged; otherwise look for a security module's message in: dmesg",
        );
    }
    match &facts.overlay {
        None => Check::ok(NAME, "not tried"),
        Some(Ok(())) => Check::ok(NAME, format!("works on {}", facts.overlay_on)),
        Some(Err(reason)) if reason.contains("ENODEV") => Check::fatal(
            NAME,
            "the kernel has no overlayfs",
            "Images' layers can't be put together to a container's root file system.",
            "modprobe overlay",
        ),
        Some(Err(reason)) => Check::fatal(
            NAME,
            format!("not on the file system of {}: {reason}", facts.overlay_on),
            "Images' layers can't be put together to a container's root file system.",
            "choose a directory on ext4, xfs or btrfs: --data-dir DIR",
        ),
    }
}

fn seccomp(facts: &Facts) -> Check {
    match facts.seccomp {
        Some(false) => Check::warn(
            "seccomp",
            "the kernel has none",
            "Containers may use every system call; pods run less confined than in Kubernetes.",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
        Some(true) => Check::ok("seccomp", "filters"),
        None => Check::ok("seccomp", "not told"),
    }
}

fn veth(facts: &Facts) -> Check {
    tried("veth", &facts.veth, "pairs can be made", |reason| {
        Check::fatal(
            "veth",
            reason,
            "Pods can't be connected: only pods with hostNetwork would run.",
            match facts.wsl {
                Some(_) => "in PowerShell: wsl --update",
                None => "modprobe veth",
            },
        )
    })
}

fn nat(facts: &Facts) -> Check {
    tried("nat", &facts.nat, "nftables masquerades", |reason| {
        Check::warn(
            "nat",
            reason,
            "Pods can reach each other and the node, but nothing beyond it.",
            match facts.wsl {
                Some(_) => "in PowerShell: wsl --update; with a kernel of your own: modprobe nft_masq nft_chain_nat",
                None => "modprobe -a nf_tables nft_chain_nat nft_masq",
            },
        )
    })
}

fn tried(name: &'static str, trial: &Trial, works: &str, fails: impl Fn(String) -> Check) -> Check {
    match trial {
        None => Check::ok(name, "not tried"),
        Some(Ok(())) => Check::ok(name, works),
        Some(Err(reason)) => fails(reason.clone()),
    }
}

fn forwarding(facts: &Facts) -> Check {
    match facts.ip_forward {
        Some(true) => Check::ok("ip_forward", "on"),
        Some(false) => Check::ok("ip_forward", "off; the runtime turns it on"),
        None => Check::warn(
            "ip_forward",
            "can't be read",
            "Pods may reach nothing but the node.",
            "mount -t proc proc /proc",
        ),
    }
}

/// A route of the host inside our ranges, e.g. a VPN's: packets meant for it would go to pods.
fn ranges(facts: &Facts) -> Vec<Check> {
    let conflicts = [
        ("pod range", facts.pod_cidr, "--pod-cidr"),
        ("service range", facts.service_cidr, "--service-cidr"),
    ];
    let check = |(name, range, option): (&'static str, Option<crate::node::cidr::Cidr>, &str)| {
        let range = range?;
        let taken = facts
            .routes
            .iter()
            .find(|(route, _)| range.overlaps(*route) && route.prefix() >= range.prefix());
        Some(match taken {
            Some((route, interface)) => Check::warn(
                name,
                format!("{range} covers {route}, which {interface} has"),
                format!("Addresses of {interface}'s network and of this node are the same: one of them isn't reached."),
                format!("minikctl up {option} CIDR, with a range that nobody uses"),
            ),
            None => Check::ok(name, range.to_string()),
        })
    };
    conflicts.into_iter().filter_map(check).collect()
}

fn limits(facts: &Facts) -> Vec<Check> {
    let limits = &facts.limits;
    let rows = [
        (
            "inotify",
            limits.inotify_instances,
            512,
            "instances",
            "Programs that watch files fail with \"too many open files\" when several pods do.",
            "sysctl -w fs.inotify.max_user_instances=8192",
        ),
        (
            "inotify watches",
            limits.inotify_watches,
            8192,
            "watches",
            "Programs that watch files fail with \"no space left on device\".",
            "sysctl -w fs.inotify.max_user_watches=524288",
        ),
        (
            "open files",
            limits.open_files_hard,
            4096,
            "a process",
            "Databases and web servers in pods run out of file descriptors.",
            "ulimit -Hn 1048576 before `up`, or LimitNOFILE= in its unit",
        ),
        (
            "processes",
            limits.pids,
            16_384,
            "process numbers",
            "Pods with many threads can't start more.",
            "sysctl -w kernel.pid_max=4194304",
        ),
    ];
    let judge = |(name, value, least, unit, breaks, repair): (_, Option<u64>, u64, &str, &str, &str)| {
        let value = value?;
        let found = format!("{value} {unit}");
        Some(if value >= least {
            Check::ok(name, found)
        } else {
            Check::warn(name, found, breaks, repair)
        })
    };
    rows.into_iter().filter_map(judge).collect()
}

fn disk(facts: &Facts) -> Option<Check> {
    const MIB: u64 = 1 << 20;
    let disk = facts.disk.as_ref()?;
    let found = format!(
        "{} free of {} at {}",
        bytes(disk.free_bytes),
        bytes(disk.total_bytes),
        disk.path
    );
    let clean = "minikctl image ls, then: minikctl image rm NAME; or choose another disk: --data-dir DIR";
    Some(if disk.free_bytes < 64 * MIB {
        Check::fatal("disk", found, "Nothing can be stored: no object, image or log.", clean)
    } else if disk.free_inodes.is_some_and(|inodes| inodes < 10_000) {
        let left = disk.free_inodes.unwrap_or_default();
        Check::warn(
            "disk",
            format!("{found}, {left} inodes left"),
            "Images with many files can't be unpacked.",
            clean,
        )
    } else if disk.free_bytes < 2048 * MIB {
        Check::warn("disk", found, "Larger images may not fit.", clean)
    } else {
        Check::ok("disk", found)
    })
}

fn memory(facts: &Facts) -> Option<Check> {
    let available = facts.memory_available_bytes?;
    let found = format!("{} available", bytes(available));
    Some(if available < 256 << 20 {
        Check::warn(
            "memory",
            found,
            "Pods are killed when they need more than is there.",
            match facts.wsl {
                Some(_) => "%UserProfile%\\.wslconfig: [wsl2] memory=4GB, then: wsl --shutdown",
                None => "end what isn't needed",
            },
        )
    } else {
        Check::ok("memory", found)
    })
}

fn ports(facts: &Facts) -> Check {
    match facts.ports_taken.first() {
        None => Check::ok(
            "ports",
            format!("{} is free for the API server, or the node has it", facts.api_port),
        ),
        Some(taken) => Check::warn(
            "ports",
            taken.to_string(),
            "The API server takes the next free port of its list, and the kubeconfig names that.",
            "stop that process, or: minikctl up --api-port PORT",
        ),
    }
}

fn clock(facts: &Facts) -> Check {
    /// 2025-01-01: this program is younger.
    const YOUNGEST: i64 = 1_735_689_600;
    let time =
        jiff::Timestamp::from_second(facts.clock_seconds).map_or_else(|_| "?".to_owned(), |time| time.to_string());
    if facts.clock_seconds >= YOUNGEST {
        return Check::ok("clock", time);
    }
    Check::warn(
        "clock",
        format!("{time} is in the past"),
        "Certificates seem not valid yet: no TLS connection comes about.",
        if facts.wsl.is_some() {
            "hwclock -s"
        } else {
            "timedatectl set-ntp true"
        },
    )
}

fn nameservers(facts: &Facts) -> Option<Check> {
    let servers = facts.nameservers.as_ref()?;
    Some(if servers.is_empty() {
        Check::warn(
            "dns",
            "no nameserver in /etc/resolv.conf",
            "Names can't be looked up: images can't be pulled, and pods find nothing.",
            match facts.wsl {
                Some(_) => "rm /etc/resolv.conf; in PowerShell: wsl --shutdown (it is written anew)",
                None => "echo 'nameserver 9.9.9.9' > /etc/resolv.conf",
            },
        )
    } else {
        Check::ok("dns", servers.join(", "))
    })
}

/// A size in the unit that people read.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut value = bytes;
    while value >= 10_240 && unit + 1 < UNITS.len() {
        value /= 1024;
        unit += 1;
    }
    format!("{value} {}", UNITS[unit])
}
