//! A pod: where it runs, its containers and how they are, its volumes, what it tolerates.

use serde_json::Value;

use super::sheet::{Sheet, capital, date, items, or, plain};
use crate::print::age;

pub fn describe(sheet: &mut Sheet, pod: &Value) {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    sheet.metadata(pod, true);
    sheet.field_if(0, "Priority", &spec["priority"]);
    sheet.field_if(0, "Priority Class Name", &spec["priorityClassName"]);
    sheet.field_if(0, "Runtime Class Name", &spec["runtimeClassName"]);
    if !plain(&spec["serviceAccountName"]).is_empty() {
        sheet.field(0, "Service Account", &plain(&spec["serviceAccountName"]));
    }
    match spec["nodeName"].as_str().filter(|name| !name.is_empty()) {
        Some(node) => sheet.field(0, "Node", &format!("{node}/{}", plain(&status["hostIP"]))),
        None => sheet.field(0, "Node", "<none>"),
    }
    if status["startTime"].is_string() {
        sheet.field(0, "Start Time", &date(&status["startTime"]));
    }
    sheet.labels_and_annotations(pod);
    phase(sheet, pod);
    sheet.field_if(0, "Reason", &status["reason"]);
    sheet.field_if(0, "Message", &status["message"]);
    sheet.field(0, "IP", &plain(&status["podIP"]));
    if items(&status["podIPs"]).is_empty() {
        sheet.line(0, "IPs:\t<none>");
    } else {
        sheet.line(0, "IPs:");
        for ip in items(&status["podIPs"]) {
            sheet.field(1, "IP", &plain(&ip["ip"]));
        }
    }
    for owner in items(&pod["metadata"]["ownerReferences"]) {
        if owner["controller"] == true {
            sheet.field(
                0,
                "Controlled By",
                &format!("{}/{}", plain(&owner["kind"]), plain(&owner["name"])),
            );
        }
    }
    for (label, list, statuses) in [
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        (
            "Ephemeral Containers",
            "ephemeralContainers",
            "ephemeralContainerStatuses",
        ),
    ] {
        if !items(&spec[list]).is_empty() {
            containers(sheet, "", label, items(&spec[list]), items(&status[statuses]));
        }
    }
    conditions(sheet, items(&status["conditions"]));
    volumes(sheet, "", items(&spec["volumes"]));
    sheet.field_if(0, "QoS Class", &status["qosClass"]);
    sheet.map("Node-Selectors", &spec["nodeSelector"], &[]);
    tolerations(sheet, "", items(&spec["tolerations"]));
}

fn phase(sheet: &mut Sheet, pod: &Value) {
    let deleted = &pod["metadata"]["deletionTimestamp"];
    if deleted.is_string() {
        let since = age::since(&plain(deleted), sheet.now);
        sheet.field(0, "Status", &format!("Terminating (lasts {since})"));
        let grace = &pod["metadata"]["deletionGracePeriodSeconds"];
        sheet.field(0, "Termination Grace Period", &format!("{}s", plain(grace)));
    } else {
        sheet.field(0, "Status", &plain(&pod["status"]["phase"]));
    }
}

