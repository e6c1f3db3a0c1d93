//! Limits of config.json as values of control files: a pure table for each version
//! (runtime-spec, config-linux.md; Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of the kernel).

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

/// One value for one control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The controller that has the file.
    pub(super) controller: String,
    /// File name in the cgroup's directory.
    pub(super) file: String,
    /// What to write.
    pub(super) value: String,
}

impl Setting {
    fn new(controller: &str, file: impl Into<String>, value: impl ToString) -> Self {
        Self {
            controller: controller.to_owned(),
            file: file.into(),
            value: value.to_string(),
        }
    }
}

/// Settings for v1, in the order they have to be written.
pub(super) fn v1(resources: &LinuxResources) -> Vec<Setting> {
    let mut all = Vec::new();
    if let Some(cpu) = resources.cpu() {
        all.extend(
            cpu.shares()
                .filter(|shares| *shares > 0)
                .map(|v| Setting::new("cpu", "cpu.shares", v)),
        );
        all.extend(
            cpu.period()
                .filter(|period| *period > 0)
                .map(|v| Setting::new("cpu", "cpu.cfs_period_us", v)),
        );
        all.extend(
            cpu.quota()
                .filter(|quota| *quota != 0)
                .map(|v| Setting::new("cpu", "cpu.cfs_quota_us", v)),
        );
        all.extend(cpu.idle().map(|v| Setting::new("cpu", "cpu.idle", v)));
        all.extend(given(cpu.cpus()).map(|v| Setting::new("cpuset", "cpuset.cpus", v)));
        all.extend(given(cpu.mems()).map(|v| Setting::new("cpuset", "cpuset.mems", v)));
    }
    if let Some(memory) = resources.memory() {
        let limit = memory.limit().filter(|limit| *limit != 0);
        all.extend(limit.map(|v| Setting::new("memory", "memory.limit_in_bytes", v)));
        let swap = memory.swap().filter(|swap| *swap != 0);
        all.extend(swap.map(|v| Setting::new("memory", "memory.memsw.limit_in_bytes", v)));
        let reservation = memory.reservation().filter(|value| *value != 0);
        all.extend(reservation.map(|v| Setting::new("memory", "memory.soft_limit_in_bytes", v)));
    }
    if let Some(pids) = resources.pids() {
        all.extend(pids_max(pids.limit()).map(|v| Setting::new("pids", "pids.max", v)));
    }
    for huge in resources.hugepage_limits().iter().flatten() {
        all.push(Setting::new(
            "hugetlb",
            format!("hugetlb.{}.limit_in_bytes", huge.page_size()),
            huge.limit(),
        ));
    }
    for device in resources.devices().iter().flatten() {
        let file = if device.allow() {
            "devices.allow"
        } else {
            "devices.deny"
        };
        all.push(Setting::new("devices", file, device_rule(device)));
    }
    all
}

/// Settings for v2.
pub(super) fn v2(resources: &LinuxResources) -> Vec<Setting> {
    let mut all = Vec::new();
    if let Some(cpu) = resources.cpu() {
        let shares = cpu.shares().filter(|shares| *shares > 0);
        all.extend(shares.map(|shares| Setting::new("cpu", "cpu.weight", weight(shares))));
        if cpu.quota().is_some_and(|quota| quota != 0) || cpu.period().is_some_and(|period| period != 0) {
            let quota = cpu
                .quota()
                .filter(|quota| *quota > 0)
                .map_or("max".to_owned(), |quota| quota.to_string());
            let period = cpu.period().filter(|period| *period > 0).unwrap_or(100_000);
            all.push(Setting::new("cpu", "cpu.max", format!("{quota} {period}")));
        }
        all.extend(cpu.idle().map(|v| Setting::new("cpu", "cpu.idle", v)));
        all.extend(given(cpu.cpus()).map(|v| Setting::new("cpuset", "cpuset.cpus", v)));
        all.extend(given(cpu.mems()).map(|v| Setting::new("cpuset", "cpuset.mems", v)));
    }
    if let Some(memory) = resources.memory() {
        let limit = memory.limit().filter(|limit| *limit != 0);
        all.extend(limit.map(|v| Setting::new("memory", "memory.max", or_max(v))));
        if let Some(swap) = memory.swap().filter(|swap| *swap != 0) {
            // v1 and the specification count memory and swap together, v2 counts swap alone.
            let alone = if swap < 0 {
                swap
            } else {
                (swap - limit.unwrap_or(0).max(0)).max(0)
            };
            all.push(Setting::new("memory", "memory.swap.max", or_max(alone)));
        }
        let reservation = memory.reservation().filter(|value| *value != 0);
        all.extend(reservation.map(|v| Setting::new("memory", "memory.low", or_max(v))));
    }
    if let Some(pids) = resources.pids() {
        all.extend(pids_max(pids.limit()).map(|v| Setting::new("pids", "pids.max", v)));
    }
    for huge in resources.hugepage_limits().iter().flatten() {
        all.push(Setting::new(
            "hugetlb",
            format!("hugetlb.{}.max", huge.page_size()),
            huge.limit(),
        ));
    }
    for (file, value) in resources.unified().iter().flatten() {
        let controller = file.split('.').next().unwrap_or_default();
        all.push(Setting::new(controller, file, value));
    }
    all
}

