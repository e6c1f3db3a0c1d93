//! Kubernetes' addresses and ranges: `ip("::1").isLoopback()`, `cidr("10.0.0.0/8").containsIP("10.1.2.3")`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Maybe;
use crate::cel::Failure;
use crate::cel::value::Value;

/// `ip`, `isIP`, `cidr`, `isCIDR`.
pub(super) fn make<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    let [Value::Text(text)] = values else { return Ok(None) };
    Ok(Some(match name {
        "isIP" => Value::Bool(ip(text).is_some()),
        "isCIDR" => Value::Bool(cidr(text).is_some()),
        "ip" => {
            Value::Ip(ip(text).ok_or_else(|| {
                Failure::new(format!("IP Address {text:?} parse error during conversion from string"))
            })?)
        }
        "cidr" => {
            let (ip, bits) = cidr(text).ok_or_else(|| {
                Failure::new(format!(
                    "network address parse error during conversion from string: {text:?}"
                ))
            })?;
            Value::Cidr(ip, bits)
        }
        _ => return Ok(None),
    }))
}

/// `ip.isCanonical(text)`
pub(super) fn canonical<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    match (name, values) {
        ("isCanonical", [Value::Text(text)]) => match ip(text) {
            Some(ip) => Ok(Some(Value::Bool(ip.to_string() == **text))),
            None => Err(Failure::new(format!(
                "IP Address {:?} parse error during conversion from string",
                &**text
            ))),
        },
        _ => Ok(None),
    }
}

/// A function of an address or range.
pub(super) fn call<'a>(name: &str, values: &[Value<'a>]) -> Maybe<'a> {
    match values {
        [Value::Ip(ip)] => Ok(of_address(name, *ip)),
        [Value::Cidr(ip, bits), rest @ ..] => of_range(name, *ip, *bits, rest),
        _ => Ok(None),
    }
}

fn of_address<'a>(name: &str, ip: IpAddr) -> Option<Value<'a>> {
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.segments()[0] & 0xff0f == 0xff02),
    };
    Some(match name {
        "family" => Value::Int(if ip.is_ipv4() { 4 } else { 6 }),
        "isUnspecified" => Value::Bool(ip.is_unspecified()),
        "isLoopback" => Value::Bool(ip.is_loopback()),
        "isLinkLocalUnicast" => Value::Bool(link_local),
        "isLinkLocalMulticast" => Value::Bool(link_local_multicast),
        "isGlobalUnicast" => {
            let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
            Value::Bool(!ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !link_local && !broadcast)
        }
        _ => return None,
    })
}

fn of_range<'a>(name: &str, ip: IpAddr, bits: u8, rest: &[Value<'a>]) -> Maybe<'a> {
    Ok(Some(match (name, rest) {
        ("ip", []) => Value::Ip(ip),
        ("prefixLength", []) => Value::Int(bits.into()),
        ("masked", []) => Value::Cidr(masked(ip, bits), bits),
        ("containsIP", [other]) => {
            let other = match other {
                Value::Ip(other) => *other,
                Value::Text(text) => self::ip(text).ok_or_else(|| {
                    Failure::new(format!(
                        "IP Address {:?} parse error during conversion from string",
                        &**text
                    ))
                })?,
                _ => return Ok(None),
            };
            Value::Bool(holds(ip, bits, other))
        }
        ("containsCIDR", [other]) => {
            let (other, others) = match other {
                Value::Cidr(other, others) => (*other, *others),
                Value::Text(text) => cidr(text)
                    .ok_or_else(|| Failure::new("network address parse error during conversion from string"))?,
                _ => return Ok(None),
            };
            Value::Bool(bits <= others && holds(ip, bits, other))
        }
        _ => return Ok(None),
    }))
}

/// IPv4 in IPv6 and zones are refused, as upstream refuses them.
fn ip(text: &str) -> Option<IpAddr> {
    let ip: IpAddr = text.parse().ok()?;
    match ip {
        IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => None,
        _ => Some(ip),
    }
}

fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address = ip(address)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let plain = bits == "0" || !bits.starts_with('0');
    let bits: u8 = bits.parse().ok().filter(|bits| *bits <= most && plain)?;
    Some((address, bits))
}

fn holds(ip: IpAddr, bits: u8, other: IpAddr) -> bool {
    ip.is_ipv4() == other.is_ipv4() && masked(ip, bits) == masked(other, bits)
}

fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(ip) & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            Ipv6Addr::from(u128::from(ip) & mask).into()
        }
    }
}
