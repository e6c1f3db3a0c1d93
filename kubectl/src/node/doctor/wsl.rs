//! Windows Subsystem for Linux, told from what its files say: pure.

use std::path::Path;

use super::Check;
use super::facts::{Facts, Networking, Wsl};

/// Reads the kernel's own words: WSL1 says `Microsoft`, WSL2 `microsoft-standard-WSL2`; a custom kernel may keep quiet, but
/// WSL2 always mounts its interop socket's directory.
pub(super) fn version(osrelease: &str, proc_version: &str, interop: bool) -> Option<u8> {
    let text = format!("{osrelease} {proc_version}");
    if text.contains("WSL2") || text.contains("microsoft-standard") {
        Some(2)
    } else if text.contains("Microsoft") {
        Some(1)
    } else {
        interop.then_some(2)
    }
}

/// `[boot] systemd=` of `/etc/wsl.conf`.
pub(super) fn systemd_configured(wsl_conf: &str) -> Option<bool> {
    value(wsl_conf, "boot", "systemd").map(|value| value.eq_ignore_ascii_case("true"))
}

/// The mode by `wslinfo --networking-mode`, or `[wsl2] networkingMode=` of `.wslconfig`, which defaults to NAT.
pub(super) fn networking(wslinfo: Option<&str>, wslconfig: Option<&str>) -> Networking {
    let configured = wslconfig.and_then(|text| value(text, "wsl2", "networkingMode"));
    let word = match (wslinfo.map(str::trim), configured) {
        (Some(word), _) if !word.is_empty() => word.to_owned(),
        (_, Some(word)) => word,
        (_, None) if wslconfig.is_some() => "nat".to_owned(),
        _ => return Networking::Unknown,
    };
    match word.to_ascii_lowercase().as_str() {
        "nat" => Networking::Nat,
        "mirrored" => Networking::Mirrored,
        "virtioproxy" => Networking::VirtioProxy,
        "bridged" => Networking::Bridged,
        "none" => Networking::None,
        _ => Networking::Unknown,
    }
}

/// Windows' drives are mounted at `/mnt/c`, `/mnt/d` and so on, unless `/etc/wsl.conf` says otherwise.
pub(super) fn is_windows_drive(dir: &Path) -> bool {
    let letter = dir.strip_prefix("/mnt").ok().and_then(|rest| rest.iter().next());
    letter.is_some_and(|name| name.len() == 1 && name.as_encoded_bytes()[0].is_ascii_alphabetic())
}

/// A key of an ini file's section; names are compared without case, comments begin with `#`.
fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut inside = false;
    let mut found = None;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim().eq_ignore_ascii_case(section);
        } else if let Some((name, value)) = line.split_once('=')
            && inside
            && name.trim().eq_ignore_ascii_case(key)
        {
            found = Some(value.trim().trim_matches('"').to_owned());
        }
    }
    found
}

/// The checks that only WSL has.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let Some(wsl) = &facts.wsl else { return Vec::new() };
    if wsl.version == 1 {
        return vec![Check::fatal(
            "wsl",
            "WSL 1, which has no Linux kernel",
            "There are no namespaces, cgroups or overlayfs: no container can run.",
            "in PowerShell: wsl --set-version <distribution> 2",
        )];
    }
    let mut checks = vec![Check::ok("wsl", format!("WSL 2, kernel {}", facts.kernel_release))];
    checks.push(networking_check(&wsl.networking));
    checks.push(init_check(facts, wsl));
    if wsl.data_on_windows {
        checks.push(Check::fatal(
            "data directory",
            "on a Windows drive",
            "Windows drives (9p) know no overlayfs, owners or device files: images can't be unpacked.",
            "choose a directory of the distribution: --data-dir /var/lib/minik/NAME",
        ));
    }
    checks
}

fn networking_check(networking: &Networking) -> Check {
    const NAME: &str = "wsl networking";
    match networking {
        Networking::Nat => Check::ok(NAME, "NAT; published ports are reached from Windows through localhost"),
        Networking::Mirrored => Check::ok(
            NAME,
            "mirrored; Windows and Linux share addresses, and ports: what Windows uses is taken here",
        ),
        Networking::VirtioProxy => Check::ok(
            NAME,
            "virtioproxy; published ports are reached from Windows through localhost",
        ),
        Networking::Bridged => Check::warn(
            NAME,
            "bridged, which is deprecated",
            "Windows doesn't forward localhost to published ports.",
            "%UserProfile%\\.wslconfig: [wsl2] networkingMode=nat, then: wsl --shutdown",
        ),
        Networking::None => Check::warn(
            NAME,
            "none",
            "Images can't be pulled; only imported ones run.",
            "%UserProfile%\\.wslconfig: [wsl2] networkingMode=nat, then: wsl --shutdown",
        ),
        Networking::Unknown => Check::ok(NAME, "not told (NAT unless .wslconfig says otherwise)"),
    }
}

/// Both ways are fine; what differs is what happens to the node when the last terminal closes.
fn init_check(facts: &Facts, wsl: &Wsl) -> Check {
    const NAME: &str = "wsl init";
    match (facts.init.as_str(), wsl.systemd_configured) {
        ("systemd", _) => Check::ok(NAME, "systemd"),
        (init, Some(true)) => Check::warn(
            NAME,
            format!("{init}, though /etc/wsl.conf asks for systemd"),
            "The setting takes effect at the next start of the distribution.",
            "in PowerShell: wsl --shutdown",
        ),
        (init, _) => Check::ok(
            NAME,
            format!("{init} (no systemd, and none needed); the node ends with the distribution: `up` starts it again"),
        ),
    }
}
