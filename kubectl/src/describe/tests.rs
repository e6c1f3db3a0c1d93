use serde_json::json;

use super::*;

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

#[test]
fn a_pod_reads_as_in_kubectl() {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "nginx", "namespace": "default", "labels": {"app": "web", "tier": "front"}},
        "spec": {"nodeName": "n1", "containers": [{
            "name": "web", "image": "nginx:stable",
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "timeoutSeconds": 1,
                "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
            "env": [{"name": "A", "value": "1"}, {"name": "LONGER", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}}],
            "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]}],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]},
        "status": {"phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.1.0.2", "podIPs": [{"ip": "10.1.0.2"}],
            "qosClass": "BestEffort",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "web", "ready": true, "restartCount": 2, "containerID": "minik://1", "imageID": "sha256:2",
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                "lastState": {"terminated": {"reason": "Error", "exitCode": 1, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}}}]}});
    let events = vec![
        json!({"type": "Warning", "reason": "BackOff", "count": 3, "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:01:00Z", "source": {"component": "kubelet"}, "message": "Back-off restarting failed container"}),
    ];
    let subject = Subject {
        object,
        events,
        ..Subject::default()
    };
    let expected = "\
Name:         nginx
Namespace:    default
Node:         n1/10.0.0.1
Labels:       app=web
              tier=front
Annotations:  <none>
Status:       Running
IP:           10.1.0.2
IPs:
  IP:  10.1.0.2
Containers:
  web:
    Container ID:   minik://1
    Image:          nginx:stable
    Image ID:       sha256:2
    Port:           80/TCP
    Host Port:      0/TCP
    State:          Running
      Started:      Thu, 01 Jan 2026 00:00:00 +0000
    Last State:     Terminated
      Reason:       Error
      Exit Code:    1
      Started:      Thu, 01 Jan 2026 00:00:00 +0000
      Finished:     Thu, 01 Jan 2026 00:00:01 +0000
    Ready:          True
    Restart Count:  2
    Readiness:      http-get http://:80/ delay=0s timeout=1s period=10s #success=1 #failure=3
    Environment:
      A:       1
      LONGER:   (v1:spec.nodeName)
    Mounts:
      /v from v (ro)
Conditions:
  Type   Status
  Ready  True
Volumes:
  v:
    Type:        EmptyDir (a temporary directory that shares a pod's lifetime)
    Medium:      
    SizeLimit:   <unset>
QoS Class:       BestEffort
Node-Selectors:  <none>
Tolerations:     k:NoExecute op=Exists for 300s
Events:
  Type     Reason   Age               From     Message
  ----     ------   ----              ----     -------
  Warning  BackOff  60s (x3 over 2m)  kubelet  Back-off restarting failed container
";
    let actual = describe(&subject, at("2026-01-01T00:02:00Z"));
    assert_eq!(actual, expected);
}

#[test]
fn what_is_missing_does_not_matter() {
    for kind in [
        "Pod",
        "Node",
        "Service",
        "ConfigMap",
        "Secret",
        "Namespace",
        "Event",
        "Thing",
    ] {
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}});
        let text = describe(
            &Subject {
                object,
                ..Subject::default()
            },
            at("2026-01-01T00:00:00Z"),
        );
        assert!(text.starts_with("Name:"), "{kind}: {text}");
    }
}

#[test]
fn secrets_stay_secret() {
    let object = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "a", "namespace": "b"}, "data": {"password": "aHVudGVyMg=="}});
    let text = describe(
        &Subject {
            object,
            ..Subject::default()
        },
        at("2026-01-01T00:00:00Z"),
    );
    assert!(text.contains("password:  7 bytes"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("aHVud"), "{text}");
}
