//! The three files of a sandbox that containers see in /etc: hosts, hostname and resolv.conf. Their texts are pure.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use minik_api::cri;

use crate::user_namespace::UserNamespace;

/// The files' names in the sandbox's directory, and where containers see them.
pub(crate) const FILES: [(&str, &str); 3] = [
    ("hosts", "/etc/hosts"),
    ("hostname", "/etc/hostname"),
    ("resolv.conf", "/etc/resolv.conf"),
];

/// Writes the files into the sandbox's directory, for the pod's root. A pod in the node's network sees the node's hosts.
pub(super) fn write(
    directory: &Path,
    config: &cri::PodSandboxConfig,
    hostname: &str,
    address: Option<Ipv4Addr>,
    users: Option<&UserNamespace>,
) -> io::Result<()> {
    let hosts = match address {
        Some(address) => hosts(address, hostname),
        None => or_empty(fs::read_to_string("/etc/hosts"))?,
    };
    let resolv_conf = match &config.dns_config {
        Some(dns) if !(dns.servers.is_empty() && dns.searches.is_empty() && dns.options.is_empty()) => resolv_conf(dns),
        // containerd's rule: without a DNS configuration, the node's.
        _ => or_empty(fs::read_to_string("/etc/resolv.conf"))?,
    };
    let texts = [hosts, format!("{hostname}\n"), resolv_conf];
    for ((name, _), text) in FILES.iter().zip(texts) {
        let path = directory.join(name);
        fs::write(&path, text)?;
        if let Some(users) = users {
            let (uid, gid) = users.root();
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

fn or_empty(read: io::Result<String>) -> io::Result<String> {
    read.or_else(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Ok(String::new())
        } else {
            Err(error)
        }
    })
}

/// hosts(5).
fn hosts(address: Ipv4Addr, hostname: &str) -> String {
    let fixed = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
                 fe00::0\tip6-localnet\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
    format!("{fixed}{address}\t{hostname}\n")
}

/// resolv.conf(5).
fn resolv_conf(dns: &cri::DnsConfig) -> String {
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text += &format!("search {}\n", dns.searches.join(" "));
    }
    for server in &dns.servers {
        text += &format!("nameserver {server}\n");
    }
    if !dns.options.is_empty() {
        text += &format!("options {}\n", dns.options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_follow_the_man_pages() {
        let dns = cri::DnsConfig {
            servers: vec!["10.96.0.10".to_owned(), "1.1.1.1".to_owned()],
            searches: vec!["default.svc.cluster.local".to_owned(), "svc.cluster.local".to_owned()],
            options: vec!["ndots:5".to_owned()],
        };
        let expected = "search default.svc.cluster.local svc.cluster.local\n\
                        nameserver 10.96.0.10\nnameserver 1.1.1.1\noptions ndots:5\n";
        assert_eq!(resolv_conf(&dns), expected);
        assert!(hosts(Ipv4Addr::new(10, 1, 2, 3), "web").ends_with("\n10.1.2.3\tweb\n"));
    }

    #[test]
    fn a_pod_without_dns_configuration_gets_the_nodes() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = cri::PodSandboxConfig {
            dns_config: Some(cri::DnsConfig::default()),
            ..Default::default()
        };
        write(directory.path(), &config, "web", None, None).expect("write the files");
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect("a file");
        assert_eq!(read("hostname"), "web\n");
        assert_eq!(
            read("resolv.conf"),
            fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
        );
        assert_eq!(read("hosts"), fs::read_to_string("/etc/hosts").unwrap_or_default());
    }
}
