//! The body of a long list, made piece by piece as the client takes it: a client that reads slowly, or never, holds the objects
//! that it was promised, which are shared, and one piece, instead of a copy of all.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body, Frame, SizeHint};

use crate::storage::Stored;

/// What is put together at a time.
const PIECE_BYTES: usize = 128 * 1024;

/// `head`, the objects with commas between them, and the brackets that the head has opened.
pub(super) struct Pieces {
    head: Bytes,
    items: std::vec::IntoIter<Arc<Stored>>,
    /// Before packing.
    left_bytes: usize,
    packer: Option<GzEncoder<Vec<u8>>>,
}

/// What stands behind the last object.
const END: &[u8] = b"]}";

impl Pieces {
    /// The body of a list, packed with gzip or as it is.
    pub(super) fn new(head: Bytes, items: Vec<Arc<Stored>>, is_packed: bool) -> Self {
        Self {
            left_bytes: length(&head, &items),
            head,
            items: items.into_iter(),
            packer: is_packed.then(|| GzEncoder::new(Vec::new(), Compression::fast())),
        }
    }

    /// The next piece of the text; empty at the end.
    fn piece(&mut self) -> Vec<u8> {
        let mut piece = Vec::with_capacity(self.left_bytes.min(PIECE_BYTES + PIECE_BYTES / 8));
        piece.extend_from_slice(&std::mem::take(&mut self.head));
        while piece.len() < PIECE_BYTES
            && let Some(item) = self.items.next()
        {
            piece.extend_from_slice(&item.json);
            piece.extend_from_slice(if self.items.len() > 0 { b"," } else { END });
        }
        self.left_bytes -= piece.len();
        piece
    }

    /// The next piece as it is sent.
    fn sent(&mut self) -> Option<Bytes> {
        let Some(mut packer) = self.packer.take() else {
            // Packed, it has ended; plain, it has when nothing is left.
            return Some(self.piece()).filter(|piece| !piece.is_empty()).map(Bytes::from);
        };
        while self.left_bytes > 0 {
            let piece = self.piece();
            packer.write_all(&piece).expect("writing to memory doesn't fail");
            if !packer.get_ref().is_empty() {
                let packed = std::mem::take(packer.get_mut());
                self.packer = Some(packer);
                return Some(packed.into());
            }
        }
        Some(packer.finish().expect("writing to memory doesn't fail").into())
    }
}

/// How long the text is.
pub(super) fn length(head: &[u8], items: &[Arc<Stored>]) -> usize {
    let commas = items.len().saturating_sub(1);
    head.len() + items.iter().map(|item| item.json.len()).sum::<usize>() + commas + END.len()
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(self.sent().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.packer.is_none() && self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        match self.packer {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.left_bytes as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt;
    use minik_api::object::Object;
    use serde_json::{Value, json};

    use super::*;
    use crate::storage::Key;

    fn items(count: usize) -> Vec<Arc<Stored>> {
        let item = |number: usize| {
            let object = json!({"metadata": {"name": format!("m-{number}")}, "data": {"k": "x".repeat(1000)}});
            let object: Object = serde_json::from_value(object).expect("an object");
            let key = Key::new("configmaps", "default", &format!("m-{number}"));
            Arc::new(Stored::unsaved(key, &object))
        };
        (0..count).map(item).collect()
    }

    #[tokio::test]
    async fn pieces_are_the_whole() {
        for count in [1, 2, 1000] {
            let items = items(count);
            let head = Bytes::from_static(b"{\"items\":[");
            let expected = length(&head, &items);
            let plain = Pieces::new(head.clone(), items.clone(), false);
            assert_eq!(plain.size_hint().exact(), Some(expected as u64));
            let plain = plain.collect().await.expect("it can't fail").to_bytes();
            assert_eq!(plain.len(), expected);
            let list: Value = serde_json::from_slice(&plain).expect("JSON");
            assert_eq!(list["items"].as_array().map(Vec::len), Some(count));
            let packed = Pieces::new(head, items, true);
            assert_eq!(packed.size_hint().exact(), None);
            let packed = packed.collect().await.expect("it can't fail").to_bytes();
            let mut text = Vec::new();
            GzDecoder::new(&*packed).read_to_end(&mut text).expect("gzip");
            assert_eq!(text, plain);
        }
    }
}
