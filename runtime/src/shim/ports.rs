//! Ports of the host that lead into the pod.
//!
//! They are listening sockets in the host's network namespace, bound before the shim leaves it: a process that listens is
//! what WSL2 relays to Windows' localhost, and what tells another that the port is taken. What comes in is relayed from
//! this process, which by then stands in the pod's network namespace.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};

use super::poller::{Poller, READ, Token};
use super::relay::{Over, Relay, connect};
use super::spec::{PortMapping, Protocol};
use super::udp::{self, Flows};

/// Most connections at a time through all ports of a pod; a further one waits in the backlog.
const MAX_RELAYS: usize = 1024;

/// A port of the host can't be had.
#[derive(Debug, thiserror::Error)]
#[error("hostPort {port}/{protocol:?} on {address}: {source}{hint}")]
pub(super) struct PortError {
    port: u16,
    protocol: Protocol,
    address: IpAddr,
    source: io::Error,
    hint: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct Ports {
    listeners: HashMap<Token, Listener>,
    relays: HashMap<Token, Relay>,
    /// The relay of a second token.
    partner: HashMap<Token, Token>,
    flows: Flows,
    closed: Vec<Token>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener, u16),
    Udp(UdpSocket, u16),
}

impl Ports {
    pub(super) fn bind(mappings: &[PortMapping], poller: &mut Poller) -> Result<Self, PortError> {
        let mut ports = Self::default();
        for mapping in mappings {
            let both = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
            let addresses = mapping.host_ip.map_or(both.to_vec(), |address| vec![address]);
            for address in addresses {
                match listener(mapping, address) {
                    Ok(listener) => {
                        let token = poller.token();
                        let added = match &listener {
                            Listener::Tcp(socket, _) => poller.add(socket, token, READ),
                            Listener::Udp(socket, _) => poller.add(socket, token, READ),
                        };
                        added.map_err(|errno| refused(mapping, address, errno))?;
                        ports.listeners.insert(token, listener);
                    }
                    // A host without IPv6 has no such address, and that's no reason to refuse the pod.
                    Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL)
                        if address.is_ipv6() && mapping.host_ip.is_none() => {}
                    Err(errno) => return Err(refused(mapping, address, errno)),
                }
            }
        }
        Ok(ports)
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        self.listeners.keys().copied()
    }

    /// When to look for flows that have gone quiet.
    pub(super) fn timeout(&mut self) -> Option<u16> {
        self.flows.timeout_milliseconds(Instant::now(), &mut self.closed)
    }

    /// Registrations that have ended since last asked.
    pub(super) fn closed(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.closed)
    }

    /// Handles an event; returns new registrations.
    pub(super) fn handle(&mut self, poller: &mut Poller, token: Token, _events: EpollFlags) -> Vec<Token> {
        match self.listeners.get(&token) {
            Some(Listener::Tcp(socket, port)) => match socket.accept() {
                Ok((client, _)) if self.relays.len() < MAX_RELAYS => self.begin(client.into(), *port, poller),
                _ => Vec::new(),
            },
            Some(Listener::Udp(socket, port)) => self.flows.outward(socket, token, *port, pod_address, poller),
            None if self.flows.inward(token, &self.listeners) => Vec::new(),
            None => {
                self.relay(poller, token);
                Vec::new()
            }
        }
    }

    fn begin(&mut self, client: OwnedFd, port: u16, poller: &mut Poller) -> Vec<Token> {
        let begun = nix::fcntl::fcntl(&client, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
            .and_then(|_| connect(SocketAddr::new(pod_address(), port)))
            .and_then(|pod| Relay::new(client, pod, poller));
        // Dropped, the client sees its connection closed, as with any port that nobody listens on behind a relay.
        let Ok(relay) = begun else { return Vec::new() };
        let [first, second] = relay.tokens();
        self.partner.insert(second, first);
        self.relays.insert(first, relay);
        vec![first, second]
    }

    fn relay(&mut self, poller: &Poller, token: Token) {
        let key = self.partner.get(&token).copied().unwrap_or(token);
        let Some(relay) = self.relays.get_mut(&key) else { return };
        if relay.handle(poller) == Err(Over) {
            let tokens = relay.tokens();
            self.relays.remove(&key);
            self.partner.remove(&tokens[1]);
            self.closed.extend(tokens);
        }
    }
}

impl udp::Listeners for HashMap<Token, Listener> {
    fn udp(&self, token: Token) -> Option<&UdpSocket> {
        match self.get(&token) {
            Some(Listener::Udp(socket, _)) => Some(socket),
            _ => None,
        }
    }
}

/// The pod's own address: what Kubernetes forwards a host port to, so that a server on the pod's localhost stays private.
fn pod_address() -> IpAddr {
    let usable = |interface: nix::ifaddrs::InterfaceAddress| {
        let storage = interface.address?;
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        let v6 = storage.as_sockaddr_in6().map(|address| IpAddr::from(address.ip()));
        let link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        v4.or(v6)
            .filter(|address| !address.is_loopback() && !link_local(address))
    };
    let addresses = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(usable);
    addresses
        .min_by_key(IpAddr::is_ipv6)
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn listener(mapping: &PortMapping, address: IpAddr) -> Result<Listener, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let kind = match mapping.protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, kind, flags, None)?;
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    if mapping.protocol == Protocol::Tcp {
        // Connections of an earlier pod that linger in TIME_WAIT don't hold the port.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    bind(
        socket.as_raw_fd(),
        &SockaddrStorage::from(SocketAddr::new(address, mapping.host_port)),
    )?;
    Ok(match mapping.protocol {
        Protocol::Tcp => {
            listen(&socket, Backlog::MAXCONN)?;
            Listener::Tcp(TcpListener::from(socket), mapping.container_port)
        }
        Protocol::Udp => Listener::Udp(UdpSocket::from(socket), mapping.container_port),
    })
}

fn refused(mapping: &PortMapping, address: IpAddr, errno: Errno) -> PortError {
    PortError {
        port: mapping.host_port,
        protocol: mapping.protocol,
        address,
        source: errno.into(),
        hint: match errno {
            Errno::EADDRINUSE => "; see who has it with `ss -lntup`, or choose another hostPort",
            Errno::EADDRNOTAVAIL => "; hostIP must be an address of this machine",
            _ => "",
        },
    }
}
