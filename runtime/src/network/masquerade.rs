//! The one nftables rule: what leaves the pod range takes the node's address, so that answers find back.
//!
//! ```text
//! table ip minik-default {
//!     chain postrouting {
//!         type nat hook postrouting priority srcnat
//!         ip saddr & mask == range, ip daddr & mask != range, masquerade
//!     }
//! }
//! ```
//! Sent as one nfnetlink batch, which the kernel takes as a whole or not at all. A kernel without the `nat` chain type or
//! the `masq` expression refuses it, and pods then reach the node and each other, and nothing beyond.

use nix::errno::Errno;

use super::netlink::{FLAG_APPEND, FLAG_CREATE, Message, Socket};
use super::{Cidr, NetworkError};

const CHAIN: &str = "postrouting";
/// `NF_IP_PRI_NAT_SRC` of linux/netfilter_ipv4.h.
const PRIORITY_SOURCE_NAT: i32 = 100;
/// Where addresses stand in an IPv4 header (RFC 791, section 3.1).
const SOURCE_OFFSET: u32 = 12;
const DESTINATION_OFFSET: u32 = 16;
const ADDRESS_LENGTH: u32 = 4;

// linux/netfilter/nfnetlink.h
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

/// Attributes of linux/netfilter/nf_tables.h, which the libc crate doesn't have; each kind of message counts from 1.
mod attribute {
    pub(super) const TABLE_NAME: u16 = 1;
    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_TYPE: u16 = 7;
    pub(super) const HOOK_HOOKNUM: u16 = 1;
    pub(super) const HOOK_PRIORITY: u16 = 2;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const LIST_ELEM: u16 = 1;
    pub(super) const EXPR_NAME: u16 = 1;
    pub(super) const EXPR_DATA: u16 = 2;
    pub(super) const DATA_VALUE: u16 = 1;
    pub(super) const PAYLOAD_DREG: u16 = 1;
    pub(super) const PAYLOAD_BASE: u16 = 2;
    pub(super) const PAYLOAD_OFFSET: u16 = 3;
    pub(super) const PAYLOAD_LEN: u16 = 4;
    pub(super) const BITWISE_SREG: u16 = 1;
    pub(super) const BITWISE_DREG: u16 = 2;
    pub(super) const BITWISE_LEN: u16 = 3;
    pub(super) const BITWISE_MASK: u16 = 4;
    pub(super) const BITWISE_XOR: u16 = 5;
    pub(super) const CMP_SREG: u16 = 1;
    pub(super) const CMP_OP: u16 = 2;
    pub(super) const CMP_DATA: u16 = 3;
}

/// Adds the rule, in a table of the instance's own; an older one of the same name is replaced in the same step.
pub(super) fn install(table: &str, range: Cidr) -> Result<(), NetworkError> {
    let table_message = |kind: i32, flags: u16| message(kind, flags).with_name(attribute::TABLE_NAME, table);
    let messages = vec![
        // Deleting what isn't there is an error, adding what is there isn't: so add, delete, add.
        table_message(libc::NFT_MSG_NEWTABLE, FLAG_CREATE),
        table_message(libc::NFT_MSG_DELTABLE, 0),
        table_message(libc::NFT_MSG_NEWTABLE, FLAG_CREATE),
        chain(table),
        rule(table, range),
    ];
    send(messages).map_err(NetworkError::netlink(
        "pods reach the node and each other but nothing beyond: the kernel refuses the NAT rule (nf_tables, nft_chain_nat \
         and nft_masq are needed), in the nftables table",
        table,
    ))
}

