//! Netlink messages and the socket they go through: netlink(7), and no more of it than routes, links and nftables need.
//!
//! The same few lines write both families' messages, so neither needs a library with a task of its own; calls are answered
//! before `send` returns, so nothing here waits. What the messages mean is said where they are made.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

/// Length of `struct nlmsghdr`.
const HEADER_LENGTH: usize = 16;
const ALIGNMENT: usize = 4;

const FLAG_REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const FLAG_ACK: u16 = libc::NLM_F_ACK as u16;
/// Make it if it isn't there.
pub(super) const FLAG_CREATE: u16 = libc::NLM_F_CREATE as u16;
/// Fail if it is there.
pub(super) const FLAG_EXCL: u16 = libc::NLM_F_EXCL as u16;
/// Replace what is there.
pub(super) const FLAG_REPLACE: u16 = libc::NLM_F_REPLACE as u16;
/// Put it after what is there.
pub(super) const FLAG_APPEND: u16 = libc::NLM_F_APPEND as u16;

/// One message: a header, a fixed part that depends on the kind, and attributes.
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Begins a message that the kernel answers with an acknowledgement or an error.
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        Message::begin(kind, flags | FLAG_REQUEST | FLAG_ACK, fixed)
    }

    /// Begins one that the kernel doesn't answer: the marks around a batch.
    pub(super) fn mark(kind: u16, fixed: &[u8]) -> Message {
        Message::begin(kind, FLAG_REQUEST, fixed)
    }

    fn begin(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        let mut bytes = vec![0; HEADER_LENGTH];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        let mut message = Message { bytes };
        message.append(fixed);
        message
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Message {
        self.append(&attribute_header(kind, value.len()));
        self.append(value);
        self
    }

    /// Adds an attribute that is a string, with its NUL.
    pub(super) fn with_name(self, kind: u16, name: &str) -> Message {
        let mut value = name.as_bytes().to_vec();
        value.push(0);
        self.with(kind, &value)
    }

    /// Adds an attribute that holds what `inner` adds. `fixed` comes before its attributes.
    pub(super) fn nest(mut self, kind: u16, fixed: &[u8], inner: impl FnOnce(Message) -> Message) -> Message {
        let start = self.bytes.len();
        self.append(&attribute_header(kind, 0));
        self.append(fixed);
        let mut message = inner(self);
        let length = message.bytes.len() - start - ALIGNMENT;
        message.bytes[start..start + ALIGNMENT].copy_from_slice(&attribute_header(kind, length));
        message
    }

    fn append(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).expect("messages are a few hundred bytes");
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// `struct nlattr`: length with the header but without padding, then the kind.
fn attribute_header(kind: u16, value_length: usize) -> [u8; ALIGNMENT] {
    let length = u16::try_from(value_length + ALIGNMENT).expect("attributes are a few hundred bytes");
    let mut header = [0; ALIGNMENT];
    header[..2].copy_from_slice(&length.to_ne_bytes());
    header[2..].copy_from_slice(&kind.to_ne_bytes());
    header
}

/// A netlink socket. It belongs to the network namespace of the thread that opened it, for as long as it lives.
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Links, addresses, routes and neighbours: rtnetlink(7).
    pub(super) fn route() -> Result<Socket, Errno> {
        Socket::open(SockProtocol::NetlinkRoute)
    }

    /// The firewall: the nfnetlink family.
    pub(super) fn netfilter() -> Result<Socket, Errno> {
        Socket::open(SockProtocol::NetlinkNetFilter)
    }

    fn open(protocol: SockProtocol) -> Result<Socket, Errno> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        Ok(Socket { fd, sequence: 0 })
    }

    /// Asks the kernel for one thing, and returns when it is done.
    pub(super) fn ask(&mut self, message: Message) -> Result<(), Errno> {
        self.sequence += 1;
        self.send(&message.finish(self.sequence))?;
        self.receive(&[self.sequence])
    }

    /// Asks for several at once; the kernel does all or none if it is a batch of nftables.
    pub(super) fn ask_batch(&mut self, begin: Message, messages: Vec<Message>, end: Message) -> Result<(), Errno> {
        let first = self.sequence + 2;
        let mut bytes = Vec::new();
        let mut waiting = Vec::new();
        let last = messages.len() + 1;
        for (index, message) in std::iter::once(begin).chain(messages).chain([end]).enumerate() {
            self.sequence += 1;
            bytes.extend(message.finish(self.sequence));
            if index != 0 && index != last {
                waiting.push(self.sequence);
            }
        }
        debug_assert_eq!(waiting.first(), Some(&first));
        self.send(&bytes)?;
        self.receive(&waiting)
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        sendto(self.fd.as_raw_fd(), bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty()).map(drop)
    }

    /// Reads answers until each awaited one is there, and returns the first error.
    fn receive(&self, awaited: &[u32]) -> Result<(), Errno> {
        let mut answered = 0;
        let mut buffer = vec![0; 16 * 1024];
        let mut result = Ok(());
        while answered < awaited.len() {
            let length = recv(self.fd.as_fd().as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            for (sequence, code) in answers(&buffer[..length]) {
                if awaited.contains(&sequence) {
                    answered += 1;
                } else if code == 0 {
                    continue;
                }
                if code != 0 {
                    result = result.and(Err(Errno::from_raw(-code)));
                    if !awaited.contains(&sequence) {
                        // The batch as a whole was refused (its mark is what the error is about): no more answers come.
                        return result;
                    }
                }
            }
        }
        result
    }
}

/// The acknowledgements in one datagram: sequence number and code, 0 or a negative errno.
fn answers(mut bytes: &[u8]) -> Vec<(u32, i32)> {
    let mut found = Vec::new();
    while bytes.len() >= HEADER_LENGTH {
        let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        let sequence = u32::from_ne_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if length < HEADER_LENGTH || length > bytes.len() {
            break;
        }
        if kind == libc::NLMSG_ERROR as u16
            && let Some(code) = bytes.get(HEADER_LENGTH..HEADER_LENGTH + 4)
        {
            found.push((sequence, i32::from_ne_bytes([code[0], code[1], code[2], code[3]])));
        }
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_headers_and_nesting_but_no_padding_of_values() {
        let bytes = Message::new(16, FLAG_CREATE, &[1, 2, 3, 4])
            .with_name(3, "ab")
            .nest(18, &[], |inner| inner.with(1, &[9; 5]))
            .finish(7);
        assert_eq!(bytes.len(), 16 + 4 + 8 + 4 + 12);
        assert_eq!(bytes[..4], 44_u32.to_ne_bytes());
        assert_eq!(bytes[8..12], 7_u32.to_ne_bytes());
        assert_eq!(bytes[20..28], [7, 0, 3, 0, b'a', b'b', 0, 0]);
        assert_eq!(bytes[28..36], [16, 0, 18, 0, 9, 0, 1, 0]);
    }

    #[test]
    fn cut_answers_are_ignored() {
        let mut answer = Message::mark(2, &(-17_i32).to_ne_bytes()).finish(5);
        assert_eq!(answers(&answer), [(5, -17)]);
        answer.truncate(18);
        assert_eq!(answers(&answer), []);
        assert_eq!(answers(&[0; 64]), []);
    }
}
