//! Images from a real registry, and what is said when they can't be had.

use std::net::{Ipv4Addr, TcpListener};

use minik_tests::answering::Answering;
use minik_tests::registry::{PASSWORD, Registry, USER};
use minik_tests::valve::Valve;
use minik_tests::{Run, World, images};
use serde_json::{Value, json};

use crate::{BUSYBOX, SERVE, archive, pod};

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

/// A pod whose image is always asked for.
fn pulling(name: &str, image: &str, secrets: &[&str]) -> String {
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({"name": name})).collect();
    let spec = json!({"containers": [{"image": image, "imagePullPolicy": "Always"}], "imagePullSecrets": secrets});
    pod(name, SERVE, json!({"spec": spec}))
}

/// The pod is refused its image, and says the words: while it waits and in its events.
fn is_refused(world: &World, name: &str, image: &str, words: &[&str]) {
    world.wait(
        &format!("pod/{name}"),
        "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff",
    );
    let message = world.value(
        &format!("pod/{name}"),
        "{.status.containerStatuses[0].state.waiting.message}",
    );
    let begin = format!("Back-off pulling image \"{image}\": ErrImagePull: ");
    assert!(message.starts_with(&begin), "{name}: {message}");
    let events = world.minikctl(["describe", "pod", name]).ok();
    let events = events.split_once("Events:").expect("describe shows events").1;
    for text in [message.as_str(), events] {
        for word in words {
            assert!(text.contains(word), "{name}: no {word:?} in {text}");
        }
    }
    for event in [
        format!("Pulling image \"{image}\""),
        format!("Failed to pull image \"{image}\": "),
        "Error: ErrImagePull".to_owned(),
    ] {
        assert!(events.contains(&event), "{name}: no {event:?} in {events}");
    }
}

#[test]
fn each_reason_why_an_image_cannot_be_had_is_told_apart() {
    let world = World::new();
    let (open, closed) = (Registry::start(), Registry::with_login());
    open.push(archive(), "library/box:1");
    let foreign = images::built_for("s390x", world.folder(), "foreign:1", &json!({}));
    open.push(&foreign, "foreign:1");
    closed.push(archive(), "team/box:1");
    let limiting = Answering::with("429 Too Many Requests", "Retry-After: 77\r\n", "");
    let failing = Answering::with("500 Internal Server Error", "", "");
    let garbage = Answering::with(
        "200 OK",
        "Content-Type: text/html\r\n",
        "<html>Welcome to the hotel</html>",
    );
    // The API server is a TLS server whose CA nobody here knows.
    let api_port = free_port().to_string();
    let mirror = format!("tls.test=https://127.0.0.1:{api_port}");
    let world = world.with(["--api-port", &api_port, "--registry-mirror", &mirror]);
    world.start();

    let on = |host: String, rest: &str| format!("{host}/{rest}");
    let cases: [(&str, String, Vec<&str>); 11] = [
        (
            "name",
            on(open.host(), "library/bux:1"),
            vec!["not found: ", "has no image named library/bux", "spelling"],
        ),
        (
            "tag",
            on(open.host(), "library/box:2"),
            vec!["has library/box, but no \"2\" of it", "1"],
        ),
        (
            "login",
            on(closed.host(), "team/box:1"),
            vec!["team/box needs a login", "imagePullSecrets"],
        ),
        (
            "limit",
            on(limiting.host(), "x:1"),
            vec!["limits the rate of pulls", "wait 77 s"],
        ),
        (
            "dns",
            "no.such.registry.invalid/x:1".into(),
            vec!["can't resolve the host name no.such.registry.invalid"],
        ),
        (
            "refused",
            "127.0.0.1:1/x:1".into(),
            vec!["can't connect to the registry 127.0.0.1:1", "refused"],
        ),
        (
            "tls",
            "tls.test/x:1".into(),
            vec!["no secure connection to 127.0.0.1", "update-ca-certificates"],
        ),
        (
            "foreign",
            on(open.host(), "foreign:1"),
            vec!["isn't built for linux/", "linux/s390x"],
        ),
        ("failing", on(failing.host(), "x:1"), vec!["500", "try again later"]),
        (
            "garbage",
            on(garbage.host(), "x:1"),
            vec!["check that this is an image registry"],
        ),
        (
            "invalid",
            "team/Case:1".into(),
            vec!["invalid image name", "upper-case letters"],
        ),
    ];
    let (invalid, pulled) = cases.split_last().expect("there are cases");
    for (name, image, _) in &cases {
        world.apply(&pulling(name, image, &[]));
    }
    for (name, image, words) in pulled {
        is_refused(&world, name, image, words);
    }
    let (name, image, words) = invalid;
    let pod = format!("pod/{name}");
    world.wait(
        &pod,
        "jsonpath={.status.containerStatuses[0].state.waiting.reason}=InvalidImageName",
    );
    let message = world.value(&pod, "{.status.containerStatuses[0].state.waiting.message}");
    assert!(message.contains(image), "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
}

#[test]
fn a_pull_secret_opens_a_private_registry() {
    let world = World::new();
    let registry = Registry::with_login();
    registry.push(archive(), "team/box:1");
    world.start();
    for (name, password) in [("right", PASSWORD), ("wrong", "incorrect horse")] {
        let config = json!({"auths": {registry.host(): {"username": USER, "password": password}}});
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": {"name": name},
            "stringData": {".dockerconfigjson": config.to_string()},
        });
        world.apply(&secret.to_string());
    }
    let image = format!("{}/team/box:1", registry.host());
    world.apply(&pulling("refused", &image, &["wrong"]));
    is_refused(&world, "refused", &image, &["refuses these credentials for team/box"]);
    world.apply(&pulling("nameless", &image, &["none"]));
    is_refused(
        &world,
        "nameless",
        &image,
        &["team/box needs a login", "imagePullSecrets"],
    );
    let described = world.minikctl(["describe", "pod", "nameless"]).ok();
    assert!(
        described.contains("Unable to retrieve image pull secret \"none\""),
        "{described}"
    );
    // Each secret in turn, as Kubernetes does.
    world.apply(&pulling("admitted", &image, &["wrong", "right"]));
    world.wait("pod/admitted", "condition=Ready");
    // A pod without the secret gets nothing by another pod's login.
    world.apply(&pulling("stranger", &image, &[]));
    is_refused(&world, "stranger", &image, &["team/box needs a login"]);
}

