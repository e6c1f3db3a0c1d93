//! Where the last lines of a log begin.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::log_line;

const BLOCK: u64 = 64 * 1024;

/// The offset at which the last `lines` lines begin. Entries that are parts of one line count once.
pub(crate) fn offset(file: &File, lines: usize) -> io::Result<u64> {
    let end = file.metadata()?.len();
    if lines == 0 {
        return Ok(end);
    }
    let mut start = end;
    let mut tail: Vec<u8> = Vec::new();
    loop {
        let from = start.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(start - from).unwrap_or(0)];
        file.read_exact_at(&mut block, from)?;
        block.append(&mut tail);
        tail = block;
        start = from;
        if let Some(at) = within(&tail, lines, start == 0) {
            return Ok(start + u64::try_from(at).unwrap_or(0));
        }
    }
}

/// The same within these bytes; none if they may not reach back far enough.
fn within(bytes: &[u8], lines: usize, is_all: bool) -> Option<usize> {
    let mut begins = vec![0];
    begins.extend(
        bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at + 1),
    );
    let mut wholes = 0;
    for (index, begin) in begins.iter().enumerate().rev() {
        let end = begins.get(index + 1).map_or(bytes.len(), |next| next - 1);
        let is_whole = log_line::parse(&bytes[*begin..end]).is_some_and(|entry| entry.is_whole);
        // The entry before the first one that is wanted ends a line.
        if is_whole && wholes == lines {
            return Some(end + 1);
        }
        wholes += usize::from(is_whole);
    }
    is_all.then_some(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn rest(content: &str, lines: usize) -> String {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(content.as_bytes()).expect("written");
        let from = offset(&file, lines).expect("read");
        content[usize::try_from(from).expect("small")..].to_owned()
    }

    #[test]
    fn the_last_lines_are_found() {
        let log = "t stdout F a\nt stdout P b\nt stdout F c\nt stdout F d\n";
        assert_eq!(rest(log, 1), "t stdout F d\n");
        assert_eq!(rest(log, 2), "t stdout P b\nt stdout F c\nt stdout F d\n");
        assert_eq!(rest(log, 3), log);
        assert_eq!(rest(log, 99), log);
        assert_eq!(rest(log, 0), "");
        assert_eq!(rest("", 5), "");
    }

    #[test]
    fn long_logs_are_read_from_their_end() {
        let line = format!("t stdout F {}\n", "x".repeat(1000));
        let log = line.repeat(500);
        assert_eq!(rest(&log, 100).len(), 100 * line.len());
    }
}