/// 2..262144 shares become 1..10000 of weight, as Kubernetes and all runtimes map them.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn given(text: &Option<String>) -> Option<&String> {
    text.as_ref().filter(|text| !text.is_empty())
}

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn pids_max(limit: i64) -> Option<String> {
    (limit != 0).then(|| or_max(limit))
}

/// `c 1:3 rwm`, with `*` for any number and `a` for everything (cgroup-v1/devices.rst).
fn device_rule(device: &LinuxDeviceCgroup) -> String {
    let number = |number: Option<i64>| number.filter(|n| *n >= 0).map_or("*".to_owned(), |n| n.to_string());
    let kind = match device.typ() {
        Some(LinuxDeviceType::B) => "b",
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => "c",
        _ => return "a".to_owned(),
    };
    let access = device.access().as_deref().unwrap_or("rwm");
    format!("{kind} {}:{} {access}", number(device.major()), number(device.minor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).expect("valid resources")
    }

    fn lines(settings: &[Setting]) -> Vec<String> {
        settings
            .iter()
            .map(|setting| format!("{}={}", setting.file, setting.value))
            .collect()
    }

    const FULL: &str = r#"{"cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0-1","mems":""},
        "memory":{"limit":1048576,"swap":2097152},"pids":{"limit":-1},
        "hugepageLimits":[{"pageSize":"2MB","limit":0}],"unified":{"memory.high":"9"},
        "devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"}]}"#;

    #[test]
    fn v1_files() {
        let expected = [
            "cpu.shares=512",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=50000",
            "cpuset.cpus=0-1",
            "memory.limit_in_bytes=1048576",
            "memory.memsw.limit_in_bytes=2097152",
            "pids.max=max",
            "hugetlb.2MB.limit_in_bytes=0",
            "devices.deny=a",
            "devices.allow=c 1:3 rw",
        ];
        assert_eq!(lines(&v1(&resources(FULL))), expected);
    }

    #[test]
    fn v2_files() {
        let expected = [
            "cpu.weight=20",
            "cpu.max=50000 100000",
            "cpuset.cpus=0-1",
            "memory.max=1048576",
            "memory.swap.max=1048576",
            "pids.max=max",
            "hugetlb.2MB.max=0",
            "memory.high=9",
        ];
        assert_eq!(lines(&v2(&resources(FULL))), expected);
    }

    #[test]
    fn nothing_asked_nothing_written() {
        let none =
            resources(r#"{"cpu":{"shares":0,"quota":0,"period":0},"memory":{"limit":0,"swap":0},"pids":{"limit":0}}"#);
        assert_eq!(lines(&v1(&none)), Vec::<String>::new());
        assert_eq!(lines(&v2(&none)), Vec::<String>::new());
        let unlimited = resources(r#"{"cpu":{"quota":-1,"period":100000},"memory":{"limit":-1,"swap":-1}}"#);
        assert_eq!(
            lines(&v2(&unlimited)),
            ["cpu.max=max 100000", "memory.max=max", "memory.swap.max=max"]
        );
    }

    #[test]
    fn weights_span_their_range() {
        assert_eq!([2, 1024, 262_144, 0, u64::MAX].map(weight), [1, 39, 10_000, 1, 10_000]);
    }
}
