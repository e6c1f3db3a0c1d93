//! Quantities: `100m`, `1.5`, `128Mi`, `2e3` (apimachinery's `api/resource`).
//!
//! Kept as a number of thousandths of a millionth (10⁻⁹), the smallest unit that Kubernetes knows; finer values are rounded
//! up, as there.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// An amount of something, exact down to 10⁻⁹.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// How an amount was written, and is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `1Mi`
    BinarySi,
    /// `1M`, `100m`
    DecimalSi,
    /// `1e6`
    DecimalExponent,
}

/// The text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    /// Neither a number nor a known suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// More than an i128 of 10⁻⁹ holds, or an absurd exponent.
    #[error("the quantity is out of range")]
    Range,
}

const NANOS: i128 = 1_000_000_000;
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

impl Quantity {
    /// So many whole ones, written in decimal.
    #[must_use]
    pub fn from_whole(value: i64) -> Self {
        Self {
            nanos: i128::from(value) * NANOS,
            format: Format::DecimalSi,
        }
    }

    /// So many thousandths (CPU), written in decimal.
    #[must_use]
    pub fn from_milli(value: i64) -> Self {
        Self {
            nanos: i128::from(value) * (NANOS / 1000),
            format: Format::DecimalSi,
        }
    }

    /// So many bytes, written with binary suffixes.
    #[must_use]
    pub fn from_bytes(value: i64) -> Self {
        Self {
            nanos: i128::from(value) * NANOS,
            format: Format::BinarySi,
        }
    }

    /// Whole ones, rounded up; at the ends of i64 it stays there.
    #[must_use]
    pub fn value(self) -> i64 {
        clamp(div_ceil(self.nanos, NANOS))
    }

    /// Thousandths, rounded up; at the ends of i64 it stays there.
    #[must_use]
    pub fn milli_value(self) -> i64 {
        clamp(div_ceil(self.nanos, NANOS / 1000))
    }

    /// Below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Exactly zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// The sum, written as this one.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self {
            nanos: self.nanos.saturating_add(other.nanos),
            ..self
        }
    }

    /// The difference, written as this one.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self {
            nanos: self.nanos.saturating_sub(other.nanos),
            ..self
        }
    }
}

/// Amounts are equal however they are written.
impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(InvalidQuantity::Format);
        }
        let (scale, format) = scale_of(suffix)?;
        let nanos = scaled(whole, fraction, scale).ok_or(InvalidQuantity::Range)?;
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }
}

/// What the number is multiplied with: 2 or 10 to a power.
#[derive(Clone, Copy)]
enum Scale {
    Binary(u32),
    Decimal(i32),
}

fn scale_of(suffix: &str) -> Result<(Scale, Format), InvalidQuantity> {
    if let Some(power) = BINARY.iter().position(|name| *name == suffix) {
        let bits = 10 * (u32::try_from(power).expect("six suffixes") + 1);
        return Ok((Scale::Binary(bits), Format::BinarySi));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((Scale::Decimal(*power), Format::DecimalSi));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(InvalidQuantity::Format)?;
    let power: i32 = exponent.parse().map_err(|_| InvalidQuantity::Format)?;
    if power.abs() > 40 {
        return Err(InvalidQuantity::Range);
    }
    Ok((Scale::Decimal(power), Format::DecimalExponent))
}

fn scaled(whole: &str, fraction: &str, scale: Scale) -> Option<i128> {
    // Digits below 10⁻³⁰ can't matter, and 10³⁰ is out of range anyhow.
    let fraction = &fraction[..fraction.len().min(18)];
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.len() > 38 {
        return None;
    }
    let mantissa: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let places = i32::try_from(fraction.len()).expect("at most 18");
    match scale {
        Scale::Decimal(power) => shift_decimal(mantissa, power + 9 - places),
        Scale::Binary(bits) => shift_decimal(mantissa.checked_mul(1i128 << bits)?, 9 - places),
    }
}

/// `value * 10^power`, rounded up.
fn shift_decimal(value: i128, power: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    match u32::try_from(power) {
        Ok(power) => value.checked_mul(10i128.checked_pow(power)?),
        Err(_) => Some(
            10i128
                .checked_pow(power.unsigned_abs())
                .map_or(1, |by| div_ceil(value, by)),
        ),
    }
}

/// Rounded away from zero, as Kubernetes does.
fn div_ceil(value: i128, by: i128) -> i128 {
    let away = if value % by == 0 { 0 } else { value.signum() };
    value / by + away
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that keeps the value exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        // Below 1024 or with a fraction, binary amounts are written in decimal, as upstream does.
        if self.format == Format::BinarySi && self.nanos % NANOS == 0 && self.nanos.abs() >= 1024 * NANOS {
            return self.write_binary(f);
        }
        let (mut value, mut power) = (self.nanos, -9);
        while value % 1000 == 0 && power < 18 {
            value /= 1000;
            power += 3;
        }
        if self.format == Format::DecimalExponent {
            return if power == 0 {
                write!(f, "{value}")
            } else {
                write!(f, "{value}e{power}")
            };
        }
        let (suffix, _) = DECIMAL
            .iter()
            .find(|(_, known)| *known == power)
            .expect("every third power is there");
        write!(f, "{value}{suffix}")
    }
}

impl Quantity {
    fn write_binary(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut value, mut suffix) = (self.nanos / NANOS, "");
        for name in BINARY {
            if value % 1024 != 0 {
                break;
            }
            value /= 1024;
            suffix = name;
        }
        write!(f, "{value}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn canonical_forms_are_those_of_kubernetes() {
        for (text, canonical) in [
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1.5", "1500m"),
            ("1000m", "1"),
            ("2000", "2k"),
            ("1Gi", "1Gi"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("512", "512"),
            ("0", "0"),
            ("-1", "-1"),
            ("1e3", "1e3"),
            ("12345n", "12345n"),
            (".5", "500m"),
            ("1E", "1E"),
            ("0.0000000001", "1n"),
        ] {
            let parsed: Quantity = text.parse().expect(text);
            assert_eq!(parsed.to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn values_round_up() {
        let parse = |text: &str| text.parse::<Quantity>().expect("a quantity");
        assert_eq!(parse("1500m").value(), 2);
        assert_eq!(parse("1500m").milli_value(), 1500);
        assert_eq!(parse("128Mi").value(), 134_217_728);
        assert!(parse("1") > parse("999m"));
        assert_eq!(parse("1Ki"), parse("1024"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "a", "1.2.3", "1kk", "Mi", "1 ", "--1", "1e", "1Kib", "."] {
            assert_eq!(text.parse::<Quantity>(), Err(InvalidQuantity::Format), "{text}");
        }
        assert_eq!("1e41".parse::<Quantity>(), Err(InvalidQuantity::Range));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(nanos in any::<i64>(), binary in any::<bool>()) {
            let format = if binary { Format::BinarySi } else { Format::DecimalSi };
            let quantity = Quantity { nanos: i128::from(nanos), format };
            prop_assert_eq!(quantity.to_string().parse::<Quantity>(), Ok(quantity));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