/// Removes the table with everything in it.
pub(super) fn remove(table: &str) -> Result<(), NetworkError> {
    let delete = message(libc::NFT_MSG_DELTABLE, 0).with_name(attribute::TABLE_NAME, table);
    match send(vec![delete]) {
        // Nothing there, or a kernel that has no nftables at all.
        Ok(()) | Err(Errno::ENOENT | Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(()),
        Err(errno) => Err(NetworkError::netlink("remove the nftables table", table)(errno)),
    }
}

fn send(messages: Vec<Message>) -> Result<(), Errno> {
    let mark = |kind| Message::mark(kind, &generic(libc::AF_UNSPEC, libc::NFNL_SUBSYS_NFTABLES as u16));
    Socket::netfilter()?.ask_batch(mark(BATCH_BEGIN), messages, mark(BATCH_END))
}

fn message(kind: i32, flags: u16) -> Message {
    let kind = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | kind as u16;
    Message::new(kind, flags, &generic(libc::NFPROTO_IPV4, 0))
}

/// `struct nfgenmsg`: family, version, and the subsystem for a batch's marks.
fn generic(family: i32, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family as u8, libc::NFNETLINK_V0 as u8, high, low]
}

fn chain(table: &str) -> Message {
    message(libc::NFT_MSG_NEWCHAIN, FLAG_CREATE)
        .with_name(attribute::CHAIN_TABLE, table)
        .with_name(attribute::CHAIN_NAME, CHAIN)
        .nest(nested(attribute::CHAIN_HOOK), &[], |hook| {
            hook.with(
                attribute::HOOK_HOOKNUM,
                &(libc::NF_INET_POST_ROUTING as u32).to_be_bytes(),
            )
            .with(attribute::HOOK_PRIORITY, &PRIORITY_SOURCE_NAT.to_be_bytes())
        })
        .with_name(attribute::CHAIN_TYPE, "nat")
}

fn rule(table: &str, range: Cidr) -> Message {
    message(libc::NFT_MSG_NEWRULE, FLAG_CREATE | FLAG_APPEND)
        .with_name(attribute::RULE_TABLE, table)
        .with_name(attribute::RULE_CHAIN, CHAIN)
        .nest(nested(attribute::RULE_EXPRESSIONS), &[], |list| {
            let list = compare_address(list, SOURCE_OFFSET, range, libc::NFT_CMP_EQ);
            let list = compare_address(list, DESTINATION_OFFSET, range, libc::NFT_CMP_NEQ);
            expression(list, "masq", |data| data)
        })
}

/// Loads an address from the packet's header, masks it and compares it with the range.
fn compare_address(list: Message, offset: u32, range: Cidr, comparison: i32) -> Message {
    let register = (libc::NFT_REG_1 as u32).to_be_bytes();
    let value = |message: Message, bytes: [u8; 4]| message.with(attribute::DATA_VALUE, &bytes);
    let list = expression(list, "payload", |data| {
        data.with(attribute::PAYLOAD_DREG, &register)
            .with(
                attribute::PAYLOAD_BASE,
                &(libc::NFT_PAYLOAD_NETWORK_HEADER as u32).to_be_bytes(),
            )
            .with(attribute::PAYLOAD_OFFSET, &offset.to_be_bytes())
            .with(attribute::PAYLOAD_LEN, &ADDRESS_LENGTH.to_be_bytes())
    });
    let list = expression(list, "bitwise", |data| {
        data.with(attribute::BITWISE_SREG, &register)
            .with(attribute::BITWISE_DREG, &register)
            .with(attribute::BITWISE_LEN, &ADDRESS_LENGTH.to_be_bytes())
            .nest(nested(attribute::BITWISE_MASK), &[], |mask| {
                value(mask, range.mask().octets())
            })
            .nest(nested(attribute::BITWISE_XOR), &[], |xor| value(xor, [0; 4]))
    });
    expression(list, "cmp", |data| {
        data.with(attribute::CMP_SREG, &register)
            .with(attribute::CMP_OP, &(comparison as u32).to_be_bytes())
            .nest(nested(attribute::CMP_DATA), &[], |data| {
                value(data, range.address().octets())
            })
    })
}

fn expression(list: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    list.nest(nested(attribute::LIST_ELEM), &[], |element| {
        element
            .with_name(attribute::EXPR_NAME, name)
            .nest(nested(attribute::EXPR_DATA), &[], data)
    })
}

/// nftables wants nested attributes marked as such.
fn nested(kind: u16) -> u16 {
    kind | libc::NLA_F_NESTED as u16
}
