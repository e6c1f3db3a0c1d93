//! An IPv4 range in CIDR notation, checked once at the door (`--pod-cidr`, `--service-cidr`).

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 network: the address with all host bits zero, and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    network: Ipv4Addr,
    prefix: u8,
}

/// Why a text is no usable range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// Not `a.b.c.d/n`.
    #[error("{0:?} is not an IPv4 range: expected something like 10.244.0.0/16")]
    Syntax(String),
    /// Bits below the prefix are set, which is nearly always a slip.
    #[error("{text:?} has bits set below its prefix: did you mean {network}/{prefix}?")]
    HostBits {
        /// What was given.
        text: String,
        /// The network that the address lies in.
        network: Ipv4Addr,
        /// The prefix as given.
        prefix: u8,
    },
    /// Too small to give addresses to pods or services, or absurdly large.
    #[error("{0:?} has to have a prefix between /8 and /28")]
    Size(String),
}

impl Cidr {
    /// The range `network/prefix`. Used for constants and derived ranges, whose host bits are zero by construction.
    pub(super) const fn new(network: Ipv4Addr, prefix: u8) -> Self {
        Self { network, prefix }
    }

    /// The first address that can be given away: the API server's own service has it in the service range.
    #[must_use]
    pub fn first_host(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() + 1)
    }

    /// The network's address.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        self.network
    }

    /// The prefix' length in bits.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether both ranges share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.network.to_bits() & shorter == other.network.to_bits() & shorter
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let syntax = || InvalidCidr::Syntax(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(syntax)?;
        let address: Ipv4Addr = address.parse().map_err(|_| syntax())?;
        let prefix: u8 = prefix.parse().map_err(|_| syntax())?;
        if !(8..=28).contains(&prefix) {
            return Err(InvalidCidr::Size(text.to_owned()));
        }
        let network = Ipv4Addr::from_bits(address.to_bits() & mask(prefix));
        if network != address {
            return Err(InvalidCidr::HostBits {
                text: text.to_owned(),
                network,
                prefix,
            });
        }
        Ok(Self { network, prefix })
    }
}

impl TryFrom<String> for Cidr {
    type Error = InvalidCidr;

    fn try_from(text: String) -> Result<Self, InvalidCidr> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect("a range of the table")
    }

    #[test]
    fn ranges_are_checked_at_the_door() {
        assert_eq!(cidr("10.96.0.0/16").first_host(), Ipv4Addr::new(10, 96, 0, 1));
        assert_eq!(cidr("10.244.0.0/16").to_string(), "10.244.0.0/16");
        for text in ["", "10.0.0.0", "10.0.0/8", "10.0.0.0/x", "::/8", "10.0.0.0/33/1"] {
            assert_eq!(text.parse::<Cidr>(), Err(InvalidCidr::Syntax(text.to_owned())));
        }
        for text in ["0.0.0.0/0", "10.0.0.0/29", "10.0.0.0/40"] {
            assert_eq!(text.parse::<Cidr>(), Err(InvalidCidr::Size(text.to_owned())));
        }
        let slip = "10.244.0.1/16".parse::<Cidr>().expect_err("host bits are set");
        assert!(slip.to_string().ends_with("did you mean 10.244.0.0/16?"), "{slip}");
    }

    #[test]
    fn overlap_is_symmetric_and_exact() {
        for (a, b, overlap) in [
            ("10.0.0.0/8", "10.244.0.0/16", true),
            ("10.244.0.0/16", "10.244.0.0/16", true),
            ("10.244.0.0/16", "10.245.0.0/16", false),
            ("10.160.1.0/24", "10.160.2.0/24", false),
        ] {
            assert_eq!(cidr(a).overlaps(cidr(b)), overlap, "{a} {b}");
            assert_eq!(cidr(b).overlaps(cidr(a)), overlap, "{b} {a}");
        }
    }
}
