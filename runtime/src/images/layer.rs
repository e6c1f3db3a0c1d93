//! One layer from its compressed bytes to an unpacked directory, in one pass:
//!
//! ```text
//! network -> bounded channel -> | digest -> (kept blob) -> decompress -> diff id -> unpack |  on a blocking thread
//! ```
//! The channel's bound is what keeps memory flat when the disk is slower than the network. Nothing is published before the
//! compressed digest, the length and the diff id are right.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use tokio::sync::mpsc;

use super::content::{Content, Ingest};
use super::digest::{Digest, HashingReader};
use super::error::PullError;
use super::manifest::LayerPlan;
use super::progress::Tracker;
use super::registry::Blob;
use super::unpack::{UnpackError, Unpacked, unpack};
use crate::snapshots::{Draft, Snapshots};

/// Pieces between network and disk. hyper's read buffer grows to some 400 KiB on a fast link, so this is at most 3 MiB a
/// layer; on slow links pieces are small and the disk never lags.
const PIECES: usize = 8;
const BUFFER_BYTES: usize = 64 << 10;

/// A layer that is unpacked and verified, but not published.
pub(super) struct Ready {
    pub(super) draft: Draft,
    pub(super) unpacked: Unpacked,
}

/// Where layers go.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) content: Arc<Content>,
    pub(super) snapshots: Arc<Snapshots>,
}

/// Why a layer didn't become ready on the blocking thread.
#[derive(Debug)]
pub(super) enum LayerFailure {
    Unpack(UnpackError),
    Store(io::Error),
    Snapshot(crate::snapshots::SnapshotError),
    Digest(Digest),
    Size(u64),
    DiffId(Digest),
}

pub(super) enum Piece {
    Data(Bytes),
    End,
}

/// Streams a blob into its directory.
pub(super) async fn download(
    mut blob: Blob<'_>,
    layer: &LayerPlan,
    destination: Destination,
    tracker: &Tracker,
    number: usize,
) -> Result<Result<Ready, LayerFailure>, PullError> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let plan = layer.clone();
    let worker = tokio::task::spawn_blocking(move || {
        let ingest = destination.content.begin().map_err(LayerFailure::Store)?;
        consume(ChannelReader::new(receiver), Some(ingest), &plan, &destination)
    });
    // A worker that fails hangs up; what it says is the reason then, not the broken channel.
    while let Some(piece) = blob.next().await? {
        tracker.advance(number, piece.len() as u64);
        if sender.send(Piece::Data(piece)).await.is_err() {
            break;
        }
    }
    tracker.state(number, minik_api::images::layer::State::Unpacking);
    let _ = sender.send(Piece::End).await;
    Ok(worker
        .await
        .expect("unpacking doesn't panic, and blocking threads are not aborted"))
}

/// Unpacks a blob that is in the content store.
pub(super) async fn unpack_stored(layer: &LayerPlan, destination: Destination) -> Result<Ready, LayerFailure> {
    let plan = layer.clone();
    let worker = tokio::task::spawn_blocking(move || unpack_kept(&plan, &destination));
    worker
        .await
        .expect("unpacking doesn't panic, and blocking threads are not aborted")
}

/// The same on this thread.
pub(super) fn unpack_kept(layer: &LayerPlan, destination: &Destination) -> Result<Ready, LayerFailure> {
    let file = File::open(destination.content.path(&layer.digest)).map_err(LayerFailure::Store)?;
    consume(file, None, layer, destination)
}

fn consume(
    input: impl Read,
    ingest: Option<Ingest>,
    layer: &LayerPlan,
    destination: &Destination,
) -> Result<Ready, LayerFailure> {
    let draft = destination.snapshots.begin().map_err(LayerFailure::Snapshot)?;
    let mut input = HashingReader::new(Tee {
        input,
        copy: ingest,
        copy_failure: None,
    });
    let result = decompressed(&mut input).map_err(UnpackError::Read).and_then(|reader| {
        let mut reader = HashingReader::new(reader);
        let (unpacked, _) = unpack(&mut reader, &draft.content())?;
        Ok((unpacked, reader.into_parts().1.finish()))
    });
    // Read to the end in any case: that what came is damaged explains why it couldn't be unpacked.
    let drained = io::copy(&mut input, &mut io::sink());
    let (tee, hasher) = input.into_parts();
    if let Some(error) = tee.copy_failure {
        return Err(LayerFailure::Store(error));
    }
    if drained.is_ok() {
        if hasher.length_bytes() != layer.size_bytes {
            return Err(LayerFailure::Size(hasher.length_bytes()));
        }
        let digest = hasher.finish();
        if digest != layer.digest {
            return Err(LayerFailure::Digest(digest));
        }
    }
    let (unpacked, diff_id) = result.map_err(LayerFailure::Unpack)?;
    drained.map_err(|error| LayerFailure::Unpack(UnpackError::Read(error)))?;
    if diff_id != layer.diff_id {
        return Err(LayerFailure::DiffId(diff_id));
    }
    if let Some(ingest) = tee.copy {
        destination
            .content
            .commit(ingest, &layer.digest)
            .map_err(LayerFailure::Store)?;
    }
    Ok(Ready { draft, unpacked })
}

/// By its first bytes, as docker and containerd do: media types of old images are wrong often enough.
pub(crate) fn decompressed<'a>(input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let first = input.fill_buf()?;
    Ok(if first.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(input))
    } else if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::stream::read::Decoder::with_buffer(input)?)
    } else {
        Box::new(input)
    })
}

/// Writes a copy of what is read.
struct Tee<R> {
    input: R,
    copy: Option<Ingest>,
    copy_failure: Option<io::Error>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if let Some(copy) = &mut self.copy
            && let Err(error) = copy.write_all(&buffer[..count])
        {
            self.copy = None;
            self.copy_failure = Some(error);
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(count)
    }
}

/// The channel's receiving end as a reader. A sender that hangs up before the end is an error: half a layer may look whole.
pub(super) struct ChannelReader {
    receiver: mpsc::Receiver<Piece>,
    piece: Bytes,
    ended: bool,
}

impl ChannelReader {
    pub(super) fn new(receiver: mpsc::Receiver<Piece>) -> Self {
        Self {
            receiver,
            piece: Bytes::new(),
            ended: false,
        }
    }
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Piece::Data(piece)) => self.piece = piece,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
