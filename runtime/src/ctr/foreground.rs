//! A container for one command that somebody waits for, such as a step of an image's build: made, run with its output passed
//! on, and gone, with its writable layer left to look at before.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use minik_api::containers::CreateRequest;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::Spec;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::record::CtrRecord;
use super::task::{self, Ends};
use super::{create, is_cri};
use crate::cri::{Answer, output_pipe, with_code};
use crate::daemon::Daemon;
use crate::images::digest::ChainId;
use crate::state::Entry;

const PIECE_BYTES: usize = 16 << 10;

/// A container that nobody else knows of.
pub(crate) struct Foreground {
    daemon: Arc<Daemon>,
    entry: Arc<Entry<CtrRecord>>,
}

impl Foreground {
    /// Makes it upon a stack of layers. `adjust` has the last word on its config.json.
    pub(crate) async fn make(
        daemon: &Arc<Daemon>,
        request: CreateRequest,
        chain: Option<ChainId>,
        image: ImageConfiguration,
        adjust: impl FnOnce(&mut Spec) + Send + 'static,
    ) -> Answer<Foreground> {
        debug_assert!(!is_cri(&request.namespace));
        let making = Arc::clone(daemon);
        let made = tokio::task::spawn_blocking(move || {
            let namespace = request.namespace.clone();
            create::make(&making, &namespace, request, chain.as_ref(), &image)
        });
        let mut record = made.await.map_err(|error| Status::internal(error.to_string()))??;
        adjust(&mut record.spec);
        let key = record.snapshot_key();
        let entry = daemon.ctr.records.insert(record).map_err(|error| {
            create::remove_layer(daemon, &key);
            with_code(Code::Unknown)(&error)
        })?;
        Ok(Foreground {
            daemon: Arc::clone(daemon),
            entry,
        })
    }

    /// Runs its command to the end, output and errors in one stream as they come. Ends early when nobody reads it.
    pub(crate) async fn run(&self, output: &mpsc::Sender<Vec<u8>>) -> Answer<i32> {
        let pipe = |error: std::io::Error| Status::unknown(format!("make a pipe: {error}"));
        let (stdout, mut reader) = output_pipe().map_err(pipe)?;
        let ends = Ends {
            stdin: None,
            stderr: Some(stdout.try_clone().map_err(pipe)?),
            stdout,
        };
        let started = task::start(&self.daemon, &self.entry, Some(ends)).await?;
        let reading = async {
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                match reader.read(&mut piece).await {
                    Ok(0) | Err(_) => return true,
                    Ok(count) => piece.truncate(count),
                }
                if output.send(piece).await.is_err() {
                    return false;
                }
            }
        };
        let read = tokio::select! {
            read = reading => read,
            () = output.closed() => false,
        };
        if !read {
            task::kill(&self.daemon, &self.entry).await?;
            return Err(Status::cancelled("nobody waits for it any more"));
        }
        let exit = started.ended.await;
        self.entry.wait_for(|record| !record.is_running()).await;
        exit.map(|exit| exit.code)
            .ok_or_else(|| Status::unknown("its shim died before it ended"))
    }

    /// Its writable layer.
    pub(crate) fn upper(&self) -> Answer<PathBuf> {
        let key = self.entry.peek(CtrRecord::snapshot_key);
        let rootfs = self.daemon.images.snapshots().rootfs(&key);
        rootfs
            .map(|rootfs| rootfs.upper)
            .map_err(|error| with_code(Code::Unknown)(&error))
    }

    /// Where something is mounted in it, relative to its root.
    pub(crate) fn mounted(&self) -> BTreeSet<PathBuf> {
        let record = self.entry.get();
        let mounts = record.spec.mounts().iter().flatten();
        let relative = |path: &PathBuf| path.strip_prefix("/").unwrap_or(path).to_owned();
        mounts.map(|mount| relative(mount.destination())).collect()
    }

    /// Takes it away with all that it has written.
    pub(crate) async fn remove(self) -> Answer<()> {
        remove(&self.daemon, &self.entry).await
    }
}

/// Takes a container away, whatever it does.
pub(super) async fn remove(daemon: &Arc<Daemon>, entry: &Arc<Entry<CtrRecord>>) -> Answer<()> {
    task::delete(daemon, entry, true).await?;
    let record = entry.get();
    create::remove_layer(daemon, &record.snapshot_key());
    let removed = daemon.ctr.records.remove(&record.id);
    removed.map_err(|error| with_code(Code::Unknown)(&error))
}
