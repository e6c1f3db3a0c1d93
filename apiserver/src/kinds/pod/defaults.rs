//! What Kubernetes fills into a pod. The spec's part also serves pod templates.

use serde_json::{Value, json};

use crate::kinds::fill::{self, Fields};

const FILE_MODE: i64 = 0o644;
const TOKEN_SECONDS: i64 = 3600;

/// A whole pod's spec: what templates get, and what only real pods get.
pub(in crate::kinds) fn pod(spec: &mut Fields) {
    pod_spec(spec);
    for list in ["containers", "initContainers"] {
        fill::items(spec, list).for_each(requests_from_limits);
    }
    fill::absent(spec, "enableServiceLinks", true);
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        for list in ["containers", "initContainers"] {
            for container in fill::items(spec, list) {
                fill::items(container, "ports").for_each(host_port);
            }
        }
    }
}

/// The spec of a pod or of a template.
pub(in crate::kinds) fn pod_spec(spec: &mut Fields) {
    fill::absent(spec, "dnsPolicy", "ClusterFirst");
    fill::absent(spec, "restartPolicy", "Always");
    fill::absent(spec, "securityContext", Fields::new());
    fill::absent(spec, "terminationGracePeriodSeconds", 30);
    fill::absent(spec, "schedulerName", "default-scheduler");
    mirror_service_account(spec);
    fill::items(spec, "volumes").for_each(volume);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        fill::items(spec, list).for_each(container);
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are always written.
fn mirror_service_account(spec: &mut Fields) {
    let name = match fill::text(spec, "serviceAccountName") {
        "" => fill::text(spec, "serviceAccount"),
        name => name,
    };
    if !name.is_empty() {
        let name = Value::from(name);
        spec.insert("serviceAccount".to_owned(), name.clone());
        spec.insert("serviceAccountName".to_owned(), name);
    }
}

fn container(container: &mut Fields) {
    let policy = pull_policy(fill::text(container, "image"));
    fill::absent(container, "imagePullPolicy", policy);
    fill::absent(container, "terminationMessagePath", "/dev/termination-log");
    fill::absent(container, "terminationMessagePolicy", "File");
    fill::absent(container, "resources", Fields::new());
    for port in fill::items(container, "ports") {
        fill::absent(port, "protocol", "TCP");
    }
    for variable in fill::items(container, "env") {
        if let Some(source) = fill::object(variable, "valueFrom") {
            field_reference(source);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = fill::object(container, name) {
            self::probe(probe);
        }
    }
    if let Some(lifecycle) = fill::object(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(handler) = fill::object(lifecycle, name) {
                http_get(handler);
            }
        }
    }
}

/// Only a tag that can move is pulled again: `latest`, or none at all.
pub(in crate::kinds) fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn probe(probe: &mut Fields) {
    fill::zero(probe, "timeoutSeconds", 1);
    fill::zero(probe, "periodSeconds", 10);
    fill::zero(probe, "successThreshold", 1);
    fill::zero(probe, "failureThreshold", 3);
    http_get(probe);
    if let Some(grpc) = fill::object(probe, "grpc") {
        fill::absent(grpc, "service", "");
    }
}

fn http_get(handler: &mut Fields) {
    if let Some(http) = fill::object(handler, "httpGet") {
        fill::absent(http, "path", "/");
        fill::absent(http, "scheme", "HTTP");
    }
}

/// The `fieldRef` of an environment variable or of a file of a downward API volume.
fn field_reference(source: &mut Fields) {
    if let Some(reference) = fill::object(source, "fieldRef") {
        fill::absent(reference, "apiVersion", "v1");
    }
    if let Some(reference) = fill::object(source, "resourceFieldRef") {
        fill::absent(reference, "divisor", "0");
    }
    if let Some(reference) = fill::object(source, "fileKeyRef") {
        fill::absent(reference, "optional", false);
    }
}

fn volume(volume: &mut Fields) {
    if volume.keys().all(|key| key == "name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = fill::object(volume, source) {
            fill::absent(source, "defaultMode", FILE_MODE);
        }
    }
    if let Some(source) = fill::object(volume, "downwardAPI") {
        fill::items(source, "items").for_each(field_reference);
    }
    if let Some(source) = fill::object(volume, "projected") {
        fill::items(source, "sources").for_each(projection);
    }
    if let Some(path) = fill::object(volume, "hostPath") {
        fill::absent(path, "type", "");
    }
    if let Some(image) = fill::object(volume, "image") {
        let policy = pull_policy(fill::text(image, "reference"));
        fill::absent(image, "pullPolicy", policy);
    }
    if let Some(iscsi) = fill::object(volume, "iscsi") {
        fill::absent(iscsi, "iscsiInterface", "default");
    }
    let claim = fill::object(volume, "ephemeral").and_then(|source| fill::object(source, "volumeClaimTemplate"));
    if let Some(spec) = claim.and_then(|template| fill::object(template, "spec")) {
        fill::absent(spec, "volumeMode", "Filesystem");
    }
}

fn projection(source: &mut Fields) {
    if let Some(token) = fill::object(source, "serviceAccountToken") {
        fill::absent(token, "expirationSeconds", TOKEN_SECONDS);
    }
    if let Some(downward) = fill::object(source, "downwardAPI") {
        fill::items(downward, "items").for_each(field_reference);
    }
}

/// Who limits a resource and requests none of it requests what he may have.
fn requests_from_limits(container: &mut Fields) {
    let Some(resources) = fill::object(container, "resources") else {
        return;
    };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else {
        return;
    };
    if let Some(requests) = fill::object_or_empty(resources, "requests") {
        for (resource, amount) in limits {
            fill::absent(requests, &resource, amount);
        }
    }
}

/// In the node's own network a container's port is the node's.
fn host_port(port: &mut Fields) {
    if let Some(number) = port.get("containerPort").and_then(Value::as_i64) {
        fill::zero(port, "hostPort", number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_moving_tags_are_pulled_again() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("localhost:5000/nginx", "Always"),
            ("localhost:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:0123", "IfNotPresent"),
            ("nginx:latest@sha256:0123", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_small_pod_becomes_a_whole_one() {
        let mut spec = json!({
            "hostNetwork": true,
            "serviceAccount": "sa",
            "volumes": [{"name": "e"}, {"name": "c", "configMap": {"name": "x"}}],
            "containers": [{
                "name": "c", "image": "nginx:1", "ports": [{"containerPort": 80}],
                "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 3},
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
            }],
        });
        let fields = spec.as_object_mut().expect("an object");
        pod(fields);
        let once = fields.clone();
        pod(fields);
        assert_eq!(*fields, once, "defaults are idempotent");
        assert_eq!(
            spec,
            json!({
                "hostNetwork": true, "serviceAccount": "sa", "serviceAccountName": "sa", "dnsPolicy": "ClusterFirst",
                "restartPolicy": "Always", "securityContext": {}, "terminationGracePeriodSeconds": 30,
                "schedulerName": "default-scheduler", "enableServiceLinks": true,
                "volumes": [{"name": "e", "emptyDir": {}}, {"name": "c", "configMap": {"name": "x", "defaultMode": 420}}],
                "containers": [{
                    "name": "c", "image": "nginx:1", "imagePullPolicy": "IfNotPresent",
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
                    "env": [{"name": "IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}],
                    "livenessProbe": {
                        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "periodSeconds": 3,
                        "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3
                    },
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}
                }],
            })
        );
    }
}
