//! Digests name content by what it is: `sha256:` and 64 hex digits (OCI image specification, descriptor.md).
//!
//! Parsed once at the door; everything behind it trusts the text. Also here: the chain id, which names a stack of unpacked
//! layers, and the hasher that a stream is led through.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "sha256:";
const HEX_LENGTH: usize = 64;

/// A sha256 digest in its text form, `sha256:<64 lower-case hex digits>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The text is no digest that this store can check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// Another algorithm than sha256, which registries in practice never use for images.
    #[error("digest {0:?} uses another algorithm than sha256, which is the only one supported")]
    Algorithm(String),
    /// No digest at all.
    #[error("{0:?} is no digest: expected sha256: and 64 lower-case hex digits")]
    Shape(String),
}

impl Digest {
    /// Digest of bytes in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The whole text, algorithm included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 hex digits: file names and short ids are made of them.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0[ALGORITHM.len()..]
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let Some(hex) = text.strip_prefix(ALGORITHM) else {
            let named = text
                .split_once(':')
                .filter(|(algorithm, hex)| is_algorithm(algorithm) && is_hex(hex));
            return Err(match named {
                Some(_) => InvalidDigest::Algorithm(text.to_owned()),
                None => InvalidDigest::Shape(text.to_owned()),
            });
        };
        if hex.len() != HEX_LENGTH || !is_hex(hex) {
            return Err(InvalidDigest::Shape(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_algorithm(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b))
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a stack of layers: the digest over the digests of all of them, so that the same layer upon other parents has
/// another name (OCI image specification, config.md, "Layer ChainID").
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(Digest);

impl ChainId {
    /// The stack of one layer more: `parent` below, the layer with this diff id on top.
    #[must_use]
    pub fn extend(parent: Option<&ChainId>, diff_id: &Digest) -> Self {
        match parent {
            None => Self(diff_id.clone()),
            Some(parent) => Self(Digest::of(format!("{} {}", parent.0, diff_id).as_bytes())),
        }
    }

    /// The chain id of each layer, bottom first.
    #[must_use]
    pub fn stack(diff_ids: &[Digest]) -> Vec<ChainId> {
        let mut chains: Vec<ChainId> = Vec::with_capacity(diff_ids.len());
        for diff_id in diff_ids {
            chains.push(Self::extend(chains.last(), diff_id));
        }
        chains
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Computes a digest of what passes by.
#[derive(Default)]
pub(crate) struct Hasher {
    state: Sha256,
    length_bytes: u64,
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.length_bytes += bytes.len() as u64;
    }

    pub(crate) fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(format!("{ALGORITHM}{}", hex::encode(self.state.finalize())))
    }
}

/// A reader that hashes what is read through it.
pub(crate) struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Hasher::default(),
        }
    }

    pub(crate) fn into_parts(self) -> (R, Hasher) {
        (self.inner, self.hasher)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digest_of_known_bytes() {
        let digest = Digest::of(b"abc");
        assert_eq!(
            digest.as_str(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digest.as_str().parse::<Digest>().as_ref(), Ok(&digest));
    }

    #[test]
    fn what_is_no_digest_is_told_from_what_is_another_algorithm() {
        let sha512 = format!("sha512:{}", "0".repeat(128));
        assert_eq!(sha512.parse::<Digest>(), Err(InvalidDigest::Algorithm(sha512.clone())));
        for text in [
            "",
            "sha256:",
            "sha256:abc",
            "abc",
            &format!("sha256:{}", "G".repeat(64)),
            &"a".repeat(64),
        ] {
            assert_eq!(
                text.parse::<Digest>(),
                Err(InvalidDigest::Shape(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn chain_ids_follow_the_specification() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let stack = ChainId::stack(&[a.clone(), b.clone()]);
        assert_eq!(stack[0].to_string(), a.to_string());
        assert_eq!(
            stack[1].to_string(),
            Digest::of(format!("{a} {b}").as_bytes()).to_string()
        );
        assert_ne!(stack[1], ChainId::stack(&[b, a])[1]);
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_prints_the_same(text in ".{0,80}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn hashing_in_pieces_is_hashing_at_once(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..10)) {
            let whole: Vec<u8> = pieces.concat();
            let mut hasher = Hasher::default();
            for piece in &pieces {
                hasher.update(piece);
            }
            prop_assert_eq!(hasher.length_bytes(), whole.len() as u64);
            prop_assert_eq!(hasher.finish(), Digest::of(&whole));
        }
    }
}
