//! Floor 0: what two of our processes must agree on byte for byte, and nothing else.

pub mod cri;
pub mod images;
pub mod notify;
pub mod trace;
