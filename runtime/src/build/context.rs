//! The client's folder, as it comes: unpacked beneath a directory of its own, as carefully as a layer.

use std::io::{self, Read};
use std::path::Path;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use crate::images::error::chain;
use crate::images::unpack::unpack;

/// Unpacks what comes until the sender is done. Blocks.
pub(super) fn receive(pieces: mpsc::Receiver<io::Result<Bytes>>, directory: &Path) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("make {}: {error}", directory.display()))?;
    let mut reader = Pieces {
        receiver: pieces,
        piece: Bytes::new(),
        failed: None,
    };
    let unpacked = unpack(&mut reader, directory).map(drop);
    if let Some(failed) = reader.failed {
        return Err(failed);
    }
    unpacked.map_err(|error| chain(&error))
}

struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
    failed: Option<String>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    self.failed = Some(error.to_string());
                    return Err(error);
                }
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
