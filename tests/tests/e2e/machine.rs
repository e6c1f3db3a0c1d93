//! A machine with cgroup v2 alone.

use minik_tests::vm;

#[test]
fn a_machine_with_cgroup_v2_alone_boots() {
    let printed = vm::run(
        &[],
        "cat /sys/fs/cgroup/cgroup.controllers\ngrep overlay /proc/filesystems",
    );
    assert!(printed.contains("memory"), "{printed}");
}
