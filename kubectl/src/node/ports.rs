//! Which port a program gets when its own is taken, and who has taken it.
//!
//! A port is free when it can be bound, on both loopback addresses where IPv6 exists. The holder is looked up in
//! `/proc/net/tcp` (socket to inode) and `/proc/PID/fd` (inode to process), which works without any tool.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use super::instance::port_candidates;

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its command line, cut to what fits a message.
    pub command: String,
}

/// A port was taken, and by whom as far as that can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which port.
    pub port: u16,
    /// None when this process may not see it.
    pub holder: Option<Holder>,
}

/// What came of looking for a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// None: all candidates were taken.
    pub(super) port: Option<u16>,
    pub(super) taken: Vec<Taken>,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "port {} is taken by ", self.port)?;
        match &self.holder {
            Some(holder) => write!(f, "{} (pid {})", holder.command, holder.pid),
            None => {
                f.write_str("a process that this user cannot see, or one of another network namespace or of Windows")
            }
        }
    }
}

/// The wanted port if it is free, else the next free of the fixed list; `fixed` allows no other.
pub(super) fn choose(wanted: u16, fixed: bool, addresses: &[IpAddr]) -> Choice {
    choose_by(wanted, fixed, |port| is_free(port, addresses))
}

fn choose_by(wanted: u16, fixed: bool, free: impl Fn(u16) -> bool) -> Choice {
    let count = if fixed { 1 } else { usize::MAX };
    let mut taken = Vec::new();
    for port in port_candidates(wanted).take(count) {
        if free(port) {
            return Choice {
                port: Some(port),
                taken,
            };
        }
        taken.push(Taken {
            port,
            holder: holder(port),
        });
    }
    Choice { port: None, taken }
}

/// Both loopback addresses: where the API server listens.
pub(super) const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Whether `port` can be bound on all of `addresses` that this machine has.
pub(super) fn is_free(port: u16, addresses: &[IpAddr]) -> bool {
    addresses
        .iter()
        .all(|address| match TcpListener::bind(SocketAddr::new(*address, port)) {
            Ok(_) => true,
            // Without IPv6 nobody can take the port there.
            Err(error) => {
                error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
            }
        })
}

/// Who listens on `port`, on any address.
pub(super) fn holder(port: u16) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<u64> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| has_descriptor(*pid, &links))?;
    Some(Holder {
        pid,
        command: command(pid),
    })
}

/// The inodes of sockets that listen on `port`: proc(5), `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let ending = format!(":{port:04X}");
    let listening = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        (local.ends_with(&ending) && *state == LISTEN).then(|| inode.parse().ok())?
    });
    listening.collect()
}

fn has_descriptor(pid: u32, links: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| links.iter().any(|link| Path::new(link) == target))
}

/// The command line, cut to what fits a message.
fn command(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let text = words.join(" ");
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000
   1: 0100007F:192B 0100007F:8888 01 00000000:00000000 00:00000000 00000000     0        0 99999 1 0000000000000000
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0000000000000000
   3: garbage
";

    #[test]
    fn listening_sockets_are_told_from_connections() {
        assert_eq!(listening_inodes(TABLE, 6443), [12345]);
        assert_eq!(listening_inodes(TABLE, 22), [777]);
        assert_eq!(listening_inodes(TABLE, 80), [0_u64; 0]);
    }

    #[test]
    fn the_next_free_port_of_the_list_is_taken() {
        let choice = choose_by(6443, false, |port| port > 20_000);
        assert_eq!(choice.port, Some(26_443));
        assert_eq!(
            choice.taken.iter().map(|taken| taken.port).collect::<Vec<_>>(),
            [6443, 16_443]
        );
        assert_eq!(choose_by(6443, true, |port| port > 20_000).port, None);
        assert_eq!(choose_by(6443, false, |_| false).port, None);
    }

    #[test]
    fn the_holder_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
        let port = listener.local_addr().expect("is bound").port();
        assert!(!is_free(port, &LOOPBACK));
        let holder = holder(port).expect("it is this very process");
        assert_eq!(holder.pid, std::process::id());
        assert!(holder.command.contains("minikctl"), "{}", holder.command);
        drop(listener);
        assert!(is_free(port, &LOOPBACK));
    }
}
