//! runtime
pub mod images;
pub mod sys;