/// Containers; `inside` is the indentation of what they stand in, which is a template or nothing.
pub fn containers(sheet: &mut Sheet, inside: &str, label: &str, containers: &[Value], statuses: &[Value]) {
    sheet.line(0, &format!("{inside}{label}:"));
    for container in containers {
        let none = Value::Null;
        let status = statuses
            .iter()
            .find(|status| status["name"] == container["name"])
            .unwrap_or(&none);
        sheet.line(1, &format!("{}{}:", deeper(inside), plain(&container["name"])));
        if !status.is_null() {
            sheet.field(2, "Container ID", &plain(&status["containerID"]));
        }
        sheet.field(2, "Image", &plain(&container["image"]));
        if !status.is_null() {
            sheet.field(2, "Image ID", &plain(&status["imageID"]));
        }
        ports(sheet, items(&container["ports"]));
        for (label, field) in [("Command", "command"), ("Args", "args")] {
            if !items(&container[field]).is_empty() {
                sheet.line(2, &format!("{label}:"));
                for word in items(&container[field]) {
                    for line in plain(word).lines() {
                        sheet.line(3, line);
                    }
                }
            }
        }
        if !status.is_null() {
            state(sheet, "State", &status["state"], true);
            state(sheet, "Last State", &status["lastState"], false);
            sheet.field(2, "Ready", capital(status["ready"] == true));
            sheet.field(2, "Restart Count", &plain(&status["restartCount"]));
        }
        for (label, field) in [("Limits", "limits"), ("Requests", "requests")] {
            if let Some(resources) = container["resources"][field].as_object().filter(|map| !map.is_empty()) {
                sheet.line(2, &format!("{label}:"));
                for (name, quantity) in resources {
                    sheet.field(3, name, &plain(quantity));
                }
            }
        }
        for (label, field) in [
            ("Liveness", "livenessProbe"),
            ("Readiness", "readinessProbe"),
            ("Startup", "startupProbe"),
        ] {
            if container[field].is_object() {
                sheet.field(2, label, &probe(&container[field]));
            }
        }
        environment(sheet, container);
        mounts(sheet, items(&container["volumeMounts"]));
    }
}

fn ports(sheet: &mut Sheet, ports: &[Value]) {
    let list = |field: &str| {
        let texts: Vec<String> = ports
            .iter()
            .map(|port| format!("{}/{}", port[field].as_u64().unwrap_or(0), or(&port["protocol"], "TCP")))
            .collect();
        if texts.is_empty() {
            "<none>".to_owned()
        } else {
            texts.join(", ")
        }
    };
    let label = |one: &str| {
        if ports.len() > 1 {
            format!("{one}s")
        } else {
            one.to_owned()
        }
    };
    sheet.field(2, &label("Port"), &list("containerPort"));
    sheet.field(2, &label("Host Port"), &list("hostPort"));
}

/// How a container is, or was in its last life.
fn state(sheet: &mut Sheet, label: &str, state: &Value, always: bool) {
    if state["running"].is_object() {
        sheet.field(2, label, "Running");
        sheet.field(3, "Started", &date(&state["running"]["startedAt"]));
    } else if state["waiting"].is_object() {
        sheet.field(2, label, "Waiting");
        sheet.field_if(3, "Reason", &state["waiting"]["reason"]);
        // The cause, which other clients leave to the events.
        sheet.field_if(3, "Message", &state["waiting"]["message"]);
    } else if state["terminated"].is_object() {
        let terminated = &state["terminated"];
        sheet.field(2, label, "Terminated");
        sheet.field_if(3, "Reason", &terminated["reason"]);
        sheet.field_if(3, "Message", &terminated["message"]);
        sheet.field(3, "Exit Code", &plain(&terminated["exitCode"]));
        if terminated["signal"].as_i64().unwrap_or(0) > 0 {
            sheet.field(3, "Signal", &plain(&terminated["signal"]));
        }
        sheet.field(3, "Started", &date(&terminated["startedAt"]));
        sheet.field(3, "Finished", &date(&terminated["finishedAt"]));
    } else if always {
        sheet.field(2, label, "Waiting");
    }
}

/// `http-get http://:80/ delay=0s timeout=1s period=10s #success=1 #failure=3`.
pub fn probe(probe: &Value) -> String {
    let number = |field: &str| probe[field].as_i64().unwrap_or(0);
    let attributes = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds"),
        number("timeoutSeconds"),
        number("periodSeconds"),
        number("successThreshold"),
        number("failureThreshold")
    );
    let check = if probe["exec"].is_object() {
        format!("exec [{}]", plain(&probe["exec"]["command"]))
    } else if probe["httpGet"].is_object() {
        let get = &probe["httpGet"];
        let scheme = or(&get["scheme"], "HTTP").to_lowercase();
        format!(
            "http-get {scheme}://{}:{}{}",
            plain(&get["host"]),
            plain(&get["port"]),
            plain(&get["path"])
        )
    } else if probe["tcpSocket"].is_object() {
        format!(
            "tcp-socket {}:{}",
            plain(&probe["tcpSocket"]["host"]),
            plain(&probe["tcpSocket"]["port"])
        )
    } else if probe["grpc"].is_object() {
        format!(
            "grpc <pod>:{} {}",
            plain(&probe["grpc"]["port"]),
            plain(&probe["grpc"]["service"])
        )
        .trim_end()
        .to_owned()
    } else {
        "unknown".to_owned()
    };
    format!("{check} {attributes}")
}

