//! The few things of DER (X.690) that a certificate is written with.

use jiff::Timestamp;

pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const TRUE: [u8; 3] = [0x01, 0x01, 0xff];
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Within a choice of the type around it.
pub(super) const CONTEXT: u8 = 0x80;
/// And made of other things.
pub(super) const CONSTRUCTED: u8 = 0x20;

/// A tag, a length, and these parts one after another.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut all = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ ..0x80) => all.push(short),
        _ => {
            let bytes = content.len().to_be_bytes();
            let bytes: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            all.push(0x80 | u8::try_from(bytes.len()).expect("a length has at most eight bytes"));
            all.extend(bytes);
        }
    }
    all.extend(content);
    all
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, parts)
}

/// A number that isn't negative, most significant byte first.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let leading = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = &bytes[leading.min(bytes.len().saturating_sub(1))..];
    let sign: &[u8] = if digits.first().is_none_or(|byte| *byte >= 0x80) {
        &[0]
    } else {
        &[]
    };
    value(INTEGER, &[sign, digits])
}

/// Whole bytes.
pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    value(BIT_STRING, &[&[0], bytes])
}

/// Named bits, the first one being bit 0: without the zeros at the end.
pub(super) fn named_bits(bits: u16) -> Vec<u8> {
    let [first, second] = bits.reverse_bits().to_be_bytes();
    let bytes: &[u8] = if second == 0 { &[first] } else { &[first, second] };
    let unused = bytes.last().map_or(0, |last| last.trailing_zeros().min(7));
    let unused = u8::try_from(unused).expect("at most seven");
    value(BIT_STRING, &[&[unused], bytes])
}

/// RFC 5280: two digits of the year until 2049, four from then on.
pub(super) fn time(at: Timestamp) -> Vec<u8> {
    let year: i32 = at.strftime("%Y").to_string().parse().unwrap_or(i32::MAX);
    let (tag, format) = if year < 2050 {
        (UTC_TIME, "%y%m%d%H%M%SZ")
    } else {
        (GENERALIZED_TIME, "%Y%m%d%H%M%SZ")
    };
    value(tag, &[at.strftime(format).to_string().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_numbers_and_bits() {
        assert_eq!(value(SEQUENCE, &[&[1; 127]])[..2], [0x30, 127]);
        assert_eq!(value(SEQUENCE, &[&[1; 128]])[..3], [0x30, 0x81, 128]);
        assert_eq!(value(SEQUENCE, &[&[1; 300]])[..4], [0x30, 0x82, 1, 44]);
        assert_eq!(integer(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0]), [2, 1, 0]);
        assert_eq!(named_bits(0b1), [3, 2, 7, 0x80]);
        assert_eq!(named_bits(0b101), [3, 2, 5, 0xa0]);
        assert_eq!(named_bits(0b1_0000_0000), [3, 3, 7, 0, 0x80]);
    }

    #[test]
    fn times_have_two_forms() {
        let at = |text: &str| time(text.parse().expect("a time"));
        assert_eq!(at("2049-12-31T23:59:59Z"), [&[0x17, 13][..], b"491231235959Z"].concat());
        assert_eq!(
            at("2050-01-01T00:00:00Z"),
            [&[0x18, 15][..], b"20500101000000Z"].concat()
        );
    }
}
