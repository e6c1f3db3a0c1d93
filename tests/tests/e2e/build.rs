//! Images from Dockerfiles: built, run as pods, built again from the cache, the same bytes from the same files.

use std::fs;
use std::path::{Path, PathBuf};

use minik_tests::answering::Answering;
use minik_tests::{Run, World};
use serde_json::json;

use crate::{BUSYBOX, node, pod};

/// A folder with these files.
fn folder(world: &World, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = world.folder().join(name);
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("folders are made");
        fs::write(path, content).expect("files are written");
    }
    folder
}

fn build(world: &World, name: &str, folder: &Path) -> Run {
    world.minikctl(["image", "build", "-t", name]).args([folder])
}

/// What a pod of this image prints.
fn said(world: &World, name: &str, image: &str) -> String {
    let spec = json!({"spec": {"restartPolicy": "Never", "containers": [
        {"name": "main", "image": image, "imagePullPolicy": "Never", "command": null}]}});
    world.apply(&pod(name, "", spec));
    world.wait(&format!("pod/{name}"), "jsonpath={.status.phase}=Succeeded");
    world.minikctl(["logs", name]).ok()
}

#[test]
fn a_learners_first_image_is_built_run_and_known_again() {
    let world = node();
    let packages = Answering::with("200 OK", "", "a package");
    let dockerfile = format!(
        "FROM {BUSYBOX}\nRUN wget -q -O /tmp/list http://{0}/ \\\n  # the package itself\n  && wget -q -O /bin/git http://{0}/ \\\n  && rm /tmp/list \\\n  && echo installed\nWORKDIR /app\nCOPY . .\nENV GREETING=\"hello there\"\nUSER app\nCMD [\"sh\", \"-c\", \"cat /bin/git; echo; pwd; id -u; echo $GREETING; ls /app; test ! -e /tmp/list\"]\n",
        packages.host()
    );
    let files = [
        ("Dockerfile", dockerfile.as_str()),
        (".dockerignore", "*.log\n.dockerignore\nDockerfile\n"),
        ("main.py", "print(1)\n"),
        ("big.log", "left out\n"),
    ];
    let folder = folder(&world, "learner", &files);
    let first = build(&world, "learner:1", &folder).output();
    let shown = format!("{first}");
    assert_eq!(first.code, 0, "{shown}");
    for words in ["[2/7] RUN wget", "\ninstalled", "done in"] {
        assert!(shown.contains(words), "no {words:?} in {shown}");
    }
    assert_eq!(
        said(&world, "learner", "learner:1"),
        "a package\n/app\n1000\nhello there\nmain.py\n"
    );
    let second = build(&world, "learner:1", &folder).output();
    let shown = format!("{second}");
    assert!(!shown.contains("done in") && !shown.contains("\ninstalled"), "{shown}");
    assert_eq!(shown.matches("  cached").count(), 3, "{shown}");
    // Another file in the context: what comes before the copy is known still.
    fs::write(folder.join("main.py"), "print(2)\n").expect("files are written");
    let third = format!("{}", build(&world, "learner:1", &folder).output());
    assert_eq!(
        (third.matches("  cached").count(), third.matches("done in").count()),
        (2, 1),
        "{third}"
    );
}

#[test]
fn stages_secrets_and_caches_leave_nothing_behind_and_times_can_be_fixed() {
    let world = node();
    let dockerfile = format!(
        "ARG BASE={BUSYBOX}\nFROM ${{BASE}} AS tools\nARG VERSION=1\nRUN --mount=type=secret,id=token,required=true --mount=type=cache,target=/cache <<EOF\nset -e\ntest \"$(cat /run/secrets/token)\" = s3cret\necho $VERSION > /made\necho x >> /cache/count\nEOF\nFROM unused AS never\nFROM ${{BASE}}\nCOPY --from=tools --chown=app:wheel --chmod=640 /made /srv/made\nCOPY <<EOF /srv/text\nhello\nEOF\nLABEL a=b\nRUN ls -ln /srv/made && rm -r /var/www\nCMD [\"sh\", \"-c\", \"cat /srv/made /srv/text; test ! -e /made; test ! -e /var/www; test ! -e /run/secrets\"]\n"
    );
    let folder = folder(&world, "stages", &[("Dockerfile", &dockerfile), ("token", "s3cret")]);
    let secret = format!("id=token,src={}", folder.join("token").display());
    let run = |name: &str| {
        build(&world, name, &folder)
            .args([
                "--secret",
                secret.as_str(),
                "--build-arg",
                "VERSION=7",
                "--no-cache",
                "-q",
            ])
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .ok()
    };
    let first = run("stages:1");
    assert_eq!(first, run("stages:2"), "the same files give the same image");
    assert_eq!(said(&world, "stages", "stages:1"), "7\nhello\n");
    let lacking = build(&world, "stages:3", &folder).args(["--no-cache"]).fails();
    assert!(
        lacking.contains("Dockerfile:4: RUN") && lacking.contains("secret token is missing"),
        "{lacking}"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let world = node();
    for (number, (dockerfile, words)) in [
        (
            "FROM a\nRNU true\n".to_owned(),
            vec!["Dockerfile:2", "did you mean RUN?"],
        ),
        (
            format!("FROM {BUSYBOX}\n\nRUN echo last words; exit 3\n"),
            vec!["Dockerfile:3: RUN echo last words; exit 3", "exit code 3", "last words"],
        ),
        (
            format!("FROM {BUSYBOX}\nCOPY nothing /\n"),
            vec!["Dockerfile:2: COPY nothing /", "the context has no nothing"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = folder(&world, &format!("wrong-{number}"), &[("Dockerfile", &dockerfile)]);
        let told = build(&world, "wrong:1", &folder).fails();
        for word in words {
            assert!(told.contains(word), "no {word:?} in {told}");
        }
    }
    assert!(!world.minikctl(["image", "ls"]).ok().contains("wrong"));
}
