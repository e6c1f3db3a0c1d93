//! A pod's resolver configuration. Until the cluster has a DNS of its own, `ClusterFirst` is the host's, as `Default` is.

use minik_api::cri::DnsConfig;

use crate::pod::Pod;

/// What resolv.conf of the pod is to say, given the host's.
pub(crate) fn config(pod: &Pod, host: &str) -> DnsConfig {
    let mut config = match pod.spec.dns_policy.as_deref() {
        Some("None") => DnsConfig::default(),
        _ => parse(host),
    };
    if let Some(own) = &pod.spec.dns_config {
        append(&mut config.servers, own.nameservers.iter().flatten().cloned());
        append(&mut config.searches, own.searches.iter().flatten().cloned());
        for option in own.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            // The pod's own value goes before the host's.
            config.options.retain(|known| known.split(':').next() != Some(&name));
            config.options.push(match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name,
            });
        }
    }
    config
}

fn append(list: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// Reads a resolv.conf(5).
pub(crate) fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => config.servers.extend(words.next()),
            // The last of these lines wins.
            Some("search" | "domain") => config.searches = words.filter(|word| word != ".").collect(),
            Some("options") => config.options.extend(words),
            _ => {}
        }
    }
    config
}

/// Every server is on the host's own loopback, where a pod with a network of its own can't reach it.
pub(crate) fn is_loopback_only(config: &DnsConfig) -> bool {
    !config.servers.is_empty()
        && config
            .servers
            .iter()
            .all(|server| server.starts_with("127.") || server == "::1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::testing::pod;

    const HOST: &str = "# made by hand\nnameserver 10.255.255.254\nnameserver 1.1.1.1 ; second\nsearch lan home\noptions ndots:1 edns0\n";

    #[test]
    fn a_resolv_conf_is_read() {
        let config = parse(HOST);
        assert_eq!(config.servers, ["10.255.255.254", "1.1.1.1"]);
        assert_eq!(config.searches, ["lan", "home"]);
        assert_eq!(config.options, ["ndots:1", "edns0"]);
    }

    #[test]
    fn the_pods_own_settings_are_added_or_stand_alone() {
        let own = json!({"nameservers": ["9.9.9.9"], "searches": ["lan", "corp"], "options": [{"name": "ndots", "value": "5"}]});
        let added = config(&pod(json!({"containers": [], "dnsConfig": own})), HOST);
        assert_eq!(added.servers, ["10.255.255.254", "1.1.1.1", "9.9.9.9"]);
        assert_eq!(added.searches, ["lan", "home", "corp"]);
        assert_eq!(added.options, ["edns0", "ndots:5"]);
        let alone = config(
            &pod(json!({"containers": [], "dnsPolicy": "None", "dnsConfig": own})),
            HOST,
        );
        assert_eq!(alone.servers, ["9.9.9.9"]);
    }

    #[test]
    fn loopback_resolvers_are_recognized() {
        assert!(is_loopback_only(&parse("nameserver 127.0.0.53\n")));
        assert!(!is_loopback_only(&parse(HOST)));
        assert!(!is_loopback_only(&parse("")));
    }
}
