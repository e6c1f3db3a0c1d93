//! What of a kubeconfig is shown. Pure.

use serde_json::Value;

/// Drops what the context doesn't need.
pub(super) fn keep_only(config: &mut Value, name: &str) {
    let named = |list: &Value, name: &Value| -> Value {
        list.as_array()
            .into_iter()
            .flatten()
            .filter(|entry| &entry["name"] == name)
            .cloned()
            .collect()
    };
    let contexts = named(&config["contexts"], &Value::from(name));
    let of = |field: &str| contexts[0]["context"][field].clone();
    config["clusters"] = named(&config["clusters"], &of("cluster"));
    config["users"] = named(&config["users"], &of("user"));
    config["current-context"] = Value::from(name);
    config["contexts"] = contexts;
}

/// Hides what opens doors, as kubectl does.
pub(super) fn redact(config: &mut Value) {
    for cluster in config["clusters"].as_array_mut().into_iter().flatten() {
        if cluster["cluster"]["certificate-authority-data"].is_string() {
            cluster["cluster"]["certificate-authority-data"] = Value::from("DATA+OMITTED");
        }
    }
    for user in config["users"].as_array_mut().into_iter().flatten() {
        for (field, shown) in [
            ("client-certificate-data", "DATA+OMITTED"),
            ("client-key-data", "DATA+OMITTED"),
            ("token", "REDACTED"),
            ("password", "REDACTED"),
        ] {
            if user["user"][field].is_string() {
                user["user"][field] = Value::from(shown);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_and_the_rest_dropped() {
        let mut config = json!({
            "clusters": [{"name": "c", "cluster": {"server": "s", "certificate-authority-data": "x"}}, {"name": "d"}],
            "users": [{"name": "u", "user": {"client-key-data": "k", "token": "t"}}, {"name": "v"}],
            "contexts": [{"name": "m", "context": {"cluster": "c", "user": "u"}}, {"name": "n"}]});
        keep_only(&mut config, "m");
        redact(&mut config);
        assert_eq!(
            config["clusters"],
            json!([{"name": "c", "cluster": {"server": "s", "certificate-authority-data": "DATA+OMITTED"}}])
        );
        assert_eq!(
            config["users"],
            json!([{"name": "u", "user": {"client-key-data": "DATA+OMITTED", "token": "REDACTED"}}])
        );
        assert_eq!(config["contexts"].as_array().map(Vec::len), Some(1));
    }
}
