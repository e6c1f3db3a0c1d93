//! A server on loopback that gives every request the same answer, as registries in trouble do.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Answering {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Answering {
    /// Serves in this thread's network namespace: `status` is `429 Too Many Requests`, each header ends with `\r\n`.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn with(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let server = thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                // A client that hangs up gets no answer.
                let _ = client.and_then(|client| serve(client, &answer));
            }
        });
        Self {
            address,
            is_over,
            server: Some(server),
        }
    }

    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes it up; it has ended already if this fails.
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// The requests have no body: what is read up to the empty line is all of it.
fn serve(mut client: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    while !lines.next().transpose()?.unwrap_or_default().is_empty() {}
    client.write_all(answer.as_bytes())
}
