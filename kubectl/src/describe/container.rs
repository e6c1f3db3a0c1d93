//! The containers of a pod or a template: what they run, how they are, what they need and what they see.

use serde_json::Value;

use super::sheet::{Sheet, capital, date, items, or, plain};

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

/// Names inside of a template stand one blank deeper, as kubectl's do.
pub(super) fn deeper(inside: &str) -> &'static str {
    if inside.is_empty() { "" } else { " " }
}
