//! Header blocks of SPDY/3: names and values, compressed by zlib with one stream for all blocks of a direction.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::FrameError;

/// Names and values; names are lower case on the wire.
pub(in crate::streaming) type Headers = Vec<(String, String)>;

/// More than this in one block is nobody's header but an attack on our memory.
const BLOCK_LIMIT: usize = 64 * 1024;

/// Words of the compression dictionary (SPDY protocol draft 3, section 2.6.10.1), each preceded by its length there...
const DICTIONARY_WORDS: &str = "options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|accept-ranges|age|\
    allow|authorization|cache-control|connection|content-base|content-encoding|content-language|content-length|\
    content-location|content-md5|content-range|content-type|date|etag|expect|expires|from|host|if-match|\
    if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|location|max-forwards|pragma|\
    proxy-authenticate|proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade|\
    user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|set-cookie|\
    keep-alive|origin";

/// ... and the text at the end, which has no lengths.
const DICTIONARY_END: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden\
    404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug \
    Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
    application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch\
    charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

fn dictionary() -> Vec<u8> {
    let words = DICTIONARY_WORDS
        .split('|')
        .flat_map(|word| length_of(word).into_iter().chain(word.bytes()));
    words.chain(DICTIONARY_END.bytes()).collect()
}

/// Compresses the blocks that we send.
pub(super) struct Deflater(Compress);

impl Deflater {
    pub(super) fn new() -> Deflater {
        let mut compress = Compress::new(Compression::fast(), true);
        compress
            .set_dictionary(&dictionary())
            .expect("a fresh zlib stream takes a dictionary");
        Deflater(compress)
    }

    pub(super) fn block(&mut self, headers: &Headers) -> Vec<u8> {
        let mut plain = length(headers.len()).to_vec();
        for part in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend(length_of(part));
            plain.extend(part.as_bytes());
        }
        let mut block = Vec::with_capacity(plain.len() + 64);
        let mut offset = 0;
        loop {
            let before = self.0.total_in();
            let room = block.capacity();
            self.0
                .compress_vec(&plain[offset..], &mut block, FlushCompress::Sync)
                .expect("zlib takes what it is given while there is room");
            offset += usize::try_from(self.0.total_in() - before).expect("no more than was given");
            // A flush is complete when it left room in the output (zlib.h, deflate).
            if offset == plain.len() && block.len() < room {
                return block;
            }
            block.reserve(room);
        }
    }
}

/// Decompresses the blocks that we receive.
pub(super) struct Inflater(Decompress);

impl Inflater {
    pub(super) fn new() -> Inflater {
        Inflater(Decompress::new(true))
    }

    pub(super) fn block(&mut self, block: &[u8]) -> Result<Headers, FrameError> {
        let mut plain = Vec::with_capacity(1024);
        let mut offset = 0;
        loop {
            let (before, length) = (self.0.total_in(), plain.len());
            let answer = self
                .0
                .decompress_vec(&block[offset..], &mut plain, FlushDecompress::Sync);
            let taken = usize::try_from(self.0.total_in() - before).expect("no more than was given");
            offset += taken;
            match answer {
                Ok(_) if offset == block.len() && plain.len() < plain.capacity() => return parse(&plain),
                // Neither read nor written although there is room: the block is cut.
                Ok(_) if taken == 0 && plain.len() == length && plain.len() < plain.capacity() => {
                    return Err(FrameError::Headers);
                }
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| FrameError::Headers)?;
                }
                Err(_) => return Err(FrameError::Headers),
            }
            if plain.len() > BLOCK_LIMIT {
                return Err(FrameError::Headers);
            }
            plain.reserve(1024);
        }
    }
}

fn parse(mut bytes: &[u8]) -> Result<Headers, FrameError> {
    let count = take_length(&mut bytes)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        headers.push((take_text(&mut bytes)?, take_text(&mut bytes)?));
    }
    Ok(headers)
}

fn take_text(bytes: &mut &[u8]) -> Result<String, FrameError> {
    let length = take_length(bytes)?;
    let (text, rest) = bytes.split_at_checked(length).ok_or(FrameError::Headers)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).map_err(|_| FrameError::Headers)
}

fn take_length(bytes: &mut &[u8]) -> Result<usize, FrameError> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(FrameError::Headers)?;
    *bytes = rest;
    Ok(u32::from_be_bytes(*length) as usize)
}

fn length_of(text: &str) -> [u8; 4] {
    length(text.len())
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("header blocks are small").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// zlib names a dictionary by its Adler-32 checksum, and every SPDY/3 peer names this one.
    #[test]
    fn the_dictionary_is_the_one_that_peers_use() {
        let mut compress = Compress::new(Compression::fast(), true);
        assert_eq!(dictionary().len(), 1423);
        assert_eq!(compress.set_dictionary(&dictionary()).ok(), Some(0xe3c6_a7c2));
    }

    #[test]
    fn blocks_share_one_stream_and_come_back() {
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
        let long = "x".repeat(9_000);
        for headers in [
            vec![],
            vec![("streamtype", "stdin")],
            vec![("streamtype", "error"), ("port", &long)],
        ] {
            let headers: Headers = headers.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let block = deflater.block(&headers);
            assert_eq!(inflater.block(&block).expect("a whole block"), headers);
        }
    }

    #[test]
    fn damaged_cut_and_swollen_blocks_are_refused() {
        let block = Deflater::new().block(&vec![("streamtype".to_owned(), "data".to_owned())]);
        for length in 0..block.len() - 5 {
            assert!(Inflater::new().block(&block[..length]).is_err(), "cut at {length}");
        }
        assert!(Inflater::new().block(&[0xff; 40]).is_err());
        let swollen = Deflater::new().block(&vec![("a".to_owned(), "b".repeat(BLOCK_LIMIT * 2))]);
        assert!(Inflater::new().block(&swollen).is_err());
    }
}
