//! The API server as a process of its own, as a node runs it: `minikctl apiserver` with a fresh store.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use minik_tests::executable;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::client::{Connection, Door};
use crate::credentials;

/// A running API server.
pub(crate) struct Program {
    directory: TempDir,
    port: u16,
    child: Child,
}

impl Program {
    pub(crate) fn start() -> Self {
        let directory = TempDir::with_prefix("minik-").expect("a temporary folder");
        credentials::write(directory.path());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let child = spawn(directory.path(), port);
        Self { directory, port, child }
    }

    pub(crate) fn door(&self) -> Door {
        Door::new(self.directory.path(), self.port)
    }

    /// A connection, once the server serves.
    pub(crate) async fn open(&self) -> Connection {
        let door = self.door();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(connection) = door.knock().await {
                return connection;
            }
            assert!(
                Instant::now() < deadline,
                "the API server doesn't serve; its log is above"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Stops it as a node does, and starts it on the same store; gives the time from the start to the first answer.
    pub(crate) async fn restart(&mut self) -> Duration {
        self.end();
        let begin = Instant::now();
        self.child = spawn(self.directory.path(), self.port);
        self.open().await.get("/api/v1/namespaces/default").await;
        begin.elapsed()
    }

    /// Memory that is its own, and its part of what it shares.
    pub(crate) fn pss_bytes(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).expect("it runs");
        let line = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .expect("the kernel tells");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Time on a core so far.
    pub(crate) fn busy(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit_once(") ").expect("proc(5)").1.split(' ').collect();
        let ticks: u64 = [11, 12]
            .iter()
            .map(|&at| fields[at].parse::<u64>().expect("a number"))
            .sum();
        Duration::from_millis(ticks * 10)
    }

    fn end(&mut self) {
        // It has ended already if this fails.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(directory: &Path, port: u16) -> Child {
    let at = |name: &str| directory.join(name);
    let mut command = Command::new(executable::minikctl());
    command.arg("apiserver").arg("--data-dir").arg(at("data"));
    command.args(["--bind-address", "127.0.0.1", "--port", &port.to_string()]);
    command.arg("--tls-cert-file").arg(at("server.crt"));
    command.arg("--tls-private-key-file").arg(at("server.key"));
    command.arg("--client-ca-file").arg(at("ca.crt"));
    command.spawn().expect("the executable runs")
}
