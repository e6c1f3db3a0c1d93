//! `create ingress`: rules such as `host/path*=service:port,tls=secret`.

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::creating::Creating;
use super::sources::metadata;

/// Arguments of `create ingress`.
#[derive(Args, Debug)]
pub struct Ingress {
    /// Its name.
    name: String,
    /// Where requests go: host/path=service:port[,tls[=secret]]; a path that ends with * is a prefix.
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// Where all other requests go: service:port.
    #[arg(long, value_name = "SERVICE:PORT", default_value = "", hide_default_value = true)]
    default_backend: String,
    /// The class of the ingress.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    class: String,
    /// An annotation: KEY=VALUE; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    #[command(flatten)]
    pub creating: Creating,
}

impl Ingress {
    pub fn object(&self) -> anyhow::Result<Value> {
        if self.default_backend.is_empty() && self.rule.is_empty() {
            bail!(
                "not enough information provided: every ingress has to either specify a default-backend (which catches \
                 all traffic) or a list of rules (which catch specific paths)"
            );
        }
        let rules: Vec<Rule<'_>> = self
            .rule
            .iter()
            .map(|text| Rule::read(text))
            .collect::<Result<_, _>>()?;
        let mut metadata = metadata(&self.name);
        for annotation in &self.annotation {
            let (key, value) = annotation
                .split_once('=')
                .ok_or_else(|| anyhow!("annotation {annotation} is invalid and should be in format key=[value]"))?;
            if metadata["annotations"].is_null() {
                metadata["annotations"] = json!({});
            }
            metadata["annotations"][key] = json!(value);
        }
        let mut spec = Map::new();
        if !self.class.is_empty() {
            spec.insert("ingressClassName".to_owned(), json!(self.class));
        }
        if !self.default_backend.is_empty() {
            let backend = backend(&self.default_backend)
                .ok_or_else(|| anyhow!("default-backend should be in format servicename:serviceport"))?;
            spec.insert("defaultBackend".to_owned(), backend);
        }
        for (field, list) in [("tls", tls(&rules)), ("rules", hosts(&rules))] {
            if !list.is_empty() {
                spec.insert(field.to_owned(), Value::Array(list));
            }
        }
        Ok(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec,
            "status": {"loadBalancer": {}},
        }))
    }
}

/// A rule, taken apart.
struct Rule<'a> {
    host: &'a str,
    path: &'a str,
    backend: Value,
    /// The secret of the host's certificate; empty for whatever the ingress has.
    tls: Option<&'a str>,
}

impl<'a> Rule<'a> {
    fn read(text: &'a str) -> anyhow::Result<Self> {
        let refused =
            || anyhow!("rule {text} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]");
        let (rule, tls) = match text.split_once(',') {
            None => (text, None),
            Some((rule, "tls")) => (rule, Some("")),
            Some((rule, tls)) => (rule, Some(tls.strip_prefix("tls=").ok_or_else(refused)?)),
        };
        let slash = rule.find('/').ok_or_else(refused)?;
        let (path, service) = rule[slash..].split_once('=').ok_or_else(refused)?;
        Ok(Self {
            host: &rule[..slash],
            path,
            backend: backend(service).ok_or_else(refused)?,
            tls,
        })
    }

    fn path(&self) -> Value {
        let (path, kind) = match self.path.strip_suffix('*') {
            Some(path) => (path, "Prefix"),
            None => (self.path, "Exact"),
        };
        json!({"path": path, "pathType": kind, "backend": self.backend})
    }
}

/// `service:80` or `service:http`.
fn backend(text: &str) -> Option<Value> {
    let (name, port) = text
        .split_once(':')
        .filter(|(name, port)| !name.is_empty() && !port.is_empty())?;
    if port.contains(':') {
        return None;
    }
    let port = match port.parse::<i32>() {
        Ok(number) => json!({"number": number}),
        Err(_) => json!({"name": port}),
    };
    Some(json!({"service": {"name": name, "port": port}}))
}

/// One entry for each host, in the order in which they come.
fn hosts(rules: &[Rule<'_>]) -> Vec<Value> {
    let mut hosts: Vec<(&str, Vec<Value>)> = Vec::new();
    for rule in rules {
        match hosts.iter_mut().find(|(host, _)| *host == rule.host) {
            Some((_, paths)) => paths.push(rule.path()),
            None => hosts.push((rule.host, vec![rule.path()])),
        }
    }
    let entry = |(host, paths): (&str, Vec<Value>)| {
        let mut entry = json!({"http": {"paths": paths}});
        if !host.is_empty() {
            entry["host"] = json!(host);
        }
        entry
    };
    hosts.into_iter().map(entry).collect()
}

/// One entry for each secret; a host is named once.
fn tls(rules: &[Rule<'_>]) -> Vec<Value> {
    let mut entries: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for rule in rules {
        let Some(secret) = rule.tls.filter(|_| !seen.contains(&rule.host)) else {
            continue;
        };
        seen.push(rule.host);
        match entries.iter_mut().find(|(known, _)| *known == secret) {
            Some((_, hosts)) => hosts.push(rule.host),
            None if secret.is_empty() && rule.host.is_empty() => {}
            None => entries.push((
                secret,
                Some(rule.host).filter(|host| !host.is_empty()).into_iter().collect(),
            )),
        }
    }
    let entry = |(secret, hosts): (&str, Vec<&str>)| {
        let mut entry = Map::new();
        if !hosts.is_empty() {
            entry.insert("hosts".to_owned(), json!(hosts));
        }
        if !secret.is_empty() {
            entry.insert("secretName".to_owned(), json!(secret));
        }
        Value::Object(entry)
    };
    entries.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let texts = ["a.b/x*=s:80,tls=c", "a.b/y=s:http", "/=t:1", "c.d/=s:80,tls=c"];
        let rules: Vec<Rule<'_>> = texts.iter().map(|text| Rule::read(text).expect("good")).collect();
        let hosts = hosts(&rules);
        assert_eq!(hosts.len(), 3);
        assert_eq!(hosts[0]["http"]["paths"][0]["pathType"], "Prefix");
        assert_eq!(
            hosts[0]["http"]["paths"][1]["backend"]["service"]["port"],
            json!({"name": "http"})
        );
        assert_eq!(tls(&rules), [json!({"hosts": ["a.b", "c.d"], "secretName": "c"})]);
        for text in ["a.b", "a/x", "a/x=s", "a/x=s:80,ssl", "a/x=:80"] {
            assert!(Rule::read(text).is_err(), "{text}");
        }
    }
}
