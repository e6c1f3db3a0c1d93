//! The oldest and the newest kubectl here against the API server alone: what they read from OpenAPI, and how they follow
//! changes. With a whole node they are tested in `tests/`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::json;
use support::Server;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Nothing here takes long; this is for a machine that does a lot besides.
const PATIENCE: Duration = Duration::from_secs(120);

/// A kubectl and the server that it speaks to.
struct Kubectl<'a> {
    program: &'a Path,
    directory: &'a Path,
}

impl Kubectl<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(arguments)
            .env("HOME", self.directory)
            .env("KUBECONFIG", self.directory.join("kubeconfig"))
            .env("KUBE_EDITOR", "sed -i s/two/three/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn output(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        ended.unwrap().unwrap()
    }

    /// The exit code of one that has something against it, and all that it says.
    async fn refuses(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let output = self.output(arguments, input).await;
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    async fn ok(&self, arguments: &[&str], input: &str) -> String {
        let output = self.output(arguments, input).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} {arguments:?}: {told}",
            self.program.display()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { _child: child, lines }
    }
}

/// A kubectl that goes on; it ends with this.
struct Running {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        line.unwrap().unwrap().expect("it goes on")
    }
}

/// The kubectl on PATH, or the oldest and newest of those named `kubectl.1.…` beside the file that it links to.
fn kubectls() -> Vec<PathBuf> {
    let paths = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&paths)
        .map(|folder| folder.join("kubectl"))
        .find(|path| path.exists());
    let found = found.expect("this test needs kubectl on the PATH: tests/setup.sh installs the distribution's");
    let found = found.canonicalize().unwrap();
    let beside = fs::read_dir(found.parent().unwrap()).unwrap();
    let mut named: Vec<PathBuf> = beside
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("kubectl.1."))
        .collect();
    named.sort();
    match (named.first(), named.last()) {
        (Some(oldest), Some(newest)) => vec![oldest.clone(), newest.clone()],
        _ => vec![found],
    }
}

async fn server() -> Server {
    let server = Server::start().await;
    let directory = server.directory.path();
    let here = directory.display();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: 'https://127.0.0.1:{}', certificate-authority: {here}/ca.crt}}}}]\n\
         users: [{{name: test, user: {{client-certificate: {here}/admin.crt, client-key: {here}/admin.key}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: test}}}}]\n",
        server.port
    );
    fs::write(directory.join("kubeconfig"), kubeconfig).unwrap();
    server
}

#[tokio::test]
async fn every_kind_is_explained() {
    let server = server().await;
    for program in &kubectls() {
        let kubectl = Kubectl {
            program,
            directory: server.directory.path(),
        };
        let shown = program.display();
        let field = kubectl
            .ok(&["explain", "deploy.spec.template.spec.containers.image"], "")
            .await;
        for part in [
            "KIND:       Deployment",
            "FIELD: image <string>",
            "Container image name.",
        ] {
            assert!(field.contains(part), "{shown}: {field}");
        }
        let resources = kubectl.ok(&["api-resources", "--no-headers"], "").await;
        assert!(resources.lines().count() > 40, "{shown}: {resources}");
        for resource in resources.lines() {
            // NAME [SHORTNAMES] APIVERSION NAMESPACED KIND
            let words: Vec<&str> = resource.split_whitespace().collect();
            let (name, version) = (words[0], words[words.len() - 3]);
            let arguments = ["explain", "--recursive", name, "--api-version", version];
            let all = kubectl.ok(&arguments, "").await;
            assert!(all.contains("FIELDS:"), "{shown}: {resource}: {all}");
        }
    }
}

#[tokio::test]
async fn changes_are_followed() {
    let server = server().await;
    for program in &kubectls() {
        let kubectl = Kubectl {
            program,
            directory: server.directory.path(),
        };
        let pod =
            json!({"spec": {"containers": [{"name": "c", "image": "none"}]}, "metadata": {"labels": {"app": "web"}}});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": pod}});
        kubectl.ok(&["apply", "-f", "-"], &deployment.to_string()).await;
        let mut watch = kubectl.start(&["get", "deployments", "-w", "--no-headers", "--output-watch-events"]);
        assert!(watch.line().await.starts_with("ADDED"));
        let mut rollout = kubectl.start(&["rollout", "status", "deployment/web"]);
        assert!(rollout.line().await.starts_with("Waiting for deployment"));
        for (ready, line) in [
            (
                1,
                "Waiting for deployment \"web\" rollout to finish: 1 of 2 updated replicas are available...",
            ),
            (2, "deployment \"web\" successfully rolled out"),
        ] {
            let status = json!({"status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2,
                "availableReplicas": ready, "readyReplicas": ready}})
            .to_string();
            let patch = [
                "patch",
                "deployment/web",
                "--subresource=status",
                "--type=merge",
                "-p",
                &status,
            ];
            kubectl.ok(&patch, "").await;
            assert_eq!(rollout.line().await, line);
            assert!(watch.line().await.starts_with("MODIFIED"));
        }
        let mut wait = kubectl.start(&["wait", "deployment/web", "--for=jsonpath={.metadata.labels.go}=yes"]);
        kubectl.ok(&["label", "deployment/web", "go=yes"], "").await;
        assert_eq!(wait.line().await, "deployment.apps/web condition met");
        kubectl.ok(&["delete", "deployment/web"], "").await;
    }
}

