//! What a pod may ask of the node beside the plain things: users of its own, images as volumes, mounts that are read-only all
//! the way down. The node says which of it can be had.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::{BUSYBOX, SERVE, node, pod};

#[test]
fn a_pod_may_have_users_of_its_own_and_images_for_volumes() {
    let world = node();
    let volumes = json!([
        {"name": "data", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "tools", "image": {"reference": BUSYBOX, "pullPolicy": "Never"}}]);
    let mounts = json!([
        {"name": "data", "mountPath": "/data"},
        {"name": "memory", "mountPath": "/memory", "readOnly": true, "recursiveReadOnly": "Enabled"},
        {"name": "tools", "mountPath": "/tools"},
        {"name": "tools", "mountPath": "/programs", "subPath": "bin"}]);
    let script = format!("/programs/echo mine > /data/file; {SERVE}");
    for name in ["one", "two"] {
        let change =
            json!({"spec": {"hostUsers": false, "volumes": volumes, "containers": [{"volumeMounts": mounts}]}});
        world.apply(&pod(name, &script, change));
    }
    let never = json!({"spec": {"volumes": [{"name": "v", "image": {"reference": "docker.io/library/absent:1",
        "pullPolicy": "Never"}}], "containers": [{"volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}});
    world.apply(&pod("absent", SERVE, never));
    let mut firsts = Vec::new();
    for name in ["one", "two"] {
        world.wait(&format!("pod/{name}"), "condition=Ready");
        let look = "cat /proc/self/uid_map /data/file; id -u; ls -ldn /data /data/file /tools /etc/hosts; touch /tools/x /memory/x";
        let told = world.minikctl(["exec", name, "--", "sh", "-c", look]).output();
        let words: Vec<&str> = told.stdout.split_whitespace().collect();
        assert_eq!(
            (words[0], words[2], words[3], words[4]),
            ("0", "65536", "mine", "0"),
            "{told}"
        );
        let owners = told
            .stdout
            .lines()
            .skip(3)
            .filter_map(|line| line.split_whitespace().nth(2));
        assert_eq!(owners.collect::<Vec<_>>(), ["0"; 4], "{told}");
        assert_eq!(told.stderr.matches("Read-only file system").count(), 2, "{told}");
        firsts.push(words[1].to_owned());
        // On the disk is the number that the container knows.
        let uid = world.value(&format!("pod/{name}"), "{.metadata.uid}");
        let file = world.data().join("kubelet/pods").join(uid).join("volumes/data/file");
        assert_eq!(fs::metadata(&file).expect("the volume's file").uid(), 0);
    }
    firsts.sort();
    assert_eq!(firsts, ["131072", "65536"], "no two pods have the same users");
    let reason = "{.status.containerStatuses[0].state.waiting.reason}";
    world.wait(
        "pod/absent",
        "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImageNeverPull",
    );
    assert_eq!(world.value("pod/absent", reason), "ErrImageNeverPull");
    let handlers = world.value("node", "{.items[0].status.runtimeHandlers[?(@.name=='')].features}");
    assert_eq!(handlers, r#"{"recursiveReadOnlyMounts":true,"userNamespaces":true}"#);
}
