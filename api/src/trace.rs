//! Trace context: the W3C `traceparent` that goes along from `minikctl apply` to the process.
//!
//! It travels as an HTTP header, as an annotation on pods, as gRPC metadata and in the shim's protocol, always in this one
//! text form: `00-<32 hex trace id>-<16 hex span id>-<2 hex flags>` (W3C Trace Context, section 3.2).

use std::fmt;
use std::str::FromStr;

use rand::Rng;

/// Name of the HTTP header and of the gRPC metadata entry.
pub const HEADER: &str = "traceparent";

/// Annotation that carries the context of the request that created a pod.
pub const ANNOTATION: &str = "minik.dev/traceparent";

/// A position in a trace: which trace, and which span is the parent of what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Traceparent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// The text is no version 00 `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent: expected 00-<32 hex>-<16 hex>-<2 hex>, ids not all zero")]
pub struct InvalidTraceparent;

impl Traceparent {
    /// Begins a new, sampled trace.
    #[must_use]
    pub fn new() -> Self {
        let mut random = rand::rng();
        Self {
            trace_id: random.random_range(1..=u128::MAX),
            span_id: random.random_range(1..=u64::MAX),
            flags: 1,
        }
    }

    /// The same trace one span deeper.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span_id: rand::rng().random_range(1..=u64::MAX),
            ..self
        }
    }
}

impl Default for Traceparent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for Traceparent {
    type Err = InvalidTraceparent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        let lower_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, span, flags] = parts[..] else {
            return Err(InvalidTraceparent);
        };
        let shape = (version, trace.len(), span.len(), flags.len()) == ("00", 32, 16, 2);
        if !shape || !parts.iter().all(|part| lower_hex(part)) {
            return Err(InvalidTraceparent);
        }
        let trace_id = u128::from_str_radix(trace, 16).map_err(|_| InvalidTraceparent)?;
        let span_id = u64::from_str_radix(span, 16).map_err(|_| InvalidTraceparent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| InvalidTraceparent)?;
        if trace_id == 0 || span_id == 0 {
            return Err(InvalidTraceparent);
        }
        Ok(Self {
            trace_id,
            span_id,
            flags,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_kept() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed: Traceparent = text.parse().expect("the specification's own example");
        assert_eq!(parsed.to_string(), text);
        assert_eq!(&parsed.child().to_string()[..36], &text[..36]);
    }

    #[test]
    fn bad_contexts_are_refused() {
        for text in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<Traceparent>(), Err(InvalidTraceparent), "{text}");
        }
    }
}
