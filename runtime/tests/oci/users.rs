//! User namespaces: made by root for a container, and by an ordinary user for himself.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::{fs, process::Command};

use serde_json::json;

use crate::bundle::{Bundle, executable};

#[test]
fn root_of_the_container_is_nobody_on_the_host() {
    let script = "id -u; cat /proc/self/uid_map; hostname; ifconfig lo | grep -c UP; touch /out/file; hostname changed \
                  && hostname; sleep 100";
    let bundle = Bundle::script(script).with(|config| {
        let map = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "user"}));
        let all = json!(["CAP_SYS_ADMIN"]);
        config["process"]["capabilities"] = json!({"bounding": all, "permitted": all, "effective": all});
    });
    // As whoever unpacks for such a container does.
    for path in ["rootfs", "rootfs/out"] {
        chown(bundle.path(path), Some(200_000), Some(200_000)).unwrap();
    }
    bundle.start();
    let output = bundle.path("output");
    let pid = bundle.pid();
    let exec = bundle.exec(&[
        "sh",
        "-c",
        "id -u; while ! test -e /out/file; do sleep 0.05; done; stat -c %u /out/file",
    ]);
    assert_eq!(exec.ok(), "0\n0");
    assert_eq!(fs::metadata(format!("/proc/{pid}/root/out")).unwrap().uid(), 200_000);
    assert_eq!(fs::metadata(bundle.path("rootfs/out/file")).unwrap().uid(), 200_000);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t200000\t"), "{status}");
    let mut text = fs::read_to_string(&output).unwrap();
    while !text.contains("changed") {
        assert_eq!(bundle.status(), "running", "{text}");
        text = fs::read_to_string(&output).unwrap();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "200000", "65536", "of-test", "1", "changed"]);
}

#[test]
fn an_ordinary_user_runs_a_container() {
    let bundle = Bundle::script("id -u; cat /proc/self/uid_map; touch /out/file; echo done").with(|config| {
        let map = json!([{"containerID": 0, "hostID": 12_345, "size": 1}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "user"}));
        config["linux"]["resources"] = json!(null);
    });
    for path in ["", "rootfs", "rootfs/out", "rootfs/tmp"] {
        chown(bundle.path(path), Some(12_345), Some(12_345)).unwrap();
    }
    // Where the tests are built only root may go.
    let program = bundle.path("minirunc");
    fs::copy(executable(), &program).unwrap();
    bundle.write();
    let output = Command::new(&program)
        .args(["--root", bundle.path("own-state").to_str().unwrap(), "run", &bundle.id])
        .current_dir(bundle.directory.path())
        .uid(12_345)
        .gid(12_345)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        text.split_whitespace().collect::<Vec<_>>(),
        ["0", "0", "12345", "1", "done"]
    );
    assert_eq!(fs::metadata(bundle.path("rootfs/out/file")).unwrap().uid(), 12_345);
}
