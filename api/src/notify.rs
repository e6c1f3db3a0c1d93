//! Telling whoever started this process that it serves now: the `sd_notify(3)` protocol.
//!
//! The supervisor of `minikctl up` listens on the socket named by `NOTIFY_SOCKET`, as systemd does, so each program can also
//! be a `Type=notify` unit. Nothing has to poll for a program's readiness.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says `READY=1`: the program's sockets accept and its state is loaded. Does nothing when nobody asked to be told.
///
/// # Errors
/// Those of sending a datagram to `NOTIFY_SOCKET`.
pub fn ready() -> io::Result<()> {
    send("READY=1")
}

/// Says `STATUS=...`, one line for people that `minikctl status` and `systemctl status` show.
///
/// # Errors
/// Those of sending a datagram to `NOTIFY_SOCKET`.
pub fn status(line: &str) -> io::Result<()> {
    send(&format!("STATUS={line}"))
}

fn send(message: &str) -> io::Result<()> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match path.to_string_lossy().strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}
