//! runtime
pub mod images;
pub mod snapshots;
pub mod sys;
