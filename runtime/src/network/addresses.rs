//! Which addresses of the pod range are in use. Pure: the sandboxes' records on disk are what survives a restart.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use super::Cidr;

/// The pod range, and which of its addresses are taken.
pub(super) struct Addresses {
    range: Cidr,
    taken: HashSet<u32>,
    /// Where the search for a free one begins. It only moves on, so that an address that was just given back rests as long
    /// as possible: peers still have connections and caches that name it.
    next: u32,
}

impl Addresses {
    pub(super) fn new(range: Cidr) -> Addresses {
        Addresses {
            range,
            taken: HashSet::new(),
            next: 0,
        }
    }

    /// Takes a free address; none when all are taken.
    pub(super) fn take(&mut self) -> Option<Ipv4Addr> {
        let count = self.range.host_count();
        let number = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|number| !self.taken.contains(number))?;
        self.taken.insert(number);
        self.next = (number + 1) % count;
        Some(self.range.host(number))
    }

    /// Marks an address as taken. One outside the range (the range was changed) is nobody's.
    pub(super) fn reserve(&mut self, address: Ipv4Addr) {
        if let Some(number) = self.range.host_number(address) {
            self.taken.insert(number);
            self.next = (number + 1) % self.range.host_count();
        }
    }

    /// Gives an address back.
    pub(super) fn release(&mut self, address: Ipv4Addr) {
        if let Some(number) = self.range.host_number(address) {
            self.taken.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses::new("10.0.0.0/29".parse().expect("a range"))
    }

    fn last_bytes(addresses: &mut Addresses, count: usize) -> Vec<Option<u8>> {
        (0..count)
            .map(|_| addresses.take().map(|address| address.octets()[3]))
            .collect()
    }

    #[test]
    fn all_are_given_once_and_then_none() {
        assert_eq!(
            last_bytes(&mut addresses(), 6),
            [Some(2), Some(3), Some(4), Some(5), Some(6), None]
        );
    }

    #[test]
    fn what_was_given_back_comes_last() {
        let mut addresses = addresses();
        assert_eq!(last_bytes(&mut addresses, 2), [Some(2), Some(3)]);
        addresses.release(Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(
            last_bytes(&mut addresses, 5),
            [Some(4), Some(5), Some(6), Some(2), None]
        );
    }

    #[test]
    fn reserved_ones_are_not_given() {
        let mut addresses = addresses();
        addresses.reserve(Ipv4Addr::new(10, 0, 0, 3));
        addresses.reserve(Ipv4Addr::new(192, 168, 0, 3));
        assert_eq!(
            last_bytes(&mut addresses, 5),
            [Some(4), Some(5), Some(6), Some(2), None]
        );
    }
}
