//! What the node's processes ask of the machine: its name and its address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The node's name: the host name in lower case, as Kubernetes names nodes, with what a name may not hold replaced by `-`.
pub(super) fn node_name() -> String {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    name_of(&host.unwrap_or_default())
}

/// The address that traffic to the outside leaves from; loopback when there is no way out.
///
/// Connecting a datagram socket asks the kernel's routing table and sends nothing.
pub(super) fn node_ip() -> IpAddr {
    // TEST-NET-1 (RFC 5737) is nobody's, so only the default route can match.
    let outside = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(outside)?;
        socket.local_addr()
    });
    route.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.ip())
}

fn name_of(host: &str) -> String {
    let name: String = host
        .trim()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(63)
        .collect();
    let name = name.trim_matches(|c| matches!(c, '-' | '.'));
    if name.is_empty() {
        "minik".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn host_names_become_node_names() {
        for (host, node) in [
            ("DESKTOP-4T7", "desktop-4t7"),
            ("my_pc", "my-pc"),
            ("box.local", "box.local"),
            ("-odd-", "odd"),
            ("", "minik"),
        ] {
            assert_eq!(name_of(host), node);
        }
    }
}
