//! A real registry on loopback: the distribution's docker-registry, started for one test.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Run;

/// Who may pull where a login is needed.
pub const USER: &str = "anna";
/// Their password.
pub const PASSWORD: &str = "correct horse";
/// bcrypt of [`PASSWORD`].
const HTPASSWD: &str = "anna:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n";

/// A running registry; it ends when this is dropped.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    port: u16,
    needs_login: bool,
    _folder: TempDir,
}

impl Registry {
    /// Starts one in this thread's network namespace.
    ///
    /// # Panics
    /// When it doesn't serve within ten seconds.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// Starts one that wants [`USER`]'s login for everything.
    ///
    /// # Panics
    /// When it doesn't serve within ten seconds.
    #[must_use]
    pub fn with_login() -> Self {
        Self::start_with(true)
    }

    fn start_with(needs_login: bool) -> Self {
        let folder = TempDir::with_prefix("registry-").expect("a temporary folder");
        let port = free_port();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n",
            folder.path().join("data").display()
        );
        if needs_login {
            let passwords = folder.path().join("htpasswd");
            fs::write(&passwords, HTPASSWD).expect("the registry's passwords are written");
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", passwords.display());
        }
        let file = folder.path().join("config.yml");
        fs::write(&file, config).expect("the registry's configuration is written");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry runs: tests/setup.sh installs it");
        let registry = Self {
            process,
            port,
            needs_login,
            _folder: folder,
        };
        registry.wait();
        registry
    }

    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Pushes an OCI archive under `name` (`library/nginx:stable`).
    ///
    /// # Panics
    /// When the push fails.
    pub fn push(&self, archive: &std::path::Path, name: &str) {
        let mut copy = Run::new("skopeo").args(["copy", "--insecure-policy", "--dest-tls-verify=false"]);
        if self.needs_login {
            copy = copy.args(["--dest-creds", &format!("{USER}:{PASSWORD}")]);
        }
        let _ = copy
            .args([
                format!("oci-archive:{}", archive.display()),
                format!("docker://{}/{name}", self.host()),
            ])
            .ok();
    }

    /// The registry has no way to say that it serves, so its port is knocked at.
    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(
                Instant::now() < deadline,
                "docker-registry does not serve on port {}",
                self.port
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It has ended already if these fail.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
