//! `cp`: files into a container and out of it, as a tar stream through `exec`, as kubectl does it.
//!
//! ```text
//!   cp here pod:there    walk here ── pack ──> exec tar xmf - -C …
//!   cp pod:there here    exec tar cf - there ──> unpack here: a hostile stream, see there
//! ```
//!
//! The container needs a tar.

mod pack;
mod place;
mod unpack;

use std::io;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use kube::api::AttachParams;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::io::SyncIoBridge;

use crate::cli::Global;
use crate::client::Session;
use crate::commands::{pod, streams, terminal};
use crate::failure::Failure;
use place::Place;

/// How much may wait between the connection and the files.
const BUFFER_BYTES: usize = 256 << 10;

/// Arguments of `cp`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl cp site nginx:/usr/share/nginx/html
  minikctl cp nginx:/var/log/nginx logs
  minikctl cp dev/nginx:/etc/hosts hosts -c web")]
pub struct Cp {
    /// From where to where: FILE or [NAMESPACE/]POD:FILE, one of them a container's.
    #[arg(value_name = "FROM TO")]
    places: Vec<String>,
    /// The container, where the pod has several.
    #[arg(short, long)]
    container: Option<String>,
    /// Don't keep owners and permissions in the container.
    #[arg(long)]
    no_preserve: bool,
    /// How often to go on where a copy from a container broke off; a negative number means for ever.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_name = "COUNT")]
    retries: i64,
}

/// The pod and the container that files come from or go to.
struct Target {
    session: Session,
    pod: Value,
    container: String,
}

impl Cp {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let [from, to] = self.places.as_slice() else {
            bail!("source and destination are required");
        };
        match (from.parse::<Place>()?, to.parse::<Place>()?) {
            (Place::There { .. }, Place::There { .. }) => {
                bail!("one of src or dest must be a local file specification")
            }
            (Place::Here(_), Place::Here(_)) => bail!("one of src or dest must be a remote file specification"),
            (_, Place::Here(path)) | (Place::Here(path), _) if path.is_empty() => bail!("filepath can not be empty"),
            (_, Place::There { path, .. }) | (Place::There { path, .. }, _) if path.is_empty() => {
                bail!("filepath can not be empty")
            }
            (Place::Here(from), Place::There { namespace, pod, path }) => {
                if Path::new(&from).symlink_metadata().is_err() {
                    bail!("{from} doesn't exist in local filesystem");
                }
                let target = self.target(global, namespace, &pod).await?;
                self.upload(&target, &from, &path).await
            }
            (Place::There { namespace, pod, path }, Place::Here(to)) => {
                let target = self.target(global, namespace, &pod).await?;
                self.download(&target, &path, &to).await
            }
        }
    }

    async fn target(&self, global: &Global, namespace: Option<String>, name: &str) -> anyhow::Result<Target> {
        let mut session = Session::open(global).await?;
        if let Some(namespace) = namespace {
            session.namespace = namespace;
        }
        let (resource, pod) = pod::named(&session, &format!("pods/{name}")).await?;
        debug_assert_eq!(resource.kind, "Pod");
        pod::must_be_alive(&pod, "exec into")?;
        let container = pod::choose_and_tell(&pod, self.container.as_deref())?;
        Ok(Target {
            session,
            pod,
            container,
        })
    }

    async fn upload(&self, target: &Target, from: &str, to: &str) -> anyhow::Result<()> {
        let trimmed = to.trim_end_matches('/');
        let to = if trimmed.is_empty() { "/" } else { trimmed };
        let is_folder = target.succeeds(&["test", "-d", to]).await;
        let name = Path::new(from).canonicalize()?;
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (folder, name) = if is_folder {
            (to.to_owned(), name)
        } else {
            place::split(to)
        };
        let mut command = vec!["tar"];
        if self.no_preserve {
            command.extend(["--no-same-permissions", "--no-same-owner"]);
        }
        command.extend(["-xmf", "-", "-C", &folder]);
        let (mut reader, writer) = tokio::io::duplex(BUFFER_BYTES);
        let from = from.to_owned();
        let packing = tokio::task::spawn_blocking(move || {
            let mut writer = SyncIoBridge::new(writer);
            pack::pack(Path::new(&from), Path::new(&name), &mut writer)?;
            writer.shutdown()
        });
        let sent = target.run(&command, Some(&mut reader), &mut tokio::io::sink()).await;
        // The reader's end tells the packing that nobody listens any more.
        drop(reader);
        let packed = packing.await?;
        sent?;
        packed.context("can't read the local files")
    }

    async fn download(&self, target: &Target, from: &str, to: &str) -> anyhow::Result<()> {
        let (writer, reader) = tokio::io::duplex(BUFFER_BYTES);
        let (prefix, to, hint) = (place::prefix(from), to.to_owned(), target.hint(from));
        let unpacking = tokio::task::spawn_blocking(move || {
            unpack::unpack(SyncIoBridge::new(reader), &prefix, Path::new(&to), &hint)
        });
        let mut counted = Counted {
            inner: writer,
            bytes: 0,
        };
        let received = self.receive(target, from, &mut counted).await;
        drop(counted);
        let unpacked = unpacking.await?;
        unpacked?;
        received
    }

    /// Reads the container's tar stream; one that breaks off goes on where it ended, as often as the user allows.
    async fn receive(&self, target: &Target, from: &str, out: &mut Counted) -> anyhow::Result<()> {
        let mut left = self.retries;
        loop {
            let resumed;
            let command = if out.bytes == 0 {
                vec!["tar", "cf", "-", from]
            } else {
                resumed = format!("tar cf - \"$0\" | tail -c+{}", out.bytes + 1);
                vec!["sh", "-c", &resumed, from]
            };
            match target.run(&command, None::<&mut tokio::io::Empty>, out).await {
                Err(error) if left != 0 && error.downcast_ref::<terminal::Lost>().is_some() => left -= 1,
                other => return other,
            }
        }
    }
}