#[tokio::test]
async fn deployments_are_rolled_back_restarted_and_paused() {
    let server = server().await;
    for program in &kubectls() {
        let kubectl = Kubectl {
            program,
            directory: server.directory.path(),
        };
        let shown = program.display();
        let template = |image: &str| {
            let labels = json!({"app": "web", "pod-template-hash": image});
            json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}})
        };
        let selector = json!({"matchLabels": {"app": "web"}});
        let metadata = json!({"name": "web", "annotations": {"deployment.kubernetes.io/revision": "2"}});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {"selector": selector, "template": template("two")}});
        kubectl.ok(&["create", "-f", "-"], &deployment.to_string()).await;
        let uid = ["get", "deployment/web", "-o", "jsonpath={.metadata.uid}"];
        let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": true,
            "uid": kubectl.ok(&uid, "").await});
        // What the deployment's controller would have made of its two revisions.
        for (revision, image) in [("1", "one"), ("2", "two")] {
            let metadata = json!({"name": image, "labels": {"app": "web"}, "ownerReferences": [owner],
                "annotations": {"deployment.kubernetes.io/revision": revision}});
            let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata,
                "spec": {"selector": selector, "template": template(image)}});
            kubectl.ok(&["create", "-f", "-"], &set.to_string()).await;
        }
        let history = kubectl.ok(&["rollout", "history", "deployment/web"], "").await;
        assert!(
            history.contains("\n1 ") && history.contains("\n2 "),
            "{shown}: {history}"
        );
        let first = kubectl
            .ok(&["rollout", "history", "deployment/web", "--revision=1"], "")
            .await;
        assert!(first.contains("Image:\tone\n"), "{shown}: {first}");
        for (verb, said) in [
            ("undo", "rolled back"),
            ("restart", "restarted"),
            ("pause", "paused"),
            ("resume", "resumed"),
        ] {
            let answer = kubectl.ok(&["rollout", verb, "deployment/web"], "").await;
            assert_eq!(answer, format!("deployment.apps/web {said}\n"), "{shown}");
        }
        let image = [
            "get",
            "deployment/web",
            "-o",
            "jsonpath={..image} {.spec.template.metadata.annotations}",
        ];
        let image = kubectl.ok(&image, "").await;
        assert!(
            image.starts_with("one ") && image.contains("restartedAt"),
            "{shown}: {image}"
        );
        kubectl.ok(&["delete", "deployments,replicasets", "--all"], "").await;
    }
}

#[tokio::test]
async fn objects_are_compared_edited_and_applied_by_several() {
    let server = server().await;
    for program in &kubectls() {
        let kubectl = Kubectl {
            program,
            directory: server.directory.path(),
        };
        let shown = program.display();
        let map = |value: &str| {
            let metadata = json!({"name": "map"});
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": value}}).to_string()
        };
        kubectl.ok(&["apply", "-f", "-"], &map("one")).await;
        assert_eq!(kubectl.ok(&["diff", "-f", "-"], &map("one")).await, "", "{shown}");
        let (code, said) = kubectl.refuses(&["diff", "-f", "-"], &map("two")).await;
        assert_eq!(code, Some(1), "{shown}: {said}");
        assert!(said.contains("-  k: one\n+  k: two\n"), "{shown}: {said}");
        kubectl.ok(&["apply", "-f", "-"], &map("two")).await;
        assert_eq!(
            kubectl.ok(&["edit", "cm/map"], "").await,
            "configmap/map edited\n",
            "{shown}"
        );
        let value = ["get", "cm/map", "-o", "jsonpath={.data.k}"];
        assert_eq!(kubectl.ok(&value, "").await, "three", "{shown}");

        let apply = ["apply", "--server-side", "--field-manager=other", "-f", "-"];
        let (code, said) = kubectl.refuses(&apply, &map("four")).await;
        assert_eq!(code, Some(1), "{shown}: {said}");
        // Which of kubectl's own managers has it depends on what it did last.
        assert!(
            said.contains("Apply failed with 1 conflict") && said.contains(".data.k"),
            "{shown}: {said}"
        );
        let (code, said) = kubectl
            .refuses(&["diff", "--server-side", "--force-conflicts", "-f", "-"], &map("four"))
            .await;
        assert!(
            code == Some(1) && said.contains("+  k: four\n"),
            "{shown}: {code:?} {said}"
        );
        let force = [&apply[..], &["--force-conflicts"]].concat();
        assert_eq!(
            kubectl.ok(&force, &map("four")).await,
            "configmap/map serverside-applied\n",
            "{shown}"
        );
        assert_eq!(kubectl.ok(&value, "").await, "four", "{shown}");
        kubectl.ok(&["delete", "cm/map"], "").await;
    }
}

#[tokio::test]
async fn rights_and_tokens_are_asked_for() {
    let server = server().await;
    for program in &kubectls() {
        let kubectl = Kubectl {
            program,
            directory: server.directory.path(),
        };
        let shown = program.display();
        assert_eq!(
            kubectl.ok(&["auth", "can-i", "create", "pods"], "").await,
            "yes\n",
            "{shown}"
        );
        let eve = [
            "auth",
            "can-i",
            "get",
            "pods/log",
            "--as=eve",
            "--as-group=system:authenticated",
        ];
        assert_eq!(kubectl.refuses(&eve, "").await, (Some(1), "no\n".to_owned()), "{shown}");
        let list = kubectl.ok(&["auth", "can-i", "--list"], "").await;
        assert!(list.starts_with("Resources") && list.contains("*.*"), "{shown}: {list}");
        let token = kubectl.ok(&["create", "token", "default", "--duration=20m"], "").await;
        assert_eq!(token.split('.').count(), 3, "{shown}: {token}");
    }
}
