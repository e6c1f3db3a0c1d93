//! The veth pair of a pod: made with its far end already in the pod's namespace, and both ends told of each other.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};

use super::netlink::{FLAG_CREATE, FLAG_EXCL, Message, Socket};
use super::{NetworkError, routes};

/// What the interface is called inside a pod.
pub(super) const POD_INTERFACE: &str = "eth0";

/// Where pods send what isn't for themselves. No interface has it: it stands for the other end of the cable.
pub(super) const LINK_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Hardware address of every pair's end on the node: a pair is its own network, so they can be the same.
const NODE_HARDWARE: [u8; 6] = [0xee, 0xee, 0xee, 0xee, 0xee, 0xee];

/// `VETH_INFO_PEER` of linux/veth.h.
const VETH_INFO_PEER: u16 = 1;

/// Makes the pair: the node's end named `interface` here, the pod's in `namespace`. The kernel can't open an end before the
/// other is there, so only the node's is up then.
pub(super) fn create_pair(
    socket: &mut Socket,
    interface: &str,
    address: Ipv4Addr,
    namespace: &File,
) -> Result<(), NetworkError> {
    let message = Message::new(libc::RTM_NEWLINK, FLAG_CREATE | FLAG_EXCL, &up(0))
        .with_name(libc::IFLA_IFNAME, interface)
        .with(libc::IFLA_ADDRESS, &NODE_HARDWARE)
        .nest(libc::IFLA_LINKINFO, &[], |info| {
            info.with_name(libc::IFLA_INFO_KIND, "veth")
                .nest(libc::IFLA_INFO_DATA, &[], |data| {
                    data.nest(VETH_INFO_PEER, &interface_header(0, 0, 0), |peer| {
                        peer.with_name(libc::IFLA_IFNAME, POD_INTERFACE)
                            .with(libc::IFLA_ADDRESS, &pod_hardware(address))
                            .with(libc::IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes())
                    })
                })
        });
    socket
        .ask(message)
        .map_err(NetworkError::netlink("create the veth pair", interface))
}

/// Gives the node's end its route and neighbour: the pod's address is there, and this is its hardware address.
pub(super) fn configure_node(
    socket: &mut Socket,
    interface: &str,
    address: Ipv4Addr,
    source: Ipv4Addr,
) -> Result<(), NetworkError> {
    let index = index_of(interface)?;
    routes::add_neighbour(socket, index, address, pod_hardware(address))?;
    routes::add_direct(socket, index, address, Some(source))
}

/// Gives the pod's end its address and routes, from a thread that enters the pod's namespace for it.
///
/// A thread of its own, since a namespace belongs to a thread and no other work may ever run in a pod's.
pub(super) fn configure_pod(path: &Path, namespace: &File, address: Ipv4Addr) -> Result<(), NetworkError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("pod-network".to_owned())
            .stack_size(64 * 1024)
            .spawn_scoped(scope, || {
                setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| NetworkError::Enter {
                    path: path.to_owned(),
                    errno,
                })?;
                let mut socket = Socket::route().map_err(NetworkError::Open)?;
                let index = index_of(POD_INTERFACE)?;
                socket
                    .ask(Message::new(libc::RTM_NEWLINK, 0, &up(index)))
                    .map_err(NetworkError::netlink("set up the interface", POD_INTERFACE))?;
                routes::add_address(&mut socket, index, address, libc::RT_SCOPE_UNIVERSE)?;
                routes::add_neighbour(&mut socket, index, LINK_GATEWAY, NODE_HARDWARE)?;
                routes::add_direct(&mut socket, index, LINK_GATEWAY, None)?;
                routes::add_default(&mut socket, index, LINK_GATEWAY)
            })
            .map_err(NetworkError::Thread)?
            .join()
            .expect("netlink calls don't panic")
    })
}

/// Removes an interface, and with it its other end.
pub(super) fn remove(socket: &mut Socket, interface: &str) -> Result<(), NetworkError> {
    let message =
        Message::new(libc::RTM_DELLINK, 0, &interface_header(0, 0, 0)).with_name(libc::IFLA_IFNAME, interface);
    match socket.ask(message) {
        Ok(()) | Err(Errno::ENODEV) => Ok(()),
        Err(errno) => Err(NetworkError::netlink("remove the interface", interface)(errno)),
    }
}

fn index_of(interface: &str) -> Result<u32, NetworkError> {
    if_nametoindex(interface).map_err(NetworkError::netlink("find the interface", interface))
}

/// Locally administered, and the pod's address in it: readable in a packet dump, unique in the node.
fn pod_hardware(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}

fn up(index: u32) -> [u8; 16] {
    interface_header(index, libc::IFF_UP as u32, libc::IFF_UP as u32)
}

/// `struct ifinfomsg`: family and type unset, index (0 for a new one or by name), flags, and which flags to change.
fn interface_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}
