//! `proxy`: the API server on a port of this machine, with your credentials.
//!
//! ```text
//!   browser, curl ──HTTP──> filter (host, path, method) ─┬─> files below --www
//!                                                        └─> API server, as you
//! ```
//! Everybody who reaches the port is you; so it listens on this machine alone, and a web page that a browser has open can't
//! reach it either: the filter takes no other host's name (DNS rebinding), and none of what runs commands.

mod filter;
mod forward;
mod www;

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::Args;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::cli::Global;
use crate::client::Session;
use filter::Filter;
use forward::Forward;

/// Arguments of `proxy`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl proxy
  minikctl proxy --port=0                          # any free port
  minikctl proxy --www=page --www-prefix=/my/ --api-prefix=/api/
  minikctl proxy --unix-socket=/run/user/1000/kube.sock")]
pub struct Proxy {
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    address: IpAddr,
    /// The port to listen on; 0 means any free one.
    #[arg(short, long, default_value_t = 8001, value_name = "PORT")]
    port: u16,
    /// A socket to listen on in the place of a port.
    #[arg(short, long, value_name = "FILE")]
    unix_socket: Option<PathBuf>,
    /// Where the API is found.
    #[arg(long, default_value = "/", value_name = "PATH")]
    api_prefix: String,
    /// A folder to serve too.
    #[arg(short, long, value_name = "FOLDER")]
    www: Option<PathBuf>,
    /// Where its files are found.
    #[arg(short = 'P', long, default_value = "/static/", value_name = "PATH")]
    www_prefix: String,
    #[command(flatten)]
    rules: filter::Rules,
    /// Accepted as kubectl has it; connections are kept open anyway.
    #[arg(long, hide = true, value_name = "DURATION")]
    keepalive: Option<String>,
    /// Put the path of the kubeconfig's server before each path.
    #[arg(long, hide = true)]
    append_server_path: bool,
}

/// What each request goes through.
struct Door {
    filter: Filter,
    forward: Forward,
    www: Option<www::Www>,
}

impl Proxy {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let session = Session::open(global).await?;
        let door = Arc::new(Door {
            filter: Filter::new(&self.rules).map_err(|problem| anyhow!("{problem}"))?,
            forward: Forward::new(session.kube.clone(), &self.api_prefix),
            www: self.www.map(|folder| www::Www::new(folder, &self.www_prefix)),
        });
        if self.rules.disable_filter {
            let warning = "Request filter disabled, your proxy is vulnerable to XSRF attacks, please be cautious";
            writeln!(anstream::stderr(), "{warning}")?;
        }
        if let Some(path) = &self.unix_socket {
            // One that a proxy left behind is in the way.
            if fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
                fs::remove_file(path).with_context(|| path.display().to_string())?;
            }
            let listener = UnixListener::bind(path).with_context(|| format!("listen unix {}", path.display()))?;
            writeln!(anstream::stdout(), "Starting to serve on {}", path.display())?;
            loop {
                let (stream, _) = listener.accept().await?;
                serve(stream, door.clone());
            }
        }
        let address = SocketAddr::new(self.address, self.port);
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listen tcp {address}"))?;
        writeln!(anstream::stdout(), "Starting to serve on {}", listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            // A connection that refuses this has ended already.
            let _ = stream.set_nodelay(true);
            serve(stream, door.clone());
        }
    }
}

/// Serves one connection for as long as it lasts.
fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, door: Arc<Door>) {
    tokio::spawn(async move {
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let door = door.clone();
            async move {
                if !door.filter.accepts(&request) {
                    return Ok(forward::plain(http::StatusCode::FORBIDDEN, "Forbidden"));
                }
                match door.www.as_ref().and_then(|www| www.answer(&request)) {
                    Some(answer) => Ok(answer),
                    None => door.forward.answer(request).await,
                }
            }
        });
        // A client that goes away in the middle ends its connection, nothing more.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
    });
}
