//! A range of IPv4 addresses: `10.88.0.0/16`. Parsed once at the door.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A range of IPv4 addresses with room for a gateway and at least one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    first: u32,
    prefix_length: u8,
}

/// The text is no usable range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no IPv4 range: expected an address, a slash and 8 to 30, like 10.88.0.0/16")]
pub struct InvalidCidr(String);

impl Cidr {
    /// The first address, with all host bits zero.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::from(self.first)
    }

    /// How many leading bits are the network's.
    pub fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// The mask of the network's bits.
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::MAX << (32 - u32::from(self.prefix_length)))
    }

    /// The node's own address in the range: the first after the network's.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(self.first + 1)
    }

    /// How many pods have an address: all but the network's, the node's and the broadcast address.
    pub fn host_count(self) -> u32 {
        (1 << (32 - u32::from(self.prefix_length))) - 3
    }

    /// The address of the pod with this number, 0 up to [`Cidr::host_count`].
    pub fn host(self, number: u32) -> Ipv4Addr {
        assert!(number < self.host_count(), "pod number {number} is outside {self}");
        Ipv4Addr::from(self.first + 2 + number)
    }

    /// The number of the pod with this address.
    pub fn host_number(self, address: Ipv4Addr) -> Option<u32> {
        u32::from(address)
            .checked_sub(self.first + 2)
            .filter(|number| *number < self.host_count())
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Cidr, InvalidCidr> {
        let invalid = || InvalidCidr(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(invalid)?;
        let address: Ipv4Addr = address.parse().map_err(|_| invalid())?;
        let prefix_length = length
            .parse()
            .ok()
            .filter(|length| (8..=30).contains(length))
            .ok_or_else(invalid)?;
        let mask = u32::MAX << (32 - u32::from(prefix_length));
        Ok(Cidr {
            first: u32::from(address) & mask,
            prefix_length,
        })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.prefix_length)
    }
}

impl TryFrom<String> for Cidr {
    type Error = InvalidCidr;

    fn try_from(text: String) -> Result<Cidr, InvalidCidr> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_normalized_and_counted() {
        let range: Cidr = "10.88.7.9/24".parse().expect("a range");
        assert_eq!(range.to_string(), "10.88.7.0/24");
        assert_eq!(range.gateway(), Ipv4Addr::new(10, 88, 7, 1));
        assert_eq!(range.mask(), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(range.host_count(), 253);
        assert_eq!(range.host(252), Ipv4Addr::new(10, 88, 7, 254));
        assert_eq!(range.host_number(Ipv4Addr::new(10, 88, 7, 2)), Some(0));
        for outside in ["10.88.7.0", "10.88.7.1", "10.88.7.255", "10.88.8.2", "9.0.0.1"] {
            assert_eq!(
                range.host_number(outside.parse().expect("an address")),
                None,
                "{outside}"
            );
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0/8",
            "10.0.0.0/31",
            "10.0.0.0/0",
            "fd00::/64",
            "10.0.0.0/+8x",
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(InvalidCidr(text.to_owned())));
        }
    }
}
