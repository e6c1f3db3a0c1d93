//! apiserver

#![allow(dead_code, reason = "the rooms are joined by the registry")]

mod decode;
mod kinds;
mod patch;
