//! PAX extended header records (POSIX.1-2001, pax): `LENGTH KEY=VALUE\n`, one after the other.
//!
//! Values may hold any byte, a newline too (file capabilities do), so records are cut by their length.

use super::entries::Run;
use super::limits;

/// What extended headers say about the entry that follows them; it wins over the entry's own header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, i64)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Size with holes; set for sparse files only.
    pub(super) sparse_size: Option<u64>,
    pub(super) sparse_runs: Vec<Run>,
    /// Version 1.0: the runs stand before the data.
    pub(super) sparse_map_in_content: bool,
}

/// Adds the records of one extended header. `Err` names what is wrong.
pub(super) fn read(mut body: &[u8], records: &mut Records) -> Result<(), &'static str> {
    let mut sparse_name = None;
    while !body.is_empty() {
        let blank = body
            .iter()
            .position(|b| *b == b' ')
            .ok_or("a PAX record without length")?;
        let length = decimal(&body[..blank]).and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length > blank + 1 && *length <= body.len());
        let (record, rest) = body.split_at(length.ok_or("the length of a PAX record")?);
        let record = record[blank + 1..]
            .strip_suffix(b"\n")
            .ok_or("the end of a PAX record")?;
        let equals = record
            .iter()
            .position(|b| *b == b'=')
            .ok_or("a PAX record without value")?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key == b"GNU.sparse.name" {
            sparse_name = Some(value.to_vec());
        } else {
            take(key, value, records)?;
        }
        body = rest;
    }
    // A sparse file's `path` is a made-up name for tools that don't know the format.
    if let Some(name) = sparse_name {
        records.path = Some(name);
    }
    Ok(())
}

fn take(key: &[u8], value: &[u8], records: &mut Records) -> Result<(), &'static str> {
    let number = |what| decimal(value).ok_or(what);
    match key {
        b"path" => records.path = Some(value.to_vec()),
        b"linkpath" => records.link = Some(value.to_vec()),
        b"size" => records.size = Some(number("the PAX record size")?),
        b"uid" => records.uid = Some(number("the PAX record uid")?),
        b"gid" => records.gid = Some(number("the PAX record gid")?),
        b"mtime" => records.mtime = Some(time(value).ok_or("the PAX record mtime")?),
        b"GNU.sparse.major" => records.sparse_map_in_content = value == b"1",
        b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
            records.sparse_size = Some(number("the real size of a sparse file")?);
        }
        b"GNU.sparse.map" => records.sparse_runs = runs(value).ok_or("the map of a sparse file")?,
        b"GNU.sparse.offset" if records.sparse_runs.len() < limits::SPARSE_RUNS => records.sparse_runs.push(Run {
            offset: number("the map of a sparse file")?,
            length: 0,
        }),
        b"GNU.sparse.numbytes" => {
            let run = records.sparse_runs.last_mut().ok_or("the map of a sparse file")?;
            run.length = number("the map of a sparse file")?;
        }
        _ => {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                records.xattrs.push((name.to_vec(), value.to_vec()));
            }
        }
    }
    Ok(())
}

fn runs(map: &[u8]) -> Option<Vec<Run>> {
    let numbers: Vec<u64> = map.split(|b| *b == b',').map(decimal).collect::<Option<_>>()?;
    let right = numbers.len().is_multiple_of(2) && numbers.len() / 2 <= limits::SPARSE_RUNS;
    let run = |pair: &[u64]| Run {
        offset: pair[0],
        length: pair[1],
    };
    right.then(|| numbers.chunks_exact(2).map(run).collect())
}

/// `SECONDS[.FRACTION]`, perhaps negative, as seconds and nanoseconds (0 to 999,999,999).
fn time(value: &[u8]) -> Option<(i64, i64)> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |b| *b == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let mut nanos = 0;
    if let Some(fraction) = parts.next() {
        let mut digits: Vec<u8> = fraction.iter().copied().take(9).collect();
        digits.resize(9, b'0');
        nanos = i64::try_from(decimal(&digits)?).ok()?;
    }
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

/// A number of ASCII digits alone.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The length counts its own digits.
    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = key.len() + value.len() + 3;
        let length = (1..=20)
            .map(|digits| rest + digits)
            .find(|length| length.to_string().len() + rest == *length);
        let mut bytes = format!("{} {key}=", length.expect("a fixed point")).into_bytes();
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
        bytes
    }

    #[test]
    fn values_may_hold_newlines_and_equals_signs() {
        let body = [
            record("path", b"a=b\nc"),
            record("SCHILY.xattr.security.capability", b"\x01\n=\x00"),
        ]
        .concat();
        let mut records = Records::default();
        read(&body, &mut records).expect("right records");
        assert_eq!(records.path.as_deref(), Some(&b"a=b\nc"[..]));
        assert_eq!(
            records.xattrs,
            [(b"security.capability".to_vec(), b"\x01\n=\x00".to_vec())]
        );
    }

    #[test]
    fn times_have_fractions_and_signs() {
        assert_eq!(time(b"1350244992.023960108"), Some((1_350_244_992, 23_960_108)));
        assert_eq!(time(b"7"), Some((7, 0)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"x"), None);
    }

    #[test]
    fn broken_records_are_refused() {
        for body in [
            &b"5"[..],
            b"99 path=a\n",
            b"2 \n",
            b"8 path=a\n",
            b"7 patha\n",
            b"10 size=ab\n",
            b"+9 path=a\n",
        ] {
            assert!(
                read(body, &mut Records::default()).is_err(),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&body, &mut Records::default());
        }
    }
}