impl Target {
    /// Runs a command, with its input and output joined to these, until it ends; its stderr is ours.
    async fn run(
        &self,
        command: &[&str],
        mut input: Option<&mut (impl AsyncRead + Unpin)>,
        output: &mut (impl AsyncWrite + Unpin),
    ) -> anyhow::Result<()> {
        let parameters = AttachParams {
            container: Some(self.container.clone()),
            stdin: input.is_some(),
            stdout: true,
            stderr: true,
            ..AttachParams::default()
        };
        let api = streams::api(&self.session, &self.pod);
        let process = api
            .exec(pod::name(&self.pod), command.iter().copied(), &parameters)
            .await;
        let mut process = process.map_err(|error| Failure::from_kube(error, &self.session.server_address()))?;
        let ended = process
            .take_status()
            .ok_or_else(|| anyhow!("the server offers no exit status"))?;
        let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input.as_mut()) {
                // A process that reads no more tells why by its exit code.
                let _ = copy(*input, &mut stdin).await;
                let _ = stdin.shutdown().await;
            }
        };
        let read = async {
            if let Some(mut stdout) = stdout {
                copy(&mut stdout, output).await?;
            }
            Ok::<_, io::Error>(())
        };
        let tell = async {
            if let Some(mut stderr) = stderr {
                // Nothing can be said when our own is gone.
                let _ = copy(&mut stderr, &mut tokio::io::stderr()).await;
            }
        };
        let to_the_end = async { futures::join!(read, tell, ended) };
        let mut to_the_end = std::pin::pin!(to_the_end);
        let mut feed = std::pin::pin!(feed);
        let mut feeding = true;
        let (read, (), status) = loop {
            tokio::select! {
                () = &mut feed, if feeding => feeding = false,
                all = &mut to_the_end => break all,
            }
        };
        terminal::conclude(status)?;
        read.context("the files can't be written")
    }

    /// Whether a command succeeds, whatever it says.
    async fn succeeds(&self, command: &[&str]) -> bool {
        let parameters = AttachParams {
            container: Some(self.container.clone()),
            stdin: false,
            stdout: true,
            stderr: true,
            ..AttachParams::default()
        };
        let api = streams::api(&self.session, &self.pod);
        let Ok(mut process) = api
            .exec(pod::name(&self.pod), command.iter().copied(), &parameters)
            .await
        else {
            return false;
        };
        match process.take_status() {
            Some(ended) => ended
                .await
                .is_some_and(|status| status.status.as_deref() == Some("Success")),
            None => false,
        }
    }

    /// How to get what is left out, for the user.
    fn hint(&self, from: &str) -> String {
        let (namespace, name) = (&self.session.namespace, pod::name(&self.pod));
        format!("consider using \"minikctl exec -n {namespace:?} {name:?} -- tar cf - {from:?} | tar xf -\"")
    }
}

/// Where the stream goes, and how much went there.
struct Counted {
    inner: tokio::io::DuplexStream,
    bytes: u64,
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        let written = std::task::ready!(std::pin::Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.bytes += u64::try_from(written).expect("a usize fits");
        std::task::Poll::Ready(Ok(written))
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

async fn copy(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut buffer = vec![0; 32 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.flush().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}