#[test]
fn a_slow_pull_shows_how_far_it_is() {
    let world = World::new();
    let registry = Registry::start();
    registry.push(archive(), "slow:1");
    let valve = Valve::before(registry.host(), 500_000);
    world.start();
    let image = format!("{}/slow:1", valve.host());
    let mut watch = world.minikctl(["get", "pods", "-w", "-o", "json"]).start();
    world.apply(&pulling("slow", &image, &[]));
    let begin = format!("\"pulling {image}: 0 of 1 layers, ");
    let shown = loop {
        let line = watch.line();
        if line.contains(&begin) {
            break line;
        }
    };
    assert!(shown.contains(" MB (") && shown.contains("%)"), "{shown}");
    let described = world.minikctl(["describe", "pod", "slow"]).ok();
    assert!(
        described.contains(&format!("pulling {image}: ")),
        "in an event too: {described}"
    );
    valve.open();
    world.wait("pod/slow", "condition=Ready");
}

#[test]
fn images_are_shown_in_pipes_and_on_terminals() {
    let world = World::new();
    let registry = Registry::start();
    registry.push(archive(), "shown:1");
    world.start();
    let name = format!("{}/shown:1", registry.host());

    let piped = world.minikctl(["image", "pull", &name]).output();
    assert_eq!(piped.code, 0, "{piped}");
    assert!(piped.stdout.starts_with(&format!("✓ {name}  ")), "{piped}");
    assert_eq!(piped.stdout.lines().count(), 1, "{piped}");
    assert!(piped.stderr.contains(&format!("{name}: 100% (")), "{piped}");
    assert!(
        !piped.stderr.contains('\x1b'),
        "no colours and no bars in a pipe: {piped:?}"
    );

    let listed = world.minikctl(["image", "ls"]).ok();
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["IMAGE", "TAG", "IMAGE", "ID", "SIZE"], "{listed}");
    assert_eq!(
        rows[1][..2],
        [format!("{}/shown", registry.host()).as_str(), "1"],
        "{listed}"
    );
    assert_eq!((rows[1][2].len(), rows.len()), (12, 2), "{listed}");
    let id = world.minikctl(["image", "ls", "-q"]).ok();
    assert!(
        id.trim().ends_with(|digit: char| digit.is_ascii_hexdigit()) && id.contains(rows[1][2]),
        "{id}"
    );

    let removed = world.minikctl(["image", "rm", &name]).ok();
    assert_eq!(removed, format!("image {name:?} removed\n"));
    assert_eq!(world.minikctl(["image", "ls", "--no-headers"]).ok(), "");
    let again = world.minikctl(["image", "rm", &name]).fails();
    assert!(again.contains("there is no image"), "{again}");

    let terminal = on_a_terminal(&world, &format!("image pull {name}"));
    assert!(terminal.contains("downloading"), "a bar a layer: {terminal:?}");
    assert!(terminal.contains('━'), "{terminal:?}");
    let last = terminal
        .lines()
        .rfind(|line| line.contains('✓'))
        .expect("the last word");
    assert!(last.contains(&name), "{terminal:?}");

    let imported = world.minikctl(["image", "import"]).args([archive()]).output();
    assert_eq!(imported.code, 0, "{imported}");
    assert!(
        imported.stdout.starts_with("✓ ") && imported.stdout.contains(BUSYBOX),
        "{imported}"
    );
    let terminal = on_a_terminal(&world, &format!("image import {}", archive().display()));
    assert!(terminal.contains('✓') && terminal.contains(BUSYBOX), "{terminal:?}");
}

/// What `minikctl` writes to a terminal: util-linux' script gives it one.
fn on_a_terminal(world: &World, arguments: &str) -> String {
    let command = format!("{} {arguments}", minik_tests::executable::minikctl().display());
    let script = Run::new("script").args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    world.in_world(script).env("TERM", "xterm").env("COLUMNS", "120").ok()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
