//! A way to a server that lets so many bytes through and then waits until the test opens it: a slow network that never makes
//! a test wait longer than it wants to.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// Forwards until it is dropped.
#[derive(Debug)]
pub struct Valve {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Gate {
    /// Bytes from the server that may still pass; none: all may.
    left: Option<usize>,
    is_over: bool,
}

impl Valve {
    /// A way to `server` (`127.0.0.1:PORT`), where the first `bytes` of its answers pass.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn before(server: String, bytes: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::<State>::default();
        state.set(|gate| gate.left = Some(bytes));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.is_over() {
                    break;
                }
                // A connection that breaks on one side breaks on the other.
                let _ = client.and_then(|client| forward(client, &server, &shared));
            }
        });
        Self { address, state }
    }

    /// Lets everything through.
    pub fn open(&self) {
        self.state.set(|gate| gate.left = None);
    }

    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.state.set(|gate| gate.is_over = true);
        // Wakes the listener up; it has ended already if this fails.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn set(&self, change: impl FnOnce(&mut Gate)) {
        change(&mut self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn is_over(&self) -> bool {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).is_over
    }

    /// Waits until some of `wanted` bytes may pass; none when it is over.
    fn pass(&self, wanted: usize) -> Option<usize> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gate = self
            .changed
            .wait_while(gate, |gate| gate.left == Some(0) && !gate.is_over)
            .unwrap_or_else(PoisonError::into_inner);
        if gate.is_over {
            return None;
        }
        let now = gate.left.map_or(wanted, |left| left.min(wanted));
        gate.left = gate.left.map(|left| left - now);
        Some(now)
    }
}

fn forward(client: TcpStream, server: &str, state: &Arc<State>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let (mut requests, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut requests, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let state = Arc::clone(state);
    thread::spawn(move || {
        let _ = answers(&server, &client, &state);
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn answers(mut server: &TcpStream, mut client: &TcpStream, state: &State) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = server.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut sent = 0;
        while sent < count {
            let Some(now) = state.pass(count - sent) else {
                return Ok(());
            };
            client.write_all(&buffer[sent..sent + now])?;
            sent += now;
        }
    }
}
