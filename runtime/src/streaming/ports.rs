//! One forwarded connection: bytes between a client's channel and a port inside of a pod. The protocols differ only in how
//! they name the channels.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::Backend;

const CHUNK_LENGTH: usize = 32 * 1024;

/// Connects, and passes bytes both ways until the pod's side has said everything or the client is gone.
/// An error is a sentence for the user, who reads it in kubectl's output.
pub(super) async fn forward(
    backend: &dyn Backend,
    sandbox_id: &str,
    port: u16,
    mut from_client: mpsc::Receiver<Bytes>,
    to_client: mpsc::Sender<Bytes>,
) -> Result<(), String> {
    let mut stream = backend.connect(sandbox_id, port).await?;
    let (mut from_pod, mut to_pod) = stream.split();
    let upward = async {
        while let Some(data) = from_client.recv().await {
            to_pod.write_all(&data).await?;
        }
        // The client half-closed; what the pod still says goes on.
        to_pod.shutdown().await
    };
    let downward = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(CHUNK_LENGTH);
            if from_pod.read_buf(&mut buffer).await? == 0 || to_client.send(buffer.split().freeze()).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    tokio::pin!(upward, downward);
    let ended = tokio::select! {
        ended = &mut downward => ended,
        sent = &mut upward => match sent {
            Ok(()) => downward.await,
            // The pod closed its end for reading: what it says matters more than what it doesn't hear.
            Err(_) => downward.await,
        },
    };
    ended.map_err(|error| format!("forwarding to port {port} of the pod broke off: {error}"))
}
