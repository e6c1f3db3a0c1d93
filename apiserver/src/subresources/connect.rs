//! Admission of connections: `exec`, `attach`, `portforward` and `proxy` change nothing that is stored, but webhooks and policies
//! may be named for them (operation `CONNECT`) and are asked before anything is opened.

use minik_api::object::Object;
use minik_api::status::Status;
use serde_json::{Map, Value};

use super::log;
use crate::http::{Api, Call};

/// Lets the call go on, if it is one of these.
pub(super) async fn admit(api: &Api, call: &Call, subresource: &str) -> Result<(), Status> {
    let Some(kind) = kind(call.path.kind.kind, subresource) else {
        return Ok(());
    };
    let pairs = match subresource {
        "proxy" => Vec::new(),
        _ => log::query(call)?,
    };
    let options = Object {
        api_version: "v1".into(),
        kind: kind.into(),
        body: options(subresource, &pairs, call.parts.uri.path()),
        ..Object::default()
    };
    api.registry
        .admit_connection(call.target(), subresource, (kind, &options), call.write_options())
        .await
}

/// What upstream calls what is asked for.
fn kind(of: &str, subresource: &str) -> Option<&'static str> {
    match (of, subresource) {
        ("Pod", "exec") => Some("PodExecOptions"),
        ("Pod", "attach") => Some("PodAttachOptions"),
        ("Pod", "portforward") => Some("PodPortForwardOptions"),
        ("Pod", "proxy") => Some("PodProxyOptions"),
        ("Service", "proxy") => Some("ServiceProxyOptions"),
        ("Node", "proxy") => Some("NodeProxyOptions"),
        _ => None,
    }
}

/// What is asked for, with the fields' names of the API.
fn options(subresource: &str, pairs: &[(String, String)], path: &str) -> Map<String, Value> {
    let mut options = Map::new();
    if subresource == "proxy" {
        let below = path.split_once("/proxy").map_or("", |(_, below)| below);
        if !below.is_empty() {
            options.insert("path".into(), below.into());
        }
        return options;
    }
    let all = |name: &'static str| {
        let named = pairs.iter().filter(move |(one, _)| one == name);
        named.map(|(_, value)| value.as_str())
    };
    for name in ["stdin", "stdout", "stderr", "tty"] {
        if all(name).any(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0")) {
            options.insert(name.into(), true.into());
        }
    }
    if let Some(container) = all("container").next() {
        options.insert("container".into(), container.into());
    }
    let command: Vec<Value> = all("command").map(Value::from).collect();
    let ports = all("ports").flat_map(|value| value.split(','));
    let ports: Vec<Value> = ports
        .filter_map(|port| port.parse::<u16>().ok().map(Value::from))
        .collect();
    for (name, list) in [("command", command), ("ports", ports)] {
        if !list.is_empty() {
            options.insert(name.into(), list.into());
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_have_the_names_of_the_api() {
        let pairs = |text: &str| -> Vec<(String, String)> {
            let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let asked = |subresource: &str, query: &str| Value::Object(options(subresource, &pairs(query), "/p/proxy/a/b"));
        assert_eq!(
            asked("exec", "command=sh&command=-c&stdin=true&tty=false&container=c"),
            json!({"command": ["sh", "-c"], "stdin": true, "container": "c"})
        );
        assert_eq!(asked("portforward", "ports=80&ports=81"), json!({"ports": [80, 81]}));
        assert_eq!(asked("proxy", ""), json!({"path": "/a/b"}));
    }
}