fn environment(sheet: &mut Sheet, container: &Value) {
    let from = items(&container["envFrom"]);
    if !from.is_empty() {
        sheet.line(2, "Environment Variables from:");
        for source in from {
            let (kind, reference) = match (&source["configMapRef"], &source["secretRef"]) {
                (reference @ Value::Object(_), _) => ("ConfigMap", reference),
                (_, reference) => ("Secret", reference),
            };
            let optional = capital(reference["optional"] == true).to_lowercase();
            sheet.line(
                3,
                &format!("{}\t{kind}\tOptional: {optional}", plain(&reference["name"])),
            );
        }
    }
    let variables = items(&container["env"]);
    if variables.is_empty() {
        sheet.field(2, "Environment", "<none>");
        return;
    }
    sheet.line(2, "Environment:");
    for variable in variables {
        let source = &variable["valueFrom"];
        let value = if source.is_null() {
            plain(&variable["value"])
        } else if source["fieldRef"].is_object() {
            let field = &source["fieldRef"];
            format!(" ({}:{})", or(&field["apiVersion"], "v1"), plain(&field["fieldPath"]))
        } else if source["resourceFieldRef"].is_object() {
            let field = &source["resourceFieldRef"];
            format!("{} ({})", plain(&field["containerName"]), plain(&field["resource"]))
        } else {
            let (what, key) = match (&source["secretKeyRef"], &source["configMapKeyRef"]) {
                (key @ Value::Object(_), _) => ("secret", key),
                (_, key) => ("config map", key),
            };
            let optional = key["optional"] == true;
            let (name, key) = (plain(&key["name"]), plain(&key["key"]));
            format!("<set to the key '{key}' in {what} '{name}'>  Optional: {optional}")
        };
        let mut lines = value.lines();
        sheet.field(3, &plain(&variable["name"]), lines.next().unwrap_or_default());
        for line in lines {
            sheet.line(3, &format!("\t{line}"));
        }
    }
}

fn mounts(sheet: &mut Sheet, mounts: &[Value]) {
    if mounts.is_empty() {
        sheet.field(2, "Mounts", "<none>");
        return;
    }
    sheet.line(2, "Mounts:");
    let mut mounts: Vec<&Value> = mounts.iter().collect();
    mounts.sort_by_key(|mount| plain(&mount["mountPath"]));
    for mount in mounts {
        let mut flags = vec![if mount["readOnly"] == true {
            "ro".to_owned()
        } else {
            "rw".to_owned()
        }];
        if let Some(path) = mount["subPath"].as_str().filter(|path| !path.is_empty()) {
            flags.push(format!("path={path:?}"));
        }
        sheet.line(
            3,
            &format!(
                "{} from {} ({})",
                plain(&mount["mountPath"]),
                plain(&mount["name"]),
                flags.join(",")
            ),
        );
    }
}

fn conditions(sheet: &mut Sheet, conditions: &[Value]) {
    if conditions.is_empty() {
        return;
    }
    sheet.line(0, "Conditions:");
    sheet.line(1, "Type\tStatus");
    for condition in conditions {
        sheet.line(
            1,
            &format!("{}\t{}", plain(&condition["type"]), plain(&condition["status"])),
        );
    }
}

/// Volumes, likewise.
pub fn volumes(sheet: &mut Sheet, inside: &str, volumes: &[Value]) {
    if volumes.is_empty() {
        sheet.line(0, &format!("{inside}Volumes:\t<none>"));
        return;
    }
    sheet.line(0, &format!("{inside}Volumes:"));
    for volume in volumes {
        sheet.line(1, &format!("{}{}:", deeper(inside), plain(&volume["name"])));
        let Some((kind, source)) = volume
            .as_object()
            .and_then(|map| map.iter().find(|(name, _)| *name != "name"))
        else {
            sheet.field(2, "Type", "<unknown>");
            continue;
        };
        volume_source(sheet, kind, source);
    }
}

