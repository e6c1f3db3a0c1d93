//! The life of pods: init containers, restarts, probes, volumes, endings, and the words that say why.

use minik_tests::probed::Probed;
use serde_json::{Value, json};

use crate::{BUSYBOX, SERVE, node, pod};

#[test]
fn init_containers_run_in_order_and_sidecars_stay() {
    let world = node();
    let mount = json!([{"name": "work", "mountPath": "/shared"}]);
    let init = |name: &str, script: &str, policy: Value| {
        let mut container = json!({"name": name, "image": BUSYBOX, "imagePullPolicy": "Never",
            "command": ["sh", "-c", script], "volumeMounts": mount});
        if !policy.is_null() {
            container["restartPolicy"] = policy;
        }
        container
    };
    let change = json!({"spec": {
        "initContainers": [
            init("first", "echo first >> /shared/order", Value::Null),
            init("sidecar", &format!("echo sidecar >> /shared/order; {SERVE}"), "Always".into()),
            init("second", "while ! grep -q sidecar /shared/order; do sleep 0.1; done; echo second >> /shared/order", Value::Null),
        ],
        "containers": [{"volumeMounts": mount}],
        "volumes": [{"name": "work", "emptyDir": {}}]}});
    world.apply(&pod("ordered", SERVE, change));
    world.wait("pod/ordered", "condition=Ready");
    let order = world
        .minikctl(["exec", "ordered", "-c", "main", "--", "cat", "/shared/order"])
        .ok();
    assert_eq!(order, "first\nsidecar\nsecond\n");
    assert!(world.minikctl(["get", "pod", "ordered"]).ok().contains("2/2"));
}

#[test]
fn a_pod_that_ends_well_has_succeeded_and_one_that_does_not_has_failed() {
    let world = node();
    world.apply(&pod("good", "echo done", json!({"spec": {"restartPolicy": "Never"}})));
    world.apply(&pod("bad", "exit 3", json!({"spec": {"restartPolicy": "Never"}})));
    world.wait("pod/good", "jsonpath={.status.phase}=Succeeded");
    world.wait("pod/bad", "jsonpath={.status.phase}=Failed");
    let state = "{.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(world.value("pod/good", state), "Completed 0");
    assert_eq!(world.value("pod/bad", state), "Error 3");
    assert!(world.minikctl(["get", "pod", "good"]).ok().contains("Completed"));
    assert_eq!(world.minikctl(["logs", "good"]).ok(), "done\n");
}

#[test]
fn a_container_that_keeps_failing_is_backed_off() {
    let world = node();
    world.apply(&pod("loop", "echo trying; exit 1", json!({})));
    world.wait(
        "pod/loop",
        "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff",
    );
    let message = world.value("pod/loop", "{.status.containerStatuses[0].state.waiting.message}");
    assert!(
        message.starts_with("back-off 10s restarting failed container=main pod=loop_default("),
        "{message}"
    );
    assert_eq!(world.minikctl(["logs", "loop", "-p"]).ok(), "trying\n");
    let described = world.minikctl(["describe", "pod", "loop"]).ok();
    assert!(described.contains("BackOff"), "{described}");
}

#[test]
fn running_out_of_memory_is_told_from_being_killed() {
    let world = node();
    let change =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"resources": {"limits": {"memory": "20Mi"}}}]}});
    world.apply(&pod("greedy", "exec tail /dev/zero", change));
    world.apply(&pod(
        "killed",
        "read pid rest < /proc/self/stat; kill -9 $pid; sleep 1",
        json!({"spec": {"restartPolicy": "Never", "shareProcessNamespace": true}}),
    ));
    world.wait("pod/greedy", "jsonpath={.status.phase}=Failed");
    world.wait("pod/killed", "jsonpath={.status.phase}=Failed");
    let state = "{.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(world.value("pod/greedy", state), "OOMKilled 137");
    assert_eq!(world.value("pod/killed", state), "Error 137");
}

