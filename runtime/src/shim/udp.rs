//! Datagrams of a host port: each client of the port gets a socket of its own in the pod's network namespace, so that
//! answers find their way back. A flow ends when it has been quiet for a minute.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::poller::{Poller, READ, Token};

/// As conntrack keeps an answered flow at least.
const QUIET: Duration = Duration::from_secs(60);
/// Most flows at a time; the one longest quiet makes room.
const MAX_FLOWS: usize = 512;
/// Longest datagram.
const DATAGRAM: usize = 65_535;
/// Datagrams taken at one event, so that one port can't hold up the rest.
const BURST: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Flows {
    flows: HashMap<Token, Flow>,
    by_client: HashMap<(Token, SocketAddr), Token>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Flow {
    pod: UdpSocket,
    listener: Token,
    client: SocketAddr,
    last: Instant,
}

/// Finds a listening socket again.
pub(super) trait Listeners {
    fn udp(&self, token: Token) -> Option<&UdpSocket>;
}

impl Flows {
    /// From clients into the pod; returns the registrations of new flows.
    pub(super) fn outward(
        &mut self,
        socket: &UdpSocket,
        listener: Token,
        port: u16,
        pod_address: impl Fn() -> IpAddr,
        poller: &mut Poller,
    ) -> Vec<Token> {
        self.buffer.resize(DATAGRAM, 0);
        let mut new = Vec::new();
        for _ in 0..BURST {
            let Ok((length, client)) = socket.recv_from(&mut self.buffer) else {
                break;
            };
            let known = self.by_client.get(&(listener, client)).copied();
            let token = match known {
                Some(token) => token,
                None => match open(SocketAddr::new(pod_address(), port)) {
                    Ok(pod) => {
                        let token = poller.token();
                        if poller.add(&pod, token, READ).is_err() {
                            continue;
                        }
                        self.make_room();
                        self.by_client.insert((listener, client), token);
                        let last = Instant::now();
                        let flow = Flow {
                            pod,
                            listener,
                            client,
                            last,
                        };
                        self.flows.insert(token, flow);
                        new.push(token);
                        token
                    }
                    Err(_) => continue,
                },
            };
            if let Some(flow) = self.flows.get_mut(&token) {
                flow.last = Instant::now();
                // A refusal is the answer to an earlier datagram; datagrams get lost, that's their nature.
                let _ = flow.pod.send(&self.buffer[..length]);
            }
        }
        new
    }

    /// From the pod back to the client; false when the token is no flow's.
    pub(super) fn inward(&mut self, token: Token, listeners: &impl Listeners) -> bool {
        self.buffer.resize(DATAGRAM, 0);
        let Some(flow) = self.flows.get_mut(&token) else {
            return false;
        };
        for _ in 0..BURST {
            let Ok(length) = flow.pod.recv(&mut self.buffer) else {
                break;
            };
            flow.last = Instant::now();
            if let Some(socket) = listeners.udp(flow.listener) {
                let _ = socket.send_to(&self.buffer[..length], flow.client);
            }
        }
        true
    }

    /// Ends quiet flows; returns how long the next may stay quiet, none when there are none.
    pub(super) fn timeout_milliseconds(&mut self, now: Instant, closed: &mut Vec<Token>) -> Option<u16> {
        let over: Vec<Token> = self
            .flows
            .iter()
            .filter(|(_, flow)| now.duration_since(flow.last) >= QUIET)
            .map(|(t, _)| *t)
            .collect();
        for token in over {
            self.end(token);
            closed.push(token);
        }
        if self.flows.is_empty() {
            self.buffer = Vec::new();
        }
        let next = self
            .flows
            .values()
            .map(|flow| QUIET.saturating_sub(now.duration_since(flow.last)))
            .min()?;
        Some(u16::try_from(next.as_millis() + 1).unwrap_or(u16::MAX))
    }

    fn make_room(&mut self) {
        if self.flows.len() >= MAX_FLOWS
            && let Some(oldest) = self
                .flows
                .iter()
                .min_by_key(|(_, flow)| flow.last)
                .map(|(token, _)| *token)
        {
            self.end(oldest);
        }
    }

    fn end(&mut self, token: Token) {
        if let Some(flow) = self.flows.remove(&token) {
            self.by_client.remove(&(flow.listener, flow.client));
        }
    }
}

fn open(pod: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = if pod.is_ipv4() {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(pod)?;
    Ok(socket)
}