/// What a volume is made of.
pub fn volume_source(sheet: &mut Sheet, kind: &str, source: &Value) {
    match kind {
        "emptyDir" => {
            sheet.field(
                2,
                "Type",
                "EmptyDir (a temporary directory that shares a pod's lifetime)",
            );
            sheet.field(2, "Medium", &plain(&source["medium"]));
            sheet.field(2, "SizeLimit", or(&source["sizeLimit"], "<unset>"));
        }
        "hostPath" => {
            sheet.field(2, "Type", "HostPath (bare host directory volume)");
            sheet.field(2, "Path", &plain(&source["path"]));
            let kind = match &source["type"] {
                Value::Null => "<none>".to_owned(),
                kind => plain(kind),
            };
            sheet.field(2, "HostPathType", &kind);
        }
        "configMap" => {
            sheet.field(2, "Type", "ConfigMap (a volume populated by a ConfigMap)");
            sheet.field(2, "Name", &plain(&source["name"]));
            sheet.field(2, "Optional", &(source["optional"] == true).to_string());
        }
        "secret" => {
            sheet.field(2, "Type", "Secret (a volume populated by a Secret)");
            sheet.field(2, "SecretName", &plain(&source["secretName"]));
            sheet.field(2, "Optional", &(source["optional"] == true).to_string());
        }
        "downwardAPI" => {
            sheet.field(
                2,
                "Type",
                "DownwardAPI (a volume populated by information about the pod)",
            );
            sheet.line(2, "Items:");
            for item in items(&source["items"]) {
                let field = &item["fieldRef"]["fieldPath"];
                let resource = &item["resourceFieldRef"]["resource"];
                let from = if field.is_null() { plain(resource) } else { plain(field) };
                sheet.line(3, &format!("{from} -> {}", plain(&item["path"])));
            }
        }
        "persistentVolumeClaim" => {
            sheet.field(
                2,
                "Type",
                "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
            );
            sheet.field(2, "ClaimName", &plain(&source["claimName"]));
            sheet.field(2, "ReadOnly", &(source["readOnly"] == true).to_string());
        }
        "projected" => {
            sheet.field(
                2,
                "Type",
                "Projected (a volume that contains injected data from multiple sources)",
            );
            for part in items(&source["sources"]) {
                if part["serviceAccountToken"].is_object() {
                    sheet.field(
                        2,
                        "TokenExpirationSeconds",
                        &plain(&part["serviceAccountToken"]["expirationSeconds"]),
                    );
                }
                for (field, label) in [("configMap", "ConfigMapName"), ("secret", "SecretName")] {
                    if part[field].is_object() {
                        sheet.field(2, label, &plain(&part[field]["name"]));
                    }
                }
                if part["downwardAPI"].is_object() {
                    sheet.field(2, "DownwardAPI", "true");
                }
            }
        }
        other => sheet.field(2, "Type", other),
    }
}

/// Names inside of a template stand one blank deeper, as kubectl's do.
fn deeper(inside: &str) -> &'static str {
    if inside.is_empty() { "" } else { " " }
}

/// Tolerations, likewise.
pub fn tolerations(sheet: &mut Sheet, inside: &str, tolerations: &[Value]) {
    let texts: Vec<String> = tolerations.iter().map(toleration).collect();
    if texts.is_empty() {
        sheet.line(0, &format!("{inside}Tolerations:\t<none>"));
    }
    for (index, text) in texts.iter().enumerate() {
        let label = if index == 0 {
            format!("{inside}Tolerations:")
        } else {
            String::new()
        };
        sheet.line(0, &format!("{label}\t{text}"));
    }
}

fn toleration(toleration: &Value) -> String {
    let part = |field: &str, before: &str| match plain(&toleration[field]).as_str() {
        "" => String::new(),
        text => format!("{before}{text}"),
    };
    let mut text = format!("{}{}{}", part("key", ""), part("value", "="), part("effect", ":"));
    if toleration["operator"] == "Exists" {
        text.push_str(" op=Exists");
    }
    if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
        text.push_str(&format!(" for {seconds}s"));
    }
    text.trim_start().to_owned()
}