#[test]
fn a_command_that_is_not_there_is_named_with_its_nearest_match() {
    let world = node();
    world.apply(
        &pod(
            "typo",
            "",
            json!({"spec": {"containers": [{"command": ["htppd", "-f", null]}]}}),
        )
        .replace(",null", ""),
    );
    let waiting = "jsonpath={.status.containerStatuses[0].lastState.terminated.reason}=StartError";
    world.wait("pod/typo", waiting);
    let message = world.value(
        "pod/typo",
        "{.status.containerStatuses[0].lastState.terminated.message}",
    );
    assert!(message.contains("htppd") && message.contains("httpd"), "{message}");
}

#[test]
fn probes_decide_on_readiness_and_restarts() {
    let world = node();
    let change = json!({"spec": {"containers": [{
        "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["test", "!", "-e", "/tmp/dead"]}, "periodSeconds": 1, "failureThreshold": 1},
    }]}});
    world.apply(&pod("probed", SERVE, change));
    world.wait("pod/probed", "jsonpath={.status.phase}=Running");
    assert_eq!(
        world.value("pod/probed", "{.status.conditions[?(@.type==\"Ready\")].status}"),
        "False"
    );
    let _ = world.minikctl(["exec", "probed", "--", "touch", "/tmp/ready"]).ok();
    world.wait("pod/probed", "condition=Ready");
    let _ = world.minikctl(["exec", "probed", "--", "touch", "/tmp/dead"]).ok();
    world.wait("pod/probed", "jsonpath={.status.containerStatuses[0].restartCount}=1");
    let described = world.minikctl(["describe", "pod", "probed"]).ok();
    assert!(described.contains("Unhealthy"), "{described}");
}

#[test]
fn http_and_tcp_probes_ask_the_pod_itself() {
    let world = node();
    let change = json!({"spec": {"containers": [{
        "ports": [{"name": "web", "containerPort": 80}],
        "startupProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
        "readinessProbe": {"httpGet": {"path": "/index.html", "port": "web"}, "periodSeconds": 1},
    }]}});
    world.apply(&pod("web", "exec httpd -f -p 80 -h /var/www", change));
    world.wait("pod/web", "condition=Ready");
}

#[test]
fn grpc_and_https_probes_decide_on_readiness() {
    let world = node();
    let probed = Probed::start();
    probed.health("app", false);
    let change = |probe: Value| json!({"spec": {"hostNetwork": true, "containers": [{"readinessProbe": probe}]}});
    let grpc = json!({"grpc": {"port": probed.grpc_port(), "service": "app"}, "periodSeconds": 1});
    let https = json!({"periodSeconds": 1,
        "httpGet": {"scheme": "HTTPS", "host": "127.0.0.1", "port": probed.https_port()}});
    world.apply(&pod("grpc", SERVE, change(grpc)));
    world.apply(&pod("https", SERVE, change(https)));
    for pod in ["pod/grpc", "pod/https"] {
        world.wait(pod, "jsonpath={.status.phase}=Running");
        world.wait(pod, "jsonpath={.status.conditions[?(@.type=='Ready')].status}=False");
    }
    // The watch begins with the events that are there, and waits for the first otherwise.
    let unhealthy = |pod: &str| {
        let about = format!("involvedObject.name={pod},reason=Unhealthy");
        let events = ["get", "events", "--no-headers", "-w", "--field-selector", &about];
        world.minikctl(events).start().line()
    };
    let (https, grpc) = (unhealthy("https"), unhealthy("grpc"));
    assert!(https.contains("503"), "{https}");
    assert!(grpc.contains("NOT_SERVING"), "{grpc}");
    // Without a startup probe it has started, however unready it is.
    assert_eq!(
        world.value("pod/grpc", "{.status.containerStatuses[0].started}"),
        "true"
    );
    probed.health("app", true);
    probed.page();
    for pod in ["pod/grpc", "pod/https"] {
        world.wait(pod, "condition=Ready");
    }
}

