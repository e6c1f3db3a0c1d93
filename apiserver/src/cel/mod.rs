//! CEL.
mod duration;

pub(crate) use duration::parse as parse_duration;
