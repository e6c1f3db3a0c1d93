//! containerd's documents, run with `minikctl` before `ctr`; and images on their way out of the node.

use std::path::{Path, PathBuf};

use minik_tests::registry::{PASSWORD, Registry, USER};
use minik_tests::{Run, World, images};
use serde_json::{Value, json};

const HELLO: &str = "docker.io/library/hello-world:latest";

/// An archive as `docker save` writes it, of an image that says hello.
fn saved(world: &World) -> PathBuf {
    let config = json!({"Cmd": ["echo", "Hello from Docker!"]});
    let oci = images::busybox(world.folder(), "hello-world:latest", &config);
    let saved = world.folder().join("app.tar");
    let copy = Run::new("skopeo").args(["copy", "--insecure-policy"]).args([
        format!("oci-archive:{}", oci.display()),
        format!("docker-archive:{}:docker.io/library/app:1", saved.display()),
    ]);
    let _ = copy.ok();
    saved
}

fn oci(world: &World) -> PathBuf {
    world.folder().join("hello-world-latest.tar")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// `minikctl ctr` with these arguments.
fn ctr<const N: usize>(world: &World, arguments: [&str; N]) -> Run {
    world.minikctl(["ctr"]).args(arguments)
}

/// The cells of a table's line that begins so.
fn row<'a>(table: &'a str, first: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(first));
    let line = line.unwrap_or_else(|| panic!("no {first} in {table}"));
    line.split_whitespace().collect()
}

#[test]
fn what_containerds_documents_show_runs_with_minikctl_before_it() {
    let world = World::new();
    let registry = Registry::start();
    let archive = saved(&world);
    registry.push(&oci(&world), "library/hello-world:latest");
    let mirror = format!("docker.io=http://{}", registry.host());
    let world = world.with(["--registry-mirror", &mirror]);
    world.start();

    let pulled = ctr(&world, ["image", "pull", HELLO]).ok();
    for part in ["manifest-sha256:", "layer-sha256:", "config-sha256:"] {
        let line = pulled.lines().find(|line| line.starts_with(part));
        let line = line.unwrap_or_else(|| panic!("no {part} in {pulled}"));
        assert!(line.contains("done") && line.contains("|+++"), "{line}");
    }
    assert_eq!(row(&pulled, &format!("{HELLO}:"))[1], "resolved");
    for words in ["elapsed: ", "total: ", "unpacking linux/", "done: "] {
        assert!(pulled.contains(words), "{words} in {pulled}");
    }
    let listed = ctr(&world, ["image", "ls"]).ok();
    assert_eq!(
        row(&listed, "REF"),
        ["REF", "TYPE", "DIGEST", "SIZE", "PLATFORMS", "LABELS"]
    );
    let hello = row(&listed, HELLO);
    assert_eq!(hello[1], "application/vnd.oci.image.manifest.v1+json");
    assert!(
        pulled.contains(&format!("unpacking {} {}...", hello[5], hello[2])),
        "{pulled}"
    );
    assert!(ctr(&world, ["images", "check"]).ok().contains("complete (2/2)"));

    // A container is metadata, its task the process.
    let _ = ctr(&world, ["container", "create", HELLO, "demo"]).ok();
    let containers = ctr(&world, ["container", "list"]).ok();
    assert_eq!(row(&containers, "CONTAINER"), ["CONTAINER", "IMAGE", "RUNTIME"]);
    assert_eq!(row(&containers, "demo")[1], HELLO);
    let info = ctr(&world, ["c", "info", "demo"]).ok();
    let info: Value = serde_json::from_str(&info).expect("JSON");
    assert_eq!(info["Spec"]["process"]["args"], json!(["echo", "Hello from Docker!"]));
    assert_eq!(ctr(&world, ["task", "ls"]).ok().lines().count(), 1, "the heading");
    let _ = ctr(&world, ["task", "start", "-d", "demo"]).ok();
    let tasks = ctr(&world, ["task", "ls"]).ok();
    assert_eq!(row(&tasks, "TASK"), ["TASK", "PID", "STATUS"]);
    assert!(matches!(row(&tasks, "demo")[2], "RUNNING" | "STOPPED"), "{tasks}");
    let _ = ctr(&world, ["task", "delete", "--force", "demo"]).ok();
    let _ = ctr(&world, ["container", "remove", "demo"]).ok();
    assert_eq!(ctr(&world, ["image", "remove", HELLO]).ok(), format!("{HELLO}\n"));
    let absent = ctr(&world, ["run", HELLO, "demo"]).fails();
    assert_eq!(absent, format!("ctr: image {HELLO:?}: not found\n"));

    let _ = ctr(&world, ["image", "pull", HELLO]).ok();
    assert_eq!(ctr(&world, ["run", HELLO, "demo"]).ok(), "Hello from Docker!\n");
    assert_eq!(
        ctr(&world, ["run", "--rm", HELLO, "other"]).ok(),
        "Hello from Docker!\n"
    );
    assert_eq!(ctr(&world, ["c", "ls", "-q"]).ok(), "demo\n");
    let failing = ctr(&world, ["run", "--rm", HELLO, "fails", "sh", "-c", "exit 5"]).output();
    assert_eq!(failing.code, 5, "{failing}");

    let imported = ctr(&world, ["image", "import", text(&archive)]).ok();
    assert!(
        imported.starts_with("unpacking docker.io/library/app:1 (sha256:"),
        "{imported}"
    );
    assert_eq!(
        ctr(&world, ["run", "--rm", "docker.io/library/app:1", "app"]).ok(),
        "Hello from Docker!\n"
    );
    let typed = ctr(&world, ["run", "--rm", HELLO, "typed", "cat"]).stdin("typed\n");
    assert_eq!(typed.ok(), "typed\n");

    // What pods run on is another namespace.
    assert_eq!(world.minikctl(["image", "ls", "--no-headers"]).ok(), "");
    assert_eq!(ctr(&world, ["-n", "k8s.io", "image", "ls", "-q"]).ok(), "");
    assert_eq!(ctr(&world, ["namespace", "ls", "-q"]).ok(), "default\n");
}