#[test]
fn an_ephemeral_container_looks_into_another() {
    let world = node();
    world.apply(&pod("app", SERVE, json!({})));
    world.wait("pod/app", "condition=Ready");
    let look = "ls /proc/1/root/etc/hostname && tr '\\0' ' ' < /proc/1/cmdline";
    let debug = [
        "debug", "app", "-c", "look", "--image", BUSYBOX, "--target", "main", "--", "sh", "-c", look,
    ];
    let _ = world.minikctl(debug).ok();
    let status = "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}=0";
    world.wait("pod/app", status);
    let said = world.minikctl(["logs", "app", "-c", "look"]).ok();
    assert!(
        said.contains("echo started"),
        "process 1 is that of the other container: {said}"
    );
    // It ran once, and the pod goes on.
    assert_eq!(world.value("pod/app", "{.status.phase}"), "Running");
}

#[test]
fn configuration_reaches_the_container_as_variables_and_files() {
    let world = node();
    world.apply(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: green, "app.conf": "a=1\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: hush}
"#,
    );
    let change = json!({"spec": {
    "containers": [{
        "env": [
            {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
            {"name": "JOINED", "value": "$(NAME)-$(COLOUR)-$$(NAME)"},
        ],
        "envFrom": [{"prefix": "S_", "configMapRef": {"name": "settings"}}],
        "resources": {"limits": {"memory": "32Mi"}},
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/settings"}, {"name": "keys", "mountPath": "/etc/keys"},
            {"name": "about", "mountPath": "/etc/about"},
            {"name": "settings", "mountPath": "/etc/one.conf", "subPath": "app.conf"}],
    }],
    "volumes": [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 256}},
        {"name": "about", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]}});
    world.apply(&pod("configured", SERVE, change));
    world.wait("pod/configured", "condition=Ready");
    let exec = |script: &str| world.minikctl(["exec", "configured", "--", "sh", "-c", script]).ok();
    assert_eq!(
        exec("echo $COLOUR $TOKEN $NAME $LIMIT $JOINED $S_colour"),
        "green hush configured 33554432 configured-green-$(NAME) green\n"
    );
    assert_eq!(
        exec("cat /etc/settings/app.conf /etc/one.conf /etc/keys/token"),
        "a=1\na=1\nhush"
    );
    assert_eq!(exec("stat -L -c %a /etc/keys/token"), "400\n");
    assert_eq!(exec("cat /etc/about/labels").trim(), "app=\"configured\"");
    let _ = world
        .minikctl([
            "patch",
            "configmap",
            "settings",
            "--type=merge",
            "-p",
            r#"{"data":{"app.conf":"a=2\n"}}"#,
        ])
        .output();
}

#[test]
fn a_pod_is_told_to_end_and_then_made_to() {
    let world = node();
    let hook = json!({"spec": {"terminationGracePeriodSeconds": 2, "containers": [{
        "volumeMounts": [{"name": "out", "mountPath": "/out"}],
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo stopping >> /out/log"]}}}}],
        "volumes": [{"name": "out", "hostPath": {"path": world.folder().join("out"), "type": "DirectoryOrCreate"}}]}});
    world.apply(&pod(
        "polite",
        "trap 'echo ended >> /out/log; exit 0' TERM; while true; do sleep 1000 & wait $!; done",
        hook.clone(),
    ));
    world.wait("pod/polite", "condition=Ready");
    let _ = world.minikctl(["delete", "pod", "polite"]).ok();
    let log = std::fs::read_to_string(world.folder().join("out/log")).expect("the hook has written");
    assert_eq!(log, "stopping\nended\n");
    world.apply(&pod("stubborn", "trap '' TERM; while true; do sleep 1; done", hook));
    world.wait("pod/stubborn", "condition=Ready");
    let _ = world.minikctl(["delete", "pod", "stubborn"]).ok();
    let gone = world.minikctl(["get", "pod", "stubborn"]).fails();
    assert!(gone.contains("not found"), "{gone}");
}
