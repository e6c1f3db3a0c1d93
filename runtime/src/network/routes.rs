//! Addresses, routes and neighbours: one function for each message sent, with the reason for what it says.

use std::net::Ipv4Addr;

use nix::errno::Errno;

use super::netlink::{FLAG_CREATE, FLAG_EXCL, FLAG_REPLACE, Message, Socket};
use super::{Cidr, NetworkError};

/// Who made a route, as `ip route` shows it: a number of our own (rtnetlink.h leaves 5 and up to routing daemons), so that
/// ours are told from others' and only ours are removed.
const PROTOCOL_MINIK: u8 = 109;

/// The loopback interface has this index in every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// Gives the node its address in the pod range. It is on `lo`, so that it is there with the first pod and after the last.
pub(super) fn add_gateway(socket: &mut Socket, address: Ipv4Addr) -> Result<(), NetworkError> {
    add_address(socket, LOOPBACK_INDEX, address, libc::RT_SCOPE_LINK)
}

/// Takes it away again.
pub(super) fn remove_gateway(socket: &mut Socket, address: Ipv4Addr) -> Result<(), NetworkError> {
    let message = address_message(libc::RTM_DELADDR, 0, LOOPBACK_INDEX, address, libc::RT_SCOPE_LINK);
    absent_is_fine(socket.ask(message), Errno::EADDRNOTAVAIL, "remove the address", address)
}

/// Adds an address with a /32 mask: it says nothing about who else is on the link.
pub(super) fn add_address(socket: &mut Socket, index: u32, address: Ipv4Addr, scope: u8) -> Result<(), NetworkError> {
    let message = address_message(libc::RTM_NEWADDR, FLAG_CREATE | FLAG_REPLACE, index, address, scope);
    socket
        .ask(message)
        .map_err(NetworkError::netlink("add the address", address))
}

/// Answers packets for what isn't there with "unreachable"; the longer routes of pods that are there come first.
pub(super) fn add_unreachable(socket: &mut Socket, range: Cidr, ours: bool) -> Result<(), NetworkError> {
    // One of ours from before a restart is replaced; anyone else's is left alone, and told.
    let flags = if ours {
        FLAG_CREATE | FLAG_REPLACE
    } else {
        FLAG_CREATE | FLAG_EXCL
    };
    let message = unreachable_message(libc::RTM_NEWROUTE, flags, range);
    match socket.ask(message) {
        Err(Errno::EEXIST) => Err(NetworkError::RangeTaken(range)),
        other => other.map_err(NetworkError::netlink("add the unreachable route", range)),
    }
}

/// Removes it again.
pub(super) fn remove_unreachable(socket: &mut Socket, range: Cidr) -> Result<(), NetworkError> {
    let answer = socket.ask(unreachable_message(libc::RTM_DELROUTE, 0, range));
    absent_is_fine(answer, Errno::ESRCH, "remove the unreachable route", range)
}

/// `to` is at the other end of this interface.
pub(super) fn add_direct(
    socket: &mut Socket,
    index: u32,
    to: Ipv4Addr,
    source: Option<Ipv4Addr>,
) -> Result<(), NetworkError> {
    let header = route_header(32, libc::RT_SCOPE_LINK, libc::RTN_UNICAST);
    let mut message = Message::new(libc::RTM_NEWROUTE, FLAG_CREATE | FLAG_REPLACE, &header)
        .with(libc::RTA_DST, &to.octets())
        .with(libc::RTA_OIF, &index.to_ne_bytes());
    if let Some(source) = source {
        message = message.with(libc::RTA_PREFSRC, &source.octets());
    }
    socket
        .ask(message)
        .map_err(NetworkError::netlink("add the route to", to))
}

/// Everything else goes through `gateway`.
pub(super) fn add_default(socket: &mut Socket, index: u32, gateway: Ipv4Addr) -> Result<(), NetworkError> {
    let header = route_header(0, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST);
    let message = Message::new(libc::RTM_NEWROUTE, FLAG_CREATE | FLAG_EXCL, &header)
        .with(libc::RTA_GATEWAY, &gateway.octets())
        .with(libc::RTA_OIF, &index.to_ne_bytes());
    socket
        .ask(message)
        .map_err(NetworkError::netlink("add the default route via", gateway))
}

/// Tells the hardware address for good, so that nobody has to ask by ARP.
pub(super) fn add_neighbour(
    socket: &mut Socket,
    index: u32,
    address: Ipv4Addr,
    hardware: [u8; 6],
) -> Result<(), NetworkError> {
    // struct ndmsg: family, padding, interface, state, flags, type.
    let mut header = [0; 12];
    header[0] = libc::AF_INET as u8;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
    let message = Message::new(libc::RTM_NEWNEIGH, FLAG_CREATE | FLAG_REPLACE, &header)
        .with(libc::NDA_DST, &address.octets())
        .with(libc::NDA_LLADDR, &hardware);
    socket
        .ask(message)
        .map_err(NetworkError::netlink("add the neighbour", address))
}

fn address_message(kind: u16, flags: u16, index: u32, address: Ipv4Addr, scope: u8) -> Message {
    // struct ifaddrmsg: family, prefix length, flags, scope, interface.
    let mut header = [libc::AF_INET as u8, 32, 0, scope, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    Message::new(kind, flags, &header)
        .with(libc::IFA_LOCAL, &address.octets())
        .with(libc::IFA_ADDRESS, &address.octets())
}

fn unreachable_message(kind: u16, flags: u16, range: Cidr) -> Message {
    let header = route_header(range.prefix_length(), libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE);
    Message::new(kind, flags, &header).with(libc::RTA_DST, &range.address().octets())
}

/// `struct rtmsg`: family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
fn route_header(destination_length: u8, scope: u8, kind: u8) -> [u8; 12] {
    let table = libc::RT_TABLE_MAIN;
    [
        libc::AF_INET as u8,
        destination_length,
        0,
        0,
        table,
        PROTOCOL_MINIK,
        scope,
        kind,
        0,
        0,
        0,
        0,
    ]
}

fn absent_is_fine(
    answer: Result<(), Errno>,
    absent: Errno,
    act: &'static str,
    thing: impl ToString,
) -> Result<(), NetworkError> {
    match answer {
        Err(errno) if errno == absent => Ok(()),
        other => other.map_err(NetworkError::netlink(act, thing)),
    }
}