#[test]
fn images_are_tagged_saved_pushed_looked_at_and_pruned() {
    let world = World::new();
    let registry = Registry::with_login();
    let archive = saved(&world);
    world.start();
    let _ = world.minikctl(["image", "load", text(&archive)]).ok();
    let _ = world.minikctl(["image", "tag", "app:1", "app:2"]).ok();
    let inspected = world.minikctl(["image", "inspect", "app:2"]).ok();
    let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
    assert_eq!(
        inspected[0]["RepoTags"],
        json!(["docker.io/library/app:1", "docker.io/library/app:2"])
    );
    assert_eq!(inspected[0]["Config"]["Cmd"], json!(["echo", "Hello from Docker!"]));
    let history = world.minikctl(["image", "history", "app:1"]).ok();
    assert!(history.lines().count() > 1, "{history}");

    let name = format!("{}/team/app:1", registry.host());
    let refused = world.minikctl(["image", "push", "app:1", &name]).fails();
    assert!(refused.contains("needs a login"), "{refused}");
    let login = format!("{USER}:{PASSWORD}");
    let push = || world.minikctl(["image", "push", "--quiet", "--creds", &login, "app:1", &name]);
    let digest = push().ok();
    assert!(digest.starts_with("sha256:"), "{digest}");
    assert_eq!(push().ok(), digest, "again, though all is there");
    let pulled = ctr(&world, ["image", "pull", "--user", &login, &name]).ok();
    assert!(pulled.contains(&format!("manifest-{}:", digest.trim())), "{pulled}");

    let out = world.folder().join("out.tar");
    let _ = world
        .minikctl(["image", "save", "-o", text(&out), "app:1", "app:2"])
        .ok();
    let usage = world.minikctl(["image", "usage"]).ok();
    assert!(
        usage.contains("1 images for pods, 1 of them without a container"),
        "{usage}"
    );
    assert!(
        !world.minikctl(["image", "prune"]).ok().contains("removed"),
        "it has a tag"
    );
    let pruned = world.minikctl(["image", "prune", "--all"]).ok();
    assert!(pruned.contains("app:1\" removed"), "{pruned}");
    let again = world.minikctl(["image", "load", text(&out)]).ok();
    assert!(again.contains("docker.io/library/app:1"), "{again}");
    let listed = world.minikctl(["image", "ls", "--no-headers"]).ok();
    assert_eq!(listed.lines().count(), 2, "{listed}");
}
