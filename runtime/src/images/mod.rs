//! Images.
pub mod digest;
pub mod platform;
pub mod reference;
pub mod unpack;
