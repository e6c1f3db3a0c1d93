//! Images from a real registry, and what is said when they can't be had.

use minik_tests::registry::Registry;
use minik_tests::{World, images};
use serde_json::json;

use crate::{SERVE, archive, pod};

#[test]
fn images_are_pulled_from_a_registry_and_through_a_mirror() {
    let world = World::new();
    let registry = Registry::start();
    registry.push(archive(), "library/box:1");
    let mirror = format!("docker.io=http://{}", registry.host());
    let world = world.with(["--registry-mirror", &mirror]);
    world.start();
    let image = |image: String| json!({"spec": {"containers": [{"image": image, "imagePullPolicy": "Always"}]}});
    world.apply(&pod(
        "direct",
        SERVE,
        image(format!("{}/library/box:1", registry.host())),
    ));
    world.apply(&pod("mirrored", SERVE, image("box:1".into())));
    world.wait("pod/direct", "condition=Ready");
    world.wait("pod/mirrored", "condition=Ready");
    let described = world.minikctl(["describe", "pod", "mirrored"]).ok();
    assert!(described.contains("Successfully pulled image \"box:1\""), "{described}");
    let listed = world.minikctl(["image", "ls"]).ok();
    assert!(listed.contains("box"), "{listed}");

    let missing = format!("{}/library/box:2", registry.host());
    world.apply(&pod("tag", SERVE, image(missing)));
    world.wait(
        "pod/tag",
        "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff",
    );
    let events = world
        .minikctl(["get", "events", "--field-selector", "involvedObject.name=tag"])
        .ok();
    assert!(events.contains("box:2") && events.contains("not found"), "{events}");
}

#[test]
fn an_image_is_pulled_listed_and_removed_by_hand() {
    let world = World::new();
    let registry = Registry::start();
    let archive = images::busybox(world.folder(), "hand:1", &json!({"Cmd": ["echo", "by hand"]}));
    registry.push(&archive, "by/hand:1");
    world.start();
    let name = format!("{}/by/hand:1", registry.host());
    let _ = world.minikctl(["image", "pull", &name]).ok();
    assert!(world.minikctl(["image", "ls"]).ok().contains("by/hand"));
    let _ = world.minikctl(["image", "rm", &name]).ok();
    assert!(!world.minikctl(["image", "ls"]).ok().contains("by/hand"));
    let missing = world
        .minikctl(["image", "pull", &format!("{}/by/foot:1", registry.host())])
        .fails();
    assert!(
        missing.contains("by/foot") && missing.contains("not found"),
        "{missing}"
    );
    let unreachable = world.minikctl(["image", "pull", "127.0.0.1:1/nothing:1"]).fails();
    assert!(
        unreachable.contains("127.0.0.1:1") && unreachable.contains("refused"),
        "{unreachable}"
    );
}
