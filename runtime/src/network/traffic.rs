//! How much went through a pod's interface, as the kernel counts it in `/proc/<pid>/net/dev` of its network namespace.

use std::fs;
use std::io;

use super::links::POD_INTERFACE;

/// Counters of one interface since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that came in.
    pub received_bytes: u64,
    /// Packets that came in damaged or were dropped.
    pub receive_errors: u64,
    /// Bytes that went out.
    pub sent_bytes: u64,
    /// Packets that couldn't be sent.
    pub send_errors: u64,
}

/// Reads the counters of the pod that `pid` is in; none if it has no interface of its own.
pub fn read_traffic(pid: u32) -> io::Result<Option<Traffic>> {
    Ok(parse(&fs::read_to_string(format!("/proc/{pid}/net/dev"))?))
}

/// proc(5): two lines of headings, then `name: ` with eight counters received and eight sent.
fn parse(text: &str) -> Option<Traffic> {
    let line = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(POD_INTERFACE)?.strip_prefix(':'))?;
    let counters: Vec<u64> = line
        .split_whitespace()
        .map_while(|number| number.parse().ok())
        .collect();
    Some(Traffic {
        received_bytes: *counters.first()?,
        receive_errors: *counters.get(2)?,
        sent_bytes: *counters.get(8)?,
        send_errors: *counters.get(10)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_line_is_found() {
        let text = "Inter-|   Receive                                                |  Transmit\n\
                    \x20face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n\
                    \x20   lo:       1       2    3    4    0     0          0         0       5       6    7    8    0     0       0          0\n\
                    \x20 eth0:    4242      10    1    0    0     0          0         0     777       9    2    0    0     0       0          0\n";
        let expected = Traffic {
            received_bytes: 4242,
            receive_errors: 1,
            sent_bytes: 777,
            send_errors: 2,
        };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("    lo: 1 2 3"), None);
        assert_eq!(parse("  eth0: 1 2"), None);
    }
}
