//! minikctl beside the real kubectl: the same commands, each in a namespace of its own, have the same output and exit code.
//!
//! The commands stand in `side_by_side.txt`, a shell line each; `kubectl` is the one or the other.

use std::fs;
use std::path::{Path, PathBuf};

use minik_tests::{Run, World, executable};

const COMMANDS: &str = include_str!("side_by_side.txt");

/// One of the two, with a kubeconfig and a folder of its own.
struct Side {
    program: PathBuf,
    namespace: &'static str,
    folder: PathBuf,
}

/// What a command did.
#[derive(Debug, PartialEq)]
struct Answer {
    code: i32,
    output: Vec<String>,
}

#[test]
fn minikctl_does_what_kubectl_does() {
    let kubectls = executable::kubectls();
    let newest = kubectls
        .last()
        .expect("tests/setup.sh installs the distribution's kubectl");
    let world = World::up();
    let kubectl = Side::new(&world, newest, "side-kctl");
    let minikctl = Side::new(&world, executable::minikctl(), "side-mctl");
    let mut different = Vec::new();
    for line in COMMANDS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (theirs, complaints) = kubectl.run(&world, line);
        let (ours, said) = minikctl.run(&world, line);
        // What the server says to kubectl it says to minikctl, which may add advice.
        let missing: Vec<&String> = complaints
            .iter()
            .filter(|complaint| complaint.starts_with("Error from server") && !said.contains(complaint))
            .collect();
        if theirs != ours || !missing.is_empty() {
            different.push(format!(
                "{line}\nkubectl:  {theirs:#?} {complaints:#?}\nminikctl: {ours:#?} {said:#?}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

impl Side {
    fn new(world: &World, program: &Path, namespace: &'static str) -> Self {
        let folder = world.folder().join(namespace);
        fs::create_dir(&folder).expect("a folder in the world's");
        fs::copy(world.kubeconfig(), folder.join("kubeconfig")).expect("the node has written it");
        let side = Self {
            program: program.to_owned(),
            namespace,
            folder,
        };
        let prepare = format!(
            "kubectl config use-context {} && kubectl create namespace {namespace} && kubectl config set-context --current \
             --namespace={namespace}",
            world.context()
        );
        let (answer, complaints) = side.run(world, &prepare);
        assert_eq!(answer.code, 0, "{answer:?} {complaints:?}");
        side
    }

    /// What a shell line prints, without what differs from run to run.
    fn run(&self, world: &World, line: &str) -> (Answer, Vec<String>) {
        let script = format!(
            "cd '{}'\nkubectl() {{ \"$PROGRAM\" \"$@\"; }}\n{line}",
            self.folder.display()
        );
        let output = world
            .in_world(Run::new("bash"))
            .env("PROGRAM", &self.program)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .env("EDITOR", "sed -i 's/a: one/a: ONE/'")
            .args(["-c", &script])
            .output();
        let answer = Answer {
            code: output.code,
            output: self.lines(&output.stdout),
        };
        (answer, self.lines(&output.stderr))
    }

    fn lines(&self, text: &str) -> Vec<String> {
        let once = ["resourceVersion", "uid", "creationTimestamp", " time: "];
        text.lines()
            .filter(|line| !once.iter().any(|word| line.contains(word)))
            .map(|line| {
                let line = line.replace(self.namespace, "NAMESPACE");
                without_ages(&line)
            })
            .collect()
    }
}

/// `5s`, `2m10s` and `120ms` are another number each time, and the room after them is another, too.
fn without_ages(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in line.split(' ') {
        match word {
            "" if words.last() == Some(&"AGE") => {}
            word if is_age(word) => words.push("AGE"),
            word => words.push(word),
        }
    }
    words.join(" ")
}

fn is_age(word: &str) -> bool {
    let digits = word.strip_suffix("ms").or_else(|| word.strip_suffix('s')).unwrap_or("");
    digits.starts_with(|c: char| c.is_ascii_digit()) && digits.bytes().all(|b| b.is_ascii_digit() || b == b'm')
}
