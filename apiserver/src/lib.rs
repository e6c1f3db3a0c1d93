//! apiserver

#![allow(dead_code, reason = "the rooms are joined by the registry")]

mod admission;
mod kinds;
mod registry;
mod storage;
